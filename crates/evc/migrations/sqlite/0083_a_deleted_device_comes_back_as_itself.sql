-- A device that was deleted, and gets back what is kept of it, is the device that it was: its node takes the lists of no other. So what was numbered and
-- sent goes with what is kept, and under which custodies its keys went out. Rows have identities of their own: a device may be deleted twice.
ALTER TABLE deleted_devices ADD COLUMN device BLOB NOT NULL DEFAULT x'';
UPDATE deleted_devices SET device = id;
ALTER TABLE deleted_devices ADD COLUMN node_of BLOB;
ALTER TABLE deleted_devices ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
-- Of one that was deleted before this: above each version that can have gone out.
ALTER TABLE deleted_devices ADD COLUMN section_version INTEGER NOT NULL DEFAULT 4294967296;
ALTER TABLE deleted_devices ADD COLUMN ledger TEXT NOT NULL DEFAULT '{"head":null,"sent":[],"before_chain":4294967296}';
ALTER TABLE deleted_devices ADD COLUMN older TEXT;
ALTER TABLE deleted_devices ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deleted_devices ADD COLUMN report_session BLOB;
ALTER TABLE deleted_devices ADD COLUMN report_counter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deleted_devices ADD COLUMN upload_session BLOB;
ALTER TABLE deleted_devices ADD COLUMN upload_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deleted_devices ADD COLUMN tpm TEXT NOT NULL DEFAULT 'unknown';
CREATE TABLE deleted_device_certs (
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  kind INTEGER NOT NULL,
  pem BLOB NOT NULL,
  public BLOB,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (device, kind)
) STRICT;
CREATE TABLE deleted_sent_before (
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted_past_sessions (
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  session BLOB NOT NULL,
  ended_at INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  booted INTEGER NOT NULL,
  PRIMARY KEY (device, session)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted_releases (
  device BLOB NOT NULL REFERENCES deleted_devices (id),
  vault BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  custody TEXT NOT NULL,
  PRIMARY KEY (device, vault, epoch, custody)
) STRICT, WITHOUT ROWID;
-- Of before it is not known: it may be that the TPM has a part.
INSERT INTO deleted_releases (device, vault, epoch, custody) SELECT device, vault, epoch, 'tpm+controller' FROM deleted_epochs;
