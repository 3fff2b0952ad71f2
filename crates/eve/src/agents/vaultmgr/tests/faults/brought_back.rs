//! Stopped anywhere while files come back from escrow.

use vault::escrow::Bundle;

use super::super::brought_back::{all_key_files, bundle, kept, wipe, wipe_tables, with_data};
use super::*;

/// The line of the vault, the controller, and the bundle of before its files went.
type With = (Line, Controller, Bundle);

fn lost(what: fn(&Node)) -> (Node, With) {
    let line = super::super::brought_back::both((1, 1));
    let (mut node, mut controller) = with_data(&line);
    let escrowed = bundle(&node);
    node.manager = None;
    what(&node);
    node.disk.sync();
    node.reboot();
    node.hear(&mut controller, std::slice::from_ref(&line));
    (node, (line, controller, escrowed))
}

fn bring_back(node: &mut Node, (_, _, escrowed): &mut With) {
    node.takes_back(escrowed);
    node.manager().settle_all();
}

/// Where it is still asked for it comes again, as the controller gives it.
fn in_the_end_it_is_back(node: &mut Node, with: &mut With, when: &str) {
    for life in ["this life", "the next"] {
        if node.manager().asks_for_files() {
            bring_back(node, with);
        }
        node.hear(&mut with.1, std::slice::from_ref(&with.0));
        let back = kept(node, BERLIN) && kept(node, IMAGE_VAULT);
        assert!(back, "{when}, {life}: {:?} {:?}", node.status(BERLIN), node.manager().notes());
        assert!(!node.manager().asks_for_files(), "{when}, {life}");
        node.reboot();
        node.hear(&mut with.1, std::slice::from_ref(&with.0));
    }
}

/// Invariant 5: the key files of a vault.
#[test]
fn key_files_that_come_back_are_mended() {
    let wiped = |node: &Node| wipe(&all_key_files(node, BERLIN));
    let steps = stopped_everywhere(|| lost(wiped), bring_back, in_the_end_it_is_back);
    assert!(steps > 8, "{steps}");
}

/// Invariant 5: the share table, and the end of the generation that follows.
#[test]
fn a_share_table_that_comes_back_is_mended() {
    let steps = stopped_everywhere(|| lost(wipe_tables), bring_back, in_the_end_it_is_back);
    assert!(steps > 8, "{steps}");
}
