//! What others added is told, and stays in both places as they wrote it.

use std::path::PathBuf;

use fscrypt::{Iv, ProtectorFile};
use vault::report::State;
use vault::section::Operation;

use super::*;

/// KO-1, VC-2: what another program added to a vault is told while the node runs, taken over to the second copy, and stays byte for byte
/// through a change of key, a lock, a restart and a boot; the vault opens by ours all the while.
#[test]
fn ko1_a_protector_of_anothers_is_told_and_kept() {
    let (mut node, mut controller) = node();
    assert_eq!(told(&mut node, BERLIN), None);
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let words = told(&mut node, BERLIN).expect("it is told");
    assert!(words.starts_with("another protector opens this vault too (1 with a key file)"), "{words}");
    assert_eq!(told(&mut node, OTHER), None, "of that vault alone");
    both_have(&node, BERLIN, &file, &policy, "added");
    node.hear(&mut controller, &both((2, 1)));
    assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(2), "{:?}", node.status(BERLIN));
    both_have(&node, BERLIN, &file, &policy, "after a change of key");
    let lock = Line { operation: Operation::Lock, ..line(BERLIN, (2, 1)) };
    node.hear(&mut controller, &[lock, line(OTHER, (2, 1))]);
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    assert!(told(&mut node, BERLIN).is_some());
    for reboot in [false, true] {
        if reboot {
            node.reboot()
        } else {
            node.restart()
        }
        assert!(told(&mut node, BERLIN).is_some(), "before any key is at hand");
        node.hear(&mut controller, &both((2, 1)));
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
        both_have(&node, BERLIN, &file, &policy, "started anew");
    }
}

/// KO-1: it is never opened by us, whatever its name says; that it is named as ours is told.
#[test]
fn ko1_what_is_named_as_ours_is_not_taken_for_ours() {
    for (name, byte) in [("recovery e0", 1), ("e0", 2), ("e7", 3)] {
        let (mut node, mut controller) = node();
        let name = format!("eve-vault {BERLIN} {name}");
        let (file, policy) = add(&node, &controller, BERLIN, &name, byte);
        node.reboot();
        node.hear(&mut controller, &both((2, 1)));
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{name}: {:?}", node.status(BERLIN));
        let words = told(&mut node, BERLIN).expect("it is told");
        assert!(words.contains("(1 named as ours)"), "{name}: {words}");
        assert_eq!(first(&node).read_protector(file.descriptor()).expect("reads"), file, "{name}");
        assert_eq!(first(&node).read_policy(policy.policy().identifier).expect("reads"), policy, "{name}");
        node.reboot();
        node.hear(&mut controller, &both((2, 2)));
        assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(2), "{name}: ours was re-wrapped");
        node.hear(&mut controller, &[line(OTHER, (2, 2))]);
        assert_eq!(node.state(BERLIN), State::Removed, "{name}: {:?}", node.status(BERLIN));
        assert!(first(&node).read_protector(file.descriptor()).is_err(), "{name}: wiped with the vault");
    }
}

/// Issue 7, B: whichever file of either copy is damaged or gone, ours opens, and what others added is there again, in both places.
#[test]
fn what_others_added_is_mended_from_the_twin() {
    let (mut node, mut controller) = node();
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let (own, of_vault) =
        (ours(&node, BERLIN).protector.descriptor(), node.paths.metas().join(BERLIN.to_string()));
    let names = [
        format!("protectors/{own}"),
        format!("protectors/{}", file.descriptor()),
        format!("policies/{}", policy.policy().identifier),
    ];
    let places = [node.paths.persist().join(".fscrypt"), of_vault];
    let paths: Vec<PathBuf> =
        places.iter().flat_map(|place| names.iter().map(|name| place.join(name))).collect();
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("reads")).collect();
    for (at, path) in paths.iter().enumerate() {
        for damage in ["removed", "cut", "emptied"] {
            node.stop();
            node.disk.mount();
            match damage {
                "removed" => std::fs::remove_file(path).expect("removes"),
                "cut" => std::fs::write(path, &before[at][..before[at].len() / 2]).expect("writes"),
                _ => std::fs::write(path, "").expect("writes"),
            }
            node.start();
            node.hear(&mut controller, &both((1, 1)));
            let when = format!("{} {damage}", path.display());
            assert_eq!(
                node.get(BERLIN, "file").as_deref(),
                Some("kept"),
                "{when}: {:?}",
                node.status(BERLIN)
            );
            for (path, bytes) in paths.iter().zip(&before) {
                assert_eq!(std::fs::read(path).ok().as_ref(), Some(bytes), "{when}: {}", path.display());
            }
        }
    }
}

/// Issue 7, B: where our own wrap is damaged in a policy that somebody added to since, it is mended there, and what they added stays,
/// though the twin never had it.
#[test]
fn mending_ours_keeps_what_the_twin_never_had() {
    let (mut node, mut controller) = node();
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    let name = format!(".fscrypt/policies/{}", policy.policy().identifier);
    node.stop();
    node.disk.mount();
    let mut bytes = policy.to_bytes();
    // Of the two wraps ours stands last, and its tag at the end.
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(node.paths.persist().join(name), bytes).expect("writes");
    node.start();
    node.hear(&mut controller, &both((1, 1)));
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    both_have(&node, BERLIN, &file, &policy, "ours was mended");
}

/// KO-1: a protector of a kind that this program does not know is not opened, though `R` would open it: not when it is the only one left.
#[test]
fn ko1_an_unknown_kind_is_not_opened() {
    for left in [true, false] {
        let (mut node, mut controller) = node();
        let own = ours(&node, BERLIN).protector.descriptor();
        let (_, policy) = add(&node, &controller, BERLIN, &format!("eve-vault {BERLIN} recovery e1"), 9);
        let (_, key) = somebodys("", 9);
        let under = wrapping(raw_key(&controller, BERLIN, 1));
        let name = format!("eve-vault {BERLIN} recovery e1");
        let file = ProtectorFile::seal(&key, &under, &name, Iv([8; 16]));
        first(&node).write_protector(&file).expect("writes");
        look(&mut node);
        both_have(&node, BERLIN, &file, &policy, "added");
        if !left {
            first(&node).remove_protector(own).expect("removes");
            second(&node, BERLIN).remove_protector(own).expect("removes");
        }
        node.reboot();
        node.hear(&mut controller, &both((2, 1)));
        let expected = if left { State::Unlocked } else { State::Missing };
        assert_eq!(node.state(BERLIN), expected, "{:?}", node.status(BERLIN));
        assert_eq!(first(&node).read_protector(file.descriptor()).expect("reads"), file);
    }
}
