-- Nonces are known again by what they are made of, and kept nowhere. What was given before is void: a device is challenged anew.
DROP TABLE nonces;
-- How many challenges a device has answered: a nonce is good for the answer that comes next.
ALTER TABLE devices ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
