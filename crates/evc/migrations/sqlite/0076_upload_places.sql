-- The newest bundle that a device sent to be kept: its session, and its number in it. What is sent again by somebody else is older.
ALTER TABLE devices ADD COLUMN upload_session BLOB;
ALTER TABLE devices ADD COLUMN upload_number INTEGER NOT NULL DEFAULT 0;
