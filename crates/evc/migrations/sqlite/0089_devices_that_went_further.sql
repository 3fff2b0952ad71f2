-- Nothing ends while a device shows that the database is older than it: that is asked before each end, and mostly there is none.
CREATE INDEX devices_older ON devices (older) WHERE older IS NOT NULL;
