-- A device that made its certificate anew is found by its serial, and then told by its key.
CREATE INDEX devices_by_serial ON devices (serial);
-- Names that are kept for devices that have yet to register.
CREATE INDEX onboarding_by_name ON onboarding (name) WHERE device IS NULL;
