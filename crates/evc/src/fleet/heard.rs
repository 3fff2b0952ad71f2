//! When devices were heard, and how old what they said is: a node that is silent, or whose vaultmgr is, does not look like one that lives.
//! Every verified request counts. It is counted in memory and written now and then: of no worth but to who looks.
//! Whoever is on the way can send a request again, and be it for a device that is dead. So one that ever gave what can't be sent again (evidence,
//! a numbered report) is there only as long as it goes on to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use attest::SessionKey;
use vault::device::{Condition, Seen};
use vault::ids::DeviceId;

use crate::fleet::reported;
use crate::service::{Controller, Refusal};
use crate::store::{Appraised, DeviceRow, Moment, Noted, Notes, UnixSeconds};

/// What was counted is written when so many seconds passed since it was last.
const WRITTEN_EVERY_S: u64 = 60;

/// Devices that were heard since that was last written, and when; and which session each named last.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    written: UnixSeconds,
    at: HashMap<DeviceId, UnixSeconds>,
    named: HashMap<DeviceId, Named>,
}

impl Counted {
    fn set(&mut self, device: DeviceId, session: SessionKey, standing: Standing) {
        let known = self.named.remove(&device);
        self.named.insert(device, Named::after(known, session, standing));
    }
}

/// What is known of a session that a device names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its evidence stands.
    Stands,
    /// It gave none yet, and is none that another one followed.
    New,
    /// Another one followed it: who is on the way may send its polls again.
    Past,
}

/// So many sessions before the present one are remembered: a poll of theirs, sent again, is no new session's.
const BEFORE: usize = 4;

#[derive(Debug)]
struct Named {
    session: SessionKey,
    standing: Standing,
    /// Those that it followed, the last one last.
    before: Vec<SessionKey>,
}

impl Named {
    fn after(known: Option<Self>, session: SessionKey, standing: Standing) -> Self {
        let mut before = known.map_or_else(Vec::new, |known| known.with_itself());
        before.retain(|one| *one != session);
        before.drain(..before.len().saturating_sub(BEFORE));
        Self { session, standing, before }
    }

    fn with_itself(mut self) -> Vec<SessionKey> {
        self.before.push(self.session);
        self.before
    }

    /// Whether a poll that names this session is of a later one.
    fn is_followed_by(&self, session: SessionKey, standing: Standing) -> bool {
        let is_new = standing == Standing::New && !self.before.contains(&session);
        self.session == session
            || is_new
            || (standing == Standing::Stands && self.standing == Standing::Stands)
    }
}

impl Heard {
    /// Counts a request whose signature verified.
    pub fn from(&self, device: DeviceId, now: UnixSeconds) {
        self.held(|counted| counted.at.insert(device, now));
    }

    /// Counts a poll that names a session. A new one is the device's present one from then on: polls of the one before may be sent again.
    pub(crate) fn named(&self, device: DeviceId, session: SessionKey, standing: Standing) {
        self.held(|counted| {
            let known = counted.named.get(&device);
            let follows = known.is_none_or(|known| known.is_followed_by(session, standing));
            if standing != Standing::Past && follows {
                counted.set(device, session, standing);
            }
        });
    }

    /// Counts evidence of a session, which nobody can send again: that one is the present one.
    pub(crate) fn proved(&self, device: DeviceId, session: SessionKey) {
        self.held(|counted| counted.set(device, session, Standing::Stands));
    }

    /// Whether a session, by its first digits, is the one that the device named last, since this controller started.
    pub(crate) fn is_present(&self, device: DeviceId, digits: &str) -> bool {
        self.held(|counted| {
            counted.named.get(&device).is_some_and(|named| digits_of(named.session) == digits)
        })
    }

    /// A row with the newest time.
    pub(crate) fn newest(&self, mut row: DeviceRow) -> DeviceRow {
        row.last_seen = row.last_seen.max(self.held(|counted| counted.at.get(&row.id).copied()));
        row
    }

    /// What is due to be written; from then on it is not held here.
    fn due(&self, now: UnixSeconds) -> HashMap<DeviceId, UnixSeconds> {
        self.held(|counted| {
            if now.abs_diff(counted.written) < WRITTEN_EVERY_S {
                return HashMap::new();
            }
            counted.written = now;
            std::mem::take(&mut counted.at)
        })
    }

