//! What the memory of a machine holds of a vault that is locked.

use std::fs;

use aho_corasick::AhoCorasick;
use eve_vault_tests::keys::{Controller, Known};
use eve_vault_tests::{DEVICE, vault_yaml};
use testkit::wait;
use vault::section::Custody;

use super::BOTH;
use super::scene::{NAME, PLANTED, Scene};

/// SECURITY.md, on memory: on a kernel that wipes what it frees, a dump of all memory after the lock has neither text nor name of the vault's files, nor the
/// controller's key of it. While it is open, text and name are found: the search sees what is there.
#[test]
fn memory_after_a_lock_holds_nothing_of_the_vault() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let key = controller_key(&mut scene);
    assert!(scene.has_data("till").unwrap());
    let open = found(&mut scene, &key);
    println!("while open: {open:?}");
    assert!(open.text > 0 && open.name > 0, "{open:?}");
    lock(&mut scene);
    assert_eq!(found(&mut scene, &key), Found { text: 0, name: 0, key: 0 }, "while open: {open:?}");
}

/// Without that option text stays, and `eve status` says so and what to do.
#[test]
fn a_kernel_that_leaves_text_in_freed_memory_is_told_of() {
    let mut scene = Scene::prepared().unwrap();
    scene.node.boot.cmdline = "quiet panic=-1 init_on_free=0".into();
    scene.started().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.more_data("till").unwrap();
    let key = controller_key(&mut scene);
    assert!(scene.has_data("till").unwrap());
    lock(&mut scene);
    let left = found(&mut scene, &key);
    println!("left: {left:?}");
    assert!(left.text > 0, "the search sees freed memory: {left:?}");
    assert_eq!(left.key, 0, "wiped by ourselves: {left:?}");
    // An emulated machine may not answer within the command's own patience.
    let told = || {
        let status = scene.node.ask("eve status").ok()?.printed;
        status.contains("boot with init_on_free=1").then_some(status)
    };
    wait::until("the note on freed memory", told).unwrap();
}

fn lock(scene: &mut Scene) {
    scene.evc.apply(&vault_yaml("till", &format!("{BOTH}\noperation: lock"))).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
}

/// Dug out of its database while it is down.
fn controller_key(scene: &mut Scene) -> Vec<u8> {
    let told = scene.evc.vault(DEVICE, "till").unwrap();
    let id = told["id"].as_str().unwrap().parse().unwrap();
    let known = Known { name: "till".into(), id, custody: Custody::TpmAndController, epochs: 1 };
    let device = scene.evc.json(&["describe", "device", DEVICE]).unwrap()["device"].clone();
    scene.evc.stop().unwrap();
    let secrets = Controller::open(&scene.evc.data(), &device, &[known]).secrets;
    scene.evc.start().unwrap();
    secrets.into_iter().find(|(name, _)| name.starts_with("till epoch")).unwrap().1
}

/// How often each is in memory.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    text: usize,
    name: usize,
    key: usize,
}

fn found(scene: &mut Scene, key: &[u8]) -> Found {
    let file = scene.dir.path().join("memory");
    scene.node.dump_memory(&file).unwrap();
    let memory = fs::read(&file).unwrap();
    let search = AhoCorasick::new([PLANTED.as_bytes(), NAME.as_bytes(), key]).unwrap();
    let mut counts = [0; 3];
    search.find_iter(&memory).for_each(|hit| counts[hit.pattern().as_usize()] += 1);
    Found { text: counts[0], name: counts[1], key: counts[2] }
}
