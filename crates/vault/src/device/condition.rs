//! What an operator looks at first of a device: of all that holds of it the one that is said before the others. Marks come first, whatever else is; then
//! whether it is there; then what it showed.

use serde::{Deserialize, Serialize};

use crate::ledger::Mark;

/// Silent for longer than this, in seconds, a device is not said to be there. Nodes poll every minute, and stock EVE too.
const SILENT_AFTER_S: u64 = 5 * 60;
/// More than that no clock is put back for being a little wrong, in seconds.
const AHEAD_S: u64 = 3600;
/// A node reports at least every ten minutes: one that missed two reports, in seconds, is not said to be there by what may be replays.
const UNPROVED_AFTER_S: u64 = 25 * 60;

/// Of which kind it is, as programs tell it apart. The order is that in which they are said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// An operator said so.
    Lost,
    /// The database was put back from a copy, and nobody said yet that it was gone through.
    PutBack,
    /// It showed that the database is older than it.
    Ahead,
    /// It did what one device does not do.
    Doubled,
    /// Its node takes no list for it: it holds to those of the device that it was before.
    HeldToAnother,
    /// It is not heard.
    Silent,
    /// What is heard of it may be what somebody sends again.
    Replayed,
    /// Its disk is not mounted.
    DiskAway,
    /// Its last evidence was refused.
    EvidenceRefused,
    /// Its keys are withheld: nothing measured its boot.
    Unmeasured,
    /// Its keys are withheld: its PCRs are not those of its reference values.
    PcrsDiffer,
    /// Its keys are withheld: no reference value of it is approved.
    Unapproved,
    /// There is no room in escrow for its next bundle.
    EscrowFull,
    /// Its bundle is of a generation of its TPM's secrets that is over.
    EscrowBehind,
    /// The last drill on its bundle failed.
    DrillFailed,
    /// It made no drill for too long.
    DrillOverdue,
    /// It is there, and nothing is to be said of it.
    Online,
    /// One of another version: somebody should look.
    #[default]
    #[serde(other)]
    Other,
}

/// What was said of a device, seen of it, and heard of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its operator said that it is lost.
    pub lost: bool,
    /// How the database is older than it, or may be.
    pub older: Option<Mark>,
    /// It may be two.
    pub doubled: bool,
    /// Its node holds to the lists of another one.
    pub held_to_another: bool,
    /// When it was heard last, by whatever verified.
    pub heard: Option<u64>,
    /// When it last gave what nobody can send again.
    pub proved: Option<u64>,
    /// Its node said that the disk of its vaults is not there.
    pub disk_away: bool,
    /// Its last evidence was fresh, and worth nothing.
    pub refused: bool,
}

impl Condition {
    /// What is said first of what was seen.
    #[must_use]
    pub fn of(seen: &Seen, now: u64) -> Self {
        let put_back = seen.older.is_some_and(Mark::is_put_back);
        let all = [
            (seen.lost, Self::Lost),
            (put_back, Self::PutBack),
            (seen.older.is_some(), Self::Ahead),
            (seen.doubled, Self::Doubled),
            (seen.held_to_another, Self::HeldToAnother),
            (is_unheard(seen.heard, now), Self::Silent),
            (is_unproved(seen.proved, now), Self::Replayed),
            (seen.disk_away, Self::DiskAway),
            (seen.refused, Self::EvidenceRefused),
        ];
        Self::first(all.into_iter().filter(|(holds, _)| *holds).map(|(_, condition)| condition))
    }

    /// Of all that holds the one that is said; where nothing does, that it is there.
    pub fn first(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().min().unwrap_or(Self::Online)
    }
}

/// Whether a device is not there: not heard, or by what may be replays alone.
#[must_use]
pub fn is_silent(heard: Option<u64>, proved: Option<u64>, now: u64) -> bool {
    is_unheard(heard, now) || is_unproved(proved, now)
}

fn is_unheard(heard: Option<u64>, now: u64) -> bool {
    heard.is_none_or(|at| is_over(at, SILENT_AFTER_S, now))
}

/// One that never gave what can't be sent again is there by what it sends.
fn is_unproved(proved: Option<u64>, now: u64) -> bool {
    proved.is_some_and(|at| is_over(at, UNPROVED_AFTER_S, now))
}

