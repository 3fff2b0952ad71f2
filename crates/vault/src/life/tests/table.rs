//! One row for each way and each refusal.

use std::time::Duration;

use super::{NOW, in_grace, made, missing, name, report, user};
use crate::condition::State;
use crate::decide::TpmPin;
use crate::ids::{CONFIG_VAULT, Epoch, Incarnation, SectionVersion};
use crate::ledger::Older;
use crate::life::ListOf;
use crate::life::{
    Applied, AskedRemoval, AskedVault, Bundles, Closes, Contact, Deleted, Deletion, Disk, Fit, Gone,
    GraceEnd, Kept, Life, Listed, MOST_BESIDE_DEFAULTS, Move, NodeAt, NotAdopted, NotApplied, NotDeleted,
    NotForgotten, NotOver, NotRecreated, NotRehomed, NotRotated, Orphan, Phase, Rehomed, ReportedState,
    Rotated, Rotation, Target, Unfit, Writer, adopted, applied, fits, is_last_time, orphan,
};
use crate::policy::Removal;
use crate::policy::{Check, VaultPolicy};
use crate::report::{By, Opened};
use crate::rotation::Epochs;
use crate::section::{Custody, Encryption};

const XTS: Encryption = Encryption::Aes256Xts;
const OTHER: Encryption = Encryption::Adiantum;
const FORCED: Rotation = Rotation { force: true, expect_epoch: None, older: None };
const PLAIN: Rotation = Rotation { force: false, expect_epoch: None, older: None };

#[test]
fn an_applied_vault_is_created_changed_or_kept_again() {
    let (p, q) = (name("p"), name("q"));
    let wish = |policy, encryption, present| AskedVault { by: Writer::Document, policy, encryption, present };
    let kept_again = Listed { phase: Phase::Wanted, ..in_grace() };
    let under_q = Listed { policy: Some(q.clone()), ..made() };
    let full = MOST_BESIDE_DEFAULTS;
    let new = Ok(Applied::Created(Listed::new(Some(p.clone()))));
    let rows = [
        ("new", user(), None, wish(&p, XTS, None), 0, new.clone()),
        ("the last that fits", user(), None, wish(&p, XTS, None), full - 1, new.clone()),
        ("one too many", user(), None, wish(&p, XTS, None), full, Err(NotApplied::Full)),
        ("a default vault needs no room", CONFIG_VAULT, None, wish(&p, XTS, Some(XTS)), full, new),
        (
            "nodes make those by themselves",
            CONFIG_VAULT,
            None,
            wish(&p, OTHER, Some(XTS)),
            0,
            Err(NotApplied::OtherEncryption),
        ),
        ("as written", user(), Some(made()), wish(&p, XTS, Some(XTS)), full, Ok(Applied::Unchanged)),
        ("changed", user(), Some(made()), wish(&q, XTS, Some(XTS)), 0, Ok(Applied::Changed(under_q))),
        (
            "another encryption",
            user(),
            Some(made()),
            wish(&q, OTHER, Some(XTS)),
            0,
            Err(NotApplied::OtherEncryption),
        ),
        (
            "kept again",
            user(),
            Some(in_grace()),
            wish(&p, XTS, Some(XTS)),
            0,
            Ok(Applied::Changed(kept_again)),
        ),
    ];
    for (what, id, there, wish, others, expected) in rows {
        assert_eq!(applied(id, there, wish, others), expected, "{what}");
    }
}

/// A rule gives the same to many devices. What was removed from one of them stays so when the rule is applied again, for others or with another policy.
#[test]
fn a_rule_keeps_no_vault_that_is_being_removed() {
    let (p, q) = (name("p"), name("q"));
    let retained = Listed { phase: Phase::Retained, ..made() };
    for policy in [&p, &q] {
        for encryption in [XTS, OTHER] {
            let by_rule = AskedVault { by: Writer::Rule, policy, encryption, present: Some(XTS) };
            for there in [in_grace(), retained.clone()] {
                assert_eq!(applied(user(), Some(there), by_rule, 0), Ok(Applied::Left), "{policy}");
            }
        }
    }
    let by_rule = |policy| AskedVault { by: Writer::Rule, policy, encryption: XTS, present: Some(XTS) };
    assert_eq!(applied(user(), Some(made()), by_rule(&p), 0), Ok(Applied::Unchanged));
    let under_q = Listed { policy: Some(q.clone()), ..made() };
    assert_eq!(
        applied(user(), Some(made()), by_rule(&q), 0),
        Ok(Applied::Changed(under_q)),
        "one that is wanted"
    );
}

