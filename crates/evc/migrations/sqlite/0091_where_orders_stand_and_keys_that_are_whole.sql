-- What went out to a session is kept, to be said again as it was: by a digest one that was damaged since is known, which no node can open. What
-- went out before has none. And the chain of a device has a form with the place of its orders, which builds of before do not read.
ALTER TABLE releases ADD COLUMN digest BLOB;
