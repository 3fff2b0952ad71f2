//! Decision 82: a vault whose policy seals it to the measured boot, in a boot in which the TPM does not give the root for that.

use vault::escrow::rescue;
use vault::section::Presence;

use super::*;

fn shut(past: Past) -> Node {
    Node { tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: false }, past, ..NODE }
}

fn sealed(seal: Seal) -> Want {
    Want { policy: NodePolicy { seal, ..want(Custody::Tpm).policy }, ..want(Custody::Tpm) }
}

/// KO-1: what has no share there yet is not told to have one; each says what to do.
#[test]
fn what_has_no_share_under_a_measured_boot_is_not_told_that_it_is_shut() {
    let wish = Wish::Keep(sealed(Seal::Pcrs));
    let ask = |seen: &Seen, keys: &Keys| super::ask(USER, &wish, seen, keys, &shut(Past::NOTHING));
    assert_eq!(ask(&Seen::default(), &Keys::default()), Next::Wait(Wait::SealShut), "a new one");
    let at_tpm = Seen { key: Key::Present, ..made(Custody::Tpm, 0) };
    let Next::Settled(settled) = ask(&at_tpm, &held(TPM)) else { panic!("it stays as it is") };
    assert!(settled.notes.contains(&Note::ChangeDue(Wait::SealShut)), "{:?}", settled.notes);
    assert!(told_as_due(&wish, &at_tpm), "to the controller, not in words alone");
    assert!(!told_as_due(&Wish::Keep(sealed(Seal::Tpm)), &at_tpm), "as its policy says");
    let shares = BySeal { tpm: Some(Mark::Made), pcrs: Some(Mark::Made) };
    let Next::Settled(settled) = ask(&Seen { shares, ..at_tpm }, &held(TPM)) else { panic!("it stays") };
    assert!(settled.notes.contains(&Note::ChangeDue(Wait::Pcrs)), "{:?}", settled.notes);
}

fn told_as_due(wish: &Wish, seen: &Seen) -> bool {
    super::status::reported(wish, seen, &held(TPM), &shut(Past::NOTHING)).change_due
}

/// Another root is wanted for a vault that a list of this session wants under `seal: pcrs`, and that has no share there; for no other.
#[test]
fn a_root_is_wanted_for_the_first_share_of_a_listed_vault_alone() {
    let live = |want: Want| {
        let authority = want.authority;
        let vaults = BTreeMap::from([(USER, want)]);
        let version = SectionVersion { incarnation: Incarnation([1; 16]), version: 1 };
        Listing { authority, device: DEVICE, version, vaults, removed: BTreeSet::new(), unjudged: false }
    };
    let node = shut(Past::NOTHING);
    let is_listed = |want: Want, node: &Node, mark| {
        let desired = Desired { listing: Some(live(want)), ..Desired::default() };
        rescue::is_listed(&desired, node, |_| mark)
    };
    let asked = sealed(Seal::Pcrs);
    assert!(is_listed(asked.clone(), &node, None));
    assert!(is_listed(asked.clone(), &node, Some(Mark::Lost)));
    assert!(!is_listed(asked.clone(), &node, Some(Mark::Begun)), "it has one");
    assert!(!is_listed(asked.clone(), &Node { measured: false, ..node }, None), "nothing measured this boot");
    let of_before = Want { authority: Authority::Checkpoint, ..asked.clone() };
    assert!(!is_listed(of_before, &node, None), "by a list of before");
    let leaving = Want { standing: Presence::Removing, ..asked.clone() };
    assert!(!is_listed(leaving, &node, None), "it is being removed");
    let policy = NodePolicy { custody: Custody::Controller, ..asked.policy };
    assert!(!is_listed(Want { policy, ..asked }, &node, None), "it takes no share");
    assert!(!is_listed(sealed(Seal::Tpm), &node, None));
    assert!(!rescue::is_listed(&Desired::default(), &node, |_| None), "nothing is listed");
}

/// A fresh root needs the one of before for nothing; without it an end of the generation waits for that.
#[test]
fn a_generation_ends_without_the_root_of_another_boot_where_nothing_hangs_on_it() {
    let planned = |past| {
        let keys = Keys { shares: key(ShareKey::Open), ..held(TPM) };
        let open = |id| {
            (
                id,
                Known { seen: Seen { key: Key::Present, ..made(Custody::Tpm, 0) }, keys, ..Known::default() },
            )
        };
        let known = [CONFIG_VAULT, IMAGE_VAULT, USER].map(open).into();
        let plan = plan(&Desired::default(), &known, &shut(past));
        (plan.node, plan.hold)
    };
    let anew = Past { anew: true, ..Past::NOTHING };
    assert_eq!(planned(anew), (Some(NodeStep::NextGeneration), Some(Hold::Due)));
    let unmade = Past { next: Upcoming::Unmade, ..anew };
    assert_eq!(planned(unmade), (Some(NodeStep::PrepareGeneration), Some(Hold::Unmade)));
    let dropped = Past { dropped: true, ..Past::NOTHING };
    assert_eq!(planned(dropped), (None, Some(Hold::Pcrs)));
    assert_eq!(planned(Past { anew: true, ..dropped }), (Some(NodeStep::NextGeneration), Some(Hold::Due)));
}