/// A removal by what the policy says.
fn by_policy(policy: Removal) -> Deletion {
    let asked = AskedRemoval { policy, said: None, confirmed: false };
    Deletion { now: NOW, asked, next_version: 8, older: false }
}

/// The same by an operator's word in its place.
fn by_word(said: Removal) -> Deletion {
    let asked = AskedRemoval { policy: Removal::Retain, said: Some(said), confirmed: false };
    Deletion { asked, ..by_policy(said) }
}

/// The same, with the vault's name said twice.
fn confirmed(how: Deletion) -> Deletion {
    Deletion { asked: AskedRemoval { confirmed: true, ..how.asked }, ..how }
}

fn after(seconds: u64) -> Removal {
    Removal::DeleteAfter(Duration::from_secs(seconds))
}

#[test]
fn a_deleted_vault_has_its_grace_and_a_default_one_none_of_it() {
    let until = NOW + 60;
    let restored = Listed { policy: None, ..made() };
    let later = Listed { phase: Phase::Grace { until: NOW + 90 }, ..made() };
    let rows = [
        ("a grace begins", user(), made(), by_policy(after(60)), Deleted::Grace { vault: in_grace(), until }),
        ("it runs on as it was", user(), in_grace(), by_policy(after(90)), Deleted::Already { until }),
        (
            "also where its policy has none by now",
            user(),
            in_grace(),
            by_policy(after(0)),
            Deleted::Already { until },
        ),
        (
            "to another end that is said",
            user(),
            in_grace(),
            by_word(after(90)),
            Deleted::Grace { vault: later, until: NOW + 90 },
        ),
        ("a default vault stays", CONFIG_VAULT, made(), by_policy(after(0)), Deleted::Default(restored)),
    ];
    for (what, id, vault, how, expected) in rows {
        assert_eq!(vault.delete(id, how), Ok(expected), "{what}");
    }
    for (vault, how, expected) in [
        (made(), by_policy(after(60)), Deleted::Held { vault: in_grace(), until }),
        (in_grace(), by_policy(after(0)), Deleted::Already { until }),
    ] {
        assert_eq!(vault.delete(user(), Deletion { older: true, ..how }), Ok(expected));
    }
    let at_once = made().delete(user(), Deletion { older: true, ..confirmed(by_policy(after(0))) });
    assert!(matches!(at_once, Ok(Deleted::Held { until: NOW, .. })), "no key goes: {at_once:?}");
    let endless = made().delete(user(), by_policy(after(u64::MAX)));
    assert!(matches!(endless, Ok(Deleted::Grace { until: u64::MAX, .. })), "{endless:?}");
}

/// What can't be kept again goes by a word that was said twice, whoever says so and however it comes.
#[test]
fn no_vault_is_erased_at_once_by_a_word_that_was_said_once() {
    let gone = Deleted::AtOnce { vault: Gone { left: 8, used: true }, until: NOW };
    for (what, vault, how) in [
        ("by its policy", made(), by_policy(after(0))),
        ("by an operator's word", made(), by_word(after(0))),
        ("while its grace runs", in_grace(), by_word(after(0))),
        ("that is retained", Listed { phase: Phase::Retained, ..made() }, by_word(after(0))),
    ] {
        assert_eq!(vault.clone().delete(user(), how), Err(NotDeleted::NoGrace), "{what}");
        assert_eq!(vault.delete(user(), confirmed(how)), Ok(gone.clone()), "{what}, said twice");
        let taken_in = made().to_remove(NOW, how.asked);
        assert_eq!(taken_in, Err(NotDeleted::NoGrace), "taken in only for that");
        let ends = Listed { phase: Phase::Grace { until: NOW }, ..made() };
        assert_eq!(made().to_remove(NOW, confirmed(how).asked), Ok(ends), "taken in, said twice");
    }
    assert_eq!(made().to_remove(NOW, by_policy(after(60)).asked), Ok(in_grace()));
}

/// KO-7: what is retained has its keys without an end, is used again as it was, and goes only by a time that somebody said.
#[test]
fn ko7_a_retained_vault_stays_until_it_is_applied_or_given_a_time() {
    let retained = Listed { phase: Phase::Retained, ..made() };
    let kept = Ok(Deleted::Retained { vault: retained.clone() });
    assert_eq!(made().delete(user(), by_policy(Removal::Retain)), kept);
    assert_eq!(retained.clone().delete(user(), by_policy(Removal::Retain)), kept, "said again");
    assert_eq!(retained.end_grace(at(u64::MAX)), Err(NotOver::Retained));
    let until = NOW + 60;
    let ends = Ok(Deleted::Grace { vault: in_grace(), until });
    assert_eq!(retained.clone().delete(user(), by_word(after(60))), ends, "with a time of its own");
    assert_eq!(in_grace().delete(user(), by_policy(Removal::Retain)), kept, "also one whose grace runs");
    let p = name("p");
    let wish = AskedVault { by: Writer::Document, policy: &p, encryption: XTS, present: Some(XTS) };
    let again = applied(user(), Some(retained), wish, 0);
    assert_eq!(again, Ok(Applied::Changed(Listed { policy: Some(p.clone()), ..made() })));
    let default = made().delete(CONFIG_VAULT, by_policy(Removal::Retain));
    assert!(matches!(default, Ok(Deleted::Default(_))), "{default:?}");
}

