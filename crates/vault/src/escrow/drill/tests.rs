//! When a drill is due, what its answer is worth (invariant 6: what is not shown did not pass), and what a bundle has to show (invariant 5).

use std::collections::BTreeMap;

use super::*;
use crate::escrow::KeyFile;
use crate::ids::{CONFIG_VAULT, DeviceKey, IMAGE_VAULT};
use crate::roots::{PcrsRoot, TpmRoot};
use crate::secret::RootSecret;
use crate::shares::{Mark, Nonce, Table};

const G: Generation = Generation(3);
const MONTH: u64 = 30 * 24 * 3600;
const SESSION: [u8; 32] = [1; 32];

fn device(n: u128) -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(n))
}

fn id(digest: u8) -> BundleId {
    BundleId { generation: G, digest: [digest; 32] }
}

fn held(digest: u8, at: u64) -> Held {
    Held { bundle: id(digest), at }
}

fn asked(at: u64, digest: u8) -> Asked {
    let (nonce, proof) = (DrillNonce([2; 32]), Proof([3; 32]));
    Asked { at, session: SESSION, nonce, bundle: id(digest), proof }
}

fn answer(outcome: Result<Proof, &str>) -> DrillAnswer {
    DrillAnswer { nonce: DrillNonce([2; 32]), bundle: id(1), outcome: outcome.map_err(str::to_owned) }
}

/// The first of each device has its own place in a month, however old its bundle is; later ones follow the last.
#[test]
fn a_fleet_is_spread_and_each_is_due_once_a_month() {
    let drills = Drills { since: Some(1000), ..Drills::default() };
    let first = |n| drills.due(device(n), held(1, 5), MONTH).expect("due");
    let mut weeks = [0; 5];
    for n in 0..500 {
        let due = first(n);
        assert!((1000..1000 + MONTH).contains(&due));
        weeks[usize::try_from((due - 1000) / (7 * 24 * 3600)).expect("small")] += 1;
    }
    assert!(weeks[..4].iter().all(|count| *count > 80), "{weeks:?}");
    let never = Drills::default();
    assert!(never.due(device(1), held(1, 7), MONTH).expect("due") >= 7, "from when the bundle came");
    let mut made = Drills { asked: Some(asked(2000, 1)), ..drills };
    assert!(made.hear(&answer(Ok(Proof([3; 32]))), 2001));
    assert_eq!(made.due(device(1), held(1, 5), MONTH), Some(2001 + MONTH));
    assert_eq!(made.due(device(1), held(1, 5), 0), None, "off");
    made.order(2002);
    assert_eq!(made.due(device(1), held(1, 5), 0), Some(2002), "but by order");
}

/// A question that is out is not asked of the same session again for an hour; of another session, or on another bundle, it is.
#[test]
fn a_question_that_is_out_is_waited_for() {
    let mut drills = Drills { ordered: Some(100), asked: Some(asked(100, 1)), ..Drills::default() };
    let to_ask = |drills: &Drills, digest, session| drills.to_ask(device(1), held(digest, 5), MONTH, session);
    assert_eq!(to_ask(&drills, 1, &SESSION), Some(100 + 3600));
    assert_eq!(to_ask(&drills, 1, &[9; 32]), Some(100));
    assert_eq!(to_ask(&drills, 2, &SESSION), Some(100));
    drills.order(200);
    assert_eq!(to_ask(&drills, 1, &SESSION), Some(200), "an operator does not wait");
    assert!(!drills.hear(&answer(Ok(Proof([3; 32]))), 201), "what was out is from before");
    assert_eq!(drills.is_ordered(), Some(200));
}

