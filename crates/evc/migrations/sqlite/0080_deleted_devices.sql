-- What was kept of a device that an operator deleted, until its grace is over: its vaults, their keys and its bundles, sealed as they were. They refer to
-- no device and no policy any more. By the device's key they come back to whoever has it, where the operator who lets it in says so.
CREATE TABLE deleted_devices (
  id BLOB NOT NULL PRIMARY KEY,
  project TEXT NOT NULL,
  key BLOB NOT NULL,
  name TEXT NOT NULL,
  serial TEXT NOT NULL,
  deleted_at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE INDEX deleted_devices_by_key ON deleted_devices (key);
CREATE TABLE deleted_vaults (
  project TEXT NOT NULL,
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  policy TEXT,
  standing TEXT NOT NULL,
  delete_at INTEGER,
  left_version INTEGER,
  created INTEGER NOT NULL,
  recreate INTEGER NOT NULL,
  current_epoch INTEGER NOT NULL,
  last_epoch INTEGER NOT NULL,
  reported_epoch INTEGER,
  report TEXT,
  reported_at INTEGER,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (device, id)
) STRICT;
CREATE TABLE deleted_epochs (
  project TEXT,
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  vault BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  period TEXT NOT NULL,
  sealed BLOB NOT NULL,
  made_at INTEGER NOT NULL,
  PRIMARY KEY (device, vault, epoch)
) STRICT;
CREATE TABLE deleted_bundles (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  generation INTEGER NOT NULL,
  digest BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  has TEXT,
  sealed BLOB NOT NULL
) STRICT;
CREATE INDEX deleted_bundles_of ON deleted_bundles (device, number);
ALTER TABLE onboarding ADD COLUMN give_back INTEGER NOT NULL DEFAULT 0;
