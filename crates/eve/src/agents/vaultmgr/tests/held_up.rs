//! Invariant 5: what keeps a node's bundles from going into escrow is something that somebody can end. A vault that no key will ever open keeps none of
//! the others' from it, and what is over is not told any more.

use std::collections::BTreeSet;

use vault::cause::Cause;
use vault::ids::{IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::{Custody, Seal};

use super::brought_back::{all_key_files, both, kept, wipe, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;

fn details(node: &mut Node, id: VaultId) -> String {
    node.status(id).detail.join("; ")
}

fn image(epochs: (u64, u64)) -> Line {
    Line { id: IMAGE_VAULT, created: true, seal: Seal::Tpm, ..both(epochs) }
}

/// The image vault's new key files are in escrow though nothing tells whether BERLIN's are good, and that is said of BERLIN alone.
fn escrow_goes_on(node: &mut Node, keeper: &mut Keeper) {
    keeper.settles(node);
    let told = details(node, IMAGE_VAULT);
    assert!(!told.contains("not escrowed"), "{told}; {}", details(node, BERLIN));
    let own = std::fs::read(&all_key_files(node, IMAGE_VAULT)[0]).expect("its protector");
    assert_eq!(keeper.bundle().vaults()[&IMAGE_VAULT].protector.bytes, own, "as they are now");
    assert!(!keeper.bundle().vaults().contains_key(&BERLIN));
    let told = details(node, BERLIN);
    assert!(told.contains("in no bundle from now on") && !told.contains("not before"), "{told}");
}

/// A disk that was put back may have a vault of which no list knows: nobody opens it, and nobody waits for that. Taken in, it is in the bundle again.
#[test]
fn an_orphan_keeps_no_other_vault_from_escrow() {
    let (mut node, controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let mut other = Controller { incarnation: 2, version: 0, listed: BTreeSet::new(), ..controller };
    node.hear(&mut other, &[image((1, 1))]);
    node.reboot();
    node.hear(&mut other, &[image((2, 1))]);
    assert_eq!(node.state(BERLIN), State::Orphan);
    escrow_goes_on(&mut node, &mut keeper);
    let adopted = Line { created: true, ..both((1, 1)) };
    node.hear(&mut other, &[image((2, 1)), adopted]);
    keeper.settles(&mut node);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    assert!(keeper.bundle().vaults().contains_key(&BERLIN), "{}", details(&mut node, BERLIN));
}

/// The same of a vault that another controller's key alone opens: the bundle was asked for it once, and has nothing better. When that key is back it is in
/// the bundle again.
#[test]
fn a_vault_under_another_controllers_key_keeps_no_other_from_escrow() {
    let (mut node, controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let created = Line { created: true, ..both((1, 1)) };
    let mut other = Controller { incarnation: 2, version: 0, lineage: 7, ..controller.clone() };
    node.reboot();
    node.hear(&mut other, &[image((1, 1)), created.clone()]);
    let told = details(&mut node, BERLIN);
    assert!(told.contains("another key of epoch 1"), "{told}");
    keeper.settles(&mut node);
    node.hear(&mut other, &[image((2, 1)), created.clone()]);
    escrow_goes_on(&mut node, &mut keeper);
    let mut back = Controller { incarnation: 3, version: 0, ..controller };
    node.hear(&mut back, &[image((2, 1)), created]);
    keeper.settles(&mut node);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    assert!(keeper.bundle().vaults().contains_key(&BERLIN), "{}", details(&mut node, BERLIN));
}

/// A key that comes later than the controller's first word on the escrow has told what the vault's key files are worth, once it opened them.
#[test]
fn a_vault_that_its_key_opened_counts_as_opened() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let created = Line { created: true, ..both((1, 1)) };
    node.reboot();
    node.hear(&mut controller, &[image((2, 1)), Line { withheld: true, ..created.clone() }]);
    keeper.settles(&mut node);
    let told = details(&mut node, BERLIN);
    assert!(told.contains("before this vault was opened"), "{told}");
    node.hear(&mut controller, &[image((2, 1)), created]);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    keeper.settles(&mut node);
    let told = details(&mut node, BERLIN);
    assert!(!told.contains("bundle"), "{told}");
    let own = std::fs::read(&all_key_files(&node, IMAGE_VAULT)[0]).expect("its protector");
    assert_eq!(keeper.bundle().vaults()[&IMAGE_VAULT].protector.bytes, own, "as they are now");
}

fn without_its_share() -> (Node, Keeper) {
    let line = Line { created: true, ..Line::of(Custody::TpmAndController) };
    let (mut node, mut controller) = with_data(&Line { created: false, ..line.clone() });
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").remove(&paths, BERLIN, Seal::Tpm).expect("drops it");
    node.reboot();
    node.hear(&mut controller, &[image((1, 1)), line]);
    assert_eq!(node.state(BERLIN), State::Missing, "{}", details(&mut node, BERLIN));
    (node, keeper)
}

/// The same of a vault whose share is gone: the disk is of a time before the roots of now, and no bundle has it.
#[test]
fn a_vault_whose_share_is_gone_keeps_no_other_from_escrow() {
    let (mut node, mut keeper) = without_its_share();
    keeper.withholds = Some(Cause::NoBundle);
    keeper.settles(&mut node);
    escrow_goes_on(&mut node, &mut keeper);
}

/// Invariant 4: where the bundle has the share it comes back before another bundle takes the place of that one.
#[test]
fn a_share_that_is_gone_comes_back_of_the_bundle_before_another_takes_its_place() {
    let (mut node, mut keeper) = without_its_share();
    keeper.settles(&mut node);
    assert!(kept(&node, BERLIN), "{}", details(&mut node, BERLIN));
    let own = std::fs::read(&all_key_files(&node, IMAGE_VAULT)[0]).expect("its protector");
    assert_eq!(keeper.bundle().vaults()[&IMAGE_VAULT].protector.bytes, own, "as they are now");
    assert!(keeper.bundle().vaults().contains_key(&BERLIN));
}

/// That the bundle is not given back is said as long as it is not, and no longer.
#[test]
fn what_was_given_back_is_not_told_as_withheld() {
    let (mut node, _) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    node.disk.sync();
    wipe(&all_key_files(&node, IMAGE_VAULT));
    node.reboot();
    keeper.withholds = Some(Cause::Pcrs);
    keeper.settles(&mut node);
    assert!(node.says("is not given back"), "{:?}", node.manager().notes());
    keeper.withholds = None;
    keeper.settles(&mut node);
    assert!(kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
    assert!(!node.says("is not given back"), "{:?}", node.manager().notes());
}
