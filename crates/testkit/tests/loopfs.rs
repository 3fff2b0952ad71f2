//! The disks of the tests: gone with the value, and searched without a gap.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use testkit::loopfs::{LoopFs, contains, mounted_under};
use testkit::wait;

const SIZE: u64 = 8 << 20;

fn loops_of(image: &Path) -> String {
    let listed = Command::new("losetup").arg("--associated").arg(image).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).unwrap()
}

#[test]
fn a_panic_leaves_no_mount_and_no_loop_device() {
    let dir = tempfile::tempdir().unwrap();
    let (image, mount_point) = (dir.path().join("image"), dir.path().join("mnt"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _disk = LoopFs::create(&image, &mount_point, SIZE).unwrap();
        assert_eq!(mounted_under(dir.path()), std::slice::from_ref(&mount_point));
        assert!(!loops_of(&image).is_empty());
        panic!("as a test that fails");
    }));
    panicked.unwrap_err();
    assert!(mounted_under(dir.path()).is_empty());
    wait::until("the loop device to go", || loops_of(&image).is_empty().then_some(())).unwrap();
}

#[test]
fn what_was_written_is_there_after_a_remount_and_found_on_the_raw_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = LoopFs::create(&dir.path().join("image"), &dir.path().join("mnt"), SIZE).unwrap();
    fs::write(disk.mount_point().join("file"), "a needle in it").unwrap();
    disk.contains(b"needle").expect_err("not while it is mounted");
    disk.unmount().unwrap();
    assert!(disk.contains(b"a needle in it").unwrap());
    assert!(!disk.contains(b"a needle not in it").unwrap());
    disk.mount().unwrap();
    assert_eq!(fs::read_to_string(disk.mount_point().join("file")).unwrap(), "a needle in it");
}

/// A search that missed these would call a disk clean that is not.
#[test]
fn a_find_may_lie_anywhere_also_across_what_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (file, needle) = (dir.path().join("file"), b"abcdefgh");
    for at in [0, 1, (1 << 20) - 8, (1 << 20) - 7, (1 << 20) - 1, 1 << 20, (2 << 20) - 3, (3 << 20) - 8] {
        let mut bytes = vec![b'a'; 3 << 20];
        bytes[at..at + needle.len()].copy_from_slice(needle);
        fs::write(&file, &bytes).unwrap();
        assert!(contains(&file, needle).unwrap(), "at {at}");
        bytes[at + 7] = b'x';
        fs::write(&file, &bytes).unwrap();
        assert!(!contains(&file, needle).unwrap(), "at {at}, but for its last byte");
    }
    contains(&file, b"").expect_err("nothing is nowhere");
}
