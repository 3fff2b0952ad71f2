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
    for (dir, note) in
        [(Dir::OtherVault, Note::PathTaken), (Dir::Stranger, Note::PathTaken), (Dir::Plain, Note::PlainFiles)]
    {
        let next = delete(Seen { dir, ..locked }, &NODE, Setbacks::default());
        let Next::Settled(settled) = next else { panic!("{dir:?}: {next:?}") };
        assert_eq!((settled.state, settled.notes), (State::Failed, vec![note]), "{dir:?}");
        let open = delete(Seen { dir, key: Key::Present, ..locked }, &NODE, Setbacks::default());
        assert_eq!(step(&open), Some(Step::Lock), "{dir:?}");
    }
    assert_eq!(step(&delete(locked, &NODE, Setbacks::default())), Some(Step::ForgetMetadata));
}

/// Invariant 4: the same under an order to make a vault anew. What stands in its place is not part of the order, with key files of its own or
/// without, and is named; moved away, the order goes on.
#[test]
fn an_order_to_make_anew_takes_nothing_that_stands_in_its_place() {
    let order = Want { recreate: true, ..want(Custody::Tpm) };
    let whole = made(Custody::Tpm, 0);
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..whole };
    for seen in [whole, bare] {
        for (dir, note) in [
            (Dir::OtherVault, Note::PathTaken),
            (Dir::Stranger, Note::PathTaken),
            (Dir::Plain, Note::PlainFiles),
        ] {
            let next = keep(order.clone(), Seen { dir, ..seen }, keys());
            let Next::Settled(settled) = next else { panic!("{dir:?}: {next:?}") };
            assert_eq!((settled.state, settled.notes), (State::Missing, vec![note]), "{dir:?}");
        }
        let away = keep(order.clone(), Seen { dir: Dir::Absent, ..seen }, keys());
        assert!(matches!(step(&away), Some(Step::ForgetMetadata | Step::DropShare(_))), "{away:?}");
    }
}

/// DF-5: plain files at the path of a default vault that is missing are moved into the one that is made anew, as at a first boot. Nothing on
/// the way removes them, and those that an earlier move left beside it stop the order.
#[test]
fn df5_a_default_vault_that_is_made_anew_takes_plain_files_in() {
    let order = Wish::Keep(Want { recreate: true, ..want(Custody::Tpm) });
    let anew = |seen: Seen| ask(IMAGE_VAULT, &order, &seen, &held(TPM), &NODE);
    let whole = Seen { dir: Dir::Plain, ..made(Custody::Tpm, 0) };
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..whole };
    let begun = Seen { shares: share(Mark::Begun), ..whole };
    for (seen, expected) in [
        (whole, Step::ForgetMetadata),
        (bare, Step::DropShare(Seal::Tpm)),
        // While its key is known: under the next one it would count as another vault's.
        (Seen { staged: Staged::Copy, ..whole }, Step::DropCopy),
        (Seen { staged: Staged::Copy, ..bare }, Step::DropCopy),
        (Seen { key: Key::Present, ..begun }, Step::MoveIn(AES)),
    ] {
        assert_eq!(step(&anew(seen)), Some(expected), "{seen:?}");
    }
    for dir in [Dir::Absent, Dir::Empty, Dir::Plain, Dir::Vault(AES)] {
        let next = ask(IMAGE_VAULT, &order, &Seen { dir, staged: Staged::Plain, ..bare }, &keys(), &NODE);
        let Next::Settled(settled) = next else { panic!("{dir:?}: {next:?}") };
        assert_eq!(settled.notes, [Note::PlainStaged(IMAGE_VAULT)], "{dir:?}");
    }
}

/// Invariant 4: another vault's directory where copies are staged is no copy: it is told, nothing of it goes, and nothing is made in its place, by an order too.
#[test]
fn another_vaults_directory_that_is_staged_is_told_and_stays() {
    let other = |seen| Seen { staged: Staged::Other, ..seen };
    let told = |next: Next| match next {
        Next::Settled(settled) => settled.notes,
        next => panic!("a step is taken: {next:?}"),
    };
    let note = Note::OtherStaged(IMAGE_VAULT);
    let keep = |recreate| Wish::Keep(Want { recreate, ..want(Custody::Tpm) });
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    assert!(told(ask(IMAGE_VAULT, &keep(false), &other(open), &held(TPM), &NODE)).contains(&note), "open");
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Absent, ..made(Custody::Tpm, 0) };
    for dir in [Dir::Absent, Dir::Empty, Dir::Plain] {
        for recreate in [false, true] {
            let next = ask(IMAGE_VAULT, &keep(recreate), &other(Seen { dir, ..bare }), &keys(), &NODE);
            assert!(told(next).contains(&note), "{dir:?} {recreate}");
        }
        let unmade = Seen { dir, staged: Staged::Other, ..Seen::default() };
        let notes = told(ask(IMAGE_VAULT, &keep(false), &unmade, &keys(), &NODE));
        assert_eq!(notes, [Note::OtherStaged(IMAGE_VAULT)], "{dir:?}: nothing else is in its way");
    }
    assert!(note.to_string().contains("nothing of it is deleted"));
}

/// Before an order the status says what stands at the path: plain files, or a directory that no key files speak of. Such a one goes by the order,
/// for its own key files may be what is gone.
#[test]
fn what_an_order_would_meet_at_the_path_is_said_before() {
    let bare = Seen { first: MetaCopy::Absent, second: MetaCopy::Damaged, ..made(Custody::Tpm, 0) };
    let notes = |id, dir| {
        let next = ask(id, &Wish::Keep(want(Custody::Tpm)), &Seen { dir, ..bare }, &keys(), &NODE);
        let Next::Settled(settled) = next else { panic!("{dir:?}: {next:?}") };
        settled.notes
    };
    for (id, dir, note) in [
        (USER, Dir::Plain, Note::PlainFiles),
        (IMAGE_VAULT, Dir::Plain, Note::PlainGoIn),
        (USER, Dir::Vault(AES), Note::Unnamed),
    ] {
        assert_eq!(notes(id, dir).last(), Some(&note), "{dir:?}");
    }
    let others = [Note::Missing(Part::Path), Note::Missing(Part::Metadata)];
    assert_eq!(notes(USER, Dir::OtherVault), others);
    let order = Want { recreate: true, ..want(Custody::Tpm) };
    let gone = Seen { second: MetaCopy::Absent, ..bare };
    assert_eq!(step(&keep(order, gone, keys())), Some(Step::DeleteDir));
    assert_eq!(step(&delete(gone, &NODE, Setbacks::default())), Some(Step::DeleteDir));
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
