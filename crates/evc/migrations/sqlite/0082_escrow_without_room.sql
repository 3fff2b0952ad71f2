-- Since when a device sends a bundle for which there is no room, each that is there being the last that has something of a vault.
ALTER TABLE devices ADD COLUMN no_room_at INTEGER;
