-- The number of a reference value is given once: who approves one by its number approves no other that came after it.
CREATE TABLE new_refs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  device BLOB NOT NULL,
  pcrs TEXT NOT NULL,
  state TEXT NOT NULL,
  learned_at INTEGER NOT NULL,
  decided_at INTEGER,
  FOREIGN KEY (device, project) REFERENCES devices (id, project)
) STRICT;
INSERT INTO new_refs (id, project, device, pcrs, state, learned_at, decided_at)
  SELECT id, project, device, pcrs, state, learned_at, decided_at FROM refs;
DROP TABLE refs;
ALTER TABLE new_refs RENAME TO refs;
CREATE INDEX refs_of_device ON refs (device, state);
CREATE INDEX refs_of_project ON refs (project, id);
