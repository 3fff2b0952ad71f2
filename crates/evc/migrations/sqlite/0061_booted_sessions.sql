-- A session that ended with a boot of its own TPM, as the TPM's reset count says, tells of no second device. Of before, none is known to have.
ALTER TABLE past_sessions ADD COLUMN booted INTEGER NOT NULL DEFAULT 0;
