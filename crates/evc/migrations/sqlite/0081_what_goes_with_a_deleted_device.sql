-- What an operator or the device itself said of it before it was deleted. That it is lost, or may be two, holds for whoever has its key, however it comes
-- again. Which bundle an operator chose, and how its drills stand, comes back with its bundles.
ALTER TABLE removed_devices ADD COLUMN lost_at INTEGER;
ALTER TABLE removed_devices ADD COLUMN alarm TEXT;
ALTER TABLE deleted_devices ADD COLUMN drills TEXT;
ALTER TABLE deleted_bundles ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
