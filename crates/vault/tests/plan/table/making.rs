//! How a vault is made, opened and brought to its policy: the order of steps, and what they wait for.

use super::*;

/// IF-5: the order of making: share, metadata, key, directory, policy, mark.
#[test]
fn if5_a_vault_is_made_in_order() {
    let begun = Seen { shares: share(Mark::Begun), ..Seen::default() };
    let written = Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..made(Custody::TpmAndController, 3) };
    let both = both(3);
    for (what, seen, keys, expected) in [
        ("nothing there", Seen::default(), keys(), Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }),
        ("share", begun, keys(), Step::MakeMetadata { wrapping: both, encryption: AES }),
        (
            "one copy",
            Seen { second: MetaCopy::Absent, ..written },
            keys(),
            Step::RepairCopy { from: MetaPlace::First },
        ),
        ("metadata", written, keys(), Step::Unwrap),
        ("protector", written, held(both), Step::AddKey),
        ("key", Seen { key: Key::Present, ..written }, held(both), Step::MakeDir),
        (
            "directory",
            Seen { key: Key::Present, dir: Dir::Empty, ..written },
            held(both),
            Step::SetPolicy(AES),
        ),
        ("policy", Seen { key: Key::Present, dir: Dir::Vault(AES), ..written }, held(both), Step::MarkMade),
        ("cut before the mark", Seen { dir: Dir::Vault(AES), ..written }, held(both), Step::MarkMade),
        (
            "marked",
            Seen { dir: Dir::Vault(AES), shares: share(Mark::Made), ..written },
            held(both),
            Step::AddKey,
        ),
    ] {
        assert_eq!(step(&keep(want(Custody::TpmAndController), seen, keys)), Some(expected), "{what}");
    }
}

/// DF-3: with no configuration the default vaults are made under the TPM; without a TPM they wait for first contact.
#[test]
fn df3_default_vaults_without_configuration() {
    let desired = Desired::default();
    let with = desired.wish(CONFIG_VAULT, &NODE, true);
    let next = ask(CONFIG_VAULT, &with, &Seen::default(), &Keys::default(), &NODE);
    assert_eq!(step(&next), Some(Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }));
    let without = desired.wish(CONFIG_VAULT, &NO_TPM, true);
    let next = ask(CONFIG_VAULT, &without, &Seen::default(), &Keys::default(), &NO_TPM);
    assert!(matches!(next, Next::Wait(Wait::Withheld(_))), "{next:?}");
}

/// DF-5: plain files are moved into a default vault; in a user's vault's place they stop it, and stay.
#[test]
fn df5_plain_files_are_moved_in_or_left() {
    let plain =
        Seen { dir: Dir::Plain, key: Key::Present, shares: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    let wish = Wish::Keep(want(Custody::Tpm));
    let next = ask(CONFIG_VAULT, &wish, &plain, &held(TPM), &NODE);
    assert_eq!(step(&next), Some(Step::MoveIn(AES)));
    let user = ask(USER, &wish, &plain, &held(TPM), &NODE);
    assert_eq!(
        user,
        Next::Settled(vault::plan::Settled { state: State::Failed, notes: vec![Note::PathTaken] })
    );
}

/// IF-5: a checkpoint makes nothing; it opens and resumes.
#[test]
fn if5_a_checkpoint_makes_nothing() {
    let kept = Want { authority: Authority::Checkpoint, ..want(Custody::Tpm) };
    assert_eq!(keep(kept.clone(), Seen::default(), keys()), Next::Wait(Wait::Contact));
    assert_eq!(step(&keep(kept.clone(), made(Custody::Tpm, 0), keys())), Some(Step::Unwrap));
    let half = Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    assert_eq!(step(&keep(kept, half, held(TPM))), Some(Step::AddKey));
}

/// AC-6: the Config Vault comes first, then the Image Vault, then the others.
#[test]
fn ac6_default_vaults_come_first() {
    let known = BTreeMap::from([(USER, Known::default())]);
    let ids: Vec<VaultId> =
        plan(&Desired::default(), &known, &NODE).vaults.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, [CONFIG_VAULT, IMAGE_VAULT, USER]);
}

