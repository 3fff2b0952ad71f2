//! What is counted: reads of files, waits for the disk, and how long an order waits for others' work.

use std::time::Duration;

use vault::belief::About;
use vault::ids::{CONFIG_VAULT, Epoch, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;
use vault::wanted::Authority;

use super::controller::{self, BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::telling::{Telling, Touched};
use crate::bus::{Agent, Bus};

/// How many read(2) this thread has made.
fn reads() -> usize {
    let told = std::fs::read_to_string("/proc/thread-self/io").expect("the kernel counts them");
    let line = told.lines().find_map(|line| line.strip_prefix("syscr: ")).expect("a count");
    line.parse().expect("a number")
}

fn reads_of(work: impl FnOnce()) -> usize {
    let nothing = {
        let before = reads();
        reads() - before
    };
    let before = reads();
    work();
    reads() - before - nothing
}

/// Issue 7: between an order and the key in the kernel each key file is read once, in two reads: one for its bytes, and one that tells
/// that there are no more.
#[test]
fn an_unlock_reads_each_of_the_four_key_files_once() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    for _ in 0..2 {
        node.manager().order_lock(BERLIN).expect("locks");
        let manager = node.manager();
        let reads = reads_of(|| drop(manager.order_unlock(BERLIN).expect("opens")));
        assert_eq!(reads, 8, "two copies of two files");
        assert_eq!(node.state(BERLIN), State::Unlocked);
    }
}

/// Issue 7: a vault that is locked or opened is looked at twice, before and after, and no other is.
#[test]
fn an_order_looks_at_the_one_vault_that_it_is_about() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let other = |n: u128| Line { id: VaultId(uuid::Uuid::from_u128(0x1000 + n)), ..Line::of(Custody::Tpm) };
    let lines: Vec<Line> = [Line::of(Custody::Tpm)].into_iter().chain((0..20).map(other)).collect();
    node.hear(&mut controller, &lines);
    let calls = node.calls.clone();
    let lock = calls.trace(|| drop(node.manager().order_lock(BERLIN).expect("locks")));
    assert_eq!(lock, ["find", "key", "remove_key", "find", "key"]);
    let unlock = calls.trace(|| drop(node.manager().order_unlock(BERLIN).expect("opens")));
    assert_eq!(
        unlock,
        ["find", "key", "unwrap", "unwrap", "find", "key", "add_key", "find", "key"],
        "and both copies of its key files are opened"
    );
}

/// Of a vault that rests a look asks what stands at its place, once, and for its key. No file of it is read.
#[test]
fn a_look_at_vaults_that_rest_asks_for_place_and_key_alone() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = |n: u128| Line { id: VaultId(uuid::Uuid::from_u128(0x1000 + n)), ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &(0..20).map(line).collect::<Vec<_>>());
    assert_eq!(node.manager().look_around_pausing(|_, _| ()).len(), 22, "all were found made");
    let calls = node.calls.clone();
    let mut found = Vec::new();
    let asked = calls.trace(|| found = node.manager().look_around_pausing(|_, _| ()));
    let count = |what: &str| asked.iter().filter(|name| **name == what).count();
    assert_eq!((count("find"), count("key"), asked.len()), (22, 22, 45), "and which have files: {asked:?}");
    assert_eq!(found, [CONFIG_VAULT, IMAGE_VAULT], "of the others nothing is new");
}

/// What a look finds of one vault is told of that one; what is new of the node, or was done meanwhile, has all told.
#[test]
fn a_look_tells_what_it_found() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let other = VaultId(uuid::Uuid::from_u128(0x1000));
    node.hear(&mut controller, &[Line::of(Custody::Tpm), Line { id: other, ..Line::of(Custody::Tpm) }]);
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let mut telling = Telling::new(bus);
    telling.tell(node.manager(), &Touched::All);
    drop(node.manager().look_around_pausing(|_, _| ()));
    let look = |node: &mut Node, telling: &mut Telling| {
        let news = node.manager().news();
        let found = node.manager().look_around_pausing(|_, _| ());
        telling.tell(node.manager(), &Touched::Found(found.clone()));
        let told = telling.told();
        assert_eq!(told, node.manager().vault_status(), "as if all were told");
        (found.len(), node.manager().news() != news)
    };
    assert_eq!(look(&mut node, &mut telling), (2, false), "the default ones, and nothing was done");
    std::fs::remove_dir(node.paths.vault(BERLIN)).expect("empty");
    assert_eq!(look(&mut node, &mut telling).0, 3, "it is found to be gone");
    node.manager().notes.tell(About::Configuration, "a note".to_owned());
    look(&mut node, &mut telling);
    assert!(telling.told().notes.contains(&"a note".to_owned()));
}