/// What an operator removed is neither erased nor opened in a new life of the database: it waits for his word. No order and no word of the node's
/// goes on in it.
#[test]
fn what_was_being_removed_is_retained_in_a_new_life() {
    let fresh = |vault: Listed| Listed { recreate: false, taken: None, said: None, ..vault };
    for (what, phase, expected) in [
        ("wanted", Phase::Wanted, Phase::Wanted),
        ("its grace runs", Phase::Grace { until: NOW + 60 }, Phase::Retained),
        ("its grace is over", Phase::Grace { until: 0 }, Phase::Retained),
        ("retained", Phase::Retained, Phase::Retained),
    ] {
        let before = Listed { phase, recreate: true, ..made() };
        let after = Life::Listed(before.clone()).begun_anew();
        assert_eq!(after, Life::Listed(Listed { phase: expected, ..fresh(before) }), "{what}");
    }
    let gone = Life::Gone(Gone { left: 8, used: true });
    assert_eq!(gone.begun_anew(), Life::Gone(Gone { left: 1, used: true }));
}

fn at(now: u64) -> GraceEnd {
    GraceEnd { now, next_version: 8, older: false }
}

/// Seen-by-users 0b.9: what an older copy of the database knows ends nothing, and its next number may have another key in the newer one.
#[test]
fn nothing_ends_or_is_rotated_in_an_older_copy() {
    let end = GraceEnd { older: true, ..at(u64::MAX) };
    assert_eq!(in_grace().end_grace(end), Err(NotOver::Held));
    let older = Some(Older::Forked);
    for how in [Rotation { older, ..PLAIN }, Rotation { older, ..FORCED }] {
        assert_eq!(made().rotate(true, how), Err(NotRotated::Older(Older::Forked)));
    }
}

#[test]
fn a_grace_ends_at_its_end_and_no_second_before() {
    let until = NOW + 60;
    assert_eq!(made().end_grace(at(u64::MAX)), Err(NotOver::Wanted));
    assert_eq!(in_grace().end_grace(at(until - 1)), Err(NotOver::Runs { until }));
    assert_eq!(in_grace().end_grace(at(until)), Ok(Gone { left: 8, used: true }));
    let unused = Listed { phase: Phase::Grace { until }, ..Listed::new(Some(name("p"))) };
    assert_eq!(unused.end_grace(at(until)), Ok(Gone { left: 8, used: false }));
}

/// VC-3, VC-4, VC-6.
#[test]
fn a_rotation_is_refused_where_the_node_would_be_shut_out() {
    let second = Listed { epochs: made().epochs.rotate(), ..made() };
    let silent = Listed { taken: None, ..second.clone() };
    let ahead = made().hear(&report(State::Unlocked, Some(7)), ListOf::Ours);
    let expect = |epoch| Rotation { expect_epoch: Some(Epoch(epoch)), ..PLAIN };
    let (one, two) = (Epoch(1), Epoch(2));
    let at_one = NodeAt::Epoch(one);
    let at_none = NodeAt::Silent { newest: two };
    let now = |vault: &Listed, shut_out| {
        let vault = Listed { epochs: vault.epochs.rotate(), ..vault.clone() };
        Ok(Rotated::Now { vault, shut_out })
    };
    let rows = [
        ("taken", made(), true, PLAIN, now(&made(), None)),
        ("as expected", made(), true, expect(1), now(&made(), None)),
        ("said twice", second.clone(), true, expect(1), Ok(Rotated::Before)),
        (
            "by somebody else",
            second.clone(),
            true,
            expect(5),
            Err(NotRotated::Elsewhere { current: two, expected: Epoch(5) }),
        ),
        ("custody tpm", made(), false, FORCED, Err(NotRotated::NoKeyHere)),
        ("being removed", in_grace(), true, FORCED, Err(NotRotated::Removing)),
        ("never made", ahead, true, FORCED, Err(NotRotated::NeverMade { node: Epoch(7), newest: one })),
        ("not taken", second.clone(), true, PLAIN, Err(NotRotated::NotTaken { node: at_one, newest: two })),
        ("not said", silent.clone(), true, PLAIN, Err(NotRotated::NotTaken { node: at_none, newest: two })),
        ("not taken, forced", second.clone(), true, FORCED, now(&second, Some(at_one))),
        ("not said, forced", silent.clone(), true, FORCED, now(&silent, Some(at_none))),
    ];
    for (what, vault, needs_controller, how, expected) in rows {
        assert_eq!(vault.rotate(needs_controller, how), expected, "{what}");
    }
}

