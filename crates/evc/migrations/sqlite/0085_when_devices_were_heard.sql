-- When devices were heard, as it is written each minute: short rows, dozens in a page, where a device's own row is half a page. What that says of
-- it, from a report or evidence, stays there; the later of the two counts.
CREATE TABLE heard (
  device BLOB NOT NULL PRIMARY KEY REFERENCES devices (id),
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
