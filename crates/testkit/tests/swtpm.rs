//! The software TPMs themselves: made at once, and gone with the process that made them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::HashSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use testkit::swtpm::{BootState, Swtpm};

const ENV: &str = "SWTPM_TEST_DIR";

#[test]
fn several_made_at_once_share_a_ca_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let made: Vec<_> = thread::scope(|scope| {
        let make = |i: u32| {
            let dir = dir.path().join(format!("tpm-{i}"));
            scope.spawn(move || Swtpm::new(&dir, &format!("node-{i}")).unwrap())
        };
        (0..4).map(make).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // Started by threads that have ended, and alive.
    let read = |tpm: &Swtpm| tpm.tool("tpm2_readpublic", &["-c", "0x81010016"]).unwrap();
    assert_eq!(made.iter().map(read).collect::<HashSet<_>>().len(), 4, "each has an EK of its own");
    let clone = made[0].clone_to(&dir.path().join("clone")).unwrap();
    assert_eq!(read(&clone), read(&made[0]), "a clone has the same");
}

#[test]
fn a_boot_state_is_gone_after_a_reset_and_the_same_when_measured_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut tpm = Swtpm::new(&dir.path().join("tpm"), "node").unwrap();
    let read = |tpm: &Swtpm| tpm.tool("tpm2_pcrread", &["sha256"]).unwrap();
    let (zero, tcti, good) = (read(&tpm), tpm.tcti(), BootState::named("good"));
    tpm.extend_boot_state(&good).unwrap();
    let measured = read(&tpm);
    assert_ne!(measured, zero);
    tpm.reset_clean().unwrap();
    assert_eq!((read(&tpm), tpm.tcti()), (zero, tcti));
    tpm.extend_boot_state(&good).unwrap();
    assert_eq!(read(&tpm), measured);
    tpm.kill9_restart().unwrap();
    tpm.extend_boot_state(&good.with_change(4, "implant")).unwrap();
    assert_ne!(read(&tpm), measured);
}

#[test]
fn a_tpm_dies_with_the_process_that_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_to_be_killed", "--ignored"])
        .env(ENV, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let port: u16 = until("a TPM", || std::fs::read_to_string(port_file(dir.path())).ok()?.parse().ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    until("its end", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
}

#[test]
#[ignore = "run by a_tpm_dies_with_the_process_that_made_it, and killed by it"]
fn process_to_be_killed() {
    let dir = PathBuf::from(std::env::var_os(ENV).unwrap());
    let tpm = Swtpm::new(&dir.join("tpm"), "node").unwrap();
    let partial = dir.join("partial");
    std::fs::write(&partial, tpm.port().to_string()).unwrap();
    std::fs::rename(partial, port_file(&dir)).unwrap();
    sleep(Duration::from_secs(600));
}

fn port_file(dir: &Path) -> PathBuf {
    dir.join("port")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no sign of {what}");
        sleep(Duration::from_millis(10));
    }
}