/// UC-E: a custody that this node can't give fails clearly and takes nothing away.
#[test]
fn uce_tpm_custody_without_a_tpm_fails() {
    for (seen, state) in [
        (Seen::default(), State::Failed),
        (Seen { key: Key::Present, ..made(Custody::Controller, 3) }, State::Unlocked),
    ] {
        let next = ask(USER, &Wish::Keep(want(Custody::Tpm)), &seen, &keys(), &NO_TPM);
        let Next::Settled(settled) = next else { panic!("{next:?}") };
        assert_eq!((settled.state, settled.notes), (state, vec![Note::NoTpm(Custody::Tpm)]));
    }
    let unknown =
        ask(USER, &Wish::Keep(want(Custody::Tpm)), &Seen::default(), &Keys::default(), &TPM_NOT_HEARD);
    assert_eq!(unknown, Next::Wait(Wait::Tpm), "a TPM that fails is not an absent one");
}

/// Plain files at both places: neither is taken for a leftover.
#[test]
fn df5_originals_at_the_staging_path_stay() {
    let both = Seen { staged: Staged::Plain, dir: Dir::Plain, key: Key::Present, ..made(Custody::Tpm, 0) };
    let begun = Seen { shares: share(Mark::Begun), ..both };
    let next = ask(CONFIG_VAULT, &Wish::Keep(want(Custody::Tpm)), &begun, &held(TPM), &NODE);
    let Next::Settled(settled) = next else { panic!("{next:?}") };
    assert_eq!(settled.notes, [Note::PathTaken]);
}

/// VC-2: a custody that this node can't give does not keep an open vault from being locked.
#[test]
fn vc2_a_lock_comes_before_an_impossible_custody() {
    let order = Want { operation: Operation::Lock, ..want(Custody::Tpm) };
    let open = Seen { key: Key::Present, ..made(Custody::Controller, 3) };
    assert_eq!(step(&ask(USER, &Wish::Keep(order), &open, &keys(), &NO_TPM)), Some(Step::Lock));
}

/// The cost of a plan grows with the number of vaults, and no faster: each is asked once, whatever the others are.
#[test]
fn a_plan_asks_each_vault_once() {
    let ids = (0..vault::section::MAX_VAULTS as u128).map(|n| VaultId(uuid::Uuid::from_u128(1000 + n)));
    let known: BTreeMap<VaultId, Known> = ids.map(|id| (id, Known::default())).collect();
    let planned = plan(&Desired::default(), &known, &NODE).vaults;
    assert_eq!(planned.len(), known.len() + 2);
    assert!(planned.windows(2).skip(2).all(|pair| pair[0].0 < pair[1].0));
}

/// Invariant 4: the Config Vault under the controller's key alone, its directory away: nothing on the node tells that it was made. No
/// share and no metadata is made in the place of what is there, with no section, and with one that does not list it.
#[test]
fn a_default_vault_of_the_controllers_is_not_made_anew_without_an_order() {
    let away = Seen { dir: Dir::Absent, ..made(Custody::Controller, 3) };
    let unlisted = Listing {
        device: DEVICE,
        unjudged: false,
        authority: Authority::Live,
        version: SectionVersion { incarnation: Incarnation([1; 16]), version: 1 },
        vaults: BTreeMap::new(),
        removed: BTreeSet::new(),
    };
    let without_keys = Keys { current: None, last: None, ..keys() };
    for listing in [None, Some(unlisted)] {
        let desired = Desired { listing, ..Desired::default() };
        let wish = desired.wish(CONFIG_VAULT, &NODE, false);
        let tried = Keys { none_fits: true, ..without_keys };
        for (seen, keys) in [
            (away, Keys { shares: BySeal::default(), ..without_keys }),
            (Seen { shares: share(Mark::Begun), ..away }, tried),
            (Seen { dir: Dir::Empty, ..away }, Keys { shares: BySeal::default(), ..tried }),
        ] {
            let next = ask(CONFIG_VAULT, &wish, &seen, &keys, &NODE);
            assert_eq!(next, Next::Wait(Wait::ControllerKey), "{seen:?}");
        }
        let opened = Keys { shares: BySeal::default(), ..held(Wrapping::Controller(Epoch(3))) };
        assert_eq!(step(&ask(CONFIG_VAULT, &wish, &away, &opened, &NODE)), Some(Step::AddKey), "as it was");
    }
    let ordered = Desired { recreate: BTreeSet::from([CONFIG_VAULT]), ..Desired::default() };
    let wish = ordered.wish(CONFIG_VAULT, &NODE, false);
    let anew = ask(CONFIG_VAULT, &wish, &away, &Keys { shares: BySeal::default(), ..without_keys }, &NODE);
    assert_eq!(step(&anew), Some(Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }));
    let begun = Seen { shares: share(Mark::Begun), ..away };
    let tried = Keys { none_fits: true, ..without_keys };
    assert_eq!(step(&ask(CONFIG_VAULT, &wish, &begun, &tried, &NODE)), Some(Step::ForgetMetadata));
    // While its key is known: under the next one it would count as another vault's.
    let half = Seen { staged: Staged::Copy, ..begun };
    assert_eq!(step(&ask(CONFIG_VAULT, &wish, &half, &tried, &NODE)), Some(Step::DropCopy));
}