/// A destructive order: by the state, of all that there are, never by a word.
#[test]
fn only_a_missing_vault_is_made_anew_and_only_where_its_disk_is() {
    let states = [
        State::Waiting,
        State::Creating,
        State::Locked,
        State::LockIncomplete,
        State::Unlocked,
        State::Removed,
        State::Orphan,
        State::Failed,
    ];
    for state in states {
        for disk in [Disk::There, Disk::NotThere, Disk::New] {
            let vault = Listed { said: Some(ReportedState { state, epoch: None }), ..made() };
            assert_eq!(
                vault.order_anew(disk, Bundles::None),
                Err(NotRecreated::NotMissing),
                "{state:?} {disk:?}"
            );
        }
    }
    let unheard = Listed { said: None, ..made() };
    assert_eq!(unheard.order_anew(Disk::New, Bundles::None), Err(NotRecreated::NotMissing));
    let begun =
        Listed { made: false, said: Some(ReportedState { state: State::Waiting, epoch: None }), ..made() };
    assert_eq!(
        begun.order_anew(Disk::There, Bundles::None),
        Err(NotRecreated::NeverMade),
        "nothing was lost"
    );
    assert_eq!(
        Listed { made: false, ..missing() }.order_anew(Disk::There, Bundles::None).err(),
        None,
        "its node says it"
    );
    let ordered = Listed { recreate: true, ..missing() };
    assert_eq!(missing().order_anew(Disk::There, Bundles::None), Ok(ordered.clone()));
    assert_eq!(missing().order_anew(Disk::New, Bundles::None), Ok(ordered));
    assert_eq!(missing().order_anew(Disk::NotThere, Bundles::None), Err(NotRecreated::NoDisk));
    for vault in [missing(), made(), Listed { said: None, ..made() }] {
        assert_eq!(vault.order_anew(Disk::NotMounted, Bundles::None), Err(NotRecreated::NotMounted));
    }
}

/// Invariant 4: while a bundle may bring it back, a vault is made anew only where the operator gives that up, on a new disk too; and giving it up
/// makes no order of what is none.
#[test]
fn a_vault_that_a_bundle_may_bring_back_is_made_anew_by_insistence_alone() {
    let ordered = Listed { recreate: true, ..missing() };
    assert_eq!(missing().order_anew(Disk::There, Bundles::Held), Err(NotRecreated::InEscrow));
    assert_eq!(missing().order_anew(Disk::NotThere, Bundles::Held), Err(NotRecreated::NoDisk));
    assert_eq!(missing().order_anew(Disk::There, Bundles::GivenUp), Ok(ordered.clone()));
    assert_eq!(missing().order_anew(Disk::New, Bundles::Held), Err(NotRecreated::InEscrow));
    assert_eq!(missing().order_anew(Disk::New, Bundles::GivenUp), Ok(ordered));
    for bundles in [Bundles::Held, Bundles::GivenUp] {
        assert_eq!(made().order_anew(Disk::There, bundles), Err(NotRecreated::NotMissing));
        assert_eq!(missing().order_anew(Disk::NotMounted, bundles), Err(NotRecreated::NotMounted));
    }
}

#[test]
fn a_disk_is_not_there_when_all_that_it_had_is_missing() {
    let (lost, there) = (Some(State::Missing), Some(State::Locked));
    assert_eq!(Disk::by([lost, lost]), Disk::NotThere);
    for states in [vec![], vec![lost, there], vec![lost, None]] {
        assert_eq!(Disk::by(states.clone()), Disk::There, "{states:?}");
    }
}

