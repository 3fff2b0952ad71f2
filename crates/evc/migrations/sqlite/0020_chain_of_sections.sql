-- What was sent to a device and accepted by it, as JSON: the chain of its sections (vault::ledger).
ALTER TABLE devices ADD COLUMN ledger TEXT NOT NULL DEFAULT '{"head":null,"sent":[]}';
-- How it showed that this database is older than it, as JSON. Nothing is sent to it then, until a new incarnation begins.
ALTER TABLE devices ADD COLUMN older TEXT;
