//! How a vault is made, opened and brought to its policy: the order of steps, and what they wait for.

use super::*;

/// IF-5: the order of making: share, metadata, key, directory, policy, mark.
#[test]
fn if5_a_vault_is_made_in_order() {
    let begun = Seen { share: share(Mark::Begun), ..Seen::default() };
    let written = Seen { dir: Dir::Absent, share: share(Mark::Begun), ..made(Custody::TpmAndController, 3) };
    let both = Wrapping::Both(Epoch(3));
    for (what, seen, keys, expected) in [
        ("nothing there", Seen::default(), keys(), Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun }),
        ("share", begun, keys(), Step::MakeMetadata(both)),
        ("one copy", Seen { second: MetaCopy::Absent, ..written }, keys(), Step::RepairCopy),
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
        ("cut before the mark", Seen { dir: Dir::Vault(AES), ..written }, held(both), Step::AddKey),
        ("of no use", written, Keys { none_fits: true, ..keys() }, Step::ForgetMetadata),
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
        Seen { dir: Dir::Plain, key: Key::Present, share: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    let wish = Wish::Keep(want(Custody::Tpm));
    let next = ask(CONFIG_VAULT, &wish, &plain, &held(Wrapping::Tpm), &NODE);
    assert_eq!(step(&next), Some(Step::MoveIn(AES)));
    let user = ask(USER, &wish, &plain, &held(Wrapping::Tpm), &NODE);
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
    let half = Seen { dir: Dir::Absent, share: share(Mark::Begun), ..made(Custody::Tpm, 0) };
    assert_eq!(step(&keep(kept, half, held(Wrapping::Tpm))), Some(Step::AddKey));
}

/// AC-6: the Config Vault comes first, then the Image Vault, then the others.
#[test]
fn ac6_default_vaults_come_first() {
    let known = BTreeMap::from([(USER, Known::default())]);
    let ids: Vec<VaultId> = plan(&Desired::default(), &known, &NODE).into_iter().map(|(id, ..)| id).collect();
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
    let begun = Seen { share: share(Mark::Begun), ..both };
    let next = ask(CONFIG_VAULT, &Wish::Keep(want(Custody::Tpm)), &begun, &held(Wrapping::Tpm), &NODE);
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
    let planned = plan(&Desired::default(), &known, &NODE);
    assert_eq!(planned.len(), known.len() + 2);
    assert!(planned.windows(2).skip(2).all(|pair| pair[0].0 < pair[1].0));
}
