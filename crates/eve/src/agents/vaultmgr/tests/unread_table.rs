//! Copies of the share table that the disk does not give for a while: nothing is concluded, and nothing older takes their place.

use std::time::{Duration, Instant};

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

/// A newer table than the one at hand was seen on the disk, and does not read for a moment: the one at hand stays in use, and whom the node belongs to stays
/// known. Once the newer one reads it is in force; where it is gone for good, the one at hand is written anew.
#[test]
fn a_table_at_hand_stays_in_use_while_a_newer_one_does_not_read() {
    for comes_back in [true, false] {
        let (mut node, mut controller) = node();
        let tables = node.paths.table(vault::ids::Generation::FIRST);
        let older = tables.clone().map(|table| std::fs::read(table).expect("reads"));
        let other = Line { id: VaultId(uuid::Uuid::from_u128(0xf1)), ..Line::of(Custody::Tpm) };
        let lines = [Line { created: true, ..Line::of(Custody::Tpm) }, other];
        node.hear(&mut controller, &lines);
        let newer = tables.clone().map(|table| std::fs::read(table).expect("reads"));
        node.stop();
        node.disk.mount();
        tables.iter().zip(&older).for_each(|(table, bytes)| std::fs::write(table, bytes).expect("writes"));
        node.start();
        tables.iter().zip(&newer).for_each(|(table, bytes)| std::fs::write(table, bytes).expect("writes"));
        let (paths, pin) = (node.paths.clone(), super::former::installed());
        let shares = node.manager().shares.as_mut().expect("shares");
        shares.set_pin(&paths, pin).expect_err("a newer one is there");
        for table in &tables {
            std::fs::remove_file(table).expect("removes");
            std::fs::create_dir(table).expect("something that does not read");
        }
        node.manager().settle_all();
        node.manager().order_lock(BERLIN).expect("ordered");
        let opened = node.manager().order_unlock(BERLIN).expect("opens by what is at hand");
        assert_eq!(opened.state, State::Unlocked);
        assert!(node.says("can't be read"), "{:?}", node.manager().notes());
        for (table, bytes) in tables.iter().zip(&newer) {
            std::fs::remove_dir(table).expect("removes");
            if comes_back {
                std::fs::write(table, bytes).expect("writes");
            }
        }
        assert!(node.manager().again().is_some(), "it is tried again by itself");
        node.manager().tick(Instant::now() + Duration::from_secs(60));
        node.manager().heal_table();
        let expected = if comes_back { &newer } else { &older };
        let there = tables.clone().map(|table| std::fs::read(table).unwrap_or_default());
        assert!(there == *expected, "{comes_back}: {:?}", node.manager().notes());
        assert!(!node.says("can't be read"), "{:?}", node.manager().notes());
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{comes_back}");
    }
}

/// A table of a generation that is over, whose roots a cut left in the TPM, shuts nothing where it does not read: the one in force is above it.
#[test]
fn a_table_of_a_generation_that_is_over_may_be_unreadable() {
    let (mut node, mut controller) = node();
    let over = node.nv.0.borrow().slots[0].clone();
    let line = Line { created: true, ..Line::of(Custody::Tpm) };
    let other = Line { id: VaultId(uuid::Uuid::from_u128(0xf1)), ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[line.clone(), other]);
    node.hear(&mut controller, &[line]);
    let generations =
        |node: &Node| node.nv.0.borrow().slots.iter().map(|it| it.generation.0).collect::<Vec<_>>();
    assert_eq!(generations(&node), [2], "one ended with what was removed");
    node.nv.0.borrow_mut().slots.push(over);
    node.stop();
    node.disk.mount();
    for table in node.paths.table(vault::ids::Generation::FIRST) {
        std::fs::create_dir(table).expect("something that does not read");
    }
    node.start();
    let states = [CONFIG_VAULT, IMAGE_VAULT, BERLIN].map(|id| node.state(id));
    assert_eq!(states, [State::Unlocked; 3], "{:?} {:?}", node.manager().notes(), node.status(BERLIN));
    assert_eq!(generations(&node), [2], "what was left is taken away");
}

/// Neither copy of the share table reads, for good perhaps, and nobody is near: the one in escrow stands in for it. All that it has opens, nothing is concluded from
/// what it lacks, nothing is written, and the one on the disk is in force once it reads.
#[test]
fn the_table_in_escrow_stands_in_for_one_that_does_not_read() {
    let (mut node, mut controller) = node();
    let mut keeper = super::keeper::Keeper::default();
    keeper.settles(&mut node);
    let later = VaultId(uuid::Uuid::from_u128(0xf1));
    let line = |id, created| Line { id, created, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[line(BERLIN, true), line(later, false)]);
    node.put(later, "file", "kept");
    let tables = node.paths.table(vault::ids::Generation::FIRST);
    node.stop();
    node.disk.mount();
    for table in &tables {
        std::fs::rename(table, table.with_extension("away")).expect("moves");
        std::fs::create_dir(table).expect("something that does not read");
    }
    node.start();
    assert_ne!(node.state(CONFIG_VAULT), State::Unlocked);
    keeper.settles(&mut node);
    let newest = VaultId(uuid::Uuid::from_u128(0xf2));
    let recreate = Line { recreate: true, ..line(later, true) };
    for lines in [
        [line(BERLIN, true), line(later, true), line(newest, false)],
        [line(BERLIN, true), recreate, line(newest, false)],
    ] {
        node.hear(&mut controller, &lines);
        let states = [CONFIG_VAULT, IMAGE_VAULT, BERLIN].map(|id| node.state(id));
        assert_eq!(states, [State::Unlocked; 3], "{:?} {:?}", node.manager().notes(), node.status(BERLIN));
        for id in [later, newest] {
            let status = node.status(id);
            assert!(!matches!(status.state, State::Unlocked | State::Missing), "{status:?}");
        }
        assert!(node.says("stands in for it"), "{:?}", node.manager().notes());
    }
    let came = keeper.came;
    keeper.settles(&mut node);
    assert_eq!(keeper.came, came, "no bundle is made of it");
    assert!(tables.iter().all(|table| table.is_dir()), "nothing is written");
    for table in &tables {
        std::fs::remove_dir(table).expect("removes");
        std::fs::rename(table.with_extension("away"), table).expect("it reads again");
    }
    node.manager().tick(Instant::now() + Duration::from_secs(60));
    node.hear(&mut controller, &[line(BERLIN, true), line(later, true), line(newest, false)]);
    for id in [BERLIN, later] {
        assert_eq!(node.get(id, "file").as_deref(), Some("kept"), "{:?}", node.status(id));
    }
    assert_eq!(node.state(newest), State::Unlocked, "{:?}", node.status(newest));
    assert!(!node.says("stands in for it"), "{:?}", node.manager().notes());
}
