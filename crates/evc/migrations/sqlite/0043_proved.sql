-- When it last gave what nobody can send again: good evidence, or a report in its place of the session whose evidence stands. None: never, as a
-- stock device; or not since before this.
ALTER TABLE devices ADD COLUMN proved_at INTEGER;
