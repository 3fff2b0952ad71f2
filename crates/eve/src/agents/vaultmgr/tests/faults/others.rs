//! What others added to a vault, taken over to the second copy and wiped with the vault, stopped anywhere.

use fscrypt::ProtectorFile;
use vault::report::State;

use super::*;
use crate::agents::vaultmgr::tests::others::{add, both_have, first, look, told};

fn controllers() -> Line {
    Line { created: true, ..Line::of(Custody::Controller) }
}

fn with_another() -> (Node, (Controller, ProtectorFile, fscrypt::PolicyFile)) {
    let (node, controller) = with_file(&Line { created: false, ..controllers() });
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    (node, (controller, file, policy))
}

/// Invariant 5: after each durable step both keys open the vault, and the next start ends the taking over.
#[test]
fn taking_over_what_others_added_is_mended() {
    let steps = stopped_everywhere(
        with_another,
        |node, _| look(node),
        |node, (controller, file, policy), when| {
            assert!(told(node, BERLIN).is_some(), "{when}");
            node.hear(controller, &[controllers()]);
            assert!(kept(node, &controllers()), "{when}: {:?}", node.status(BERLIN));
            both_have(node, BERLIN, file, policy, when);
        },
    );
    assert!(steps > 10, "{steps}");
}

/// Invariant 4, IF-5: a deletion that was stopped anywhere is ended by the next section, and nothing of what others added is left.
#[test]
fn if5_wiping_what_others_added_is_mended() {
    let steps = stopped_everywhere(
        || {
            let (mut node, with) = with_another();
            look(&mut node);
            (node, with)
        },
        |node, (controller, ..)| node.hear(controller, &[]),
        |node, (controller, file, policy), when| {
            node.hear(controller, &[]);
            assert_eq!(node.state(BERLIN), State::Removed, "{when}: {:?}", node.status(BERLIN));
            assert!(first(node).read_protector(file.descriptor()).is_err(), "{when}: their protector");
            assert!(first(node).read_policy(policy.policy().identifier).is_err(), "{when}: the policy");
            assert!(!node.paths.metas().join(BERLIN.to_string()).exists(), "{when}: the second copy");
        },
    );
    assert!(steps > 20, "{steps}");
}
