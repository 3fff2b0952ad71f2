//! Invariant 4: what may come back from escrow is made anew by nobody's order but one that gives it up.

use vault::cause::Cause;
use vault::escrow::BundleId;
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::report::{State, VaultReport};
use vault::section::Operation;

use super::brought_back::{
    ALL, all_key_files, both, bundle, kept, of_an_earlier_making, wipe, wipe_tables, with_data,
};
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

/// TH-1: `config/` has another node's TPM and certificate, and that node's bundle comes back from escrow. Its table is not taken on this disk, where
/// the vaults that it knows stand under other keys; no order of root's makes one anew but by words; and by its own TPM all of it opens.
#[test]
fn another_nodes_bundle_begins_no_table_on_this_disk() {
    for table_is_there in [true, false] {
        let [(mut node, _), (other, _)] = [with_data(&both((1, 1))), with_data(&both((1, 1)))];
        let [mine, theirs] = [&node, &other].map(bundle);
        let own = std::mem::replace(&mut node.nv, other.nv.clone());
        node.manager = None;
        if !table_is_there {
            wipe_tables(&node);
        }
        node.reboot();
        node.takes_back(&theirs);
        node.manager().settle_all();
        assert!(node.says("another disk than persist"), "{:?}", node.manager().notes());
        assert_eq!(has_table(&node), table_is_there);
        for id in [CONFIG_VAULT, IMAGE_VAULT] {
            assert_eq!(node.state(id), State::Missing, "{:?}", node.status(id));
            assert_eq!(orders(&mut node, id, Hope::Kept), Err(OrderError::OtherTpm(node.status(id).name)));
        }
        node.nv = own;
        node.reboot();
        if !table_is_there {
            node.takes_back(&mine);
            node.manager().settle_all();
        }
        assert!(kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
    }
}

/// Invariant 4: a bundle with key files of an earlier making of each vault is told from another node's by its shares, which open what lies here: its
/// table comes back, and with it all.
#[test]
fn a_table_whose_shares_open_what_lies_here_comes_back() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let earlier = of_an_earlier_making(&node);
    node.manager = None;
    wipe_tables(&node);
    node.reboot();
    assert_eq!(node.state(IMAGE_VAULT), State::Missing, "{:?}", node.status(IMAGE_VAULT));
    node.takes_back(&earlier);
    node.manager().settle_all();
    node.hear(&mut controller, &[Line { created: true, ..both((1, 1)) }]);
    assert!(kept(&node, IMAGE_VAULT) && kept(&node, BERLIN), "{:?}", node.manager().notes());
    assert!(!node.says("another disk"), "{:?}", node.manager().notes());
}

/// The same on a node that made each vault anew since, with a share that the bundle has not: its table is not taken, which is told, and nothing is given
/// up by that. It is asked for again, and no order of root's begins another but by words.
#[test]
fn a_node_that_made_all_vaults_anew_goes_on_hoping_for_its_table() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let (before, files) = (bundle(&node), ALL.map(|id| all_key_files(&node, id)).concat());
    node.manager = None;
    wipe(&files);
    // What was dropped is not dead yet: the generation is the same.
    node.nv.0.borrow_mut().full = true;
    node.reboot();
    for id in ALL {
        node.hear(&mut controller, &[Line { created: true, ..both((1, 1)) }]);
        let made = orders(&mut node, id, Hope::GivenUp).map(|report| report.state);
        assert_eq!(made, Ok(State::Unlocked), "{:?}", node.status(id));
    }
    node.manager = None;
    wipe_tables(&node);
    node.reboot();
    node.takes_back(&before);
    node.manager().settle_all();
    assert!(node.says("another disk than persist"), "{:?}", node.manager().notes());
    assert!(!has_table(&node) && node.manager().asks_for_files());
    let name = node.status(CONFIG_VAULT).name;
    assert_eq!(orders(&mut node, CONFIG_VAULT, Hope::Kept), Err(OrderError::OtherTpm(name)));
}

/// The share table is lost, and the bundle that has it was not asked for yet, or is withheld: no order begins another, and the bundle brings all back.
#[test]
fn a_table_that_may_come_back_is_not_begun_anew() {
    let (mut node, mut controller, mut keeper) = without_table();
    for withholds in [None, Some(Cause::Pcrs), Some(in_words())] {
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
    keeper.withholds = Some(Cause::Pcrs);
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

/// A controller of before codes says in words what this one would take for *none is held*, and a later one has causes of its own: they are shown, and on
/// their strength nothing is made anew. What is in escrow comes back once it is given.
#[test]
fn what_is_said_in_words_alone_carries_out_no_order() {
    let (mut node, mut controller, mut keeper) = without_key_files();
    for cause in [in_words(), Cause::Other { code: 99, words: "of a later controller".to_owned() }] {
        keeper.withholds = Some(cause.clone());
        keeper.settles(&mut node);
        assert!(node.says(&cause.to_string()), "{:?}", node.manager().notes());
        node.hear(&mut controller, &[anew()]);
        assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
        is_refused(&mut node, BERLIN);
    }
    keeper.withholds = None;
    keeper.settles(&mut node);
    node.hear(&mut controller, &[both((1, 1))]);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}

fn in_words() -> Cause {
    Cause::Other { code: 0, words: Cause::NoBundle.to_string() }
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
