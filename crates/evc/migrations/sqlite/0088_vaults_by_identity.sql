-- With each poll of a device that has keys of a vault without a row it is asked whether that row is of no device: by the vault's identity.
CREATE INDEX vaults_by_identity ON vaults (id);
