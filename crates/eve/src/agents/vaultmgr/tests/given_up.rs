//! Invariant 4: what may come back from escrow is made anew by nobody's order but one that gives it up.

use vault::escrow::BundleId;
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::report::{State, VaultReport};
use vault::section::Operation;

use super::brought_back::{all_key_files, both, kept, wipe, wipe_tables, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::bus::messages::{Hope, OrderError};

fn orders(node: &mut Node, id: VaultId, hope: Hope) -> Result<VaultReport, OrderError> {
    let name = node.status(id).name;
    node.manager().order_recreate(id, &name, hope)
}

/// Root's order is refused, in words that say what to do.
fn is_refused(node: &mut Node, id: VaultId) {
    let refused = orders(node, id, Hope::Kept);
    assert_eq!(refused, Err(OrderError::InEscrow(node.status(id).name)));
    let words = refused.expect_err("refused").to_string();
    assert!(words.contains("evc reference approve") && words.contains("--despite-escrow"), "{words}");
}

fn escrowed() -> (Node, Controller, Keeper) {
    let (mut node, controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    (node, controller, keeper)
}

/// A node that was booted without its share table.
fn without_table() -> (Node, Controller, Keeper) {
    let (mut node, controller, keeper) = escrowed();
    node.manager = None;
    wipe_tables(&node);
    node.reboot();
    (node, controller, keeper)
}

fn has_table(node: &Node) -> bool {
    node.paths.table(Generation::FIRST).iter().any(|path| path.exists())
}

/// The share table is lost, and the bundle that has it was not asked for yet, or is withheld: no order begins another, and the bundle brings all back.
#[test]
fn a_table_that_may_come_back_is_not_begun_anew() {
    let (mut node, mut controller, mut keeper) = without_table();
    for withholds in [None, Some("its PCRs are not approved".to_owned())] {
        keeper.withholds.clone_from(&withholds);
        if withholds.is_some() {
            keeper.settles(&mut node);
        }
        [CONFIG_VAULT, IMAGE_VAULT].into_iter().for_each(|id| is_refused(&mut node, id));
        assert!(!has_table(&node), "{withholds:?}");
    }
    keeper.withholds = None;
    keeper.settles(&mut node);
    node.hear(&mut controller, &[both((1, 1))]);
    assert!(kept(&node, IMAGE_VAULT) && kept(&node, BERLIN), "{:?}", node.manager().notes());
}

/// Whoever gives it up begins another table, and where the controller has no bundle nobody need give up anything.
#[test]
fn a_table_is_begun_anew_where_no_bundle_is_or_root_gives_it_up() {
    for hope in [Hope::GivenUp, Hope::Kept] {
        let (mut node, mut controller, mut keeper) = without_table();
        if hope == Hope::Kept {
            keeper.held = None;
            keeper.settles(&mut node);
        }
        let done = orders(&mut node, CONFIG_VAULT, hope).map(|report| report.state);
        assert_eq!(done, Ok(State::Unlocked), "{hope:?}: {:?}", node.manager().notes());
        node.hear(&mut controller, &[both((1, 1))]);
        assert_eq!(node.state(IMAGE_VAULT), State::Missing, "{hope:?}: kept as it is");
    }
}

/// What another node would have held.
fn anothers() -> Option<(BundleId, Vec<u8>)> {
    let (mut node, _, keeper) = escrowed();
    node.stop();
    keeper.held
}

/// A bundle that came and has it not is not hoped for.
#[test]
fn a_bundle_that_does_not_help_holds_no_order_up() {
    let (mut node, _, mut keeper) = without_table();
    keeper.held = anothers();
    keeper.settles(&mut node);
    assert!(node.says("not of the roots that this TPM has now"), "{:?}", node.manager().notes());
    assert_eq!(orders(&mut node, CONFIG_VAULT, Hope::Kept).map(|report| report.state), Ok(State::Unlocked));
}

fn without_key_files() -> (Node, Controller, Keeper) {
    let (mut node, mut controller, keeper) = escrowed();
    let paths = all_key_files(&node, BERLIN);
    node.manager = None;
    wipe(&paths);
    node.disk.sync();
    node.reboot();
    node.hear(&mut controller, &[both((1, 1))]);
    (node, controller, keeper)
}

fn anew() -> Line {
    Line { created: true, recreate: true, operation: Operation::Unlock, ..both((1, 1)) }
}

/// Key files that are gone: root is refused, and an order of the controller's waits until it was heard on the bundle, which brings them back.
#[test]
fn a_vault_whose_key_files_may_come_back_is_not_made_anew() {
    let (mut node, mut controller, mut keeper) = without_key_files();
    is_refused(&mut node, BERLIN);
    node.hear(&mut controller, &[anew()]);
    assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
    keeper.settles(&mut node);
    node.hear(&mut controller, &[anew()]);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}

/// The controller's operator was asked: withheld, the bundle keeps no order of the controller's from being carried out. Nor is one waited for that
/// can't help: the vault's directory is gone.
#[test]
fn an_order_is_carried_out_once_the_controller_was_heard() {
    let (mut node, mut controller, mut keeper) = without_key_files();
    keeper.withholds = Some("its PCRs are not approved".to_owned());
    keeper.settles(&mut node);
    node.hear(&mut controller, &[anew()]);
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Unlocked, None));
    let (mut node, mut controller, _) = escrowed();
    node.stop();
    node.disk.mount();
    std::fs::remove_dir_all(node.paths.vault(BERLIN)).expect("removes");
    node.start();
    node.hear(&mut controller, &[both((1, 1))]);
    assert_eq!(orders(&mut node, BERLIN, Hope::Kept).map(|report| report.state), Ok(State::Unlocked));
}

/// What a bundle did not bring back is asked for again once the vault was open meanwhile.
#[test]
fn what_is_lost_anew_is_asked_for_anew() {
    let (mut node, mut controller, mut keeper) = without_key_files();
    keeper.held = anothers();
    keeper.settles(&mut node);
    assert_eq!((node.manager().asks_for_files(), node.state(BERLIN)), (false, State::Missing));
    node.hear(&mut controller, &[anew()]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    keeper.settles(&mut node);
    wipe(&all_key_files(&node, BERLIN));
    node.manager().look_again(BERLIN);
    assert!(node.manager().asks_for_files(), "lost anew");
}
