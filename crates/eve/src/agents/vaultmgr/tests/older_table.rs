//! Invariant 4: a share table that is older than its vaults, from a bundle of before them or put back by hand, has no line of their shares. No
//! generation ends by that, and no bundle that has the line is superseded: the newer table opens them still.

use vault::ids::{Generation, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::brought_back::{both, bundle, kept, wipe_tables};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;

const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xca));

/// Both copies of the table in force, in the order of their places.
fn tables(node: &Node) -> [Vec<u8>; 2] {
    node.paths.table(Generation::FIRST).map(|path| std::fs::read(path).expect("the table"))
}

/// They are put back by hand, while the node is down.
fn put_back(node: &mut Node, tables: &[Vec<u8>; 2]) {
    node.stop();
    node.disk.mount();
    let places = node.paths.table(Generation::FIRST);
    places.iter().zip(tables).for_each(|(path, bytes)| std::fs::write(path, bytes).expect("writes"));
    node.start();
}

fn slots(node: &Node) -> Vec<Generation> {
    node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect()
}

fn with_data(node: &mut Node, controller: &mut Controller, lines: &[Line]) {
    node.hear(controller, lines);
    [IMAGE_VAULT, BERLIN].into_iter().for_each(|id| node.put(id, "file", "kept"));
    node.disk.sync();
}

/// The table comes back from a bundle of before the vault was made: its share is lost, and is not for ever.
#[test]
fn a_bundle_of_before_a_vault_ends_no_generation() {
    for line in [Line::of(Custody::Tpm), Line { seal: vault::section::Seal::Tpm, ..both((1, 1)) }] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        let before = bundle(&node);
        with_data(&mut node, &mut controller, std::slice::from_ref(&line));
        let newer = tables(&node);
        node.manager = None;
        wipe_tables(&node);
        node.reboot();
        node.takes_back(&before);
        node.manager().settle_all();
        node.hear(&mut controller, std::slice::from_ref(&line));
        let status = node.status(BERLIN);
        assert!(kept(&node, IMAGE_VAULT) && status.state == State::Missing, "{status:?}");
        assert_eq!(slots(&node), [Generation::FIRST], "{:?}", node.manager().notes());
        assert!(node.says("is lost"), "{:?}", node.manager().notes());
        put_back(&mut node, &newer);
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    }
}

/// A node with a vault that was made, and has data, since its share table was as it is returned; and that vault's line.
fn made_since_a_table() -> (Node, Controller, Line, [Vec<u8>; 2]) {
    let line = Line::of(Custody::Tpm);
    let other = Line { id: OTHER, ..line.clone() };
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, std::slice::from_ref(&other));
    let older = tables(&node);
    with_data(&mut node, &mut controller, &[line.clone(), other]);
    (node, controller, line, older)
}

/// An older table is put back by hand, and another vault is deleted: the generation waits, the bundle that has the line stays the one in escrow, and
/// once it is given back the vault opens, and what was deleted is dead.
#[test]
fn an_older_table_supersedes_no_bundle_and_ends_no_generation() {
    let (mut node, mut controller, line, older) = made_since_a_table();
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let (newer, came) = (keeper.held.clone(), keeper.came);
    put_back(&mut node, &older);
    keeper.withholds = Some(vault::decide::Withheld::DeviceLost.coarse());
    node.hear(&mut controller, std::slice::from_ref(&line));
    keeper.settles(&mut node);
    assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
    assert_eq!(slots(&node), [Generation::FIRST], "{:?}", node.manager().notes());
    assert_eq!((&keeper.held, keeper.came), (&newer, came), "the bundle that has it stays");
    keeper.withholds = None;
    keeper.settles(&mut node);
    node.hear(&mut controller, std::slice::from_ref(&line));
    keeper.settles(&mut node);
    assert!(kept(&node, BERLIN), "{:?} {:?}", node.status(BERLIN), node.manager().notes());
    assert_eq!(slots(&node), [Generation(2)], "{:?}", node.manager().notes());
    node.reboot();
    node.hear(&mut controller, std::slice::from_ref(&line));
    assert!(kept(&node, BERLIN), "in a later life too");
}

/// Without any bundle the same waits, and the newer table, put back, opens all. A bundle that is made meanwhile takes no other's place.
#[test]
fn an_older_table_without_a_bundle_waits_for_the_newer_one() {
    let (mut node, mut controller, line, older) = made_since_a_table();
    let mut keeper = Keeper::default();
    let newer = tables(&node);
    put_back(&mut node, &older);
    node.hear(&mut controller, std::slice::from_ref(&line));
    assert_eq!(slots(&node), [Generation::FIRST], "{:?}", node.manager().notes());
    assert!(node.says("is not in the share table"), "{:?}", node.manager().notes());
    keeper.settles(&mut node);
    assert_eq!((slots(&node), keeper.came > 0), (vec![Generation::FIRST], true), "it holds nothing better");
    put_back(&mut node, &newer);
    node.hear(&mut controller, std::slice::from_ref(&line));
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}
