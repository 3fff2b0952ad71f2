//! Signs that a device is two: a copy of its disk, or of a virtual machine with its TPM, has all its keys, and no signature tells them apart.
//! What tells is time. A session is one life of vaultmgr, so one that another followed never speaks again; and a TPM's counters never fall, which
//! `attest` sees. Either is an alarm, kept until an operator settles it, and nothing is released meanwhile ([`crate::decide::Bar::Doubled`]).

use attest::Quote;

/// Sessions of a device that are remembered as over, the newest. Two that live take turns at the next poll, which is within a day; and by
/// then not so many can have come without being an alarm of their own.
pub const REMEMBERED: u32 = 512;
/// So many new sessions within [`FLOOD_WITHIN_S`] are lives of one node, restarted again and again. More are somebody's who makes the
/// controller forget.
pub const FLOOD_FROM: u64 = 16;
/// In seconds.
pub const FLOOD_WITHIN_S: u64 = 3600;

/// What a session says by its coming after another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It had ended before: two take turns.
    Turns,
    /// So many gave way to new ones in a short while.
    Flood(u64),
}

/// What was known of a session before good evidence came of it, where another one stood until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Nothing: it is new.
    None,
    /// It had ended, and an operator settled an alarm since.
    Settled,
    /// It had ended.
    Ended,
}

/// Which sign it is that a session followed another one. `count`: so many ended within [`FLOOD_WITHIN_S`] and since an operator settled an alarm, but for
/// those that [ended by a boot](ended_by_boot).
#[must_use]
pub fn sign(past: Past, count: u64) -> Option<Sign> {
    match (past, count) {
        (Past::Ended, _) => Some(Sign::Turns),
        (Past::None | Past::Settled, ..=FLOOD_FROM) => None,
        (Past::None | Past::Settled, count) => Some(Sign::Flood(count)),
    }
}

/// Whether a session ended with a boot of its TPM: power that comes and goes shuts no node out. By two quotes of the same TPM, the later of which was found to
/// come after the earlier one, or it would not be good. A copy that lives beside it would show a lower count with its next quote, which is an alarm of its
/// own. Without a TPM nothing shows it.
#[must_use]
pub fn ended_by_boot(last: Option<&Quote>, next: Option<&Quote>) -> bool {
    last.zip(next).is_some_and(|(last, next)| next.boot().resets > last.boot().resets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::fake_tpm::FakeTpm;

    /// TH-4: a session that ended speaks again, or too many come, and nobody settled it: then there may be two.
    #[test]
    fn th4_two_take_turns_or_many_come() {
        for (past, count, expected) in [
            (Past::Ended, 1, Some(Sign::Turns)),
            (Past::Ended, FLOOD_FROM + 1, Some(Sign::Turns)),
            (Past::None, FLOOD_FROM, None),
            (Past::None, FLOOD_FROM + 1, Some(Sign::Flood(FLOOD_FROM + 1))),
            (Past::Settled, 1, None),
            (Past::Settled, FLOOD_FROM + 1, Some(Sign::Flood(FLOOD_FROM + 1))),
        ] {
            assert_eq!(sign(past, count), expected, "{past:?} {count}");
        }
    }

    /// Seen-by-users 0.12: power that comes and goes is told from a copy by the TPM alone.
    #[test]
    fn a_boot_is_seen_by_resets_of_one_tpm() {
        let quote = |resets| {
            let mut tpm = FakeTpm::new();
            tpm.reset_count = resets;
            let pcrs = attest::PcrValues::from([(0, [1; 32].into())]);
            let (bytes, _) = tpm.quote(&[7; 32], &attest::SessionKey([1; 32]), b"", &pcrs);
            Quote::read(&bytes).expect("a quote")
        };
        let (five, six) = (quote(5), quote(6));
        for (last, next, booted) in [
            (Some(&five), Some(&six), true),
            (Some(&five), Some(&five), false),
            (Some(&six), Some(&five), false),
            (None, Some(&six), false),
            (Some(&five), None, false),
            (None, None, false),
        ] {
            assert_eq!(ended_by_boot(last, next), booted);
        }
    }
}
