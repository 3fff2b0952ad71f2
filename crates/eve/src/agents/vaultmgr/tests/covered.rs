//! Something is mounted over a place of ours: of what is beneath nothing is known, so nothing is told as taken, as erased or as missing, and nothing is
//! made in its place. It is named, and once it is unmounted all goes on.

use std::fs;
use std::path::PathBuf;

use vault::ids::{CONFIG_VAULT, Epoch, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::in_the_way::Over;
use super::node::Node;
use crate::bus::messages::Hope;

fn line(epochs: (u64, u64)) -> Line {
    Line { epochs, ..Line::of(Custody::TpmAndController) }
}

fn made(epochs: (u64, u64)) -> Line {
    Line { created: true, ..line(epochs) }
}

fn with_file() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[line((1, 1))]);
    node.put(BERLIN, "file", "kept");
    node.disk.sync();
    (node, controller)
}

fn kept(node: &Node) -> bool {
    node.get(BERLIN, "file").as_deref() == Some("kept")
}

/// All that is told of the node and its vaults as they are.
fn told(node: &mut Node) -> String {
    let status = node.manager().vault_status();
    let details = status.vaults.into_iter().flat_map(|vault| vault.detail);
    status.notes.into_iter().chain(details).collect::<Vec<_>>().join("\n")
}

fn looks(node: &mut Node) {
    node.manager().look_for_others();
    node.manager().start_afresh();
    node.manager().settle_all();
}

/// A mount over the folder, of another filesystem or of this one.
fn over(node: &Node, at: PathBuf, bound: bool) -> Over {
    if !bound {
        return Over::new(at);
    }
    let part = node.paths.persist().join("part");
    fs::create_dir_all(&part).expect("makes");
    Over::bound(&part, at)
}

fn is_empty(over: &Over) -> bool {
    fs::read_dir(&over.at).expect("lists").count() == 0
}

/// TH-6: the second copies are hidden, by another filesystem or a part of this one, in a life that saw them or from its start. No epoch counts as taken
/// while the wraps of before lie beneath, and nothing is written into what is mounted.
#[test]
fn th6_no_epoch_is_told_as_taken_while_a_place_is_covered() {
    for (bound, restarts) in [(false, false), (true, false), (false, true)] {
        let (mut node, mut controller) = with_file();
        let over = over(&node, node.paths.metas(), bound);
        if restarts {
            node.restart();
        }
        for epochs in [(2, 1), (3, 2)] {
            node.hear(&mut controller, &[made(epochs)]);
            looks(&mut node);
        }
        let status = node.status(BERLIN);
        assert!(status.epoch.is_none_or(|epoch| epoch == Epoch(1)), "{status:?}");
        let words = told(&mut node);
        let named = format!("something is mounted over {}: unmount it", over.at.display());
        assert!(words.contains(&named), "{words}");
        assert!(kept(&node) && is_empty(&over), "{words}");
        drop(over);
        looks(&mut node);
        node.hear(&mut controller, &[made((3, 2))]);
        looks(&mut node);
        assert_eq!(node.status(BERLIN).epoch, Some(Epoch(3)), "{}", told(&mut node));
        assert!(!told(&mut node).contains("mounted over"), "{}", told(&mut node));
    }
}

/// TH-6: what was to be erased and lies beneath a mount is not told as erased, and is wiped once it is seen.
#[test]
fn th6_nothing_is_told_as_erased_while_a_place_is_covered() {
    for restarts in [false, true] {
        let (mut node, mut controller) = with_file();
        let over = over(&node, node.paths.metas(), false);
        if restarts {
            node.restart();
        }
        node.hear(&mut controller, &[]);
        looks(&mut node);
        let status = node.status(BERLIN);
        assert_ne!(status.state, State::Removed, "{status:?}");
        assert!(told(&mut node).contains("unmount it"), "{}", told(&mut node));
        drop(over);
        looks(&mut node);
        node.hear(&mut controller, &[]);
        let status = node.status(BERLIN);
        assert_eq!(status.state, State::Removed, "{status:?}");
        assert!(!node.paths.metas().join(BERLIN.to_string()).exists());
    }
}

/// Invariant 4: both places are hidden as the node boots. No vault is missing, no order makes one anew, and all opens once they are seen.
#[test]
fn nothing_is_missing_and_nothing_is_made_anew_while_both_places_are_covered() {
    let (mut node, mut controller) = with_file();
    let over = [".fscrypt", "vaults/.meta"].map(|place| over(&node, node.disk.persist().join(place), false));
    node.restart();
    node.hear(&mut controller, &[made((1, 1))]);
    for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN] {
        let status = node.status(id);
        assert_ne!(status.state, State::Missing, "{status:?}");
        refuses(&mut node, id);
    }
    let words = told(&mut node);
    for place in &over {
        let named = format!("something is mounted over {}: unmount it", place.at.display());
        assert!(words.contains(&named) && is_empty(place), "{words}");
    }
    assert!(!words.contains("made anew"), "{words}");
    drop(over);
    looks(&mut node);
    node.hear(&mut controller, &[made((1, 1))]);
    assert!(kept(&node), "{}", told(&mut node));
}

fn refuses(node: &mut Node, id: VaultId) {
    let name = node.status(id).name;
    let refused = node.manager().order_recreate(id, &name, Hope::GivenUp);
    refused.expect_err("nothing is made anew");
}

/// Each other place of ours: what is open stays open, nothing is written into the mount, and it is named by what is mounted.
#[test]
fn every_place_that_is_covered_is_named() {
    for place in [
        ".fscrypt",
        "vaults/.meta/.shares",
        "vaults/.shares",
        "vaults/.recovery",
        "vaults/.new",
        "vaults/.meta/.recovery",
        "vaults/.meta/0",
    ] {
        let (mut node, mut controller) = with_file();
        let place = place.replace("/0", &format!("/{BERLIN}"));
        let over = over(&node, node.disk.persist().join(&place), false);
        node.restart();
        node.hear(&mut controller, &[made((1, 1))]);
        looks(&mut node);
        let failed = node.status(BERLIN).last.and_then(|last| last.error).unwrap_or_default();
        let words = format!("{}\n{failed}", told(&mut node));
        let named = format!("something is mounted over {}: unmount it", over.at.display());
        assert!(words.contains(&named), "{words}");
        assert!(kept(&node) && is_empty(&over), "{place}: {words}");
        assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{place}: {words}");
        drop(over);
        looks(&mut node);
        assert!(!told(&mut node).contains("mounted over"), "{place}: {}", told(&mut node));
        assert!(kept(&node));
    }
}
