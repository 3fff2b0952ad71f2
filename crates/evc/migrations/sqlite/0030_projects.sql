-- Everything that has a name, or hangs on what has one, is of a project; what there was is of `default`. Unique names are (project, name).
-- A column has no default here: who forgets the project writes nothing.
-- Tables are made anew, for SQLite can't take a UNIQUE away; children first, so that no row ever refers to nothing. A rename takes along what refers.

CREATE TABLE new_devices (
  id BLOB PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  cert_digest BLOB NOT NULL UNIQUE,
  cert_der BLOB NOT NULL,
  serial TEXT NOT NULL,
  tpm TEXT NOT NULL,
  learn INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  last_seen INTEGER,
  section_version INTEGER NOT NULL,
  section_digest BLOB,
  ledger TEXT NOT NULL DEFAULT '{"head":null,"sent":[]}',
  older TEXT,
  report TEXT,
  verdict TEXT,
  lost_at INTEGER,
  alarm TEXT,
  past_sessions BLOB NOT NULL DEFAULT x'',
  report_session BLOB,
  report_counter INTEGER NOT NULL DEFAULT 0,
  UNIQUE (project, name),
  -- For what hangs on a device and is found by project: it is of the device's own.
  UNIQUE (id, project)
) STRICT, WITHOUT ROWID;
INSERT INTO new_devices (id, project, name, cert_digest, cert_der, serial, tpm, learn, registered_at, last_seen, section_version, section_digest,
    ledger, older, report, verdict, lost_at, alarm, past_sessions, report_session, report_counter)
  SELECT id, 'default', name, cert_digest, cert_der, serial, tpm, learn, registered_at, last_seen, section_version, section_digest,
    ledger, older, report, verdict, lost_at, alarm, past_sessions, report_session, report_counter FROM devices;

CREATE TABLE new_policies (
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  canonical TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;
INSERT INTO new_policies (project, name, canonical, changed_at) SELECT 'default', name, canonical, changed_at FROM policies;

CREATE TABLE new_device_certs (
  device BLOB NOT NULL REFERENCES new_devices (id),
  kind INTEGER NOT NULL,
  pem BLOB NOT NULL,
  public BLOB,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (device, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO new_device_certs (device, kind, pem, public, added_at) SELECT device, kind, pem, public, added_at FROM device_certs;

CREATE TABLE new_nonces (
  nonce BLOB PRIMARY KEY,
  device BLOB NOT NULL REFERENCES new_devices (id),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_nonces (nonce, device, expires_at) SELECT nonce, device, expires_at FROM nonces;

CREATE TABLE new_standings (
  device BLOB PRIMARY KEY REFERENCES new_devices (id),
  session BLOB NOT NULL,
  at INTEGER NOT NULL,
  renew INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_standings (device, session, at, renew, record) SELECT device, session, at, renew, record FROM standings;

CREATE TABLE new_vaults (
  project TEXT NOT NULL,
  device BLOB NOT NULL,
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
  PRIMARY KEY (device, id),
  FOREIGN KEY (device, project) REFERENCES new_devices (id, project),
  FOREIGN KEY (project, policy) REFERENCES new_policies (project, name)
) STRICT, WITHOUT ROWID;
INSERT INTO new_vaults (project, device, id, name, policy, standing, delete_at, left_version, created, recreate, current_epoch, last_epoch,
    reported_epoch, report, reported_at, added_at)
  SELECT 'default', device, id, name, policy, standing, delete_at, left_version, created, recreate, current_epoch, last_epoch,
    reported_epoch, report, reported_at, added_at FROM vaults;

CREATE TABLE new_refs (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  device BLOB NOT NULL,
  pcrs TEXT NOT NULL,
  state TEXT NOT NULL,
  learned_at INTEGER NOT NULL,
  decided_at INTEGER,
  FOREIGN KEY (device, project) REFERENCES new_devices (id, project)
) STRICT;
INSERT INTO new_refs (id, project, device, pcrs, state, learned_at, decided_at)
  SELECT id, 'default', device, pcrs, state, learned_at, decided_at FROM refs;

DROP TABLE device_certs;
DROP TABLE nonces;
DROP TABLE standings;
DROP TABLE vaults;
DROP TABLE refs;
DROP TABLE policies;
DROP TABLE devices;
ALTER TABLE new_devices RENAME TO devices;
ALTER TABLE new_policies RENAME TO policies;
ALTER TABLE new_device_certs RENAME TO device_certs;
ALTER TABLE new_nonces RENAME TO nonces;
ALTER TABLE new_standings RENAME TO standings;
ALTER TABLE new_vaults RENAME TO vaults;
ALTER TABLE new_refs RENAME TO refs;

CREATE INDEX devices_by_serial ON devices (serial);
CREATE INDEX nonces_of_device ON nonces (device, expires_at);
CREATE INDEX nonces_by_time ON nonces (expires_at);
CREATE UNIQUE INDEX vaults_by_name ON vaults (device, name) WHERE standing <> 'gone';
CREATE INDEX vaults_by_policy ON vaults (project, policy);
CREATE INDEX vaults_of_project ON vaults (project, device, id);
CREATE INDEX vaults_by_end ON vaults (delete_at) WHERE standing = 'removing';
CREATE INDEX refs_of_device ON refs (device, state);
CREATE INDEX refs_of_project ON refs (project, id);

-- A certificate and serial say by themselves into which project a device comes: so they are of one alone.
CREATE TABLE new_onboarding (
  cert_digest BLOB NOT NULL,
  serial TEXT NOT NULL,
  project TEXT NOT NULL,
  cert_der BLOB NOT NULL,
  name TEXT,
  added_at INTEGER NOT NULL,
  device BLOB,
  PRIMARY KEY (cert_digest, serial)
) STRICT, WITHOUT ROWID;
INSERT INTO new_onboarding (cert_digest, serial, project, cert_der, name, added_at, device)
  SELECT cert_digest, serial, 'default', cert_der, name, added_at, device FROM onboarding;
DROP TABLE onboarding;
ALTER TABLE new_onboarding RENAME TO onboarding;
CREATE INDEX onboarding_by_name ON onboarding (project, name) WHERE device IS NULL;
CREATE INDEX onboarding_of_project ON onboarding (project, cert_digest, serial);

CREATE TABLE new_tokens (
  hash BLOB PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_tokens (hash, project, name, added_at) SELECT hash, 'default', name, added_at FROM tokens;
DROP TABLE tokens;
ALTER TABLE new_tokens RENAME TO tokens;
CREATE INDEX tokens_of_project ON tokens (project);
