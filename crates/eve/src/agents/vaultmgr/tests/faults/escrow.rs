//! Stopped anywhere between a bundle and its controller, which answers: while one goes up, while it is named, in a drill, and while what is lost comes
//! back. Whatever was reached, the next life ends with a bundle in escrow that opens, and with all that was kept.

use super::super::brought_back::{all_key_files, both, kept, wipe, wipe_tables, with_data};
use super::super::drill::damage_wraps;
use super::super::keeper::Keeper;
use super::full::full_everywhere;
use super::*;

type With = (Line, Controller, Keeper);

fn fresh() -> (Node, With) {
    let line = both((1, 1));
    let (node, controller) = with_data(&line);
    (node, (line, controller, Keeper::default()))
}

fn escrowed() -> (Node, With) {
    let (mut node, mut with) = fresh();
    with.2.settles(&mut node);
    node.disk.sync();
    (node, with)
}

fn in_the_end_it_is_in_escrow(node: &mut Node, (line, controller, keeper): &mut With, when: &str) {
    for life in ["this life", "the next"] {
        node.hear(controller, std::slice::from_ref(line));
        keeper.settles(node);
        node.hear(controller, std::slice::from_ref(line));
        keeper.settles(node);
        assert_eq!(keeper.drills(node, 77), Some(Ok(())), "{when}, {life}");
        let told = node.status(BERLIN).detail.join(" ");
        assert!(!told.contains("escrow"), "{when}, {life}: {told}");
        let back = kept(node, BERLIN) && kept(node, IMAGE_VAULT);
        assert!(back, "{when}, {life}: {:?} {:?}", node.status(BERLIN), node.manager().notes());
        node.reboot();
    }
}

/// Invariant 5: up, and acknowledged.
#[test]
fn a_bundle_that_goes_up_is_held_in_the_end() {
    let up = |node: &mut Node, with: &mut With| with.2.settles(node);
    let steps = stopped_everywhere(fresh, up, in_the_end_it_is_in_escrow);
    assert!(steps > 4, "{steps}");
}

/// Invariant 5: a rotation, so that the bundle of now is another one, and a drill in its middle.
#[test]
fn a_drill_changes_nothing_wherever_it_stops() {
    let work = |node: &mut Node, (line, controller, keeper): &mut With| {
        keeper.drills(node, 1);
        line.epochs = (2, 1);
        node.hear(controller, std::slice::from_ref(line));
        keeper.drills(node, 2);
        keeper.settles(node);
        keeper.drills(node, 3);
    };
    let steps = stopped_everywhere(escrowed, work, in_the_end_it_is_in_escrow);
    assert!(steps > 8, "{steps}");
}

type Lose = fn(&Node);

/// What both copies on the disk can lose.
const LOSSES: [(&str, Lose); 3] = [
    ("key files", |node| wipe(&all_key_files(node, BERLIN))),
    ("key files that read, and open no more", |node| damage_wraps(&all_key_files(node, BERLIN))),
    ("the share table", wipe_tables),
];

fn lost(lose: Lose) -> (Node, With) {
    let (mut node, mut with) = escrowed();
    node.manager = None;
    lose(&node);
    node.disk.sync();
    node.reboot();
    node.hear(&mut with.1, std::slice::from_ref(&with.0));
    (node, with)
}

/// Invariant 6: while the disk is full nothing comes back, and no bundle is made that lacks what is lost; once there is room all comes back, in
/// the same life.
#[test]
fn what_is_lost_comes_back_once_there_is_room() {
    for (what, lose) in LOSSES {
        let back = |node: &mut Node, (line, controller, keeper): &mut With| {
            node.hear(controller, std::slice::from_ref(line));
            keeper.settles(node);
        };
        let rooms = full_everywhere(|| lost(lose), back, |_, _| {}, in_the_end_it_is_in_escrow);
        assert!(rooms > 2, "{what}: {rooms}");
    }
}

/// Invariant 5: asked for, given, and written back.
#[test]
fn what_is_lost_comes_back_from_a_controller_that_answers() {
    for (what, lose) in LOSSES {
        let back = |node: &mut Node, with: &mut With| with.2.settles(node);
        let steps = stopped_everywhere(|| lost(lose), back, in_the_end_it_is_in_escrow);
        assert!(steps > 8, "{what}: {steps}");
    }
}
