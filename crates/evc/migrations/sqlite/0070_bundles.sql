-- Escrow bundles: ciphertext of nodes, sealed once more. Numbered as they came, and a number never comes again. The newest stands in the device's
-- row too: what a poll is told hangs on it.
CREATE TABLE bundles (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  device BLOB NOT NULL REFERENCES devices (id),
  generation INTEGER NOT NULL,
  digest BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX bundles_by_digest ON bundles (device, digest);
CREATE INDEX bundles_by_number ON bundles (device, number);
ALTER TABLE devices ADD COLUMN held_generation INTEGER;
ALTER TABLE devices ADD COLUMN held_digest BLOB;
ALTER TABLE devices ADD COLUMN held_at INTEGER;
