-- A device is one key: SHA-256 of its SubjectPublicKeyInfo. For devices of before the controller reads it from the certificate at its next start.
ALTER TABLE devices ADD COLUMN key BLOB;
CREATE UNIQUE INDEX devices_by_key ON devices (key);
CREATE INDEX devices_before_keys ON devices (id) WHERE key IS NULL;
DROP INDEX devices_by_serial;

-- The certificate under whose allowance for any serial it registered: those are counted. None: under its own serial, or before this.
ALTER TABLE devices ADD COLUMN let_in_by BLOB;
CREATE INDEX devices_let_in ON devices (let_in_by) WHERE let_in_by IS NOT NULL;

-- A removed device comes back by the serial that it had. None: removed before this.
ALTER TABLE removed_devices ADD COLUMN serial TEXT;
