-- Sessions that a later one followed, each for itself: no poll reads them. An operator who settles an alarm begins anew: from then on they
-- tell of no second device, and their reports stay refused.
CREATE TABLE past_sessions (
  device BLOB NOT NULL REFERENCES devices (id),
  session BLOB NOT NULL,
  ended_at INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  PRIMARY KEY (device, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_sessions_by_end ON past_sessions (device, ended_at);

-- Of before, the newest last; when they ended is not known.
WITH RECURSIVE past (device, all_of_them, place) AS (
  SELECT id, past_sessions, 0 FROM devices WHERE length(past_sessions) > 0
  UNION ALL
  SELECT device, all_of_them, place + 1 FROM past WHERE (place + 2) * 32 <= length(all_of_them)
)
INSERT OR IGNORE INTO past_sessions (device, session, ended_at, settled)
  SELECT device, substr(all_of_them, place * 32 + 1, 32), place, 0 FROM past;
ALTER TABLE devices DROP COLUMN past_sessions;
