//! `eve check` as an installer types it (DF-3): before there is a node, on real disks and TPMs, and beside one that runs.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::loopfs::LoopFs;
use testkit::node::Parts;
use testkit::swtpm::{BootState, SHA256, Swtpm};
use testkit::{Evc, Node, program};

fn check(root: &Path, more: &[&str]) -> Output {
    Command::new(program("eve").unwrap()).arg("check").arg("--root").arg(root).args(more).output().unwrap()
}

/// Level and words of each code.
fn found(root: &Path) -> BTreeMap<String, (String, String)> {
    let told: Vec<Value> = serde_json::from_slice(&check(root, &["-o", "json"]).stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let of = |finding: &Value| {
        let words = format!("{} -> {}", text(finding, "found"), text(finding, "advice"));
        (text(finding, "code"), (text(finding, "level"), words))
    };
    told.iter().map(of).collect()
}

fn level<'a>(found: &'a BTreeMap<String, (String, String)>, code: &str) -> Option<&'a str> {
    found.get(code).map(|(level, _)| level.as_str())
}

/// A root with a disk of these arguments of mkfs.ext4, and options of mount.
fn disk(dir: &Path, mkfs: &[&str], options: &str) -> LoopFs {
    fs::create_dir_all(dir.join("config")).unwrap();
    fs::write(dir.join("config/tcti"), "none").unwrap();
    LoopFs::create_with(&dir.join("disk.img"), &dir.join("persist"), 96 << 20, mkfs, options).unwrap()
}

#[test]
fn an_empty_machine_is_told_all_that_it_lacks_and_exits_with_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("config")).unwrap();
    fs::write(dir.path().join("config/tcti"), "none").unwrap();
    let told = check(dir.path(), &[]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(1), "{text}");
    for part in [
        "config-missing",
        "config/server can't be read",
        "write host:port there",
        "disk-missing",
        "config-onboarding",
        "tpm-absent",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let why = String::from_utf8(told.stderr).unwrap();
    assert!(why.contains("can't be a node yet: mend the 3 faults"), "{why}");
    assert!(!dir.path().join("persist").exists() && !dir.path().join("run").exists(), "nothing is made");
}

#[test]
fn a_disk_is_told_by_what_it_can_not_do() {
    let dir = tempfile::tempdir().unwrap();
    let root = |name: &str| dir.path().join(name);
    let plain = disk(&root("plain"), &[], "loop");
    let told = found(&root("plain"));
    assert_eq!(level(&told, "disk-no-encryption"), Some("fault"));
    assert!(told["disk-no-encryption"].1.contains("tune2fs -O encrypt"), "{told:?}");
    drop(plain);
    let journal = disk(&root("journal"), &["-O", "encrypt"], "loop,data=journal");
    let told = found(&root("journal"));
    assert_eq!((level(&told, "disk"), level(&told, "disk-journal-data")), (Some("good"), Some("note")));
    let left: Vec<_> =
        fs::read_dir(journal.mount_point()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lost+found"], "what was tried is gone");
    let mut by_default = disk(&root("default"), &["-O", "encrypt"], "loop");
    by_default.unmount().unwrap();
    let told = Command::new("tune2fs").args(["-o", "journal_data"]).arg(by_default.image()).output();
    assert!(told.unwrap().status.success());
    by_default.mount().unwrap();
    assert_eq!(level(&found(&root("default")), "disk-journal-data"), Some("note"), "the superblock says it");
    journal.make_read_only().unwrap();
    assert_eq!(level(&found(&root("journal")), "disk-read-only"), Some("fault"));
}

/// A folder that has what a node needs may be for reading only; one that does not have it yet may not.
#[test]
fn a_config_folder_for_reading_only_is_told_by_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    let disk = LoopFs::create(&dir.path().join("config.img"), &config, 16 << 20).unwrap();
    fs::write(config.join("tcti"), "none").unwrap();
    disk.make_read_only().unwrap();
    assert_eq!(level(&found(dir.path()), "config-unwritable"), Some("fault"));
    let remount = Command::new("mount").args(["-o", "remount,rw"]).arg(&config).status().unwrap();
    assert!(remount.success());
    fs::write(config.join("device.cert.pem"), "a certificate").unwrap();
    disk.make_read_only().unwrap();
    let told = found(dir.path());
    assert_eq!(
        (level(&told, "config-unwritable"), level(&told, "config-read-only")),
        (None, Some("warning"))
    );
    assert!(told["config-read-only"].1.contains("mount it for writing before"), "{told:?}");
}

#[test]
fn a_tpm_is_told_by_whether_it_measured_and_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir(root.join("config")).unwrap();
    let tpm = Swtpm::with_banks(&root.join("tpm"), "node-1", SHA256).unwrap();
    fs::write(root.join("config/tcti"), tpm.tcti()).unwrap();
    assert_eq!(level(&found(root), "boot-unmeasured"), Some("warning"));
    tpm.extend_boot_state(&BootState::named("good")).unwrap();
    let told = found(root);
    assert_eq!((level(&told, "tpm"), level(&told, "boot-unmeasured")), (Some("good"), None), "{told:?}");
    let define = |at: u32, size: &str| {
        let index = format!("{:#010x}", 0x0150_0000 + at);
        tpm.tool("tpm2_nvdefine", &[&index, "-C", "o", "-s", size, "-a", "ownerwrite|ownerread"]).is_ok()
    };
    let mut at = 0;
    for size in ["2048", "512", "64"] {
        while at < 300 && define(at, size) {
            at += 1;
        }
    }
    let told = found(root);
    assert_eq!(level(&told, "tpm-nv-full"), Some("fault"), "{told:?}");
    fs::write(root.join("config/tcti"), "swtpm:host=127.0.0.1,port=1").unwrap();
    let told = found(root);
    assert_eq!(level(&told, "tpm-unusable"), Some("fault"), "{told:?}");
    assert!(told["tpm-unusable"].1.contains("config/tcti names it"), "{told:?}");
}

/// Its twin: beside a node that runs nothing is a fault, and its TPM is left to it.
#[test]
fn beside_a_running_node_nothing_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let evc = Evc::new(&dir.path().join("evc")).unwrap();
    let mut node = Node::new(&dir.path().join("node"), "edge-1", &evc, Parts::default()).unwrap();
    node.until_vault("image", "unlocked").unwrap();
    let told = check(&node.root(), &[]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0), "{text}");
    assert!(text.contains("tpm-in-use") && !text.contains("FAULT"), "{text}");
    node.until_vault("image", "unlocked").unwrap();
    // What a disk without room means is told by the status of a node that runs, too.
    let room = |told: &str| told.contains("MiB are free on persist");
    assert!(!room(&node.run(&["status"]).unwrap()));
    let (filler, stat) = (
        node.root().join("persist/filler"),
        nix::sys::statvfs::statvfs(&node.root().join("persist")).unwrap(),
    );
    let free = stat.blocks_available() * stat.fragment_size();
    let fallocate =
        Command::new("fallocate").args(["-l", &(free - (20 << 20)).to_string()]).arg(&filler).status();
    assert!(fallocate.unwrap().success());
    assert!(room(&node.run(&["status"]).unwrap()));
}