#[test]
fn what_a_node_says_is_taken_in_and_no_more_than_it_may_say() {
    let ordered = Listed { recreate: true, ..missing() };
    let again = ordered.clone().hear(&report(State::Missing, Some(1)), ListOf::Ours);
    assert!(again.recreate, "the order stands until it is carried out");
    for state in [State::Unlocked, State::Locked] {
        assert!(!ordered.clone().hear(&report(state, Some(1)), ListOf::Ours).recreate, "{state:?}");
    }
    let unmade = made().hear(&report(State::Waiting, None), ListOf::Ours);
    assert!(unmade.made, "once made, always made");
    assert_eq!(unmade.taken, None);
    let ahead = made().hear(&report(State::Unlocked, Some(7)), ListOf::Ours);
    assert_eq!((ahead.taken, ahead.never_made()), (Some(Epoch(1)), Some(Epoch(7))));
    let others = Listed::new(None).hear(&report(State::Unlocked, Some(1)), ListOf::Others);
    assert_eq!((others.taken, others.made), (None, true), "epoch 1 of another controller's list");
    let first = Listed::new(None).hear(&report(State::Unlocked, Some(1)), ListOf::Ours);
    assert_eq!((first.made, first.taken, first.never_made()), (true, Some(Epoch(1)), None));
}

#[test]
fn a_vault_that_is_gone_is_forgotten_when_its_node_knows_and_has_it_no_more() {
    let (here, other) = (Incarnation([1; 16]), Incarnation([2; 16]));
    let at = |incarnation, version| Some(SectionVersion { incarnation, version });
    let rows = [
        (at(here, 8), None, Ok(())),
        (at(here, 9), Some(State::Removed), Ok(())),
        (at(here, 9), Some(State::Locked), Err(NotForgotten::Held)),
        (at(here, 7), None, Err(NotForgotten::NotTold)),
        (at(here, 7), Some(State::Removed), Err(NotForgotten::NotTold)),
        (at(other, 9), None, Err(NotForgotten::NotTold)),
        (None, None, Err(NotForgotten::NotTold)),
    ];
    for (accepted, state, expected) in rows {
        let gone = Gone { left: 8, used: true };
        assert_eq!(gone.forget(here, Contact { accepted, state }), expected, "{accepted:?} {state:?}");
    }
}

#[test]
fn an_orphan_is_found_by_name_or_identity_and_opens_without_a_key_of_others() {
    let one = report(State::Orphan, None);
    let as_orphan = Orphan {
        id: user(),
        name: name("v"),
        key: None,
        above: None,
        listed: false,
        open: false,
        last_time: false,
    };
    let found = Ok(as_orphan.clone());
    let listed = Orphan { listed: true, ..as_orphan.clone() };
    let open = Orphan { above: Some(Epoch(3)), open: true, ..listed.clone() };
    let started = Orphan { last_time: true, ..open.clone() };
    let by_key = Some(Opened { by: By::ControllerKey });
    let opened_by_key = crate::report::VaultReport { opened: by_key, ..report(State::Unlocked, Some(3)) };
    let twin = crate::report::VaultReport { id: CONFIG_VAULT, ..one.clone() };
    let foreign = Err(NotAdopted::ForeignKey { name: name("v"), epoch: Epoch(3) });
    let uuid = name(&user().to_string());
    let opened = Some(Opened { by: By::RecoveryKey });
    let recovered = crate::report::VaultReport { opened, ..report(State::Orphan, Some(3)) };
    let found_too = Ok(as_orphan);
    let config = crate::report::VaultReport { id: CONFIG_VAULT, ..report(State::Unlocked, None) };
    let far = Epoch(u64::MAX);
    let too_far = Err(NotAdopted::ForeignKey { name: name("v"), epoch: far });
    let rows = [
        ("by name", vec![one.clone()], name("v"), found.clone()),
        ("by identity", vec![one.clone(), twin.clone()], uuid, found),
        ("of two, which", vec![one.clone(), twin], name("v"), Err(NotAdopted::Several)),
        ("no other name", vec![one], name("w"), Err(NotAdopted::Unknown)),
        ("no orphan", vec![report(State::Removed, None)], name("v"), Err(NotAdopted::Unknown)),
        ("a default vault", vec![config], name("v"), Err(NotAdopted::Unknown)),
        ("of a list that is not here, by the TPM", vec![report(State::Locked, None)], name("v"), Ok(listed)),
        ("the same, locked", vec![report(State::Locked, Some(3))], name("v"), foreign.clone()),
        ("the same, open", vec![opened_by_key], name("v"), Ok(open)),
        (
            "the same, since its node was started",
            vec![report(State::Unlocked, Some(3))],
            name("v"),
            Ok(started),
        ),
        ("at no number", vec![report(State::Unlocked, Some(far.0))], name("v"), too_far),
        ("another's key", vec![report(State::Orphan, Some(3))], name("v"), foreign),
        ("opened by its recovery key", vec![recovered], name("v"), found_too),
    ];
    for (what, reports, which, expected) in rows {
        assert_eq!(orphan(reports, &which).and_then(Orphan::to_open), expected, "{what}");
    }
}

