//! Long work that is asked to end, and the locks that it may be in the way of.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use vault::ids::IMAGE_VAULT;
use vault::plan::{Act, Op, Step, StepKind};
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::jobs::{HeldUp, ticks, with_plain_files};
use super::node::Node;
use crate::agents::vaultmgr::hands::tree::{BetweenPieces, Work};
use crate::agents::vaultmgr::vault::jobs::{Job, Jobs, Taken, Workers};
use crate::agents::vaultmgr::vault::seeking::{Search, Sought};

/// Does all of a work, and then waits until it is asked to end: too late to leave anything undone.
struct EndsWell;

impl Workers for EndsWell {
    fn take(&self, _: StepKind, job: Job) -> Taken {
        let work = Arc::new(Work::default());
        let theirs = Arc::clone(&work);
        let run = move || {
            let done = job.run(&Work::default());
            while !theirs.is_stopped() {
                thread::yield_now();
            }
            done
        };
        Taken::UnderWay(work, thread::spawn(run))
    }

    fn seek(&self, _: Search) -> Sought {
        Sought::Over(vec!["somebody".to_owned()])
    }
}

/// What a job was in the way of is tried as soon as that has ended, also where it came to its end as it was asked to.
#[test]
fn a_lock_beside_long_work_that_ends_well_is_tried_again_at_once() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    let manager = node.manager();
    manager.jobs = Jobs::of(Box::new(EndsWell));
    let act = Act { op: Op::Limit, step: Step::Count };
    assert!(manager.jobs.start(BERLIN, act, Job::Delete(Vec::new())).is_none(), "it is under way");
    let held = File::open(node.paths.vault(BERLIN).join("file")).expect("opens");
    drop(node.manager().order_lock(BERLIN));
    assert_eq!(node.state(BERLIN), State::LockIncomplete);
    drop(held);
    let late = Instant::now() + Duration::from_secs(120);
    while node.manager().jobs.progress(BERLIN).is_some() {
        assert!(Instant::now() < late, "it ends");
        node.manager().reap(|_| ());
    }
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
}

/// Held up as the inner one says, and tells that it was asked to end.
#[derive(Debug)]
struct Asked(HeldUp, Arc<AtomicBool>);

impl BetweenPieces for Asked {
    fn pieces(&self, kind: StepKind, work: &Work) {
        self.0.pieces(kind, work);
        if work.is_stopped() {
            self.1.store(true, SeqCst);
        }
    }
}

/// Several vaults are to be locked at once: the long work of each is asked to end before the first of them is locked, which may take as long as a disk does.
#[test]
fn long_work_is_asked_to_end_before_the_first_lock() {
    let (held, asked) = (HeldUp::default(), Arc::new(AtomicBool::new(false)));
    held.hold(&[StepKind::DropStaged]);
    let mut node = with_plain_files(Arc::new(Asked(held, Arc::clone(&asked))));
    ticks(&mut node, "moved", |node| node.state(IMAGE_VAULT) == State::Unlocked);
    node.hear(&mut Controller::new(), &[Line::of(Custody::Tpm)]);
    assert!(node.manager().jobs.progress(IMAGE_VAULT).is_some() && node.state(BERLIN) == State::Unlocked);
    let first = Arc::new(OnceLock::new());
    let seen = Arc::clone(&first);
    node.calls.before_a_lock(move || {
        let since = Instant::now();
        while seen.get().is_none() && !asked.load(SeqCst) && since.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        seen.get_or_init(|| asked.load(SeqCst));
    });
    [IMAGE_VAULT, BERLIN].into_iter().for_each(|id| node.manager().belief.orders().lock(id));
    node.manager().shut(&[IMAGE_VAULT, BERLIN]);
    assert_eq!(first.get(), Some(&true), "it was asked before the first lock");
}
