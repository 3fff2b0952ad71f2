-- Vaults that a device had and has no more, by name and identity: so who waits for one to be gone is told apart from who mistypes its name.
-- Numbered as they went; the oldest are forgotten. They go with what is kept of a deleted device, and back.
CREATE TABLE past_vaults (
  device BLOB NOT NULL REFERENCES devices (id),
  number INTEGER NOT NULL,
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX past_vaults_by_id ON past_vaults (device, id);
CREATE TABLE deleted_past_vaults (
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  number INTEGER NOT NULL,
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
