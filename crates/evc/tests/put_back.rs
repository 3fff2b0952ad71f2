//! A copy of the database that is put back beside a log that is not its own: refused with words, nothing is changed, and what to do works.

mod common;

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Output};

use common::{Serving, refused, serve};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A controller of programs.
struct Life {
    serving: Serving,
}

impl Life {
    fn begin(data: &Path) -> Self {
        Self { serving: serve(data).0 }
    }

    fn killed(mut self) {
        self.serving.0.kill().expect("killed");
        self.serving.0.wait().expect("ended");
    }

    fn ended(self) {
        let pid = Pid::from_raw(self.serving.0.id().try_into().expect("a number"));
        kill(pid, Signal::SIGTERM).expect("told to end");
        let Self { mut serving } = self;
        assert!(serving.0.wait().expect("ended").success());
    }
}

fn evc(data: &Path, args: &[&str]) -> Output {
    let mut evc = Command::new(env!("CARGO_BIN_EXE_evc"));
    evc.args(args).arg("--data").arg(data).output().expect("runs")
}

fn add_policy(data: &Path, name: &str) {
    let file = data.with_file_name(format!("{name}.yaml"));
    fs::write(&file, format!("kind: VaultPolicy\nname: {name}\ncustody: controller\n")).expect("written");
    let done = evc(data, &["apply", "-f", file.to_str().expect("text")]);
    assert!(done.status.success(), "{done:?}");
}

fn policies(data: &Path) -> String {
    let told = evc(data, &["get", "policies", "--output", "name"]);
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).expect("text")
}

fn read(data: &Path, name: &str) -> Vec<u8> {
    fs::read(data.join(name)).expect("read")
}

/// A controller with the policy `first`, copied when it was stopped; then `second` was added, and it was killed.
fn crashed() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("made");
    let life = Life::begin(&data);
    add_policy(&data, "first");
    life.ended();
    fs::copy(data.join("evc.db"), dir.path().join("copy")).expect("copied");
    let life = Life::begin(&data);
    add_policy(&data, "second");
    life.killed();
    assert!(!read(&data, "evc.db-wal").is_empty(), "the kill left a log");
    (dir, data)
}

/// The twin: a log that is the file's own is what it was before.
#[test]
fn what_a_kill_left_in_the_log_is_there_after_the_next_start() {
    let (_dir, data) = crashed();
    let life = Life::begin(&data);
    assert_eq!(policies(&data), "policy/first\npolicy/second\n");
    life.ended();
}

/// seen-by-users 0.1 and 0.2: whoever puts a copy back and overlooks the log gets no mixture of two databases.
#[test]
fn a_copy_that_is_put_back_beside_a_later_log_is_refused_until_the_log_is_away() {
    let (dir, data) = crashed();
    fs::copy(dir.path().join("copy"), data.join("evc.db")).expect("put back");
    let before = ["evc.db", "evc.db-wal"].map(|name| read(&data, name));
    let said = refused(&data);
    let what_to_do = "move evc.db-wal and evc.db-shm away";
    assert!(said.contains("a mixture; nothing was changed") && said.contains(what_to_do), "{said}");
    // Another command, which works on the folder of a stopped controller, does not open it either.
    let token = evc(&data, &["token", "new", "--token-file", "other"]);
    assert!(
        !token.status.success() && String::from_utf8_lossy(&token.stderr).contains(what_to_do),
        "{token:?}"
    );
    assert!(before == ["evc.db", "evc.db-wal"].map(|name| read(&data, name)), "changed");
    for name in ["evc.db-wal", "evc.db-shm"] {
        fs::rename(data.join(name), dir.path().join(name)).expect("moved away");
    }
    let life = Life::begin(&data);
    assert_eq!(policies(&data), "policy/first\n");
    life.ended();
}

/// A copy of a killed controller is file and log together, and is good in the place of a later one.
#[test]
fn a_copy_with_its_own_log_is_good_once_that_is_said() {
    let (dir, data) = crashed();
    for name in ["evc.db", "evc.db-wal"] {
        fs::copy(data.join(name), dir.path().join(name)).expect("copied");
    }
    let life = Life::begin(&data);
    add_policy(&data, "third");
    life.ended();
    for name in ["evc.db", "evc.db-wal"] {
        fs::copy(dir.path().join(name), data.join(name)).expect("put back");
    }
    assert!(refused(&data).contains("remove evc.db-opened in their place"));
    fs::remove_file(data.join("evc.db-opened")).expect("removed");
    let life = Life::begin(&data);
    assert_eq!(policies(&data), "policy/first\npolicy/second\n");
    life.ended();
}

/// What a log goes into is read as a whole before: a file that is damaged, or that the log does not fit, is told, and both stay as they were.
#[test]
fn a_damaged_file_with_a_log_beside_it_is_refused_and_stays() {
    let (_dir, data) = crashed();
    let file = fs::OpenOptions::new().write(true).open(data.join("evc.db")).expect("opens");
    // Each page but the first two; of those that the log has not, this is what is read.
    let pages = file.metadata().expect("there").len() / 4096;
    for page in 2..pages {
        file.write_all_at(&[0xa5; 64], page * 4096).expect("damaged");
    }
    let before = ["evc.db", "evc.db-wal"].map(|name| read(&data, name));
    let said = refused(&data);
    assert!(said.contains("damaged") && said.contains("put back the newest good copy"), "{said}");
    assert!(before == ["evc.db", "evc.db-wal"].map(|name| read(&data, name)), "changed");
}

/// SQLite's lock on the file, by which other processes see that somebody has it open: of this inode, as `/proc/locks` writes it.
fn is_locked_by(pid: u32, file: &Path) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("read");
    let (pid, inode) = (format!(" {pid} "), format!(":{} ", fs::metadata(file).expect("there").ino()));
    locks.lines().any(|lock| lock.contains("POSIX") && lock.contains(&pid) && lock.contains(&inode))
}

/// seen-by-users 0.3: the documented copy of a running controller is made by SQLite's own means in a process of its own. Neither this nor who only
/// looks may take itself for the last user of the file, who folds the log in and removes it (versions before 3.51 go by the lock alone): the
/// controller goes on, and what it said is kept is kept.
#[test]
fn who_copies_or_reads_the_database_of_a_running_controller_stops_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("made");
    for restarted in [false, true] {
        let life = Life::begin(&data);
        assert!(is_locked_by(life.serving.0.id(), &data.join("evc.db")), "restarted: {restarted}");
        life.ended();
    }
    let life = Life::begin(&data);
    add_policy(&data, "first");
    let open = || rusqlite::Connection::open(data.join("evc.db")).expect("opened");
    let copy = dir.path().join("copy");
    open().execute("VACUUM INTO ?1", [copy.to_str().expect("text")]).expect("copied");
    let seen: i64 = open().query_row("SELECT count(*) FROM policies", (), |row| row.get(0)).expect("read");
    assert_eq!(seen, 1);
    add_policy(&data, "second");
    assert!(is_locked_by(life.serving.0.id(), &data.join("evc.db")), "while it works, too");
    assert_eq!(policies(&data).lines().count(), 2, "it goes on");
    life.killed();
    let life = Life::begin(&data);
    assert_eq!(policies(&data).lines().count(), 2, "and keeps what it said is kept");
    life.ended();
}