/// Invariant 4: where no share tells that a vault was only begun it may have been made, by a controller that this one knows nothing
/// of: that the keys which this one gives open nothing is no reason to replace its key files, but for an order.
#[test]
fn key_files_that_no_share_speaks_of_go_by_an_order_alone() {
    let away = Seen { dir: Dir::Absent, ..made(Custody::Controller, 3) };
    let tried = Keys { none_fits: true, shares: BySeal::default(), ..keys() };
    for node in [NODE, NO_TPM] {
        let want = Want { created: false, ..want(Custody::Controller) };
        let next = ask(CONFIG_VAULT, &Wish::Keep(want.clone()), &away, &tried, &node);
        assert!(matches!(next, Next::Wait(_)), "{next:?}");
        let ordered = Wish::Keep(Want { recreate: true, ..want });
        assert_eq!(step(&ask(CONFIG_VAULT, &ordered, &away, &tried, &node)), Some(Step::ForgetMetadata));
    }
}

const OTHER_EPOCH: Wait = Wait::OtherEpoch { under: Some(Epoch(1)), finished: Finished::Never };

/// Half-made metadata goes when it is of no use for certain, and not while a key that may open it is out of reach.
#[test]
fn metadata_goes_only_when_no_key_can_open_it() {
    let begun = |custody| Seen { dir: Dir::Absent, shares: share(Mark::Begun), ..made(custody, 1) };
    let tried = |keys: Keys| Keys { none_fits: true, ..keys };
    let closed = Keys { shares: key(ShareKey::Closed), ..keys() };
    let kept = |custody| Want { authority: Authority::Checkpoint, ..want(custody) };
    let both = Custody::TpmAndController;
    let withheld = Keys { current: None, last: None, ..keys() };
    let unknown = (TPM_NOT_HEARD, Keys { shares: BySeal::default(), ..keys() });
    for (what, node, want, seen, keys, expected) in [
        ("all was tried", NODE, want(both), begun(Custody::Tpm), keys(), Ok(Step::ForgetMetadata)),
        (
            "another key of the controller's may open it",
            NODE,
            want(both),
            begun(both),
            keys(),
            Err(OTHER_EPOCH),
        ),
        (
            "but for an order",
            NODE,
            Want { recreate: true, ..want(both) },
            begun(both),
            keys(),
            Ok(Step::ForgetMetadata),
        ),
        ("a kept section makes nothing", NODE, kept(both), begun(both), keys(), Err(OTHER_EPOCH)),
        ("its share is shut", NODE, want(both), begun(both), closed, Err(Wait::Pcrs)),
        (
            "the TPM is not heard",
            unknown.0,
            want(Custody::Controller),
            begun(Custody::Tpm),
            unknown.1,
            Err(Wait::Tpm),
        ),
        (
            "ordered anew, and a key that may open it is to come",
            NODE,
            Want { recreate: true, ..want(both) },
            begun(both),
            withheld,
            Err(Wait::ControllerKey),
        ),
        (
            "its share is shut, and of no use",
            NODE,
            want(Custody::Controller),
            begun(Custody::Tpm),
            closed,
            Err(Wait::Pcrs),
        ),
    ] {
        let next = ask(USER, &Wish::Keep(want), &seen, &tried(keys), &node);
        let found = match next {
            Next::Do(act) => Ok(act.step),
            Next::Wait(wait) => Err(wait),
            Next::Settled(_) => panic!("{what}: {next:?}"),
        };
        assert_eq!(found, expected, "{what}");
    }
}

