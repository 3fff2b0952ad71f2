-- How many sessions ended lately is asked with each attestation, and most of them do not count. The index has all that is asked, so that none of
-- their rows is looked at; its order is still that in which they are forgotten.
DROP INDEX past_sessions_by_end;
CREATE INDEX past_sessions_by_end ON past_sessions (device, ended_at, session, settled, booted);
