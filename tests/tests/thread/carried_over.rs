//! What a build of before left on its disks is opened by this one, and goes on: the database and folder of a controller; the disk, TPM
//! and /config of a node (`vectors/README.md`). Invariant 4.

use std::fs;
use std::path::{Path, PathBuf};

use eve_vault_tests::{DEVICE, Scene, unpack};
use testkit::node::{Parts, Power};
use testkit::wait;

/// Of commit de4fa5e: sections had no chain, databases no incarnation, share tables no edition and one copy.
fn packed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/de4fa5e/kept.tar.gz")
}

/// Started today, with all its vaults open.
fn carried_over() -> Scene {
    let mut scene = Scene::kept(&packed(), Parts::default()).unwrap();
    scene.node.start().unwrap();
    for vault in ["config", "image", "till", "notes"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    for vault in ["till", "notes"] {
        scene.remember_data(vault).unwrap();
        scene.evc.until_taken(DEVICE, vault).unwrap();
    }
    scene
}

/// Node and controller follow each other: neither says, once both have heard, that the other is of another time.
fn assert_in_step(scene: &Scene) {
    let status = || scene.node.told().unwrap().to_string();
    // A node that has just begun may be sent a section before it looked into its record; that one is sent anew.
    let follows = || (!status().contains("does not follow")).then_some(());
    wait::until("a section that follows", follows).unwrap();
    // Said once, and settled by the next section.
    let log = fs::read_to_string(scene.node.log()).unwrap();
    let damaged: Vec<_> = log.lines().filter(|line| line.contains("damaged")).collect();
    assert!(damaged.is_empty(), "all of before is read: {damaged:?}");
    let devices = scene.evc.run(&["get", "devices"]).unwrap();
    let described = scene.evc.json(&["describe", "device", DEVICE]).unwrap();
    assert!(
        devices.contains("online") && !devices.contains("ahead of this database"),
        "{devices}{described}"
    );
    assert!(described["alarm"].is_null(), "{described}");
}

#[test]
fn every_vault_opens_with_its_files_at_its_epoch() {
    let mut scene = carried_over();
    assert!(scene.has_data("till") && scene.has_data("notes"));
    let kept = |vault| fs::read_to_string(scene.node.vault_dir(vault).unwrap().join("kept.txt")).unwrap();
    assert_eq!((kept("config"), kept("image")), ("the node's own\n".into(), "an image\n".into()));
    assert_eq!((scene.epoch("till"), scene.epoch("notes")), (Some(2), Some(1)));
    assert_eq!(scene.evc.vault(DEVICE, "till").unwrap()["current_epoch"], 2);

    assert_in_step(&scene);
    // And by itself: what this build wrote in its place opens too.
    scene.node.reboot(Power::Clean).unwrap();
    for vault in ["till", "notes"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "{vault}");
    }
    assert_in_step(&scene);
}

/// The chain begins with the section of before: keys change and vaults are removed, as by one build.
#[test]
fn keys_are_changed_and_vaults_removed() {
    let mut scene = carried_over();
    assert_eq!(scene.rotate("till").unwrap()["epoch"], 3);
    assert_eq!(scene.rotate("notes").unwrap()["epoch"], 2);
    assert_in_step(&scene);
    let dir = scene.node.vault_dir("notes").unwrap();
    scene.delete("notes").unwrap();
    scene.node.until_gone("notes").unwrap();
    assert!(!dir.exists());
    wait::until("the controller to forget it", || scene.evc.vault(DEVICE, "notes").err()).unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
    assert_eq!(scene.epoch("till"), Some(3));
    assert_in_step(&scene);
}

/// The controller as it was before all that, in the place of the one that the node followed since.
fn put_back(scene: &mut Scene) {
    let before = scene.dir().join("before");
    fs::create_dir(&before).unwrap();
    unpack(&packed(), &before).unwrap();
    scene.evc.stop().unwrap();
    fs::remove_dir_all(scene.evc.data()).unwrap();
    fs::rename(before.join("evc/data"), scene.evc.data()).unwrap();
    scene.evc.start().unwrap();
}

/// seen-by-users 0.1, of a copy that a build of before made: it is noticed, and deletes nothing.
#[test]
fn a_copy_of_the_database_of_before_is_noticed_once_the_node_went_on() {
    let mut scene = carried_over();
    scene.rotate("till").unwrap();
    put_back(&mut scene);
    let ahead =
        || Some(scene.evc.run(&["get", "devices"]).ok()?.contains("ahead of this database")).filter(|it| *it);
    wait::until("the controller to notice that it is older", ahead).unwrap();
    scene.delete("till").unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("notes", "locked").unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
}
