-- An epoch is sealed for a project: its associated data names it. None: sealed before there were projects. At its next start the controller
-- seals such a row anew, as the default project's, in one transaction; until then it opens for nobody.
ALTER TABLE epochs ADD COLUMN project TEXT;
CREATE INDEX epochs_before_projects ON epochs (device, vault, epoch) WHERE project IS NULL;

-- What went out is of a project too. What was kept before is made again when it is asked for.
DROP TABLE releases;
CREATE TABLE releases (
  project TEXT NOT NULL,
  device BLOB NOT NULL,
  vault BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  custody TEXT NOT NULL,
  session BLOB NOT NULL,
  enc BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  PRIMARY KEY (device, vault, epoch, custody)
) STRICT, WITHOUT ROWID;