#[test]
fn an_answer_counts_once_for_what_was_asked_and_by_its_proof() {
    let out = Drills { ordered: Some(10), asked: Some(asked(10, 1)), ..Drills::default() };
    let heard = |answer: &DrillAnswer| {
        let mut drills = out.clone();
        let news = drills.hear(answer, 20);
        assert!(!drills.hear(answer, 21), "again");
        (news, drills)
    };
    let (news, passed) = heard(&answer(Ok(Proof([3; 32]))));
    assert!(news && passed.last.expect("made").failed.is_none() && passed.ordered.is_none());
    let (news, lied) = heard(&answer(Ok(Proof([4; 32]))));
    assert!(news && lied.is_failing(id(1)), "{:?}", lied.last);
    let (_, failed) = heard(&answer(Err("the root")));
    assert_eq!(failed.last.and_then(|last| last.failed).as_deref(), Some("the root"));
    let other = |change: fn(&mut DrillAnswer)| {
        let mut other = answer(Ok(Proof([3; 32])));
        change(&mut other);
        heard(&other)
    };
    for (what, (news, drills)) in [
        ("another nonce", other(|answer| answer.nonce = DrillNonce([7; 32]))),
        ("another bundle", other(|answer| answer.bundle = id(2))),
    ] {
        assert!(!news && drills == out, "{what}");
    }
}

/// After a failure nothing is asked until another bundle came; that one is tried at once, and less often while each one fails.
#[test]
fn what_failed_is_asked_again_on_what_is_sent_in_its_place() {
    let mut drills = Drills { asked: Some(asked(10, 1)), ..Drills::default() };
    drills.hear(&answer(Err("the root")), 20);
    let due = |drills: &Drills, digest| drills.due(device(1), held(digest, 30), MONTH);
    assert!(drills.is_failing(id(1)) && due(&drills, 1).is_none());
    assert!(!drills.is_failing(id(2)), "another one is held");
    assert_eq!(due(&drills, 2), Some(20));
    assert!(drills.sent(30) && !drills.sent(31), "said once");
    assert!(!drills.is_failing(id(1)), "the same bytes, sent again");
    assert!(drills.has_failed(), "and not tried yet");
    assert_eq!(due(&drills, 1), Some(20));
    drills.fail(id(1), "again".into(), 40);
    assert!(drills.is_failing(id(1)));
    drills.sent(41);
    assert_eq!(due(&drills, 1), Some(40 + 3600));
    (0..100).for_each(|_| drills.fail(id(1), "again".into(), 50));
    drills.sent(51);
    assert_eq!(due(&drills, 1), Some(50 + 24 * 3600));
}

/// Design, section 4: a copy that its controller can't open itself answers the order, once: not each poll is one that fails.
#[test]
fn an_order_that_fails_is_carried_out() {
    let mut drills = Drills { since: Some(1), ..Drills::default() };
    drills.order(10);
    assert_eq!(drills.due(device(1), held(7, 1), 0), Some(10));
    drills.fail(id(7), "it does not open".to_owned(), 11);
    assert_eq!(drills.is_ordered(), None);
    assert_eq!(drills.due(device(1), held(7, 1), 0), None, "until another bundle is sent");
    assert_eq!(drills.due(device(1), held(8, 12), 0), Some(11), "which is tried at once");
}

/// A node of before there were drills is not called overdue; one that was asked, and says nothing, is.
#[test]
fn what_is_not_made_for_long_is_overdue() {
    let late = |drills: &Drills, now| drills.overdue(device(1), held(1, 5), MONTH, now).is_some();
    let never = Drills { since: Some(0), ..Drills::default() };
    assert!(!late(&never, 100 * MONTH), "never asked");
    let asked = Drills { asked: Some(asked(MONTH, 1)), ..never };
    assert!(!late(&asked, 1000) && late(&asked, 3 * MONTH));
}

fn files(name: &str) -> VaultFiles {
    let file = |name: &str| KeyFile { name: name.to_owned(), bytes: vec![1] };
    VaultFiles { protector: file(name), policy: file(name) }
}

fn roots(byte: u8) -> (TpmRoot, PcrsRoot) {
    (TpmRoot(RootSecret::copied_from(&[byte; 32])), PcrsRoot(RootSecret::copied_from(&[byte + 1; 32])))
}