#[test]
fn an_orphan_is_adopted_as_made_where_there_is_room_and_nothing_of_it() {
    let it = Orphan {
        id: user(),
        name: name("v"),
        key: None,
        above: None,
        listed: false,
        open: false,
        last_time: false,
    };
    let open = Orphan { above: Some(Epoch(3)), listed: true, open: true, ..it.clone() };
    let gone = Life::Gone(Gone { left: 1, used: true });
    let as_made = Listed { made: true, ..Listed::new(Some(name("p"))) };
    let (v, full) = (name("v"), MOST_BESIDE_DEFAULTS);
    let rows = [
        ("room", None, full - 1, Ok(as_made)),
        ("none", None, full, Err(NotAdopted::Full)),
        ("listed", Some(Life::Listed(made())), 1, Err(NotAdopted::Listed { name: v.clone() })),
        ("gone", Some(gone), 1, Err(NotAdopted::Gone { name: v })),
    ];
    for (what, there, others, expected) in rows {
        let untold = (Incarnation([1; 16]), None, None);
        assert_eq!(adopted(&it, &name("p"), there.as_ref(), others, untold), expected, "{what}");
    }
    // Told that it was removed, its node knows it as an orphan: then what is gone makes way.
    let gone = Life::Gone(Gone { left: 2, used: true });
    for (incarnation, version, makes_way) in [(1, 2, true), (1, 1, false), (2, 9, false)] {
        let accepted = SectionVersion { incarnation: Incarnation([incarnation; 16]), version };
        let told = adopted(&it, &name("p"), Some(&gone), 1, (Incarnation([1; 16]), Some(accepted), None));
        assert_eq!(told.is_ok(), makes_way, "{accepted:?}");
        // By another list its node has it, and is told to erase it by this one.
        let by = (Incarnation([1; 16]), Some(accepted), None);
        let listed = adopted(&open, &name("p"), Some(&gone), 1, by);
        assert_eq!(listed, Err(NotAdopted::Gone { name: name("v") }), "{accepted:?}");
    }
    // But where its node may go by a newer list it may have been kept again there, while it is open.
    let newer = (Incarnation([1; 16]), None, Some(Older::PutBack));
    for (it, expected) in [(&open, true), (&Orphan { open: false, ..open.clone() }, false), (&it, false)] {
        assert_eq!(adopted(it, &name("p"), Some(&gone), 1, newer).is_ok(), expected, "{it:?}");
    }
    let here = (Incarnation([1; 16]), None, None);
    let taken = adopted(&open, &name("p"), None, 1, here).expect("taken in");
    assert_eq!(
        taken.epochs,
        Epochs::stored(Epoch(4), Epoch(3)).expect("a rotation"),
        "above what it is under"
    );
    assert_eq!(taken.others, open.above, "and what it was under is remembered");
}

/// Decision 92: a vault is open for the last time where its node has not the key at hand that it is under, and gets none by which that opens.
#[test]
fn what_can_not_be_wrapped_anew_is_open_for_the_last_time() {
    let by_key = Some(Opened { by: By::ControllerKey });
    let open = |epoch| report(State::Unlocked, epoch);
    let opened = |epoch| crate::report::VaultReport { opened: by_key.clone(), ..open(epoch) };
    let under_other = crate::report::VaultReport { under_anothers_key: true, ..open(None) };
    let waits = crate::report::VaultReport { change_due: true, ..open(None) };
    let locked = crate::report::VaultReport { state: State::Locked, ..under_other.clone() };
    for (what, told, unlisted, listed) in [
        ("since its node was started", open(Some(3)), true, true),
        ("its node opened it", opened(Some(3)), false, false),
        ("by the TPM alone", open(None), false, false),
        ("at an epoch that is here", open(Some(2)), true, false),
        ("under another key of its number", under_other, false, true),
        ("another change is due", waits, false, false),
        ("locked", locked, false, false),
        ("locked, above", report(State::Locked, Some(3)), false, false),
    ] {
        let vault = Listed {
            said: Some((&told).into()),
            epochs: Epochs::stored(Epoch(2), Epoch(1)).expect("a rotation"),
            ..made()
        };
        assert_eq!((is_last_time(&told), vault.is_last_time(&told)), (unlisted, listed), "{what}");
    }
}

