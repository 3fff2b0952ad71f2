-- Rows that may be long are found by a number of SQLite's, and their key is an index. A table without such numbers is one index with the whole
-- rows in it: where a row has more than a quarter of a page, the rest lies elsewhere, and to compare its key SQLite reads all of it, for each
-- row that a look-up passes: a dozen of system calls for one device, and more with each doubling of the fleet.
-- Who refers to a device goes on to, by the table's name: that holds again at the end of this transaction.

PRAGMA defer_foreign_keys = ON;

-- SQLite looks for who refers to each device, and would look through the whole project.
DROP INDEX refs_of_project;

CREATE TABLE devices_of_before AS SELECT * FROM devices;
DROP TABLE devices;
CREATE TABLE devices (
  id BLOB NOT NULL PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '{}',
  cert_digest BLOB NOT NULL UNIQUE,
  cert_der BLOB NOT NULL,
  key BLOB,
  serial TEXT NOT NULL,
  let_in_by BLOB,
  tpm TEXT NOT NULL,
  learn INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  last_seen INTEGER,
  proved_at INTEGER,
  answered INTEGER NOT NULL DEFAULT 0,
  section_version INTEGER NOT NULL,
  section_digest BLOB,
  ledger TEXT NOT NULL DEFAULT '{"head":null,"sent":[]}',
  older TEXT,
  report TEXT,
  verdict TEXT,
  lost_at INTEGER,
  alarm TEXT,
  report_session BLOB,
  report_counter INTEGER NOT NULL DEFAULT 0,
  UNIQUE (project, name),
  -- For what hangs on a device and is found by project: it is of the device's own.
  UNIQUE (id, project)
) STRICT;
INSERT INTO devices (id, project, name, labels, cert_digest, cert_der, key, serial, let_in_by, tpm, learn, registered_at, last_seen, proved_at,
    answered, section_version, section_digest, ledger, older, report, verdict, lost_at, alarm, report_session, report_counter)
  SELECT id, project, name, labels, cert_digest, cert_der, key, serial, let_in_by, tpm, learn, registered_at, last_seen, proved_at,
    answered, section_version, section_digest, ledger, older, report, verdict, lost_at, alarm, report_session, report_counter
  FROM devices_of_before ORDER BY id;
DROP TABLE devices_of_before;
CREATE UNIQUE INDEX devices_by_key ON devices (key);
CREATE INDEX devices_before_keys ON devices (id) WHERE key IS NULL;
CREATE INDEX devices_let_in ON devices (let_in_by) WHERE let_in_by IS NOT NULL;

CREATE TABLE new_device_certs (
  device BLOB NOT NULL REFERENCES devices (id),
  kind INTEGER NOT NULL,
  pem BLOB NOT NULL,
  public BLOB,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (device, kind)
) STRICT;
INSERT INTO new_device_certs (device, kind, pem, public, added_at)
  SELECT device, kind, pem, public, added_at FROM device_certs ORDER BY device, kind;
DROP TABLE device_certs;
ALTER TABLE new_device_certs RENAME TO device_certs;

CREATE TABLE new_standings (
  device BLOB NOT NULL PRIMARY KEY REFERENCES devices (id),
  session BLOB NOT NULL,
  at INTEGER NOT NULL,
  renew INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;
INSERT INTO new_standings (device, session, at, renew, record) SELECT device, session, at, renew, record FROM standings ORDER BY device;
DROP TABLE standings;
ALTER TABLE new_standings RENAME TO standings;

CREATE INDEX refs_of_project ON refs (project, id);
