//! Pauses after what failed, and after a lock that is not complete.

use super::*;
use vault::plan::{Settled, Step};

#[test]
fn a_failure_pauses_longer_each_time_up_to_a_minute() {
    let mut slot = VaultMemory::<()>::default();
    let act = Act { op: Op::Unlock, step: Step::AddKey };
    let mut now = Instant::now();
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        slot.failed(&act, "no".to_owned(), now);
        assert!(slot.setbacks.contains(StepKind::AddKey));
        assert!(!slot.due(now));
        now += Duration::from_secs(seconds);
        assert!(slot.due(now), "after {seconds} s");
    }
}

fn setbacks(slot: &VaultMemory<()>) -> Setbacks {
    slot.known(Keys::default(), BySeal::default(), |_| None).setbacks
}

/// A lock that waits for holders holds up no lock of the vault once that is open again, and is over with its last holder.
#[test]
fn a_lock_that_waits_for_holders_is_no_failure() {
    let (lock, now) = (Act { op: Op::Lock, step: Step::Lock }, Instant::now());
    let mut slot = VaultMemory::<()>::default();
    slot.key_is(Key::Incomplete);
    slot.is_busy(&lock, "files are open".to_owned(), now);
    assert!(setbacks(&slot).contains(StepKind::Lock), "it is not tried all the time");
    assert!(slot.again() == Some(now + Duration::from_secs(1)) && !slot.due(now));
    let mut open = VaultMemory::<()> { sight: slot.sight, busy: slot.busy, ..VaultMemory::default() };
    open.key_is(Key::Present);
    assert!(!setbacks(&open).contains(StepKind::Lock) && open.again().is_none());
    slot.key_is(Key::Absent);
    assert!(setbacks(&slot).is_empty() && slot.again().is_none());
    slot.at_rest(&Next::Settled(Settled { state: State::Locked, notes: Vec::new() }));
    assert_eq!(slot.last, Some(Outcome { operation: "lock".to_owned(), error: None }));
}
