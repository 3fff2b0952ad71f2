-- What is remembered of a device's drills, as JSON. Of a device that had a bundle before there were drills the first is counted from now on: else the
-- whole fleet were due at once.
ALTER TABLE devices ADD COLUMN drills TEXT;
UPDATE devices SET drills = json_object('since', CAST(strftime('%s', 'now') AS INTEGER)) WHERE held_at IS NOT NULL;