fn table(roots: &(TpmRoot, PcrsRoot), generation: Generation, vaults: &[VaultId]) -> Vec<u8> {
    let mut table = Table::new(generation);
    for id in vaults {
        let share = crate::secret::TpmShare::copied_from(&[5; 32]);
        table.add(*id, Mark::Made, &roots.1.vsk(), &share, Nonce([id.0.as_bytes()[15]; 12])).expect("adds");
    }
    table.encode(&roots.0.table_key())
}

fn bundle(roots: &(TpmRoot, PcrsRoot), with_root: bool, table: Vec<u8>) -> Bundle {
    let vaults = BTreeMap::from([(CONFIG_VAULT, files("01")), (IMAGE_VAULT, files("02"))]);
    let pcrs = roots.1.vsk();
    Bundle::new(&roots.0.escrow_key(), with_root.then_some(&pcrs), (DeviceKey([3; 32]), G), table, vaults)
}

/// Each part of it is tried: what would be missing when it is needed is found now.
#[test]
fn a_bundle_passes_with_all_that_would_be_needed() {
    let (own, other) = (roots(1), roots(7));
    let (escrow, key, pcrs) = (own.0.escrow_key(), own.0.table_key(), own.1.vsk());
    let vaults = [CONFIG_VAULT, IMAGE_VAULT];
    let held = Own { generation: G, escrow: &escrow, table: &key, pcrs: Some(&pcrs), vaults: &vaults };
    let whole = table(&own, G, &vaults);
    let tried = |bundle: &Bundle, own: Own<'_>| bundle.drill(own, |_, _| Fit::Good);
    let good = bundle(&own, true, whole.clone());
    assert_eq!(tried(&good, held), Ok(()));
    let wrong_root = other.1.vsk();
    for (what, tried, unfit) in [
        ("another TPM's root", tried(&bundle(&other, true, whole.clone()), held), Unfit::Root(NotOurs)),
        ("another root is at hand", tried(&good, Own { pcrs: Some(&wrong_root), ..held }), Unfit::OtherRoot),
        ("without the root", tried(&bundle(&own, false, whole.clone()), held), Unfit::OtherRoot),
        (
            "a table of before",
            tried(&bundle(&own, true, table(&own, Generation(2), &vaults)), held),
            Unfit::Table(OtherTable::Generation { bundle: Generation(2), tpm: G }),
        ),
        (
            "a share is missing",
            tried(&bundle(&own, true, table(&own, G, &[CONFIG_VAULT])), held),
            Unfit::NoShare(IMAGE_VAULT),
        ),
        (
            "key files",
            good.drill(held, |id, _| if id == IMAGE_VAULT { Fit::Bad } else { Fit::Good }),
            Unfit::KeyFiles(IMAGE_VAULT),
        ),
        (
            "others lie on the disk",
            good.drill(held, |id, _| if id == IMAGE_VAULT { Fit::Untold } else { Fit::Good }),
            Unfit::Untold(IMAGE_VAULT),
        ),
    ] {
        assert_eq!(tried, Err(unfit), "{what}");
    }
    assert!(tried(&bundle(&own, true, b"no table".to_vec()), held).is_err());
    assert_eq!(tried(&good, Own { pcrs: None, vaults: &[], ..held }), Ok(()), "a boot that can't read it");
}

/// The answer's words: a known answer, computed by an independent implementation.
#[test]
fn the_proof_is_of_all_that_it_says() {
    let proof = |nonce, session, generation, bytes| {
        Proof::of(DrillNonce([nonce; 32]), &[session; 32], Generation(generation), bytes)
    };
    let known = proof(1, 2, 3, b"bundle");
    assert_eq!(hex::encode(known.0), KNOWN);
    for other in [
        proof(9, 2, 3, b"bundle"),
        proof(1, 9, 3, b"bundle"),
        proof(1, 2, 9, b"bundle"),
        proof(1, 2, 3, b"bundlf"),
    ] {
        assert_ne!(other, known);
    }
}

const KNOWN: &str = "389d14ecbe3ae56a8a747c8e287b30c11385a4827fe5822c33a439fd39302063";
