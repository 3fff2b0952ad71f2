//! A log that can't be written, or that nobody reads: `evc serve` answers, does what is due by itself, and ends as it should.

mod common;

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Read as _, Write as _, pipe};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use common::{Serving, announced};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// More log than a pipe holds, at level trace.
const ASKED: usize = 12;

fn serving(data: &Path, log: impl Into<Stdio>) -> Serving {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).env("EVC_LOG", "trace");
    announced(Serving(serve.stdout(Stdio::piped()).stderr(log).spawn().expect("started"))).0
}

/// Asks and changes something, again and again.
fn works(data: &Path) {
    for n in 0..ASKED {
        let policy = data.join("p.yaml");
        let document = format!("kind: VaultPolicy\nname: p{n}\ncustody: tpm\n");
        std::fs::write(&policy, document).expect("written");
        let mut apply = Command::new(env!("CARGO_BIN_EXE_evc"));
        let done = apply.args(["apply", "-f"]).arg(&policy).arg("--data").arg(data).output().expect("run");
        assert!(done.status.success(), "{n}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// That it ends by SIGTERM, and well, says that housekeeping went on until then.
fn ends(mut serving: Serving) {
    let pid = Pid::from_raw(i32::try_from(serving.0.id()).expect("a pid"));
    assert!(serving.0.try_wait().expect("looked").is_none(), "it runs");
    kill(pid, Signal::SIGTERM).expect("sent");
    assert_eq!(serving.0.wait().expect("ended").code(), Some(0));
}

/// Fills a pipe that somebody else writes into, which waits there then.
fn fill(pipe: &PipeReader) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut options = OpenOptions::new();
    let mut into = options.write(true).custom_flags(nix::libc::O_NONBLOCK).open(path).expect("opened");
    while into.write(&[b'\n'; 4096]).is_ok() {}
    while into.write(b"\n").is_ok() {}
}

#[test]
fn a_log_on_a_full_disk_ends_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("opened");
    let serving = serving(data.path(), full);
    works(data.path());
    ends(serving);
}

#[test]
fn a_log_whose_reader_went_away_ends_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let (reader, log) = pipe().expect("a pipe");
    let serving = serving(data.path(), log);
    drop(reader);
    works(data.path());
    ends(serving);
}

#[test]
fn a_log_whose_reader_stands_still_is_not_waited_for_and_says_what_it_lost() {
    let data = tempfile::tempdir().expect("a folder");
    let (mut reader, log) = pipe().expect("a pipe");
    let serving = serving(data.path(), log);
    fill(&reader);
    works(data.path());
    let reading = thread::spawn(move || {
        let mut log = Vec::new();
        reader.read_to_end(&mut log).map(|_| String::from_utf8_lossy(&log).into_owned())
    });
    works(data.path());
    ends(serving);
    let log = reading.join().expect("read").expect("read");
    assert!(log.contains("of the log were lost before this one"), "{} bytes", log.len());
    assert!(log.contains("evc::cli::serve: stopping"), "and its end");
}

#[test]
fn a_log_that_stays_unread_keeps_nothing_from_its_end() {
    let data = tempfile::tempdir().expect("a folder");
    let (reader, log) = pipe().expect("a pipe");
    let serving = serving(data.path(), log);
    fill(&reader);
    works(data.path());
    ends(serving);
}

/// Where it listens stands in a file too.
#[test]
fn a_line_that_says_where_it_listens_and_can_t_be_written_ends_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("opened");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
    let nowhere = File::options().write(true).open("/dev/null").expect("opened");
    let serving = Serving(serve.stdout(full).stderr(nowhere).spawn().expect("started"));
    common::until_so("its file", || data.path().join("url").exists());
    works(data.path());
    ends(serving);
}
