-- What each attestation reads and writes is kept in few bytes: evidence, reference values, and the chain of a device's sections. What builds of
-- before kept as JSON is carried over as it is, and packed when it is next written: a value's first byte tells which of the two it is
-- (`store::sqlite::read`).

ALTER TABLE standings ADD COLUMN packed BLOB NOT NULL DEFAULT x'';
UPDATE standings SET packed = CAST(record AS BLOB);
ALTER TABLE standings DROP COLUMN record;
ALTER TABLE standings RENAME COLUMN packed TO record;

ALTER TABLE refs ADD COLUMN packed BLOB NOT NULL DEFAULT x'';
UPDATE refs SET packed = CAST(pcrs AS BLOB);
ALTER TABLE refs DROP COLUMN pcrs;
ALTER TABLE refs RENAME COLUMN packed TO pcrs;

-- A chain in which nothing was sent yet.
ALTER TABLE devices ADD COLUMN packed BLOB NOT NULL DEFAULT x'01000000';
UPDATE devices SET packed = CAST(ledger AS BLOB);
ALTER TABLE devices DROP COLUMN ledger;
ALTER TABLE devices RENAME COLUMN packed TO ledger;

ALTER TABLE deleted_devices ADD COLUMN packed BLOB NOT NULL DEFAULT x'01000000';
UPDATE deleted_devices SET packed = CAST(ledger AS BLOB);
ALTER TABLE deleted_devices DROP COLUMN ledger;
ALTER TABLE deleted_devices RENAME COLUMN packed TO ledger;
