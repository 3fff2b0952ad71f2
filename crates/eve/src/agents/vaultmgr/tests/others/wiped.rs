//! What is taken away where the tool writes, and what goes with a vault.

use fscrypt::{Iv, PolicyFile};
use vault::report::State;

use super::*;

/// KO-1: what is taken away where the tool writes is taken from the second copy too, and is not brought back.
#[test]
fn ko1_what_is_taken_away_is_gone_from_both() {
    let (mut node, mut controller) = node();
    let before = ours(&node, BERLIN);
    let (file, _) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    first(&node).write_policy(&before.policy).expect("writes");
    first(&node).remove_protector(file.descriptor()).expect("removes");
    look(&mut node);
    assert_eq!(told(&mut node, BERLIN), None);
    let twin = second(&node, BERLIN);
    assert_eq!(twin.protectors().expect("lists"), [before.protector.descriptor()]);
    assert_eq!(twin.read_policy(before.policy.policy().identifier).expect("reads"), before.policy);
    drop(twin);
    node.reboot();
    node.hear(&mut controller, &both((1, 1)));
    assert_eq!((node.get(BERLIN, "file").as_deref(), told(&mut node, BERLIN)), (Some("kept"), None));
    node.stop();
    assert!(!node.disk.contains(file.ciphertext()), "nor on the raw disk");
}

/// Invariant 4: a protector that something else needs outlives the vault; the last one that needs it takes it along.
#[test]
fn a_protector_of_two_vaults_goes_with_the_last() {
    let (mut node, mut controller) = node();
    let (file, _) = add(&node, &controller, BERLIN, "spare", 9);
    let (_, policy) = add(&node, &controller, OTHER, "spare", 9);
    look(&mut node);
    node.hear(&mut controller, &[line(OTHER, (1, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    both_have(&node, OTHER, &file, &policy, "the other was deleted");
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(OTHER), State::Removed, "{:?}", node.status(OTHER));
    assert!(first(&node).read_protector(file.descriptor()).is_err());
    node.stop();
    assert!(!node.disk.contains(file.ciphertext()));
}

/// Invariant 4: while a policy of somebody else's does not read, nobody knows whom it names: what may be needed stays.
#[test]
fn what_may_be_needed_elsewhere_stays() {
    let (mut node, mut controller) = node();
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let unread = node.paths.persist().join(".fscrypt/policies").join("ab".repeat(16));
    std::fs::write(unread, "not read").expect("writes");
    node.hear(&mut controller, &[line(OTHER, (1, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    assert_eq!(first(&node).read_protector(file.descriptor()).expect("stays"), file);
    assert!(
        first(&node).read_policy(policy.policy().identifier).is_err(),
        "the wrap of the content key is gone"
    );
}

/// Invariant 4: a vault of ours whose protector somebody put into another's policy loses nothing when that one is deleted, nor the other
/// way round.
#[test]
fn a_vaults_protector_in_anothers_policy_ties_neither_to_the_other() {
    for deleted in [BERLIN, OTHER] {
        let (mut node, mut controller) = node();
        let before = ours(&node, BERLIN);
        let (own, theirs) = (raw_key(&controller, OTHER, 1), ours(&node, OTHER));
        let (_, key) = theirs.open(&wrapping(own)).expect("opens");
        let (content, _) = before.open(&wrapping(raw_key(&controller, BERLIN, 1))).expect("opens");
        let added = PolicyFile::seal(&content, &key, before.policy.policy().modes, Iv([3; 16]));
        let policy = before.policy.mended(&added, theirs.protector.descriptor()).expect("has room");
        first(&node).write_policy(&policy).expect("writes");
        node.reboot();
        node.hear(&mut controller, &both((1, 1)));
        let stays = if deleted == BERLIN { OTHER } else { BERLIN };
        node.hear(&mut controller, &[line(stays, (1, 1))]);
        assert_eq!(node.state(deleted), State::Removed, "{:?}", node.status(deleted));
        let there = first(&node).read_policy(policy.policy().identifier).is_ok();
        assert_eq!(there, deleted == OTHER, "with its own vault alone, when {deleted} is deleted");
        node.reboot();
        node.hear(&mut controller, &[line(stays, (1, 1))]);
        assert_eq!(node.get(stays, "file").as_deref(), Some("kept"), "{:?}", node.status(stays));
    }
}