#[test]
fn a_vault_is_moved_from_a_lost_device_with_its_keys_and_over_nothing_that_was_made() {
    let fits = Move {
        same_device: false,
        lost: true,
        custody: Custody::Controller,
        in_tpm: false,
        older: None,
        target: Target::Free,
        others: Some(MOST_BESIDE_DEFAULTS - 1),
    };
    let vault = Listed { said: None, ..missing() };
    let moved = |replaces| Ok(Rehomed { vault: vault.clone(), replaces });
    let ordered = || Listed { recreate: true, ..missing() };
    let rows = [
        (ordered(), fits, moved(false)),
        (ordered(), Move { target: Target::Unused, ..fits }, moved(true)),
        (ordered(), Move { target: Target::Used, ..fits }, Err(NotRehomed::MadeThere)),
        (ordered(), Move { same_device: true, ..fits }, Err(NotRehomed::SameDevice)),
        (ordered(), Move { lost: false, ..fits }, Err(NotRehomed::MayBeThere)),
        (ordered(), Move { custody: Custody::Tpm, ..fits }, Err(NotRehomed::KeyInTpm)),
        (ordered(), Move { custody: Custody::TpmAndController, ..fits }, Err(NotRehomed::KeyInTpm)),
        (ordered(), Move { in_tpm: true, ..fits }, Err(NotRehomed::KeyInTpm)),
        (ordered(), Move { others: Some(MOST_BESIDE_DEFAULTS), ..fits }, Err(NotRehomed::Full)),
        (ordered(), Move { others: None, ..fits }, moved(false)),
        (in_grace(), fits, Err(NotRehomed::Removing)),
        (ordered(), Move { older: Some(Older::PutBack), ..fits }, Err(NotRehomed::Older(Older::PutBack))),
    ];
    for (vault, how, expected) in rows {
        assert_eq!(vault.rehome(how), expected, "{how:?}");
    }
}

/// KO-1, KO-2: what a vault is under is judged by what its node made and was given, and not by what its policy says by now.
#[test]
fn a_vault_is_in_a_tpm_by_what_went_out_and_was_made() {
    use Custody::{Controller, Tpm, TpmAndController as Both};
    let in_tpm_alone = Listed { taken: None, ..made() };
    for (what, vault, went_out, expected) in [
        ("not made", Listed::new(None), &[][..], false),
        ("made without a key of ours", in_tpm_alone.clone(), &[], true),
        ("and given one since", in_tpm_alone, &[Controller], false),
        ("under both", made(), &[Both], true),
        ("under both, and on its way off", made(), &[Both, Controller], false),
        ("on its way to the TPM", made(), &[Controller, Tpm], false),
        ("of before, by its epoch", made(), &[], false),
    ] {
        assert_eq!(vault.is_in_tpm(went_out), expected, "{what}");
    }
}

/// KO-1: a key is needed from when it goes out until the node says that it is under none.
#[test]
fn a_key_that_went_out_may_be_needed_until_the_node_says_otherwise() {
    let under_none = || Listed::new(None).hear(&report(State::Unlocked, None), ListOf::Ours);
    for (what, vault, went_out, expected) in [
        ("new", Listed::new(None), false, false),
        ("new, and its key went out", Listed::new(None), true, true),
        ("made without", under_none(), false, false),
        ("made without, and a key went out since", under_none(), true, true),
        ("under an epoch", under_none().hear(&report(State::Unlocked, Some(1)), ListOf::Ours), false, true),
        (
            "under an epoch that was never made here",
            under_none().hear(&report(State::Locked, Some(9)), ListOf::Ours),
            false,
            true,
        ),
        ("of a life before", Listed { said: None, taken: None, ..made() }, false, true),
    ] {
        assert_eq!(vault.may_need_keys(went_out), expected, "{what}");
    }
}

#[test]
fn what_a_device_has_gives_way_only_where_no_vault_was_made_of_it() {
    let target = |life: &Life| Target::of(Some(life), false);
    assert_eq!(Target::of(None, true), Target::Free);
    assert_eq!(Target::of(Some(&Life::Listed(Listed::new(None))), true), Target::Used, "its key went out");
    assert_eq!(target(&Life::Listed(Listed::new(None))), Target::Unused);
    assert_eq!(target(&Life::Listed(Listed { taken: None, ..made() })), Target::Used);
    assert_eq!(target(&Life::Listed(Listed { made: false, ..made() })), Target::Used);
    for (used, expected) in [(false, Target::Unused), (true, Target::Used)] {
        assert_eq!(target(&Life::Gone(Gone { left: 1, used })), expected);
    }
}

