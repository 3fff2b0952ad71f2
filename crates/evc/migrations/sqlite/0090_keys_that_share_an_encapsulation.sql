-- Keys that went out in one answer may share what is encapsulated: which message of it each is. What went out before was the only one of its own.
ALTER TABLE releases ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
