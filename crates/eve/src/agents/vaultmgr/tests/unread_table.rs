//! Copies of the share table that the disk does not give for a while: nothing is concluded, and nothing older takes their place.

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

fn node() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    (node, controller)
}

/// Invariant 6: both copies of the share table don't read for a moment at the start, as while a disk comes back. Nothing was lost: once they read, all opens by itself.
#[test]
fn a_share_table_that_did_not_read_once_is_read_again() {
    let (mut node, mut controller) = node();
    let tables = node.paths.table(vault::ids::Generation::FIRST);
    node.stop();
    node.disk.mount();
    for table in &tables {
        std::fs::rename(table, table.with_extension("away")).expect("moves");
        std::fs::create_dir(table).expect("something that does not read");
    }
    node.start();
    let at_first = node.status(CONFIG_VAULT);
    for table in &tables {
        std::fs::remove_dir(table).expect("removes");
        std::fs::rename(table.with_extension("away"), table).expect("it reads again");
    }
    node.hear_tpm();
    node.manager().settle_all();
    node.hear(&mut controller, &[Line { created: true, ..Line::of(Custody::Tpm) }]);
    let states = [CONFIG_VAULT, IMAGE_VAULT, BERLIN].map(|id| node.state(id));
    assert_eq!(
        states,
        [State::Unlocked; 3],
        "at first {:?} {:?}; then {:?}",
        at_first.state,
        at_first.detail,
        node.status(BERLIN)
    );
}

/// The same where an older bundle comes meanwhile: what only the table on the disk has is not given up for it, and is there again with that table.
#[test]
fn a_share_table_that_did_not_read_once_gives_way_to_no_older_one() {
    const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xf1));
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let mut keeper = super::keeper::Keeper::default();
    let lines = |created| {
        [Line { created, ..Line::of(Custody::Tpm) }, Line { created, id: OTHER, ..Line::of(Custody::Tpm) }]
    };
    node.hear(&mut controller, &lines(false)[..1]);
    keeper.settles(&mut node);
    // Another vault, and the controller takes no bundle for now: another vault holds it up, or it has no room.
    node.hear(&mut controller, &lines(false));
    node.put(OTHER, "file", "kept");
    let tables = node.paths.table(vault::ids::Generation::FIRST);
    node.stop();
    node.disk.mount();
    for table in &tables {
        std::fs::rename(table, table.with_extension("away")).expect("moves");
        std::fs::create_dir(table).expect("something that does not read");
    }
    node.start();
    keeper.settles(&mut node);
    node.hear(&mut controller, &lines(true));
    let meanwhile = node.status(OTHER);
    node.stop();
    node.disk.mount();
    for table in &tables {
        std::fs::remove_dir(table).expect("removes");
        std::fs::rename(table.with_extension("away"), table).expect("it reads again");
    }
    node.start();
    node.hear(&mut controller, &lines(true));
    let status = node.status(OTHER);
    assert_eq!(
        node.get(OTHER, "file").as_deref(),
        Some("kept"),
        "meanwhile {:?} {:?}; then {status:?}",
        meanwhile.state,
        meanwhile.detail
    );
}

/// Decision 100: a table that was lost, and that somebody puts back where it was, is read at the next look, and needs no restart.
#[test]
fn a_table_that_is_put_back_is_read_while_eve_runs() {
    let (mut node, mut controller) = node();
    let tables = node.paths.table(vault::ids::Generation::FIRST);
    node.stop();
    node.disk.mount();
    for table in &tables {
        std::fs::rename(table, table.with_extension("away")).expect("moves");
    }
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Missing, "it is gone");
    std::fs::rename(tables[0].with_extension("away"), &tables[0]).expect("puts it back");
    node.manager().heal_table();
    node.manager().settle_all();
    node.hear(&mut controller, &[Line { created: true, ..Line::of(Custody::Tpm) }]);
    let states = [CONFIG_VAULT, IMAGE_VAULT, BERLIN].map(|id| node.state(id));
    assert_eq!(states, [State::Unlocked; 3], "{:?}", node.status(BERLIN));
}
