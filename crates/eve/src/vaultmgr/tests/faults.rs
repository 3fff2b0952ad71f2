//! vaultmgr stopped after each of its durable steps in turn, at every kind of work: the next start mends what is there (invariant 5).

use vault::ids::CONFIG_VAULT;
use vault::report::State;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::disk::write;
use super::node::Node;
use crate::vaultmgr::faults::after;

/// More durable steps than any of these has.
const ENOUGH: i64 = 60;

/// Does `work` on a node made by `prepare`, stopped after 1, 2, 3.. durable steps until it is not stopped any more; each time the node
/// then starts anew and `mended` looks at it.
fn stopped_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    mended: impl Fn(&mut Node, &mut P, i64),
) {
    for steps in 1..ENOUGH {
        let (mut node, mut with) = prepare();
        let stopped = after(steps, || work(&mut node, &mut with));
        node.manager = None;
        node.disk.unmount();
        node.disk.mount();
        node.start();
        mended(&mut node, &mut with, steps);
        if !stopped {
            assert!(steps > 1, "no durable step was passed");
            return;
        }
    }
    panic!("still stopped after {ENOUGH} steps");
}

#[test]
fn a_first_boot_is_mended() {
    let prepare = || {
        let node = Node::fresh(true);
        std::fs::create_dir_all(node.paths.vault(CONFIG_VAULT)).expect("makes");
        write(&node.paths.vault(CONFIG_VAULT).join("plain"), "of before");
        (node, ())
    };
    stopped_everywhere(
        prepare,
        |node, ()| node.start(),
        |node, (), steps| {
            assert_eq!(
                node.state(CONFIG_VAULT),
                State::Unlocked,
                "after {steps}: {:?}",
                node.status(CONFIG_VAULT)
            );
            assert_eq!(node.get(CONFIG_VAULT, "plain").as_deref(), Some("of before"), "after {steps}");
            assert!(!node.paths.staging(CONFIG_VAULT).exists(), "after {steps}");
        },
    );
}

#[test]
fn the_making_of_a_vault_is_mended() {
    let prepare = || (Node::new(true), Controller::new());
    let line = || [Line::of(Custody::TpmAndController)];
    stopped_everywhere(
        prepare,
        |node, controller| node.hear(controller, &line()),
        |node, controller, steps| {
            node.hear(controller, &line());
            let status = node.status(BERLIN);
            assert_eq!((status.state, status.created), (State::Unlocked, true), "after {steps}: {status:?}");
        },
    );
}

fn with_file(line: &Line) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, std::slice::from_ref(line));
    node.put(BERLIN, "file", "kept");
    (node, controller)
}

/// VC-2, VC-6: stopped anywhere in a change of key, custody or seal, the vault opens by the keys of before or after, and ends changed.
#[test]
fn vc2_a_change_is_mended() {
    let both = |epochs| Line { epochs, ..Line::of(Custody::TpmAndController) };
    let pcrs = Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) };
    for (before, change) in [
        (both((1, 1)), both((2, 1))),
        (Line::of(Custody::Tpm), both((1, 1))),
        (both((1, 1)), Line::of(Custody::Controller)),
        (Line::of(Custody::Controller), both((1, 1))),
        (Line::of(Custody::Tpm), pcrs),
    ] {
        let work = |node: &mut Node, controller: &mut Controller| {
            node.hear(controller, std::slice::from_ref(&change))
        };
        stopped_everywhere(
            || with_file(&before),
            work,
            |node, controller, steps| {
                node.hear(controller, std::slice::from_ref(&change));
                let status = node.status(BERLIN);
                assert_eq!(status.state, State::Unlocked, "after {steps}: {status:?}");
                assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "after {steps}");
                let epoch = change.custody.needs_controller().then_some(change.epochs.0);
                assert_eq!(status.epoch.map(|epoch| epoch.0), epoch, "after {steps}");
            },
        );
    }
}

/// IF-5: stopped anywhere in a deletion, it ends deleted by the next section, and what is half deleted is never made anew.
#[test]
fn if5_a_deletion_is_mended() {
    let line = Line::of(Custody::Tpm);
    stopped_everywhere(
        || with_file(&line),
        |node, controller| node.hear(controller, &[]),
        |node, controller, steps| {
            assert_ne!(node.state(BERLIN), State::Creating, "after {steps}");
            node.hear(controller, &[]);
            assert_eq!(node.state(BERLIN), State::Removed, "after {steps}: {:?}", node.status(BERLIN));
            assert!(!node.paths.vault(BERLIN).exists(), "after {steps}");
        },
    );
}
