//! One of a generation's two NV indices is gone, undefined or lost, and the other is there: what hangs on the other stays open, and what is lost
//! comes back from escrow once the boot is approved, or is made anew. Nothing is told that leads to making a vault anew.

use std::time::Duration;

use vault::decide::{Unmet, Withheld};
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::plan::Note;
use vault::policy::Check;
use vault::report::State;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use super::recovery;
use super::seals::sealed;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::bus::messages::Hope;

const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xf3));

/// A node whose vaults have a file each and whose bundle is held, and which lost its P while it was off.
fn without_p(line: &[Line]) -> (Node, Controller, Keeper) {
    let (mut node, mut controller, mut keeper) = (Node::new(true), Controller::new(), Keeper::default());
    node.hear(&mut controller, line);
    keeper.settles(&mut node);
    node.put(CONFIG_VAULT, "file", "kept");
    node.put(IMAGE_VAULT, "file", "kept");
    node.stop();
    node.disk.mount();
    node.nv.0.borrow_mut().slots[0].pcrs = None;
    node.start();
    (node, controller, keeper)
}

fn has_file(node: &mut Node, id: VaultId) {
    assert_eq!(node.get(id, "file").as_deref(), Some("kept"), "{:?}: {:?}", node.status(id), told(node));
}

/// All that is told of the node and its vaults.
fn told(node: &mut Node) -> String {
    let status = node.manager().vault_status();
    let details = status.vaults.into_iter().flat_map(|vault| vault.detail);
    status.notes.into_iter().chain(details).collect::<Vec<_>>().join("\n")
}

fn generation(node: &mut Node) -> Option<Generation> {
    node.manager().shares.as_ref().expect("shares").generation()
}

/// Invariant 4: P's NV index is gone alone. By T all opens that hangs on it, with no word of the controller; what is sealed to the boot waits for P,
/// which comes back once the boot is approved, and not before.
#[test]
fn p_gone_alone_shuts_what_hangs_on_it_until_the_boot_is_approved() {
    let line = sealed(Custody::Tpm, Seal::Pcrs);
    let (mut node, mut controller, mut keeper) = without_p(std::slice::from_ref(&line));
    has_file(&mut node, CONFIG_VAULT);
    has_file(&mut node, IMAGE_VAULT);
    keeper.withholds = Some(Withheld::Failed { check: Check::Pcrs, why: Unmet::NoTpm }.coarse());
    node.hear(&mut controller, &[Line { created: true, ..line }]);
    keeper.settles(&mut node);
    let words = told(&mut node);
    assert_eq!((node.state(BERLIN), generation(&mut node)), (State::Locked, Some(Generation(1))), "{words}");
    assert!(words.contains("index") && words.contains("`evc reference approve`"), "{words}");
    assert!(!words.contains("recreate"), "{words}");
    keeper.withholds = None;
    keeper.settles(&mut node);
    assert_eq!((node.state(BERLIN), generation(&mut node)), (State::Unlocked, Some(Generation(2))));
    assert!(node.manager().notes().is_empty(), "{:?}", node.manager().notes());
    node.put(BERLIN, "file", "kept");
    node.reboot();
    [CONFIG_VAULT, IMAGE_VAULT, BERLIN].into_iter().for_each(|id| has_file(&mut node, id));
}

/// Where nothing hangs on P it is not missed, and is made anew for the first vault that needs one: the bundle that was made since has none.
#[test]
fn p_gone_alone_is_made_anew_where_nothing_hangs_on_it() {
    let (mut node, mut controller, mut keeper) = without_p(&[]);
    has_file(&mut node, CONFIG_VAULT);
    node.hear(&mut controller, &[]);
    keeper.settles(&mut node);
    assert!(node.manager().notes().is_empty(), "{:?}", node.manager().notes());
    assert_eq!(node.manager().escrow_wish().rescue, None, "nothing needs it");
    node.hear(&mut controller, &[sealed(Custody::Tpm, Seal::Pcrs)]);
    keeper.settles(&mut node);
    assert_eq!((node.state(BERLIN), generation(&mut node)), (State::Unlocked, Some(Generation(2))));
    node.put(BERLIN, "file", "kept");
    node.reboot();
    [CONFIG_VAULT, IMAGE_VAULT, BERLIN].into_iter().for_each(|id| has_file(&mut node, id));
}

