-- Certificates that a device's key had before its present one. Who signs under one of them signs by the same key, and is the same device. Numbered
-- as they were replaced; the oldest are forgotten.
CREATE TABLE certs_before (
  cert_digest BLOB PRIMARY KEY NOT NULL,
  device BLOB NOT NULL REFERENCES devices (id),
  number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX certs_before_by_number ON certs_before (device, number);
