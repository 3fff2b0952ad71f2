//! Decision 82: the first vault that is sealed to the measured boot comes when the node is in another boot than the one that P was bound to at its
//! first start, as after any update of firmware or system. P is bound to the boot of now first, once an operator has approved it.

use vault::decide::{Unmet, Withheld};
use vault::ids::{Generation, VaultId};
use vault::policy::Check;
use vault::report::State;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use super::seals::sealed;

/// A node that was onboarded, and its controller, which keeps its bundle where it was not `away`; then it booted another state.
fn updated(line: &[Line], away: bool) -> (Node, Controller, Keeper) {
    let mut node = Node::new(true);
    let (mut controller, mut keeper) = (Controller::new(), Keeper { away, ..Keeper::default() });
    node.hear(&mut controller, line);
    keeper.settles(&mut node);
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    node.hear(&mut controller, line);
    keeper.away = false;
    (node, controller, keeper)
}

fn detail(node: &mut Node, id: VaultId) -> String {
    node.status(id).detail.join("; ")
}

fn generation(node: &mut Node) -> Option<Generation> {
    node.manager().shares.as_ref().expect("shares").generation()
}

/// The vault is sealed to the boot of now, and opens in it by the TPM alone.
fn is_bound_to_this_boot(node: &mut Node) {
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    node.put(BERLIN, "file", "kept");
    assert_eq!(generation(node), Some(Generation(2)), "{:?}", node.manager().notes());
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.reboot();
    assert_eq!(node.get(BERLIN, "file"), None, "in the boot of before");
}

/// A vault that has no share is not told to have one that is shut; P comes back from escrow once the boot is approved, and not before.
#[test]
fn a_new_vault_under_seal_pcrs_after_an_update_is_made_once_the_boot_is_approved() {
    let (mut node, mut controller, mut keeper) = updated(&[], false);
    keeper.settles(&mut node);
    assert_eq!(node.manager().escrow_wish().rescue, None, "nothing needs it");
    let withheld = Withheld::Failed { check: Check::Pcrs, why: Unmet::NoTpm };
    keeper.withholds = Some(withheld.coarse());
    node.hear(&mut controller, &[sealed(Custody::Tpm, Seal::Pcrs)]);
    keeper.settles(&mut node);
    assert_eq!((node.state(BERLIN), generation(&mut node)), (State::Waiting, Some(Generation(1))));
    let told = detail(&mut node, BERLIN);
    assert!(told.contains("`evc reference approve`") && told.contains("PCR 4, 9"), "{told}");
    assert!(!told.contains("its share is sealed"), "it has none: {told}");
    keeper.withholds = None;
    keeper.settles(&mut node);
    assert!(node.manager().notes().is_empty(), "that is over: {:?}", node.manager().notes());
    is_bound_to_this_boot(&mut node);
}

/// A policy that narrows its seal: the vault stays open, says so, and goes under P once the boot is approved.
#[test]
fn a_narrower_seal_after_an_update_is_carried_out_once_the_boot_is_approved() {
    let (mut node, mut controller, mut keeper) = updated(&[sealed(Custody::Tpm, Seal::Tpm)], false);
    let narrowed = Line { created: true, ..sealed(Custody::Tpm, Seal::Pcrs) };
    node.hear(&mut controller, std::slice::from_ref(&narrowed));
    let told = detail(&mut node, BERLIN);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{told}");
    let due = told.contains("a change of key or custody is due") && told.contains("`evc reference approve`");
    assert!(due && !told.contains("its share is sealed"), "{told}");
    keeper.settles(&mut node);
    let told = detail(&mut node, BERLIN);
    assert!(!told.contains("is due"), "{told}");
    is_bound_to_this_boot(&mut node);
}

/// Where no bundle is held, and nothing hangs on P, a fresh one takes its place: by the word of a controller that approved this boot, which is
/// asked for it before it says that it holds none.
#[test]
fn where_nothing_is_held_a_fresh_root_is_bound_to_the_approved_boot() {
    let (mut node, mut controller, mut keeper) = updated(&[], true);
    keeper.away = true;
    node.hear(&mut controller, &[sealed(Custody::Tpm, Seal::Pcrs)]);
    keeper.settles(&mut node);
    assert_eq!((node.state(BERLIN), generation(&mut node)), (State::Waiting, Some(Generation(1))));
    keeper.away = false;
    keeper.settles(&mut node);
    assert!(node.manager().notes().is_empty(), "{:?}", node.manager().notes());
    assert_eq!(keeper.bundle().generation(), Generation(2));
    is_bound_to_this_boot(&mut node);
}

/// KO-1: what was extended after the evidence nobody approved: nothing is bound to that. It is said, and done once the TPM shows what was approved.
#[test]
fn what_came_back_is_not_bound_to_what_was_extended_since_the_evidence() {
    let (mut node, mut controller, mut keeper) = updated(&[], false);
    node.nv.0.borrow_mut().extended_since_evidence = true;
    let defined = node.nv.0.borrow().defined;
    node.hear(&mut controller, &[sealed(Custody::Tpm, Seal::Pcrs)]);
    keeper.settles(&mut node);
    assert_eq!(generation(&mut node), Some(Generation(1)));
    assert_eq!(node.nv.0.borrow().defined, defined, "nothing was begun");
    for words in ["this node's evidence showed first", "boot the node", "start `eve run` anew"] {
        assert!(node.says(words), "{words}: {:?}", node.manager().notes());
    }
    node.nv.0.borrow_mut().extended_since_evidence = false;
    node.hear_tpm();
    keeper.settles(&mut node);
    is_bound_to_this_boot(&mut node);
}