/// Whether the controller's certificates hang on the installed root follows from their bytes: it is found out once for the same ones.
#[test]
fn certificates_that_come_again_are_known() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let known = |node: &mut Node| {
        let manager = node.manager();
        manager.certs.are_these(&manager.root_pem, &controller::certs())
    };
    assert!(!known(&mut node));
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert!(known(&mut node));
    // By another root they are not.
    node.manager().root_pem.push(b'\n');
    assert!(!known(&mut node));
}

/// A boot finds its folders, and writes nothing but that it knows the leases, into memory: it waits for the disk once for each folder that ours lie in, since a life that was cut
/// may have made them.
#[test]
fn a_boot_writes_nothing_and_waits_once_for_each_folder() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.stop();
    node.disk.mount();
    let faults = node.faults.clone();
    let done = faults.trace(|| node.start());
    let (waits, writes) = done.split_at(4);
    assert_eq!(waits, ["sync folder"; 4], "persist, vaults, .meta, .fscrypt");
    assert_eq!(writes, ["make file", "write", "rename"], "run/eve/leases");
    for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN] {
        assert_eq!(node.state(id), State::Unlocked, "{:?}", node.status(id));
    }
}

/// A change of key waits for the disk for what it writes, and no more: the record with its folder, each copy's new wrap with its folder, and each
/// old wrap as it is overwritten. The folders that they lie in are there.
#[test]
fn a_change_of_key_waits_for_what_it_writes_alone() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let at = |epochs| Line { epochs, ..Line::of(Custody::TpmAndController) };
    node.hear(&mut controller, &[at((1, 1))]);
    node.tell_head(&mut controller);
    let section = controller.section(node.manager().session_key(), &[at((2, 1))]);
    let faults = node.faults.clone();
    let trace = faults.trace(|| node.hear_bytes(Authority::Live, &section));
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(2)), "{:?}", node.status(BERLIN));
    let waits = |what: &str| trace.iter().filter(|op| op.starts_with(what)).count();
    assert_eq!((waits("sync file"), waits("sync folder")), (5, 3), "{trace:?}");
}

/// Issue 8, A: while vaults are made in step an order waits for one step of them, and not until all are open. What it changes counts.
#[test]
fn an_order_waits_for_one_step_of_vaults_that_are_made_together() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let other = |n: u128| VaultId(uuid::Uuid::from_u128(0x1000 + n));
    let made = (0..10).map(|n| Line { id: other(n), ..Line::of(Custody::TpmAndController) });
    let lines: Vec<Line> = std::iter::once(Line::of(Custody::Tpm)).chain(made).collect();
    node.tell_head(&mut controller);
    let section = controller.section(node.manager().session_key(), &lines);
    node.manager().hear_config(Authority::Live, &section, &controller::certs());
    let mut told = Vec::new();
    node.manager().settle_all_pausing(|manager, taken| {
        let begun =
            (0..10).any(|n| manager.report(other(n)).created || manager.known(other(n)).seen.has_share());
        if taken.is_some() || !begun || !told.is_empty() {
            return;
        }
        for id in [BERLIN, other(3)] {
            told.push(manager.obey(&Order::Lock(id), Duration::ZERO, &mut |_| ()).is_ok());
        }
        assert!((0..10).all(|n| manager.report(other(n)).state != State::Unlocked), "they are not ready yet");
    });
    assert_eq!(told.len(), 2, "there was a pause between two steps");
    assert_eq!(node.state(BERLIN), State::Locked);
    assert_ne!(node.state(other(3)), State::Unlocked, "it was ordered to be locked");
    for n in (0..10).filter(|n| *n != 3) {
        assert_eq!(node.state(other(n)), State::Unlocked, "{:?}", node.status(other(n)));
    }
}

/// Issue 7: what is told before all vaults are taken is what others wait for. A rotation is told once, when it is done: whoever passes
/// on what is told, and then pauses, does not pass on half of it.
#[test]
fn a_rotation_is_told_once_when_it_is_done() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let at = |epochs| Line { epochs, ..Line::of(Custody::TpmAndController) };
    node.hear(&mut controller, &[at((1, 1))]);
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let mut telling = Telling::new(bus);
    telling.tell(node.manager(), &Touched::All);
    let before = telling.told();
    node.tell_head(&mut controller);
    let section = controller.section(node.manager().session_key(), &[at((2, 1))]);
    node.manager().hear_config(Authority::Live, &section, &controller::certs());
    let mut paused = 0;
    node.manager().settle_all_pausing(|manager, taken| {
        if let Some(id) = taken.filter(|id| id.is_default()) {
            telling.tell_default(manager, id);
            assert_eq!(telling.told(), before, "nothing is new of {id}");
            paused += 1;
        }
    });
    assert_eq!(paused, 2, "both default vaults");
    telling.tell(node.manager(), &Touched::All);
    let told = telling.told();
    assert_ne!(told.accepted, before.accepted);
    let berlin = told.vaults.iter().find(|report| report.id == BERLIN).expect("is told of");
    assert_eq!(berlin.epoch, Some(Epoch(2)));
}
