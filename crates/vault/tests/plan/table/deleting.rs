//! How a vault that is listed no more goes, and what is not taken for it.

use super::*;

fn delete(seen: Seen, node: &Node, setbacks: Setbacks) -> Next {
    next(&View { id: USER, wish: &Wish::Delete, seen: &seen, keys: &keys(), node, setbacks })
}

/// IF-5: key, metadata, directory, share, record: cut short anywhere, it is resumed.
#[test]
fn if5_a_vault_is_deleted_in_order() {
    let locked = made(Custody::TpmAndController, 3);
    let (first, second) = (MetaCopy::Absent, MetaCopy::Absent);
    let (wiped, gone) = (Seen { first, second, ..locked }, Seen { shares: locked.shares, ..Seen::default() });
    let sealed_twice = BySeal { tpm: Some(Mark::Made), pcrs: Some(Mark::Made) };
    for (what, seen, expected) in [
        ("open", Seen { key: Key::Present, ..locked }, Step::Lock),
        ("files are held open", Seen { key: Key::Incomplete, ..locked }, Step::ForgetMetadata),
        ("locked", locked, Step::ForgetMetadata),
        ("one copy wiped", Seen { first, ..locked }, Step::ForgetMetadata),
        ("both wiped", wiped, Step::DeleteDir),
        ("an empty directory", Seen { dir: Dir::Empty, ..wiped }, Step::DeleteDir),
        ("directory gone", gone, Step::DropShare(Seal::Tpm)),
        ("cut in a change of seal", Seen { shares: sealed_twice, ..gone }, Step::DropShare(Seal::Tpm)),
        (
            "one share left",
            Seen { shares: BySeal { tpm: None, ..sealed_twice }, ..gone },
            Step::DropShare(Seal::Pcrs),
        ),
        ("nothing left", Seen::default(), Step::RecordRemoved),
        ("but a key in use", Seen { key: Key::Incomplete, ..Seen::default() }, Step::Lock),
    ] {
        assert_eq!(step(&delete(seen, &NODE, Setbacks::default())), Some(expected), "{what}");
    }
}

/// VC-2, IF-5: a deletion ends when the kernel has dropped the key, and not before.
#[test]
fn if5_a_deletion_waits_for_files_held_open() {
    let mut setbacks = Setbacks::default();
    setbacks.insert(StepKind::Lock);
    let busy = Seen { key: Key::Incomplete, ..Seen::default() };
    assert_eq!(delete(busy, &NODE, setbacks), Next::Wait(Wait::Busy));
}

/// Invariant 4: what stands at the path of a vault that is deleted, and is not that vault, stays; so does the metadata that tells.
/// Put back where it belongs, the vault goes.
#[test]
fn what_is_not_the_vault_is_not_deleted_in_its_place() {
    let locked = made(Custody::Tpm, 0);
    for dir in [Dir::OtherVault, Dir::Stranger, Dir::Plain] {
        let next = delete(Seen { dir, ..locked }, &NODE, Setbacks::default());
        let Next::Settled(settled) = next else { panic!("{dir:?}: {next:?}") };
        assert_eq!((settled.state, settled.notes), (State::Failed, vec![Note::PathTaken]), "{dir:?}");
        let open = delete(Seen { dir, key: Key::Present, ..locked }, &NODE, Setbacks::default());
        assert_eq!(step(&open), Some(Step::Lock), "{dir:?}");
    }
    assert_eq!(step(&delete(locked, &NODE, Setbacks::default())), Some(Step::ForgetMetadata));
}

/// The same under an order to make a vault anew: the other vault is not part of the order.
#[test]
fn an_order_to_make_anew_takes_no_other_vault() {
    let order = Want { recreate: true, ..want(Custody::Tpm) };
    let swapped = Seen { dir: Dir::OtherVault, ..made(Custody::Tpm, 0) };
    let next = keep(order.clone(), swapped, keys());
    let Next::Settled(settled) = next else { panic!("{next:?}") };
    assert_eq!((settled.state, settled.notes), (State::Missing, vec![Note::PathTaken]));
    let away = Seen { dir: Dir::Absent, ..swapped };
    assert_eq!(step(&keep(order, away, keys())), Some(Step::ForgetMetadata));
}

/// IF-5, TH-6: a deletion does not end before the TPM is heard: its share would stay in a table that nobody could look into.
#[test]
fn if5_a_deletion_waits_for_the_tpm() {
    assert_eq!(delete(Seen::default(), &TPM_NOT_HEARD, Setbacks::default()), Next::Wait(Wait::Tpm));
    assert_eq!(
        step(&delete(made(Custody::Tpm, 0), &TPM_NOT_HEARD, Setbacks::default())),
        Some(Step::ForgetMetadata)
    );
    for node in [&NODE, &NO_TPM] {
        assert_eq!(step(&delete(Seen::default(), node, Setbacks::default())), Some(Step::RecordRemoved));
    }
}
