//! The steps of a recovery key, stopped anywhere: at each instant the vault opens by its custody, or by the recovery key that the disk has.

use vault::report::State;

use super::*;
use crate::agents::vaultmgr::tests::recovery::{
    any_opens, bytes, is_gone, is_ready, kept, key, line, node, protectors, recover,
};

/// Invariant 5: made, replaced for other recipients, taken away; while it is replaced one opens at each instant; the next section ends it, and of
/// the one before nothing is left.
#[test]
fn a_change_of_the_recovery_key_is_mended() {
    for (before, after, what) in
        [(&[0][..], &[][..], "taken away"), (&[], &[0], "made"), (&[1], &[0], "replaced")]
    {
        let after = line(Custody::Controller, after);
        let steps = stopped_everywhere(
            || {
                let (node, controller) = node(&line(Custody::Controller, before));
                let old = bytes(&node);
                (node, (controller, old))
            },
            |node, (controller, _)| node.hear(controller, std::slice::from_ref(&after)),
            |node, (controller, old), when| {
                let replaced = !old.is_empty() && !after.recovery.is_none();
                assert!(!replaced || any_opens(node), "{what}, {when}: no recovery key opens it");
                node.hear(controller, std::slice::from_ref(&after));
                assert!(kept(node), "{what}, {when}: {:?}", node.status(BERLIN));
                match after.recovery.is_none() {
                    true => return is_gone(node, old, when),
                    false => is_ready(node, when),
                }
                recover(node, &key(node)).expect("it is the one");
                node.stop();
                assert!(
                    old.iter().all(|bytes| !node.disk.contains(bytes)),
                    "{what}, {when}: the one before is there"
                );
            },
        );
        println!("{what}: {steps} operations");
        assert!(steps > 15, "{what}: {steps}");
    }
}

/// Invariant 5: opened by its recovery key, and taken on to a custody that opened it no more: stopped anywhere, it opens by that custody or by
/// the recovery key that lies there, and the next section ends it.
#[test]
fn a_recovery_is_mended() {
    let asked = || Line { epochs: (3, 2), ..line(Custody::Controller, &[0]) };
    let steps = stopped_everywhere(
        || {
            let (mut node, mut controller) = node(&Line { epochs: (1, 1), ..asked() });
            node.reboot();
            node.hear(&mut controller, &[asked()]);
            assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
            let used = key(&node);
            (node, (controller, used))
        },
        |node, (_, used)| drop(recover(node, used)),
        |node, (controller, used), when| {
            node.hear(controller, &[asked()]);
            if node.state(BERLIN) != State::Unlocked {
                recover(node, used).unwrap_or_else(|error| panic!("{when}: {error}"));
            }
            assert!(kept(node), "{when}: {:?}", node.status(BERLIN));
            // At the first operations nothing had been used yet.
            is_ready(node, when);
            node.reboot();
            node.hear(controller, &[asked()]);
            assert!(kept(node), "{when}: {:?}", node.status(BERLIN));
            assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(3), "{when}");
            assert_eq!(protectors(node).len(), 1, "{when}");
        },
    );
    println!("a recovery: {steps} operations");
    assert!(steps > 30, "{steps}");
}

/// Invariant 5, IF-5: a vault that goes takes its recovery key with it, wherever that is stopped.
#[test]
fn if5_a_removal_with_a_recovery_key_is_mended() {
    stopped_everywhere(
        || {
            let (node, controller) = node(&line(Custody::Controller, &[0]));
            let old = bytes(&node);
            (node, (controller, old))
        },
        |node, (controller, _)| node.hear(controller, &[]),
        |node, (controller, old), when| {
            node.hear(controller, &[]);
            assert_eq!(node.state(BERLIN), State::Removed, "{when}: {:?}", node.status(BERLIN));
            is_gone(node, old, when);
        },
    );
}