/// Seen-by-users 0.5: nothing is sealed to a boot that nothing measured, and why is said; what an older version sealed so opens.
#[test]
fn nothing_is_sealed_to_an_unmeasured_boot() {
    let unmeasured = Node { measured: false, ..NODE };
    let moved = Node {
        tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false },
        measured: false,
        past: Past::NOTHING,
        escrow: Escrow::Nothing,
        since_boot: SinceBoot::default(),
        disk_went: false,
        table_lent: false,
    };
    let policy = NodePolicy { seal: Seal::Pcrs, ..want(Custody::Tpm).policy };
    let wish = Wish::Keep(Want { policy, ..want(Custody::Tpm) });
    let made_at = |shares| Seen { key: Key::Present, shares, ..made(Custody::Tpm, 0) };
    let (at_tpm, at_pcrs) =
        (made_at(share(Mark::Made)), made_at(BySeal { tpm: None, pcrs: Some(Mark::Made) }));
    let open = Keys { shares: BySeal { tpm: ShareKey::Nothing, pcrs: ShareKey::Open }, ..keys() };
    let ask = |seen: &Seen, keys: &Keys, node| super::ask(USER, &wish, seen, keys, node);
    for node in [&unmeasured, &moved] {
        let new = ask(&Seen::default(), &Keys::default(), node);
        assert_eq!(new, Next::Wait(Wait::NotMeasured), "a new vault is not made");
        let Next::Settled(settled) = ask(&at_tpm, &held(TPM), node) else { panic!("it stays as it is") };
        assert!(settled.notes.contains(&Note::ChangeDue(Wait::NotMeasured)), "{:?}", settled.notes);
    }
    let make = Step::MakeShare { seal: Seal::Pcrs, mark: Mark::Made };
    assert_eq!(step(&ask(&at_tpm, &held(TPM), &NODE)), Some(make), "of a measured boot it is");
    assert_eq!(step(&ask(&at_pcrs, &open, &unmeasured)), Some(Step::Unwrap), "as before");
}

/// DF-5: plain files at the staging path may be the only ones while no vault stands at its place: they are not wiped.
#[test]
fn df5_the_only_originals_are_not_wiped() {
    let begun = Seen { shares: share(Mark::Begun), key: Key::Present, ..made(Custody::Tpm, 0) };
    for dir in [Dir::Absent, Dir::Empty] {
        let with = |staged| {
            let seen = Seen { dir, staged, ..begun };
            ask(CONFIG_VAULT, &Wish::Keep(want(Custody::Tpm)), &seen, &held(TPM), &NODE)
        };
        let Next::Settled(settled) = with(Staged::Plain) else { panic!("{:?}", with(Staged::Plain)) };
        assert_eq!(settled.notes, [Note::PathTaken], "{dir:?}");
        assert_eq!(step(&with(Staged::Copy)), Some(Step::DropCopy), "{dir:?}: half a copy goes");
        let settles = Some(Step::DropStaged { open: true });
        assert_eq!(step(&with(Staged::Going)), settles, "{dir:?}: what the vault has is wiped");
    }
}