    fn held<T>(&self, look: impl FnOnce(&mut Counted) -> T) -> T {
        // Whatever panicked, a map of times or sessions is as good as before.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A session as people see it: the first digits of its key.
pub(crate) fn digits_of(session: SessionKey) -> String {
    hex::encode(&session.0[..4])
}

impl Controller {
    /// Writes when devices were heard, at most once a minute.
    ///
    /// # Errors
    /// [`Refusal`] of the store's: what was counted is lost, and counted again by the next requests.
    pub async fn write_heard(&self, now: UnixSeconds) -> Result<(), Refusal> {
        let heard = self.heard.due(now);
        if heard.is_empty() {
            return Ok(());
        }
        self.store.note(Noted::Heard, |tx| Box::pin(write(tx, &heard))).await
    }
}

async fn write(mut tx: Notes<'_, '_>, heard: &HashMap<DeviceId, UnixSeconds>) -> Result<(), Refusal> {
    // In the order in which their rows lie: a page that is at hand still costs less than one that is looked for again.
    let sorted: BTreeMap<_, _> = heard.iter().collect();
    for (device, at) in sorted {
        // It may have been deleted, or heard otherwise, since.
        tx.heard_device(*device, *at).await?;
    }
    Ok(())
}

/// What an operator looks at first, and since when.
pub(crate) fn condition(row: &DeviceRow, now: UnixSeconds) -> (Condition, UnixSeconds) {
    let condition = Condition::of(&seen(row), now);
    let since = match condition {
        Condition::Lost => row.lost_at,
        Condition::Replayed => row.proved_at,
        _ => row.last_seen,
    };
    (condition, since.unwrap_or(row.registered_at))
}

fn seen(row: &DeviceRow) -> Seen {
    Seen {
        lost: row.lost_at.is_some(),
        older: row.older,
        doubled: row.alarm.is_some(),
        held_to_another: reported::is_held_to(row).is_some(),
        heard: row.last_seen,
        proved: row.proved_at,
        disk_away: reported::disk_is_away(row),
        refused: is_refused(row),
    }
}

/// Its last evidence was fresh, and worth nothing.
fn is_refused(row: &DeviceRow) -> bool {
    row.verdict.get().is_some_and(|fared| fared.outcome == Appraised::Refused)
}

pub(crate) fn is_silent(row: &DeviceRow, now: UnixSeconds) -> bool {
    vault::device::is_silent(row.last_seen, row.proved_at, now)
}

/// How long before now, in its greatest unit.
pub(crate) fn ago(at: UnixSeconds, now: UnixSeconds) -> String {
    format!("{} ago", vault::text::span(now.saturating_sub(at)))
}

/// What a vault's state is worth now.
pub(crate) enum Word {
    /// Of the device's newest report, and it is there.
    Fresh,
    /// Of its newest report, and it is silent since.
    Silent,
    /// It reported since, and not of this vault: its vaultmgr does not answer, or does not hold it any more.
    Superseded,
}

/// Of a word that came at a time.
pub(crate) fn word(device: &DeviceRow, said_at: UnixSeconds, now: UnixSeconds) -> Word {
    let newer = device.report.get().is_some_and(|report| report.received > Moment(said_at));
    if newer {
        Word::Superseded
    } else if is_silent(device, now) {
        Word::Silent
    } else {
        Word::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_greatest_unit() {
        const NOW: UnixSeconds = 1_800_000_000;
        for (passed_s, words) in
            [(0, "0s ago"), (119, "119s ago"), (120, "2m ago"), (7200, "2h ago"), (200_000, "2d ago")]
        {
            assert_eq!(ago(NOW - passed_s, NOW), words);
        }
        assert_eq!(ago(NOW + 5, NOW), "0s ago", "a clock that was set back");
    }

    /// AC-2: evidence of a session that is over is none of the present one, whatever is sent again.
    #[test]
    fn the_present_session_is_the_newest_that_was_named() {
        let (heard, device) = (Heard::default(), DeviceId(uuid::Uuid::from_u128(1)));
        let [first, second, third] = [1, 2, 3].map(|n| SessionKey([n; 32]));
        let is_present = |session| heard.is_present(device, &digits_of(session));
        assert!(!is_present(first), "nothing was heard since the start");
        for (session, standing, present, why) in [
            (first, Standing::Stands, first, "it is the one that there is"),
            (second, Standing::New, second, "it booted"),
            (first, Standing::Stands, second, "sent again"),
            (second, Standing::Stands, second, "it gave evidence"),
            (first, Standing::Past, second, "sent again, later"),
            (third, Standing::New, third, "it booted again"),
            (third, Standing::Stands, third, "it gave evidence"),
            (first, Standing::Stands, first, "settled: that one goes on"),
        ] {
            heard.named(device, session, standing);
            let found = [first, second, third].map(is_present);
            assert_eq!(found, [first, second, third].map(|one| one == present), "{why}");
        }
        // Two that turn: evidence tells which one there is, whatever was only named meanwhile; and what was named once is not new again.
        heard.named(device, second, Standing::New);
        heard.proved(device, first);
        assert!(is_present(first) && !is_present(second), "evidence");
        heard.named(device, second, Standing::New);
        assert!(is_present(first), "a poll that was recorded");
        heard.proved(device, third);
        heard.named(device, first, Standing::Stands);
        assert!(is_present(first), "settled");
    }

    #[test]
    fn what_was_heard_is_written_at_most_once_a_minute() {
        let (heard, one, two) =
            (Heard::default(), DeviceId(uuid::Uuid::from_u128(1)), DeviceId(uuid::Uuid::from_u128(2)));
        heard.from(one, 100);
        assert_eq!(heard.due(100), HashMap::from([(one, 100)]));
        heard.from(two, 110);
        assert!(heard.due(159).is_empty(), "not yet");
        heard.from(one, 150);
        assert_eq!(heard.due(160), HashMap::from([(two, 110), (one, 150)]));
        assert!(heard.due(300).is_empty(), "nobody was heard");
    }
}
