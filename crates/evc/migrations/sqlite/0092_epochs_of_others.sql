-- Of a vault that was taken in while it was open: the epoch of the key of another's that its node had it under then.
ALTER TABLE vaults ADD COLUMN others_epoch INTEGER;
ALTER TABLE deleted_vaults ADD COLUMN others_epoch INTEGER;
