//! The recovery key: who has it made, replaced and taken away, and what it opens.

use super::*;
use vault::condition::{Recovery, RecoveryHint};
use vault::plan::RecoveryKept;
use vault::recovery::{Recipient, Recipients, RecipientsDigest};

fn recipients(seed: u8) -> Recipients {
    vec![Recipient::of([seed; 32]).expect("a point")].try_into().expect("one")
}

fn hint(seed: u8, epoch: u64) -> RecoveryHint {
    RecoveryHint { recipients: digest(seed), epoch: Some(Epoch(epoch)) }
}

fn digest(seed: u8) -> RecipientsDigest {
    recipients(seed).digest().expect("one")
}

/// A vault of custody controller at epoch 3, open, with this of a recovery key; its policy asks for one to the ninth recipient, or for none.
fn next(wanted: bool, recovery: Recovery, keys: Keys, authority: Authority) -> Next {
    let asked = want(Custody::Controller);
    let policy = NodePolicy {
        recovery: if wanted { recipients(9) } else { Recipients::NONE },
        ..asked.policy.clone()
    };
    let seen = Seen { recovery, key: Key::Present, ..made(Custody::Controller, 3) };
    ask(USER, &Wish::Keep(Want { policy, authority, created: true, ..asked }), &seen, &keys, &NODE)
}

fn opened() -> Keys {
    held(Wrapping::Controller(Epoch(3)))
}

fn step(next: &Next) -> Option<Step> {
    match next {
        Next::Do(act) => Some(act.step),
        Next::Wait(_) | Next::Settled(_) => None,
    }
}

/// UC-E, TH-6: made, replaced (other recipients, used, an older epoch, parts) and taken away, as the policy says.
#[test]
fn uce_the_policy_decides_what_becomes_of_it() {
    let make = Some(Step::MakeRecovery(hint(9, 3)));
    for (wanted, is, then) in [
        (true, Recovery::Nothing, make),
        (true, Recovery::Ready(hint(9, 3)), None),
        (true, Recovery::Ready(hint(10, 3)), make),
        (true, Recovery::Ready(hint(9, 2)), make),
        (true, Recovery::Used(hint(9, 3)), make),
        (true, Recovery::Parts, make),
        (false, Recovery::Nothing, None),
        (false, Recovery::Ready(hint(9, 3)), Some(Step::DropRecovery)),
        (false, Recovery::Parts, Some(Step::DropRecovery)),
    ] {
        assert_eq!(step(&next(wanted, is, opened(), Authority::Live)), then, "{wanted} {is:?}");
        // Nothing else changes it, and the last way in stays.
        assert_eq!(step(&next(wanted, is, opened(), Authority::Checkpoint)), None, "{wanted} {is:?}");
        let alone = Keys { recovered: true, shares: key(ShareKey::Nothing), ..Keys::default() };
        assert_eq!(step(&next(wanted, is, alone, Authority::Live)), None, "{wanted} {is:?}, by itself alone");
    }
}

/// VC-6: a vault that no key of its custody opens gets another protector under the newest, once it was opened by its recovery key; not while a
/// key at hand was not tried.
#[test]
fn vc6_what_its_recovery_key_opens_moves_on() {
    let ready = Recovery::Used(hint(9, 1));
    let tried = Keys { held: None, recovered: true, none_fits: true, ..opened() };
    let anew = Step::NewProtector(Wrapping::Controller(Epoch(3)));
    assert_eq!(step(&next(true, ready, tried, Authority::Live)), Some(anew));
    assert_eq!(step(&next(true, ready, tried, Authority::Checkpoint)), None);
    let untried = Keys { none_fits: false, ..tried };
    assert_eq!(step(&next(true, ready, untried, Authority::Live)), Some(Step::Unwrap));
}

/// IF-2: what there is of it is said, and to how many it is encrypted.
#[test]
fn if2_it_is_said_how_it_is() {
    for (kept, says) in [
        (RecoveryKept::Ready, "recovery: 1 recipient, ready"),
        (RecoveryKept::NotYet, "not yet made"),
        (RecoveryKept::Used, "used: another key takes its place"),
        (RecoveryKept::Old, "made before the last rotation"),
        (RecoveryKept::Other, "was made for others, who still open it"),
        (RecoveryKept::Damaged, "damaged or half made"),
        (RecoveryKept::Unasked, "its policy asks for none, and there is one, which still opens it"),
    ] {
        let words = Note::Recovery(1, kept).to_string();
        assert!(words.contains(says), "{words}");
    }
}