/// DF-5: what an earlier move left beside a default vault is told apart by the plan. A copy goes before another is made; originals are held against
/// the vault while it can be read, and against nothing else.
#[test]
fn df5_what_a_move_left_is_a_copy_or_originals() {
    let begun =
        Seen { shares: share(Mark::Begun), key: Key::Present, dir: Dir::Plain, ..made(Custody::Tpm, 0) };
    let (open, shut) = (Seen { key: Key::Present, ..made(Custody::Tpm, 0) }, made(Custody::Tpm, 0));
    let unlock = || Wish::Keep(want(Custody::Tpm));
    let lock = || Wish::Keep(Want { operation: Operation::Lock, ..want(Custody::Tpm) });
    for (wish, seen, staged, expected) in [
        (unlock(), begun, Staged::Nothing, Step::MoveIn(AES)),
        (unlock(), begun, Staged::Copy, Step::DropCopy),
        (unlock(), begun, Staged::Going, Step::MoveIn(AES)),
        (unlock(), open, Staged::Copy, Step::DropCopy),
        (unlock(), open, Staged::Plain, Step::DropStaged { open: true }),
        (unlock(), open, Staged::Going, Step::DropStaged { open: true }),
        (lock(), shut, Staged::Copy, Step::DropCopy),
        (lock(), shut, Staged::Plain, Step::DropStaged { open: false }),
    ] {
        let next = ask(CONFIG_VAULT, &wish, &Seen { staged, ..seen }, &held(TPM), &NODE);
        assert_eq!(step(&next), Some(expected), "{staged:?}: {seen:?}");
    }
    let setbacks = Setbacks::default().with_under_way(Some(StepKind::MoveIn));
    let (wish, seen, keys) = (unlock(), Seen { staged: Staged::Copy, ..begun }, held(TPM));
    let moving =
        next(&View { id: CONFIG_VAULT, wish: &wish, seen: &seen, keys: &keys, node: &NODE, setbacks });
    assert_eq!(
        moving,
        Next::Wait(Wait::UnderWay(StepKind::MoveIn)),
        "the copy that is being made is not taken away"
    );
}

/// seen-by-users 0.17: a long step that is under way is waited for, as making and not as failing; what does not depend on it goes on.
#[test]
fn a_long_step_under_way_is_no_failure() {
    let wish = Wish::Keep(want(Custody::Tpm));
    let ask = |seen: &Seen, kind| {
        let setbacks = Setbacks::default().with_under_way(Some(kind));
        let keys = held(TPM);
        let view = View { id: CONFIG_VAULT, wish: &wish, seen, keys: &keys, node: &NODE, setbacks };
        let next = next(&view);
        let report = vault::report::report(
            &view,
            "config".parse().expect("a name"),
            &next,
            vault::report::Remembered::default(),
            Reasons::default(),
        );
        (next, report.state)
    };
    let plain =
        Seen { dir: Dir::Plain, key: Key::Present, shares: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    let moving = Next::Wait(Wait::UnderWay(StepKind::MoveIn));
    assert_eq!(ask(&plain, StepKind::MoveIn), (moving, State::Creating));
    let wiping = Seen { staged: Staged::Plain, key: Key::Present, ..made(Custody::Tpm, 0) };
    let (next, state) = ask(&wiping, StepKind::DropStaged);
    assert_eq!(state, State::Unlocked, "open while it is wiped behind");
    let Next::Settled(settled) = next else { panic!("{next:?}") };
    assert_eq!(settled.notes, [Note::Waits(Wait::UnderWay(StepKind::DropStaged))]);
}

/// IF-5, KO-7: a vault whose grace runs, or that is retained, is not made in the meantime.
#[test]
fn if5_a_vault_that_is_not_wanted_is_not_made() {
    for (standing, note) in [(Presence::Removing, Note::Removing), (Presence::Retained, Note::Retained)] {
        let unwanted = Want { standing, ..want(Custody::Tpm) };
        for seen in [Seen::default(), Seen { shares: share(Mark::Begun), ..Seen::default() }] {
            let next = keep(unwanted.clone(), seen, keys());
            let Next::Settled(settled) = next else { panic!("{next:?}") };
            assert_eq!((settled.state, settled.notes), (State::Waiting, vec![note.clone()]));
        }
    }
}

/// KO-7: an open vault that is retained is locked, and nothing else is done to it.
#[test]
fn ko7_a_retained_vault_is_locked_and_kept() {
    let retained = Want { standing: Presence::Retained, ..want(Custody::Tpm) };
    let open = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    let Next::Do(act) = keep(retained.clone(), open, keys()) else { panic!("is locked") };
    assert_eq!(act.step, Step::Lock);
    let shut = Seen { key: Key::Absent, ..made(Custody::Tpm, 0) };
    let Next::Settled(settled) = keep(retained, shut, keys()) else { panic!("is kept") };
    assert_eq!((settled.state, settled.notes), (State::Locked, vec![Note::Retained]));
}
