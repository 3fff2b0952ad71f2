-- An operator's word that a device is lost: nothing is released to it.
ALTER TABLE devices ADD COLUMN lost_at INTEGER;
-- What was seen of a device that may be two, in words; until an operator settles it nothing is released to it.
ALTER TABLE devices ADD COLUMN alarm TEXT;
-- Sessions that a later one followed, newest last, 32 bytes each: none of them speaks again.
ALTER TABLE devices ADD COLUMN past_sessions BLOB NOT NULL DEFAULT x'';
-- The newest report: of which session, and its number in it.
ALTER TABLE devices ADD COLUMN report_session BLOB;
ALTER TABLE devices ADD COLUMN report_counter INTEGER NOT NULL DEFAULT 0;

-- Devices that an operator removed, by certificate and by key (SHA-256 of the SubjectPublicKeyInfo).
CREATE TABLE removed_devices (
  cert_digest BLOB PRIMARY KEY,
  key BLOB NOT NULL,
  name TEXT NOT NULL,
  removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_devices_by_key ON removed_devices (key);
