-- Sections that were sent in this life of the database and are no longer in their device's ledger: by these a device whose disk went back is
-- told from a database that is an older copy. Numbered as they left the ledger; the oldest are forgotten.
CREATE TABLE sent_before (
  device BLOB NOT NULL REFERENCES devices (id),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sent_before_by_digest ON sent_before (device, digest);