/// TH-6: nor does a deletion wait for it. What is dropped is dead with the next generation, for which P is made anew.
#[test]
fn th6_p_gone_alone_keeps_no_deletion_waiting() {
    let line = Line::of(Custody::Tpm);
    let (mut node, mut controller, mut keeper) = without_p(std::slice::from_ref(&line));
    keeper.settles(&mut node);
    node.hear(&mut controller, &[]);
    keeper.settles(&mut node);
    let words = told(&mut node);
    assert!(words.contains(&Note::Erased.to_string()), "{words}");
    assert_eq!(generation(&mut node), Some(Generation(2)), "{words}");
    assert!(node.manager().notes().is_empty(), "{words}");
    node.reboot();
    [CONFIG_VAULT, IMAGE_VAULT].into_iter().for_each(|id| has_file(&mut node, id));
}

/// Invariant 4: with the share table gone too, as from another disk, the bundle is believed by T; nothing is begun in its place meanwhile.
#[test]
fn with_the_table_gone_too_both_come_back() {
    let (mut node, mut controller, mut keeper) = without_p(&[sealed(Custody::Tpm, Seal::Pcrs)]);
    node.stop();
    node.disk.mount();
    let tables = node.paths.table(Generation(1));
    tables.iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
    let defined = node.nv.0.borrow().defined;
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Missing);
    assert_eq!(node.nv.0.borrow().defined, defined, "nothing is begun");
    keeper.settles(&mut node);
    node.hear(&mut controller, &[Line { created: true, ..sealed(Custody::Tpm, Seal::Pcrs) }]);
    keeper.settles(&mut node);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{}", told(&mut node));
    node.reboot();
    [CONFIG_VAULT, IMAGE_VAULT].into_iter().for_each(|id| has_file(&mut node, id));
}

/// Invariant 4: without T nothing opens its table. It is told which NV index is gone, and that no approval helps; P stays, and so does all on the disk.
#[test]
fn t_gone_alone_is_named_and_nothing_else_goes() {
    let mut node = Node::new(true);
    node.put(CONFIG_VAULT, "file", "kept");
    node.nv.0.borrow_mut().slots[0].tpm_gone = true;
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.get(CONFIG_VAULT, "file")), (State::Missing, None));
    for words in ["NV index 0x01805644 is gone", "No approval of a boot", "`eve vault recover`"] {
        assert!(node.says(words), "{words}: {}", told(&mut node));
    }
    assert_eq!(node.nv.0.borrow().slots.len(), 1, "P is there still");
    node.nv.0.borrow_mut().slots[0].tpm_gone = false;
    node.reboot();
    has_file(&mut node, CONFIG_VAULT);
    assert!(!node.says("is gone"), "{}", told(&mut node));
}

/// Invariants 4 and 5, decision 103: what T sealed is lost with it. A vault that its recovery key opens gets a share under a T that is made anew, which an order
/// to have a default vault anew begins; nothing else is wiped: P and the table of before stay where they are. A share under P is not taken over: nothing says
/// who may ask for it.
#[test]
fn t_gone_alone_is_made_anew_by_order_for_what_its_recovery_key_opens() {
    let asked = recovery::line(Custody::Tpm, &[0]);
    let (mut node, mut controller) = recovery::node(&asked);
    let sealed = Line { id: OTHER, ..sealed(Custody::Tpm, Seal::Pcrs) };
    node.hear(&mut controller, &[asked.clone(), sealed.clone()]);
    node.put(OTHER, "file", "kept");
    let lines = [asked, Line { created: true, ..sealed }];
    node.hear(&mut controller, &lines);
    let (key, files) = (recovery::key(&node), node.paths.table(Generation(1)));
    node.nv.0.borrow_mut().slots[0].tpm_gone = true;
    let lost = std::fs::read(&files[0]).expect("a table");
    node.reboot();
    recovery::recover(&mut node, &key).expect("opens");
    assert!(node.says("`eve vault recreate config`"), "{}", told(&mut node));
    let anew = Order::Recreate(CONFIG_VAULT, "config".parse().expect("a name"), Hope::GivenUp);
    node.manager().obey(&anew, Duration::ZERO, &mut |_| ()).expect("a new T");
    node.hear(&mut controller, &lines);
    assert_eq!(generation(&mut node), Some(Generation(2)), "{}", told(&mut node));
    node.reboot();
    assert!(recovery::kept(&node), "{:?}", node.status(BERLIN));
    assert_eq!((node.state(OTHER), node.get(OTHER, "file")), (State::Missing, None), "{}", told(&mut node));
    let kept: Vec<_> = node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect();
    assert!(kept.contains(&Generation(1)), "P is there still: {kept:?}");
    assert_eq!(std::fs::read(&files[0]).expect("the table of before"), lost);
}
