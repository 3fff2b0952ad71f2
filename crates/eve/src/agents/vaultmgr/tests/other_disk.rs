//! Invariant 4: another disk than the one that belongs to a node is booted once, or a part of the right one is gone for a while. Nobody ordered anything by that,
//! so the TPM's generation does not end, what is in escrow stays as it is, and with the right disk all is there as it was.

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::brought_back::{ALL, all_key_files, both, kept, wipe, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::bus::messages::{Hope, OrderError};

fn slots(node: &Node) -> Vec<Generation> {
    node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect()
}

/// A node whose vaults hold data, and are in escrow; and the line of its user vault as a controller tells it that knows of it.
fn escrowed(line: Line) -> (Node, Controller, Keeper, Line) {
    let (mut node, mut controller) = with_data(&line);
    let mut keeper = Keeper::default();
    let line = Line { created: true, ..line };
    node.hear(&mut controller, std::slice::from_ref(&line));
    keeper.settles(&mut node);
    (node, controller, keeper, line)
}

/// The controller is heard, and what is asked of the escrow is answered, until nothing more follows.
fn goes_on(node: &mut Node, controller: &mut Controller, keeper: &mut Keeper, line: &Line) {
    for _ in 0..2 {
        node.hear(controller, std::slice::from_ref(line));
        keeper.settles(node);
    }
    node.hear(controller, std::slice::from_ref(line));
}

/// Shuts the node down, and changes the disk by hand.
fn while_off(node: &mut Node, change: impl FnOnce(&Node)) {
    node.stop();
    node.disk.mount();
    change(node);
    node.disk.sync();
    node.disk.unmount();
}

fn starts(node: &mut Node) {
    node.disk.mount();
    node.start();
}

/// An empty disk is mounted, booted once, and the right one put back.
fn boots_an_empty_disk_once(node: &mut Node, what: impl FnOnce(&mut Node)) {
    let right = node.disk.image();
    let mut other = Node::fresh(true);
    other.stop();
    node.disk.put_back(&other.disk.image());
    node.start();
    what(node);
    node.stop();
    node.disk.put_back(&right);
    node.start();
}

/// Key files of all vaults are gone, which the escrow is for; and before they come back an empty disk is booted, once. Also of vaults without a share.
#[test]
fn an_empty_disk_that_was_booted_once_ends_no_generation() {
    for line in [both((1, 1)), Line::of(Custody::Controller), Line::of(Custody::Tpm)] {
        let (mut node, mut controller, mut keeper, line) = escrowed(line);
        let (held, came) = (keeper.held.clone(), keeper.came);
        let files = ALL.map(|id| all_key_files(&node, id)).concat();
        while_off(&mut node, |_| wipe(&files));
        boots_an_empty_disk_once(&mut node, |node| {
            goes_on(node, &mut controller, &mut keeper, &line);
            assert!(node.says("another disk than persist"), "{:?}", node.manager().notes());
            assert!(node.says("put the right one back"), "{:?}", node.manager().notes());
            let name = node.status(CONFIG_VAULT).name;
            let refused = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::Kept);
            assert_eq!(refused, Err(OrderError::OtherTpm(name)), "an order gives it up, and no other");
        });
        assert_eq!(slots(&node), [Generation::FIRST], "{:?}: {:?}", line.custody, node.manager().notes());
        assert_eq!((&keeper.held, keeper.came), (&held, came), "what is in escrow stays");
        goes_on(&mut node, &mut controller, &mut keeper, &line);
        assert!(kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
        assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    }
}

/// A vault was made anew while no controller was there, so the bundle has its share of before; and an empty disk is booted, with the controller. The right
/// disk opens all by its TPM, with no controller too.
#[test]
fn what_is_newer_than_the_bundle_outlasts_an_empty_disk() {
    let (mut node, mut controller, mut keeper, line) = escrowed(Line::of(Custody::Tpm));
    keeper.away = true;
    while_off(&mut node, |node| std::fs::remove_dir_all(node.paths.vault(IMAGE_VAULT)).expect("removes"));
    starts(&mut node);
    let name = node.status(IMAGE_VAULT).name;
    node.manager().order_recreate(IMAGE_VAULT, &name, Hope::GivenUp).expect("made anew");
    node.put(IMAGE_VAULT, "file", "kept");
    node.disk.sync();
    node.stop();
    boots_an_empty_disk_once(&mut node, |node| {
        let mut keeper = Keeper { away: false, ..keeper.clone() };
        goes_on(node, &mut controller, &mut keeper, &line);
    });
    assert_eq!(slots(&node), [Generation::FIRST], "{:?}", node.manager().notes());
    assert!(kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
    assert!(kept(&node, BERLIN), "by the TPM alone: {:?}", node.status(BERLIN));
}

/// Moved, as a filesystem check does, with the key files and both tables gone: the table comes back, and the vault's key files do once its directory is back. The
/// status says what for it waits. Given up by an order, it is waited for no more.
#[test]
fn a_directory_that_is_found_again_opens_by_its_bundle() {
    for (line, given_up) in
        [(both((1, 1)), false), (Line::of(Custody::Controller), false), (both((1, 1)), true)]
    {
        let (mut node, mut controller, mut keeper, line) = escrowed(line);
        let (files, good) = (all_key_files(&node, BERLIN), keeper.held.clone());
        let (here, away) = (node.paths.vault(BERLIN), node.paths.vaults().join("found"));
        while_off(&mut node, |node| {
            std::fs::rename(&here, &away).expect("moves");
            wipe(&files);
            wipe(&node.paths.table(Generation::FIRST));
        });
        starts(&mut node);
        goes_on(&mut node, &mut controller, &mut keeper, &line);
        assert!(kept(&node, IMAGE_VAULT), "the table is back: {:?}", node.manager().notes());
        assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
        assert_eq!(slots(&node), [Generation::FIRST], "{:?}", node.manager().notes());
        assert!(node.says("are not on this disk"), "{:?}", node.manager().notes());
        assert_eq!(keeper.held, good, "no bundle without it takes its place");
        let told = node.status(BERLIN);
        assert!(told.holds_escrow_up, "{told:?}");
        assert!(told.detail.iter().any(|line| line.contains("no other bundle of this node")), "{told:?}");
        if given_up {
            let made = node.manager().order_recreate(BERLIN, &told.name, Hope::GivenUp);
            assert_eq!(made.map(|report| report.state), Ok(State::Unlocked));
        } else {
            while_off(&mut node, |_| std::fs::rename(&away, &here).expect("moves back"));
            starts(&mut node);
        }
        goes_on(&mut node, &mut controller, &mut keeper, &line);
        assert_eq!(kept(&node, BERLIN), !given_up, "{:?}", node.status(BERLIN));
        assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
        assert_eq!(slots(&node), [Generation(2)], "then it ends: {:?}", node.manager().notes());
        let of = |id: &VaultId| keeper.bundle().vaults().contains_key(id);
        assert!(of(&BERLIN) && of(&IMAGE_VAULT) && !node.says("not on this disk"));
    }
}
