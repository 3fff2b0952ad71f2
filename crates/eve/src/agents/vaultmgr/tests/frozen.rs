//! A filesystem that is frozen, as for a snapshot of its device: whoever writes there waits for the thaw.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::hands::alone;

/// Who waits for a frozen filesystem waits for ever, and cannot be ended: it is thawed by then at the latest.
const AT_MOST: Duration = Duration::from_secs(30);

/// Frozen while it lives, and not for long.
struct Frozen {
    /// Told that it is over, or dropped.
    over: Option<Sender<()>>,
    thaws: Option<JoinHandle<()>>,
}

fn fsfreeze(way: &str, at: &Path) -> bool {
    Command::new("fsfreeze").arg(way).arg(at).status().expect("fsfreeze").success()
}

impl Frozen {
    fn at(place: PathBuf) -> Self {
        assert!(fsfreeze("--freeze", &place));
        let (over, waits) = channel();
        let thaws = thread::spawn(move || {
            let _ = waits.recv_timeout(AT_MOST);
            assert!(fsfreeze("--unfreeze", &place), "it was not thawed meanwhile");
        });
        Self { over: Some(over), thaws: Some(thaws) }
    }

    fn holds(&self) -> bool {
        self.thaws.as_ref().is_some_and(|thaws| !thaws.is_finished())
    }

    fn thaw(&mut self) {
        drop(self.over.take());
        self.thaws.take().into_iter().for_each(|thaws| thaws.join().expect("thawed"));
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// A frozen filesystem and who writes there: thawed first, for nothing else ends that one.
struct Held {
    frozen: Frozen,
    writer: Child,
}

impl Held {
    /// Frozen, and a process that was about to write into the file: it sleeps in the kernel with the file open.
    fn by_a_writer(persist: PathBuf, file: &Path) -> Self {
        Self::by(Command::new("dd"), persist, file)
    }

    /// The same of a process that has the folder's lock.
    fn by_a_writer_with_the_lock_of(folder: &Path, persist: PathBuf, file: &Path) -> Self {
        let mut flock = Command::new("flock");
        flock.arg("--no-fork").arg(folder).arg("dd");
        Self::by(flock, persist, file)
    }

    fn by(mut dd: Command, persist: PathBuf, file: &Path) -> Self {
        let frozen = Frozen::at(persist);
        dd.args(["if=/dev/zero", "bs=4096", "count=1", "conv=notrunc,nocreat", "status=none"]);
        dd.arg(format!("of={}", file.display()));
        let held = Self { frozen, writer: dd.spawn().expect("dd") };
        let descriptors = PathBuf::from(format!("/proc/{}/fd", held.writer.id()));
        let opened = || {
            let mut all = std::fs::read_dir(&descriptors).into_iter().flatten().flatten();
            all.any(|one| std::fs::read_link(one.path()).is_ok_and(|at| at == file))
        };
        let late = Instant::now() + AT_MOST;
        while !opened() {
            assert!(Instant::now() < late, "it opened nothing");
            thread::sleep(Duration::from_millis(5));
        }
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.frozen.thaw();
        let _ = self.writer.wait();
    }
}

/// Facts, frozen; VC-2: whoever writes to a frozen filesystem keeps his file open and can't be ended. The lock waits for neither, is told as
/// incomplete by his name, and is done by itself after the thaw.
#[test]
fn a_lock_of_a_frozen_filesystem_is_incomplete_until_the_thaw() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    let held = Held::by_a_writer(node.disk.persist(), &node.paths.vault(BERLIN).join("file"));
    let report = node.manager().order_lock(BERLIN).expect("ordered");
    assert!(held.frozen.holds(), "nobody waited for the thaw");
    assert_eq!(report.state, State::LockIncomplete, "{report:?}");
    let told = report.detail.concat();
    assert!(told.contains("(dd) holds an open file") && told.contains("fsfreeze --unfreeze"), "{report:?}");
    node.manager().tick(Instant::now() + AT_MOST);
    assert!(held.frozen.holds() && node.state(BERLIN) == State::LockIncomplete, "tried again in vain");
    drop(held);
    let late = Instant::now() + AT_MOST;
    while node.state(BERLIN) != State::Locked {
        assert!(Instant::now() < late, "{:?}", node.status(BERLIN));
        thread::sleep(Duration::from_millis(20));
        node.manager().tick(Instant::now() + AT_MOST);
    }
    assert_eq!(node.get(BERLIN, "file"), None);
}

/// Invariant 4: a process that was killed and has the vaults still, for what it writes is frozen, is told as one that is ending; it is waited for, and
/// with the thaw it is gone.
#[test]
fn a_vaultmgr_that_was_killed_on_a_frozen_filesystem_is_waited_for() {
    let node = Node::new(false);
    let (root, vaults) = (node.disk.root(), node.paths.vaults());
    let file = node.disk.persist().join("file");
    std::fs::write(&file, "some").expect("writes");
    let mut held = Held::by_a_writer_with_the_lock_of(&vaults, node.disk.persist(), &file);
    let look = || alone::take(&node.paths).expect("opens").expect_err("is held");
    assert!(!look().ending, "{}", look());
    held.writer.kill().expect("kills");
    let told = look();
    assert_eq!((told.pid, told.ending), (Some(held.writer.id()), true), "{told}");
    assert!(held.frozen.holds());
    held.frozen.thaw();
    assert_eq!(alone::taken(&root), None);
}

/// Looks until none of these can be read any more, or it was thawed because nobody waited for that; then it is thawed. Says whether none could
/// be read while it was frozen.
fn shut_while(mut frozen: Frozen, files: &[PathBuf]) -> bool {
    let shut = || files.iter().all(|file| std::fs::read(file).is_err());
    while frozen.holds() && !shut() {
        thread::sleep(Duration::from_millis(5));
    }
    let was_shut = frozen.holds() && shut();
    frozen.thaw();
    was_shut
}

/// TH-3: the controller's lock does not wait for the disk: nothing is written of the list before what is to be locked is locked.
#[test]
fn th3_a_lock_of_the_controllers_does_not_wait_for_a_frozen_disk() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let other = VaultId(uuid::Uuid::from_u128(0x2001));
    let lines = |operation| [BERLIN, other].map(|id| Line { id, operation, ..Line::of(Custody::Tpm) });
    node.hear(&mut controller, &lines(Operation::Unlock));
    let files: Vec<PathBuf> = [BERLIN, other].map(|id| node.paths.vault(id).join("file")).into();
    [BERLIN, other].into_iter().for_each(|id| node.put(id, "file", "kept"));
    let frozen = Frozen::at(node.disk.persist());
    let looks = thread::spawn(move || shut_while(frozen, &files));
    node.hear(&mut controller, &lines(Operation::Lock));
    assert!(looks.join().expect("looked"), "they could be read as long as nothing could be written");
    for id in [BERLIN, other] {
        // A child of another test's may have a file open for a moment.
        assert_ne!(node.state(id), State::Unlocked, "{:?}", node.status(id));
    }
    node.restart();
    assert_ne!(node.state(BERLIN), State::Unlocked, "the list was written after the thaw");
}
