//! Long work apart from the thread that decides.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::ordered::Ordered;
use vault::plan::{Act, Next, Op, Step, StepKind};
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::hands::crypt::{Crypt, Found};
use crate::agents::vaultmgr::hands::tree::{BetweenPieces, Work};
use crate::agents::vaultmgr::vault::jobs::{JobLeft, Jobs, Over, Stopped, Threads};
use crate::bus::messages::Hope;

/// As the agent does, until something has come true.
pub(super) fn ticks(node: &mut Node, what: &str, mut is: impl FnMut(&mut Node) -> bool) {
    let late = Instant::now() + Duration::from_secs(120);
    while !is(node) {
        assert!(Instant::now() < late, "{what}: {:?}", node.status(IMAGE_VAULT));
        std::thread::yield_now();
        node.manager().tick(Instant::now());
    }
}

/// Long work that hangs in the kernel, which heeds no stop; until it is let go, or a test waited for it too long.
#[derive(Debug, Clone)]
struct Hangs {
    held: HeldUp,
    since: Instant,
}

impl BetweenPieces for Hangs {
    fn pieces(&self, kind: StepKind, _: &Work) {
        let hangs = || self.held.0.lock().expect("whole").contains(&kind);
        while hangs() && self.since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// BetweenPieces two of its pieces long work of some kinds is held up, until it is let go or stopped.
#[derive(Debug, Default, Clone)]
pub(super) struct HeldUp(Arc<Mutex<Vec<StepKind>>>);

impl BetweenPieces for HeldUp {
    fn pieces(&self, kind: StepKind, work: &Work) {
        while self.0.lock().expect("whole").contains(&kind) && !work.is_stopped() {
            std::thread::yield_now();
        }
    }
}

impl HeldUp {
    /// From now on long work of these kinds is held up.
    pub(super) fn hold(&self, kinds: &[StepKind]) {
        *self.0.lock().expect("whole") = kinds.to_vec();
    }
}

fn leave_to_threads(node: &mut Node, between: Arc<dyn BetweenPieces>) {
    node.manager().jobs = Jobs::of(Box::new(Threads(between)));
}

/// The image vault's job, which is under way, asked to end until it has.
pub(super) fn stopped(node: &mut Node) -> Over {
    let late = Instant::now() + Duration::from_secs(120);
    loop {
        match node.manager().jobs.stop(IMAGE_VAULT) {
            Stopped::Over(over) => return over,
            left => assert!(Instant::now() < late && matches!(left, Stopped::Asked(_)), "{left:?}"),
        }
        std::thread::yield_now();
    }
}

fn hold(node: &mut Node, kinds: &[StepKind]) {
    node.work.hold(kinds);
}

/// A node with plain files, whose long work of this kind is held up.
pub(super) fn with_held(kind: StepKind) -> Node {
    let held = HeldUp::default();
    held.hold(&[kind]);
    let mut node = with_plain_files(Arc::new(held.clone()));
    node.work = held;
    node
}

/// A node with plain files, whose TPM answers by now.
pub(super) fn with_plain_files(between: Arc<dyn BetweenPieces>) -> Node {
    let mut node = Node::fresh(true);
    let image = node.paths.vault(IMAGE_VAULT);
    fs::create_dir_all(image.join("sub")).expect("makes");
    for number in 0..40 {
        fs::write(image.join(format!("sub/{number}")), vec![7; 100_000]).expect("writes");
    }
    node.nv.0.borrow_mut().fail = true;
    node.start();
    node.nv.0.borrow_mut().fail = false;
    leave_to_threads(&mut node, between);
    node.hear_tpm();
    node
}

/// seen-by-users 0.17, issue A4: while plain files are moved in, others are made, locked and listed, the status says how far it is, and
/// then all is in the vault.
#[test]
fn a_move_keeps_nobody_waiting_and_says_how_far_it_is() {
    let (mut node, mut controller) = (with_held(StepKind::MoveIn), Controller::new());
    ticks(&mut node, "surveyed", |node| node.status(IMAGE_VAULT).detail[0].ends_with(" of 3 MiB"));
    let status = node.status(IMAGE_VAULT);
    assert_eq!(status.state, State::Creating, "{status:?}");
    assert!(status.detail[0].starts_with("moving plain files in: "), "{status:?}");
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.state(BERLIN), State::Unlocked);
    assert_eq!(node.manager().order_lock(BERLIN).expect("ordered").state, State::Locked);
    assert_eq!(node.state(IMAGE_VAULT), State::Creating, "all this came between");
    hold(&mut node, &[]);
    ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
    ticks(&mut node, "wiped, and told so", |node| node.status(IMAGE_VAULT).last.is_some());
    assert!(!node.paths.staging(IMAGE_VAULT).exists());
    assert_eq!(fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"), vec![7; 100_000]);
    let status = node.status(IMAGE_VAULT);
    assert!(!format!("{status:?}").contains("under way"), "{status:?}");
    assert_eq!(status.last.map(|last| (last.operation, last.error)), Some(("create".to_owned(), None)));
}

/// Root's lock during a move-in is not told as done while plain files can be read; it is kept, and with the end of the move the vault is locked and
/// the plain files are gone.
#[test]
fn a_lock_during_a_move_is_told_as_under_way() {
    let mut node = with_held(StepKind::MoveIn);
    let told = node.manager().order_lock(IMAGE_VAULT).expect_err("not yet").to_string();
    assert!(told.contains("under way") && told.contains("moving plain files in: "), "{told}");
    assert!(node.paths.vault(IMAGE_VAULT).join("sub/39").exists());
    hold(&mut node, &[]);
    ticks(&mut node, "locked", |node| node.state(IMAGE_VAULT) == State::Locked);
    ticks(&mut node, "wiped", |node| !node.paths.staging(IMAGE_VAULT).exists());
    assert!(!node.paths.vault(IMAGE_VAULT).join("sub/39").exists(), "it can't be read");
    node.manager().order_unlock(IMAGE_VAULT).expect("opens");
    assert_eq!(fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"), vec![7; 100_000]);
}

/// Machine facts, fault 5, TH-3: a job that hangs in the kernel keeps no lock waiting, of its vault or of another: it is asked to end, its vault's key goes at once,
/// and whoever ordered is answered when it has ended, or is known to hang. It is named; what would be in its way waits, and once it is let go all goes on.
#[test]
fn a_job_that_hangs_in_the_kernel_is_left() {
    let held = HeldUp::default();
    held.hold(&[StepKind::DropStaged]);
    let hangs = Hangs { held: held.clone(), since: Instant::now() };
    let mut node = with_plain_files(Arc::new(hangs));
    let under_way = |node: &mut Node| node.manager().jobs.progress(IMAGE_VAULT).is_some();
    let settles = |node: &Node| {
        node.manager.as_ref().and_then(|manager| Some(manager.jobs.progress(IMAGE_VAULT)?.0.step))
    };
    ticks(&mut node, "moved", |node| settles(node) == Some(Step::DropStaged { open: true }));
    let told = node.manager().order_lock(IMAGE_VAULT).expect_err("its end is an event").to_string();
    assert!(told.contains("asked to end") && told.contains("removing the plain files"), "{told}");
    // What it holds open stays open to it; the key is gone.
    let report = node.status(IMAGE_VAULT);
    assert_eq!(report.state, State::LockIncomplete, "{report:?}");
    assert!(report.detail[0].starts_with("removing the plain files"), "it is named: {report:?}");
    assert!(under_way(&mut node), "nothing waited until it was let go");
    let as_ordered = |node: &mut Node| {
        let told = node.manager().has_become(IMAGE_VAULT, Ordered::Locked, Duration::from_secs(5));
        told.map(|report| report.state)
    };
    ticks(&mut node, "answered", |node| as_ordered(node) == Ok(State::LockIncomplete));
    let Stopped::Asked(left @ JobLeft::Hangs { .. }) = node.manager().jobs.stop(IMAGE_VAULT) else {
        panic!("it does not end");
    };
    let other = left.to_string();
    assert!(other.contains("does not end") && other.contains("dmesg"), "{other}");
    held.hold(&[]);
    ticks(&mut node, "locked", |node| !under_way(node) && node.state(IMAGE_VAULT) == State::Locked);
    node.manager().order_unlock(IMAGE_VAULT).expect("opens");
    ticks(&mut node, "wiped", |node| !node.paths.staging(IMAGE_VAULT).exists() && !under_way(node));
    let status = node.status(IMAGE_VAULT);
    assert!(status.state == State::Unlocked && status.last.is_none_or(|last| last.error.is_none()));
    assert_eq!(fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"), vec![7; 100_000]);
}

/// A move that waited for somebody is told as under way once it is, and not by what kept it before.
#[test]
fn a_move_that_is_tried_again_is_not_told_as_failed() {
    let mut node = with_held(StepKind::DropStaged);
    ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
    stopped(&mut node);
    let held =
        fs::File::options().append(true).open(node.paths.staging(IMAGE_VAULT).join("sub/1")).expect("opens");
    node.restart();
    let failed = node.status(IMAGE_VAULT).last.and_then(|last| last.error).expect("an error");
    assert!(failed.contains("open for writing"), "{failed}");
    drop(held);
    let between = Arc::new(node.work.clone());
    leave_to_threads(&mut node, between);
    hold(&mut node, &[StepKind::DropStaged]);
    node.hear_tpm();
    let status = node.status(IMAGE_VAULT);
    assert!(status.last.is_none() && status.detail[0].starts_with("removing the plain files"), "{status:?}");
    hold(&mut node, &[]);
    ticks(&mut node, "wiped", |node| !node.paths.staging(IMAGE_VAULT).exists());
}

/// Requirement: an urgent lock waits for at most one step of another vault, also of those that follow a long work.
#[test]
fn a_lock_comes_between_the_steps_that_follow_a_long_work() {
    let (mut node, mut controller) = (with_held(StepKind::MoveIn), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    hold(&mut node, &[]);
    let (late, mut ordered) = (Instant::now() + Duration::from_secs(120), None);
    while node.status(IMAGE_VAULT).last.is_none() {
        assert!(Instant::now() < late, "{:?}", node.status(IMAGE_VAULT));
        node.manager().tick_pausing(Instant::now(), |manager, _| {
            if matches!(manager.ask(IMAGE_VAULT).1, Next::Do(_)) && ordered.is_none() {
                ordered = Some(manager.order_lock(BERLIN).map(|report| report.state));
            }
        });
    }
    // A child of another test's may have a file open for a moment.
    let locked = matches!(ordered, Some(Ok(State::Locked | State::LockIncomplete)));
    assert!(locked, "before all was done of the vault that was worked on: {ordered:?}");
}

/// Stops a move, and the removal of what one left, at the so-manieth piece.
#[derive(Debug)]
struct StopsAt(AtomicUsize);

impl BetweenPieces for StopsAt {
    fn pieces(&self, kind: StepKind, work: &Work) {
        let is_move = matches!(kind, StepKind::MoveIn | StepKind::DropCopy);
        if is_move && self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
            work.stop();
        }
    }
}

fn copied(node: &Node) -> usize {
    fs::read_dir(node.paths.staging(IMAGE_VAULT).join("sub")).map_or(0, Iterator::count)
}

/// A node with plain files, of which an earlier move left a large copy.
fn with_leftover() -> Node {
    let mut node = Node::fresh(true);
    fs::create_dir_all(node.paths.vault(IMAGE_VAULT).join("sub")).expect("makes");
    for number in 0..1200 {
        fs::write(node.paths.vault(IMAGE_VAULT).join(format!("sub/{number}")), "x").expect("writes");
    }
    node.nv.0.borrow_mut().fail = true;
    node.start();
    node.nv.0.borrow_mut().fail = false;
    let stops = StopsAt(AtomicUsize::new(1000));
    node.manager().jobs = Jobs::of(Box::new(Threads(Arc::new(stops))));
    node.hear_tpm();
    let late = Instant::now() + Duration::from_secs(120);
    while node.manager().jobs.progress(IMAGE_VAULT).is_some() {
        assert!(Instant::now() < late, "{:?}", node.status(IMAGE_VAULT));
        node.manager().reap(|_| ());
    }
    node
}

/// TH-3: an urgent lock waits for no removal of what an earlier move left, however much that is.
#[test]
fn th3_a_lock_goes_before_the_removal_of_what_a_move_left() {
    let (mut node, mut controller) = (with_leftover(), Controller::new());
    let left = copied(&node);
    assert!(left > 800, "{left}: {:?}", node.status(IMAGE_VAULT));
    let between = Arc::new(node.work.clone());
    leave_to_threads(&mut node, between);
    hold(&mut node, &[StepKind::DropCopy]);
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    ticks(&mut node, "begun", |node| node.manager().jobs.progress(IMAGE_VAULT).is_some());
    let ordered = node.manager().order_lock(BERLIN).map(|report| report.state);
    // A child of another test's may have a file open for a moment.
    assert!(matches!(ordered, Ok(State::Locked | State::LockIncomplete)), "{ordered:?}");
    assert!(copied(&node) > left / 2, "the lock came first");
    hold(&mut node, &[]);
    ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
    ticks(&mut node, "wiped", |node| !node.paths.staging(IMAGE_VAULT).exists());
    assert!(node.paths.vault(IMAGE_VAULT).join("sub/1199").exists());
}

/// A move that has just ended, before it was heard of, makes a step of before it past: its copy is the vault, and is not told as one that can't be dropped.
#[test]
fn what_a_move_made_past_is_not_told_as_failed() {
    let mut node = with_held(StepKind::MoveIn);
    ticks(&mut node, "surveyed", |node| node.status(IMAGE_VAULT).detail[0].ends_with(" of 3 MiB"));
    hold(&mut node, &[]);
    let place = node.paths.vault(IMAGE_VAULT);
    let late = Instant::now() + Duration::from_secs(120);
    while !matches!(node.manager().crypt.find(&place), Ok(Found::Policy { .. })) {
        assert!(Instant::now() < late, "{:?}", node.status(IMAGE_VAULT));
        std::thread::yield_now();
    }
    node.manager().act(IMAGE_VAULT, Act { op: Op::Create, step: Step::DropCopy });
    let last = node.status(IMAGE_VAULT).last.and_then(|last| last.error);
    assert_eq!(last, None, "{:?}", node.status(IMAGE_VAULT));
    node.manager().settle_all();
    ticks(&mut node, "wiped", |node| !node.paths.staging(IMAGE_VAULT).exists());
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(fs::read(place.join("sub/39")).expect("there"), vec![7; 100_000]);
}

/// The same work stopped by an order for its own vault, and by the end of this life: nothing is lost, and it is resumed.
#[test]
fn a_move_is_stopped_and_resumed() {
    let mut node = with_held(StepKind::MoveIn);
    stopped(&mut node).outcome.expect_err("stopped in the middle");
    assert_eq!(
        fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"),
        vec![7; 100_000],
        "the original"
    );
    node.restart();
    assert!(!node.paths.staging(IMAGE_VAULT).exists(), "half a copy takes no room for long");
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{:?}", node.status(IMAGE_VAULT));
    assert_eq!(fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"), vec![7; 100_000]);
}

/// A vault whose plain files are being wiped is open meanwhile, and locks at once when that is ordered: what the work has open in it
/// is closed first.
#[test]
fn a_vault_whose_plain_files_are_being_wiped_locks() {
    let mut node = with_held(StepKind::DropStaged);
    ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
    let detail = node.status(IMAGE_VAULT).detail;
    assert!(detail[0].starts_with("removing the plain files that were moved in: "), "{detail:?}");
    assert!(node.paths.staging(IMAGE_VAULT).exists());
    let ordered = node.manager().order_lock(IMAGE_VAULT).map(|report| report.state);
    // What it has open it closes when it ends; and a child of another test's has this process's descriptors in the instant before it executes its program.
    let asked = matches!(&ordered, Err(error) if error.to_string().contains("asked to end"));
    assert!(asked || matches!(ordered, Ok(State::Locked | State::LockIncomplete)), "{ordered:?}");
    ticks(&mut node, "locked while the work is held up", |node| node.state(IMAGE_VAULT) == State::Locked);
    hold(&mut node, &[]);
    ticks(&mut node, "wiped", |node| !node.paths.stamps(IMAGE_VAULT).exists());
    assert_eq!(node.state(IMAGE_VAULT), State::Locked);
    node.manager().order_unlock(IMAGE_VAULT).expect("ordered");
    assert_eq!(fs::read(node.paths.vault(IMAGE_VAULT).join("sub/39")).expect("there"), vec![7; 100_000]);
}

/// A node whose vault lost both copies of its metadata, and has files still.
fn with_broken() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "closed for good");
    node.stop();
    node.disk.mount();
    let (first, second) = (node.disk.persist().join(".fscrypt"), node.paths.metas().join(BERLIN.to_string()));
    for entry in fs::read_dir(second.join("policies")).expect("lists").flatten() {
        fs::remove_file(first.join("policies").join(entry.file_name())).expect("removes");
    }
    fs::remove_dir_all(&second).expect("removes");
    node.start();
    node.hear_tpm();
    node.hear(&mut controller, &[Line { created: true, ..Line::of(Custody::Tpm) }]);
    (node, controller)
}

/// Root's order to make a vault anew whose old files take long to delete: it says that it is under way, goes on by itself, and is over
/// when the vault is there. What goes missing later is not made by it once more.
#[test]
fn an_order_to_make_anew_outlasts_the_deletion_and_not_the_making() {
    let ((mut node, _controller), name) = (with_broken(), "berlin".parse().expect("a name"));
    assert_eq!(node.state(BERLIN), State::Missing);
    let between = Arc::new(node.work.clone());
    leave_to_threads(&mut node, between);
    hold(&mut node, &[StepKind::DeleteDir]);
    let words =
        node.manager().order_recreate(BERLIN, &name, Hope::GivenUp).expect_err("takes long").to_string();
    assert!(words.contains("under way") && words.contains("deleting its directory"), "{words}");
    hold(&mut node, &[]);
    ticks(&mut node, "made anew", |node| node.state(BERLIN) == State::Unlocked);
    assert_eq!(
        node.manager().has_become(BERLIN, Ordered::MadeAnew, Duration::ZERO).map(|report| report.state),
        Ok(State::Unlocked)
    );
    assert_eq!(node.get(BERLIN, "file"), None);
    assert!(node.manager().belief.desired().recreate.is_empty(), "one order, one making");
}