/// A time that is well ahead was noted by a clock that was wrong: it says nothing of how long ago that was. One that is a little ahead is what
/// remains of a clock that was put right since, and the device is heard again before long.
fn is_over(at: u64, after_s: u64, now: u64) -> bool {
    at.saturating_add(after_s) < now || at > now.saturating_add(AHEAD_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Older;

    const NOW: u64 = 1_800_000_000;

    /// A condition, and what makes it hold.
    type Holds = (Condition, fn(Seen) -> Seen);

    fn there() -> Seen {
        Seen { heard: Some(NOW), proved: Some(NOW), ..Seen::default() }
    }

    /// IF-2: a kind of tomorrow is not taken for a device that is well.
    #[test]
    fn a_kind_of_another_version_is_no_known_one() {
        let read = |word: &str| serde_json::from_str::<Condition>(&format!("\"{word}\"")).expect("read");
        assert_eq!(
            (read("online"), read("may-be-two"), read("disk-away")),
            (Condition::Online, Condition::Other, Condition::DiskAway)
        );
        assert_eq!(Condition::default(), Condition::Other);
    }

    /// AC-7, TH-1: a mark is said before whether it is there, and that before what it showed; each hides those after it alone.
    #[test]
    fn what_holds_is_said_in_one_order() {
        let ahead = Some(Mark::from(Older::Forked));
        let holds: [Holds; 9] = [
            (Condition::EvidenceRefused, |seen| Seen { refused: true, ..seen }),
            (Condition::DiskAway, |seen| Seen { disk_away: true, ..seen }),
            (Condition::Replayed, |seen| Seen { proved: Some(NOW - 3600), ..seen }),
            (Condition::Silent, |seen| Seen { heard: Some(NOW - 3600), ..seen }),
            (Condition::HeldToAnother, |seen| Seen { held_to_another: true, ..seen }),
            (Condition::Doubled, |seen| Seen { doubled: true, ..seen }),
            (Condition::Ahead, |seen| Seen { older: Some(Older::Forked.into()), ..seen }),
            (Condition::PutBack, |seen| Seen { older: Some(Mark::held(seen.older)), ..seen }),
            (Condition::Lost, |seen| Seen { lost: true, ..seen }),
        ];
        assert_eq!(Condition::of(&there(), NOW), Condition::Online);
        let mut all = there();
        for (condition, holds) in holds {
            assert_eq!(Condition::of(&holds(there()), NOW), condition, "alone");
            all = holds(all);
            assert_eq!(Condition::of(&all, NOW), condition, "{all:?}");
        }
        assert_eq!(Condition::of(&Seen { older: ahead, lost: true, ..there() }, NOW), Condition::Lost);
    }

    /// What is said of a device that is there comes after all that; and nothing after that it is there.
    #[test]
    fn what_is_said_of_one_that_is_there_comes_last() {
        use Condition::{DrillFailed, EscrowFull, Online, PcrsDiffer, Silent, Unmeasured};
        for (all, first) in [
            (vec![], Online),
            (vec![Online, DrillFailed], DrillFailed),
            (vec![DrillFailed, EscrowFull, PcrsDiffer], PcrsDiffer),
            (vec![PcrsDiffer, Unmeasured, Silent], Silent),
        ] {
            assert_eq!(Condition::first(all.clone()), first, "{all:?}");
        }
    }

    /// A clock that was wrong says nothing of how long ago a time was; one that is a little wrong shuts nobody out.
    #[test]
    fn a_device_is_silent_by_a_time_that_is_over_or_can_not_be() {
        let (minutes, hour) = (|n: u64| NOW - n * 60, NOW + 3600);
        for (heard, proved, silent) in [
            (None, None, true),
            (Some(minutes(5)), None, false),
            (Some(minutes(6)), None, true),
            (Some(hour), None, false),
            (Some(hour + 1), None, true),
            (Some(NOW), Some(minutes(25)), false),
            (Some(NOW), Some(minutes(26)), true),
        ] {
            assert_eq!(is_silent(heard, proved, NOW), silent, "{heard:?} {proved:?}");
        }
    }
}
