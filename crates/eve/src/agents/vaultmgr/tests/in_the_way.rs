//! What is mounted over a vault's directory, keeps it from being looked at, or stands in its place: it keeps no vault open, and nothing of it goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use testkit::wait;
use uuid::Uuid;
use vault::condition::Key;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::plan::{Act, Op, Step};
use vault::report::{State, VaultReport};
use vault::section::{Custody, Encryption, Operation};

use super::brought_back::{all_key_files, kept, wipe, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::bus::messages::{Hope, OrderError};

const OTHER: VaultId = VaultId(Uuid::from_u128(0xcc));

fn other() -> Line {
    Line { id: OTHER, created: true, ..Line::of(Custody::Tpm) }
}

fn berlin() -> Line {
    Line { created: true, ..Line::of(Custody::Tpm) }
}

fn locked() -> Line {
    Line { operation: Operation::Lock, ..berlin() }
}

fn two_vaults() -> (Node, Controller) {
    let (mut node, mut controller) = with_data(&Line::of(Custody::Tpm));
    node.hear(&mut controller, &[berlin(), Line { created: false, ..other() }]);
    node.put(OTHER, "file", "kept");
    node.disk.sync();
    (node, controller)
}

/// The kernel's own word on a vault's key.
fn key(node: &mut Node, id: VaultId) -> Key {
    let manager = node.manager();
    let key = manager.slots[&id].key().expect("its name is known");
    manager.crypt.inner.key(key).expect("says")
}

fn said(report: &VaultReport, words: &str) -> bool {
    let error = report.last.as_ref().and_then(|last| last.error.as_ref());
    report.detail.iter().chain(error).any(|line| line.contains(words))
}

fn anew(node: &mut Node, id: VaultId) -> Result<State, OrderError> {
    let name = node.status(id).name;
    node.manager().order_recreate(id, &name, Hope::GivenUp).map(|report| report.state)
}

fn why(refused: Result<State, OrderError>) -> String {
    crate::agents::vaultmgr::chain(&refused.expect_err("refused"))
}

/// VC-2, an app's user whose filesystem answers root with EACCES, a disk that answers with EIO: what can't be looked at locks by root's order, the
/// controller's, and in the next life of vaultmgr, which never saw it. Once it can be looked at it opens again.
#[test]
fn vc2_a_directory_that_can_t_be_looked_at_keeps_no_key_in_the_kernel() {
    type Wants = fn(&mut Node, &mut Controller);
    let by_root: Wants = |node, _| drop(node.manager().order_lock(BERLIN).expect("locks"));
    let by_controller: Wants = |node, controller| node.hear(controller, &[locked(), other()]);
    for (wants, restarts) in
        [(by_root, false), (by_controller, false), (by_root, true), (by_controller, true)]
    {
        let (mut node, mut controller) = two_vaults();
        node.calls.blind(&node.paths.vault(BERLIN));
        if restarts {
            node.restart();
        }
        node.hear(&mut controller, &[berlin(), other()]);
        assert_eq!(key(&mut node, BERLIN), Key::Present, "nobody wants it locked");
        wants(&mut node, &mut controller);
        assert_eq!(key(&mut node, BERLIN), Key::Absent, "{:?}", node.status(BERLIN));
        let status = node.status(BERLIN);
        assert!(status.state == State::Failed && said(&status, "looking at a vault's place"), "{status:?}");
        assert!(kept(&node, OTHER), "another vault");
        node.calls.see();
        node.hear(&mut controller, &[berlin(), other()]);
        let _ = node.manager().order_unlock(BERLIN);
        assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    }
}

/// A filesystem of somebody's own over a vault's directory, and how often that was opened.
pub(super) struct Over {
    pub(super) at: PathBuf,
    events: std::os::fd::OwnedFd,
}

impl Over {
    pub(super) fn new(at: PathBuf) -> Self {
        Self::mounted(at, |mount| mount.args(["-t", "tmpfs", "none"]))
    }

    /// Another folder of the same filesystem.
    pub(super) fn bound(from: &Path, at: PathBuf) -> Self {
        Self::mounted(at, |mount| mount.arg("--bind").arg(from))
    }

    fn mounted(at: PathBuf, what: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mounted = what(&mut Command::new("mount")).arg(&at).status().expect("runs mount");
        assert!(mounted.success(), "mounts");
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("watches");
        inotify::add_watch(&events, &at, WatchFlags::OPEN | WatchFlags::ACCESS).expect("watches");
        Self { at, events }
    }

    fn was_opened(&self) -> bool {
        rustix::io::read(&self.events, &mut [0; 4096]).is_ok_and(|bytes| bytes > 0)
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// VC-2: what is mounted over a vault may answer never, so it is not asked: nothing of it is opened. The vault under it locks, other vaults go on, and it
/// is said what hides it.
#[test]
fn vc2_what_is_mounted_over_a_vault_is_not_opened() {
    let (mut node, mut controller) = two_vaults();
    let over = Over::new(node.paths.vault(BERLIN));
    fs::read_dir(&over.at).expect("lists");
    assert!(over.was_opened(), "the watch tells");
    node.hear(&mut controller, &[berlin(), other()]);
    node.manager().look_again(BERLIN);
    node.manager().order_lock(OTHER).expect("locks");
    assert_eq!(key(&mut node, BERLIN), Key::Present, "nobody wants it locked");
    node.hear(&mut controller, &[locked(), other()]);
    // The mount holds the directory itself, and nothing in it.
    assert_eq!((key(&mut node, BERLIN), key(&mut node, OTHER)), (Key::Incomplete, Key::Absent));
    let status = node.status(BERLIN);
    assert!(status.state == State::LockIncomplete && said(&status, "unmount it"), "{status:?}");
    assert!(!over.was_opened());
    drop(over);
    node.hear_until(&mut controller, &[locked(), other()], State::Locked);
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}

/// VC-2, invariant 4: what is mounted over persist itself is not opened either, be it another part of the very same filesystem. The disk is told as away; its
/// vaults are told as they were, and lock; once it is unmounted all goes on.
#[test]
fn vc2_what_is_mounted_over_persist_is_not_opened() {
    for bound in [false, true] {
        let (mut node, mut controller) = two_vaults();
        let persist = node.paths.persist();
        let part = persist.join("part");
        fs::create_dir(&part).expect("makes");
        let before = [BERLIN, OTHER].map(|id| node.status(id));
        let over = if bound { Over::bound(&part, persist) } else { Over::new(persist) };
        assert!(node.manager().disk_went().is_some());
        node.manager().look_again(BERLIN);
        node.manager().settle_all();
        assert_eq!([BERLIN, OTHER].map(|id| node.status(id)), before);
        node.manager().order_lock(BERLIN).expect("locks");
        assert_eq!((key(&mut node, BERLIN), key(&mut node, OTHER)), (Key::Absent, Key::Present));
        assert!(bound || !over.was_opened());
        assert_eq!(fs::read_dir(&over.at).expect("lists").count(), 0, "nothing was made in it");
        drop(over);
        assert_eq!(node.manager().disk_went(), None);
        node.manager().order_unlock(BERLIN).expect("opens");
        node.hear(&mut controller, &[berlin(), other()]);
        assert!(kept(&node, BERLIN) && kept(&node, OTHER), "{:?}", node.status(BERLIN));
    }
}

/// VC-2: what is not done while the disk is away is not told as under way, nor as failed: it waits for the disk, and is done once that is back.
#[test]
fn vc2_what_is_due_on_a_disk_that_went_is_told_as_waiting() {
    let (mut node, mut controller) = two_vaults();
    node.hear(&mut controller, &[locked(), other()]);
    assert_eq!(key(&mut node, BERLIN), Key::Absent);
    let over = Over::new(node.paths.persist());
    node.hear(&mut controller, &[berlin(), other()]);
    let status = node.status(BERLIN);
    assert!(status.state == State::Locked && said(&status, "waits for the disk of persist"), "{status:?}");
    assert!(!said(&node.status(OTHER), "waits for the disk"), "nothing is due of it");
    drop(over);
    node.hear_until(&mut controller, &[berlin(), other()], State::Unlocked);
    assert!(kept(&node, BERLIN) && !said(&node.status(BERLIN), "waits for the disk"));
}

/// VC-2: a vault without a share here that no list speaks of any more, hidden by a mount or not to be looked at, locks in a life of vaultmgr that never saw
/// it too. Other vaults stay open, and it opens again once it is listed and seen.
#[test]
fn vc2_a_hidden_vault_that_is_dropped_is_locked_by_the_next_life() {
    for covered in [true, false] {
        let own = Line::of(Custody::Controller);
        let (mut node, mut controller) = with_data(&own);
        let own = Line { created: true, ..own };
        node.hear(&mut controller, &[own.clone(), Line { created: false, ..other() }]);
        node.put(OTHER, "file", "kept");
        let over = covered.then(|| Over::new(node.paths.vault(BERLIN)));
        if !covered {
            node.calls.blind(&node.paths.vault(BERLIN));
        }
        node.restart();
        assert_eq!(key(&mut node, BERLIN), Key::Present, "nobody wants it locked");
        // Adopted by another controller, which lists the other one alone.
        let mut next = Controller { incarnation: 2, version: 50, ..Controller::new() };
        node.hear(&mut next, &[other()]);
        // A mount holds the directory itself, and nothing in it.
        let locked = if covered { Key::Incomplete } else { Key::Absent };
        assert_eq!(key(&mut node, BERLIN), locked, "{:?}", node.status(BERLIN));
        assert!(kept(&node, OTHER), "another vault");
        drop(over);
        node.calls.see();
        node.hear_until(&mut next, &[own, other()], State::Unlocked);
        assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    }
}

/// The node off: the key files of one vault are gone, its directory is moved away, and another's stands at its path.
fn swapped() -> (Node, Controller, PathBuf) {
    let (mut node, controller) = two_vaults();
    let files = all_key_files(&node, BERLIN);
    let (berlin, other, away) =
        (node.paths.vault(BERLIN), node.paths.vault(OTHER), node.paths.persist().join("away"));
    node.stop();
    node.disk.mount();
    wipe(&files);
    fs::rename(&berlin, &away).expect("moves");
    fs::rename(&other, &berlin).expect("moves");
    node.start();
    (node, controller, away)
}

fn put_back(node: &Node, away: &Path) {
    fs::rename(node.paths.vault(BERLIN), node.paths.vault(OTHER)).expect("moves");
    fs::rename(away, node.paths.vault(BERLIN)).expect("moves");
}

/// Invariant 4: an order to make a vault anew, of root's or the controller's, or to remove it, takes no other vault's directory that stands at its path,
/// though no key files tell what stood there. The other one's key stays as it is.
#[test]
fn another_vaults_directory_is_not_taken_for_one_without_key_files() {
    let (mut node, mut controller, away) = swapped();
    let order = Line { recreate: true, ..berlin() };
    for lines in [vec![berlin(), other()], vec![order, other()], vec![other()]] {
        node.hear(&mut controller, &lines);
        let status = node.status(BERLIN);
        assert!(said(&status, "something else stands at its path"), "{status:?}");
        assert!(matches!(status.state, State::Missing | State::Failed), "{status:?}");
    }
    put_back(&node, &away);
    node.hear(&mut controller, &[other()]);
    assert!(kept(&node, OTHER), "{:?}", node.status(OTHER));
    assert_eq!(
        node.state(BERLIN),
        State::Removed,
        "its own directory goes, though no key files tell: {:?}",
        node.status(BERLIN)
    );
}

/// The same by an order of root's; and a directory that nobody's key files name goes by it, which is said before.
#[test]
fn root_makes_a_vault_anew_over_its_own_directory_alone() {
    let (mut node, mut controller, away) = swapped();
    node.hear(&mut controller, &[berlin(), other()]);
    let words = why(anew(&mut node, BERLIN));
    assert!(words.contains("something else stands at its path"), "{words}");
    put_back(&node, &away);
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(kept(&node, OTHER), "{:?}", node.status(OTHER));
    let status = node.status(BERLIN);
    assert!(said(&status, "key files of no vault name its key"), "{status:?}");
    assert_eq!(anew(&mut node, BERLIN), Ok(State::Unlocked));
    assert!(!kept(&node, BERLIN) && kept(&node, OTHER));
}

/// A directory of files that nobody encrypted, where a vault was.
fn plain_at(id: VaultId) -> (Node, Controller, PathBuf) {
    let (mut node, controller) = two_vaults();
    let (place, away) = (node.paths.vault(id), node.paths.persist().join("away"));
    node.stop();
    node.disk.mount();
    fs::rename(&place, &away).expect("moves");
    fs::create_dir(&place).expect("makes");
    fs::write(place.join("plain"), "not to be lost").expect("writes");
    node.start();
    (node, controller, away)
}

/// Invariant 4: plain files at the path of a vault that is missing are told before an order, stop it, and stay; moved away, it goes on.
#[test]
fn plain_files_at_a_vaults_path_stop_an_order_and_stay() {
    let (mut node, mut controller, _) = plain_at(BERLIN);
    node.hear(&mut controller, &[berlin(), other()]);
    let status = node.status(BERLIN);
    assert!(status.state == State::Missing && said(&status, "plain files stand at its path"), "{status:?}");
    let words = why(anew(&mut node, BERLIN));
    assert!(words.contains("plain files stand at its path") && words.contains("move them away"), "{words}");
    node.hear(&mut controller, &[Line { recreate: true, ..berlin() }, other()]);
    assert_eq!(node.get(BERLIN, "plain").as_deref(), Some("not to be lost"));
    fs::rename(node.paths.vault(BERLIN), node.paths.persist().join("elsewhere")).expect("moves");
    node.hear(&mut controller, &[Line { recreate: true, ..berlin() }, other()]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
}

/// DF-5: those at a default vault's path are moved into the one that is made anew, as at a first boot.
#[test]
fn df5_plain_files_go_into_a_default_vault_that_is_made_anew() {
    let (mut node, mut controller, _) = plain_at(IMAGE_VAULT);
    node.hear(&mut controller, &[berlin(), other()]);
    let status = node.status(IMAGE_VAULT);
    assert!(status.state == State::Missing && said(&status, "moves them into it"), "{status:?}");
    assert_eq!(anew(&mut node, IMAGE_VAULT), Ok(State::Unlocked), "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(node.get(IMAGE_VAULT, "plain").as_deref(), Some("not to be lost"));
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    node.stop();
    assert!(!node.disk.contains(b"not to be lost"));
}

/// Invariant 4: somebody moved a vault's directory to where a default vault's copies are staged. It is no copy that was cut short: it is told, it stays, whether it is
/// open or not, and put back it opens.
#[test]
fn another_vaults_directory_among_what_is_staged_is_told_and_kept() {
    let (mut node, mut controller) = two_vaults();
    let (here, staged) = (node.paths.vault(OTHER), node.paths.staging(IMAGE_VAULT));
    let moves = |node: &mut Node, from: &Path, to: &Path| {
        node.stop();
        node.disk.mount();
        fs::create_dir_all(staged.parent().expect("a folder")).expect("makes");
        fs::rename(from, to).expect("moves");
        node.start();
    };
    moves(&mut node, &here, &staged);
    node.hear(&mut controller, &[berlin(), other()]);
    let status = node.status(IMAGE_VAULT);
    assert!(said(&status, "under another key than its own") && said(&status, "put it back"), "{status:?}");
    assert!(staged.exists() && kept(&node, IMAGE_VAULT) && kept(&node, BERLIN), "{status:?}");
    moves(&mut node, &staged, &here);
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(kept(&node, OTHER), "{:?}", node.status(OTHER));
    assert!(!said(&node.status(IMAGE_VAULT), "under another key"), "{:?}", node.status(IMAGE_VAULT));
}

/// Invariant 4: one that was moved there after the plan looked is not deleted with the default vault; a copy of its own is.
#[test]
fn another_vaults_directory_that_came_meanwhile_is_not_deleted_with_a_default_vault() {
    let (mut node, mut controller) = two_vaults();
    let (here, staged) = (node.paths.vault(OTHER), node.paths.staging(IMAGE_VAULT));
    let act = Act { op: Op::Recreate, step: Step::DeleteDir };
    fs::create_dir_all(staged.parent().expect("a folder")).expect("makes");
    fs::rename(&here, &staged).expect("moves");
    let words = node.manager().begin_deletion(IMAGE_VAULT, act).err().map(|error| error.to_string());
    assert!(words.is_some_and(|words| words.contains("something else than was seen there")));
    fs::rename(&staged, &here).expect("moves");
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(kept(&node, OTHER) && kept(&node, IMAGE_VAULT), "{:?}", node.status(OTHER));
    fs::create_dir(&staged).expect("makes");
    let own = node.manager().key_of(IMAGE_VAULT).expect("is known");
    node.manager().crypt.inner.set_policy(&staged, own, Encryption::Aes256Xts).expect("encrypts");
    fs::write(staged.join("file"), "half a copy").expect("writes");
    node.manager().begin_deletion(IMAGE_VAULT, act).expect("begins");
    wait::until("it is deleted", || (!staged.exists()).then_some(())).expect("ends");
}

/// Put back while the node is up, it is not told any more.
#[test]
fn another_vaults_directory_that_was_staged_and_put_back_is_told_no_more() {
    let (mut node, mut controller) = two_vaults();
    let (here, staged) = (node.paths.vault(OTHER), node.paths.staging(IMAGE_VAULT));
    fs::create_dir_all(staged.parent().expect("a folder")).expect("makes");
    fs::rename(&here, &staged).expect("moves");
    node.restart();
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(said(&node.status(IMAGE_VAULT), "under another key"), "{:?}", node.status(IMAGE_VAULT));
    fs::rename(&staged, &here).expect("moves");
    node.hear(&mut controller, &[berlin(), other()]);
    assert!(!said(&node.status(IMAGE_VAULT), "under another key"), "{:?}", node.status(IMAGE_VAULT));
}
