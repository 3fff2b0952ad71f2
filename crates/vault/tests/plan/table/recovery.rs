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

/// UC-E: what no list of this controller names opens by its recovery key as well, and stays open until somebody wants it locked, or the key is
/// forgotten; seen or not.
#[test]
fn uce_an_orphan_opens_by_its_recovery_key_until_it_is_locked() {
    let list = |version| Listing {
        unjudged: false,
        authority: Authority::Live,
        device: DEVICE,
        version: SectionVersion { incarnation: Incarnation([1; 16]), version },
        vaults: BTreeMap::new(),
        removed: BTreeSet::new(),
    };
    let accepted = Accepted::after(std::iter::empty(), &list(1)).expect("the first");
    let record = RecordSeen::Read(Record::after(None, accepted, &list(1)));
    let orphan = Desired { listing: Some(list(2)), record, ..Desired::default() };
    let unlisted = Desired { record: RecordSeen::Unreadable, ..orphan.clone() };
    let known = |key, recovered| Known {
        seen: Seen { key, ..made(Custody::TpmAndController, 3) },
        keys: Keys { recovered, ..Keys::default() },
        ..Known::default()
    };
    let of = |desired: &Desired, known: &Known| one(desired, USER, known, &NODE).1;
    for (desired, state) in [(&orphan, State::Orphan), (&unlisted, State::Unlocked)] {
        assert_eq!(step(&of(desired, &known(Key::Absent, true))), Some(Step::AddKey));
        let Next::Settled(open) = of(desired, &known(Key::Present, true)) else { panic!("it rests") };
        assert_eq!(open.state, state);
        assert!(open.notes[0].to_string().contains("open by its recovery key"), "{open:?}");
        let unseen = Known { unseen: true, ..known(Key::Present, true) };
        assert_eq!(of(desired, &unseen), Next::Wait(Wait::Unseen));
        assert_eq!(step(&of(desired, &known(Key::Present, false))), Some(Step::Lock), "nobody gave its key");
        let held = Desired { held: BTreeMap::from([(USER, Operation::Lock)]), ..desired.clone() };
        let ordered = Desired { ordered: BTreeSet::from([USER]), ..desired.clone() };
        for locked in [held, ordered] {
            assert_eq!(step(&of(&locked, &known(Key::Present, true))), Some(Step::Lock));
            assert_eq!(step(&of(&locked, &known(Key::Absent, true))), None);
        }
    }
}

/// IF-2: an orphan says what it lacks, by what is there alone; one whose key is a controller's lacks nothing that is known.
#[test]
fn if2_an_orphan_says_what_it_lacks() {
    let lost = |custody| Seen { shares: share(Mark::Lost), ..made(custody, 3) };
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Damaged, ..made(Custody::Tpm, 0) };
    for (what, seen, keys, lacks) in [
        ("its share opens", made(Custody::Tpm, 0), keys(), None),
        ("it is lost", lost(Custody::Tpm), Keys::default(), Some(Part::Share)),
        (
            "the table has none",
            Seen { shares: BySeal::default(), ..made(Custody::Tpm, 0) },
            Keys::default(),
            Some(Part::Share),
        ),
        ("both", lost(Custody::TpmAndController), Keys::default(), Some(Part::PerhapsShare)),
        ("entered with all", lost(Custody::Controller), Keys::default(), Some(Part::PerhapsShare)),
        ("a controller's", made(Custody::Controller, 3), Keys::default(), None),
        ("key files", bare, keys(), Some(Part::Metadata)),
        ("the directory", Seen { dir: Dir::Absent, ..made(Custody::Tpm, 0) }, keys(), Some(Part::Directory)),
        ("recovered", lost(Custody::Tpm), Keys { recovered: true, ..Keys::default() }, None),
    ] {
        let seen = Seen { key: if keys.recovered { Key::Present } else { Key::Absent }, ..seen };
        let Next::Settled(settled) = ask(USER, &Wish::Orphan, &seen, &keys, &NODE) else { panic!("{what}") };
        let said: Vec<_> = settled.notes.into_iter().skip(1).collect();
        assert_eq!(said, lacks.map(Note::Missing).into_iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(settled.state, State::Orphan);
    }
    let table = ask(USER, &Wish::Orphan, &made(Custody::Tpm, 0), &Keys::default(), &TABLE_LOST);
    let Next::Settled(settled) = table else { panic!("it rests") };
    assert_eq!(settled.notes[1..], [Note::Missing(Part::Table)]);
}