/// AC-5, DF-4: what needs a TPM is refused where there is none, and where that is not known it is said.
#[test]
fn a_policy_is_held_against_the_tpm_of_its_device() {
    let policy = |custody, require: &[Check]| {
        let mut policy = VaultPolicy::of_default_vault(true);
        policy.node.custody = custody;
        policy.attest.require = require.iter().copied().collect();
        policy
    };
    let (plain, pcrs) = (policy(Custody::Controller, &[]), policy(Custody::Controller, &[Check::Pcrs]));
    for (what, policy, without) in [
        ("the controller's key alone", plain, None),
        ("measured, by the controller's key alone", pcrs, Some(Unfit::Pcrs)),
        ("the TPM's share alone", policy(Custody::Tpm, &[]), Some(Unfit::Custody)),
        ("both", policy(Custody::TpmAndController, &[]), Some(Unfit::Custody)),
        ("both, measured", policy(Custody::TpmAndController, &[Check::Pcrs]), Some(Unfit::Custody)),
    ] {
        let unknown = if without.is_some() { Fit::NotKnownYet } else { Fit::Yes };
        assert_eq!(fits(&policy, TpmPin::Present), Ok(Fit::Yes), "{what}");
        assert_eq!(fits(&policy, TpmPin::Unknown), Ok(unknown), "{what}");
        assert_eq!(fits(&policy, TpmPin::Absent), without.map_or(Ok(Fit::Yes), Err), "{what}");
    }
}

/// Decision 92: what a node has open under a key that is not here, and what closes it. A lock by a list is told before the end of a lease.
#[test]
fn what_is_open_under_a_key_that_is_not_here_is_at_stake() {
    let by_key = Some(Opened { by: By::ControllerKey });
    let open =
        |epoch| crate::report::VaultReport { opened: by_key.clone(), ..report(State::Unlocked, epoch) };
    let under_other = crate::report::VaultReport { under_anothers_key: true, ..open(None) };
    let lease = crate::lease::Lease::of_seconds(60).expect("a lease");
    let grace = Phase::Grace { until: 9 };
    let free = Kept::default();
    let (lost, locks) = (Kept { lost: true, ..free }, Kept { locks: true, ..free });
    let leased = Kept { lease: Some(lease), held_back: true, ..free };
    let rows = [
        ("above", open(Some(3)), None, Phase::Wanted, free, Some((Closes::Boot, false))),
        (
            "above, and its node was started since",
            report(State::Unlocked, Some(3)),
            None,
            Phase::Wanted,
            free,
            Some((Closes::Boot, true)),
        ),
        ("at one that is here", open(Some(2)), None, Phase::Wanted, locks, None),
        ("by the TPM alone", open(None), None, Phase::Wanted, locks, None),
        (
            "taken in from there",
            open(Some(1)),
            Some(Epoch(1)),
            Phase::Wanted,
            free,
            Some((Closes::Boot, false)),
        ),
        ("wrapped anew since", open(Some(2)), Some(Epoch(1)), Phase::Wanted, locks, None),
        (
            "under another key of its number",
            under_other,
            None,
            Phase::Wanted,
            free,
            Some((Closes::Boot, true)),
        ),
        ("locked", report(State::Locked, Some(3)), None, Phase::Wanted, locks, None),
        ("by its policy", open(Some(3)), None, Phase::Wanted, locks, Some((Closes::Policy, false))),
        ("removed", open(Some(3)), None, grace, free, Some((Closes::Removed, false))),
        ("retained", open(Some(3)), None, Phase::Retained, free, Some((Closes::Removed, false))),
        ("its device lost", open(Some(3)), None, grace, lost, Some((Closes::Lost, false))),
        ("leased", open(Some(3)), None, Phase::Wanted, leased, Some((Closes::Lease(lease), false))),
        (
            "leased, and locked",
            open(Some(3)),
            None,
            Phase::Wanted,
            Kept { locks: true, ..leased },
            Some((Closes::Policy, false)),
        ),
        (
            "leased, and lists go out",
            open(Some(3)),
            None,
            Phase::Wanted,
            Kept { held_back: false, ..leased },
            Some((Closes::Boot, false)),
        ),
    ];
    for (what, told, others, phase, kept, expected) in rows {
        let epochs = Epochs::stored(Epoch(2), Epoch(1)).expect("a rotation");
        let vault = Listed { said: Some((&told).into()), epochs, others, phase, ..made() };
        let stake = vault.at_stake(&told, kept).map(|stake| (stake.closes, stake.last_time));
        assert_eq!(stake, expected, "{what}");
    }
}

/// An epoch of another's key is none that its node took of ours.
#[test]
fn an_epoch_from_which_a_vault_was_taken_in_is_none_of_ours() {
    let vault = Listed {
        epochs: Epochs::stored(Epoch(4), Epoch(3)).expect("a rotation"),
        others: Some(Epoch(3)),
        ..made()
    };
    let taken = |epoch| vault.clone().hear(&report(State::Unlocked, Some(epoch)), ListOf::Ours).taken;
    assert_eq!((taken(3), taken(4)), (vault.taken, Some(Epoch(4))));
}
