-- The controller's state. Times are Unix seconds by the controller's clock; identities are 16-byte UUIDs; every look-up is by a key or an index.
-- Secrets lie here sealed only: under the key-encryption key, or under a period key that is.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- CA, signing, ECDH and TLS keys: PKCS#8 sealed under the key-encryption key.
CREATE TABLE keys (name TEXT PRIMARY KEY, sealed BLOB NOT NULL, cert_pem TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Operators' tokens, hashed: a copy of this table logs nobody in.
CREATE TABLE tokens (hash BLOB PRIMARY KEY, name TEXT NOT NULL, added_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  cert_digest BLOB NOT NULL UNIQUE,
  cert_der BLOB NOT NULL,
  serial TEXT NOT NULL,
  tpm TEXT NOT NULL,
  learn INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  last_seen INTEGER,
  section_version INTEGER NOT NULL,
  section_digest BLOB,
  report TEXT,
  verdict TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE onboarding (
  cert_digest BLOB NOT NULL,
  serial TEXT NOT NULL,
  cert_der BLOB NOT NULL,
  name TEXT,
  added_at INTEGER NOT NULL,
  device BLOB,
  PRIMARY KEY (cert_digest, serial)
) STRICT, WITHOUT ROWID;

-- Certificates that a device uploaded: pinned at first sight.
CREATE TABLE device_certs (
  device BLOB NOT NULL REFERENCES devices (id),
  kind INTEGER NOT NULL,
  pem BLOB NOT NULL,
  public BLOB,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (device, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE nonces (
  nonce BLOB PRIMARY KEY,
  device BLOB NOT NULL REFERENCES devices (id),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_of_device ON nonces (device, expires_at);
CREATE INDEX nonces_by_time ON nonces (expires_at);

-- What stands of a device's present session: one row, replaced by newer evidence.
CREATE TABLE standings (
  device BLOB PRIMARY KEY REFERENCES devices (id),
  session BLOB NOT NULL,
  at INTEGER NOT NULL,
  renew INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (name TEXT PRIMARY KEY, canonical TEXT NOT NULL, changed_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE vaults (
  device BLOB NOT NULL REFERENCES devices (id),
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  policy TEXT REFERENCES policies (name),
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
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX vaults_by_name ON vaults (device, name) WHERE standing <> 'gone';
CREATE INDEX vaults_by_policy ON vaults (policy);
CREATE INDEX vaults_by_end ON vaults (delete_at) WHERE standing = 'removing';

-- A period key (one a month) is sealed under the key-encryption key; epochs are sealed under their period's key.
CREATE TABLE periods (period TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
  device BLOB NOT NULL,
  vault BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  period TEXT NOT NULL REFERENCES periods (period),
  sealed BLOB NOT NULL,
  made_at INTEGER NOT NULL,
  PRIMARY KEY (device, vault, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX epochs_by_period ON epochs (period);

-- Keys as they went out: sealed once for a session, so that an unchanged poll seals nothing.
CREATE TABLE releases (
  device BLOB NOT NULL,
  vault BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  custody TEXT NOT NULL,
  session BLOB NOT NULL,
  enc BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  PRIMARY KEY (device, vault, epoch, custody)
) STRICT, WITHOUT ROWID;

CREATE TABLE refs (
  id INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES devices (id),
  pcrs TEXT NOT NULL,
  state TEXT NOT NULL,
  learned_at INTEGER NOT NULL,
  decided_at INTEGER
) STRICT;
CREATE INDEX refs_of_device ON refs (device, state);
