//! The demo that is kept: it runs on until it is told to end, and leaves nothing then.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{loopfs, program, wait};

/// Ended with the test, however that ends; what it started dies with it.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_demo_that_is_kept_without_a_keyboard_waits_for_an_interrupt_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (place, told) = (dir.path().join("place"), dir.path().join("told"));
    fs::create_dir(&place).unwrap();
    let mut command = Command::new(program("demo").unwrap());
    command.arg("--keep").env("TMPDIR", &place).stdin(Stdio::null()).stdout(File::create(&told).unwrap());
    let mut kept = Kept(command.spawn().unwrap());
    // Each of its own steps has as long as this wait, so there is a bound while it goes on telling.
    let said = || fs::read_to_string(&told).unwrap_or_default();
    while !(said().contains("All of it runs on") && said().contains("an interrupt ends it.")) {
        let before = said();
        assert_eq!(kept.0.try_wait().unwrap(), None, "it ended: {before}");
        wait::until("its next word", || (said() != before).then_some(())).expect(&before);
    }
    assert!(kept.0.try_wait().unwrap().is_none(), "it waits");
    assert!(!loopfs::mounted_under(&place).is_empty(), "its node has a disk");
    kill(Pid::from_raw(kept.0.id() as i32), Signal::SIGINT).unwrap();
    let status = wait::until("its end", || kept.0.try_wait().unwrap()).unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(loopfs::mounted_under(&place).is_empty(), "nothing is mounted");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "nothing is left");
}
