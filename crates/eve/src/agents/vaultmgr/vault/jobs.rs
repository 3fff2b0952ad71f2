//! Long work on one vault's files, each on a thread of its own: plain files moved in, looked at again and wiped, a tree deleted. The
//! thread that decides goes on with the other vaults meanwhile; it starts, asks, and stops. A job has no key and changes nothing of
//! a plan: what it did is seen on the disk, and what it did not is the next plan's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::plan::{Act, StepKind};

use crate::agents::vaultmgr::hands::crypt::Join;
use crate::agents::vaultmgr::hands::movein::{self, MoveError, Places};
use crate::agents::vaultmgr::hands::tree::{self, BetweenPieces, Work};
use crate::agents::vaultmgr::vault::seeking::{Search, Seeking, Sought};

/// How long a job is waited for before it is left to itself: most are over by then.
const SHORT: Duration = Duration::from_millis(300);
/// How long one that was asked to end may take: to its next piece it is not far, unless it hangs in the kernel.
const STOPS_WITHIN: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(5) };
/// How often it is asked for.
const LOOK: Duration = Duration::from_millis(500);
/// How often one is that was asked to end, and does not hang.
const LOOK_SOON: Duration = Duration::from_millis(100);

/// One long work.
#[derive(Debug)]
pub(crate) enum Job {
    /// Copy plain files into the empty vault that stands beside them, and exchange the two.
    MoveIn(Places),
    /// Look at the originals once more, and wipe them.
    Settle {
        places: Places,
        /// The vault can be read.
        open: bool,
    },
    /// Count a vault's directory, and what is in it, to its project. What is to be said is what can't be.
    Enlist { path: PathBuf, project: u32, join: Join },
    /// Delete these trees.
    Delete(Vec<PathBuf>),
}

/// What came of it: what is to be said of the vault from then on.
pub(crate) type Outcome = Result<Vec<String>, MoveError>;

impl Job {
    pub(crate) fn run(self, work: &Work) -> Outcome {
        match self {
            Self::MoveIn(places) => movein::move_in(&places, work).map(|()| Vec::new()),
            Self::Settle { places, open } => movein::settle(&places, open, work),
            Self::Enlist { path, project, join } => {
                let uncounted = tree::enlist(&path, (project, join), work)?;
                Ok(uncounted.words().into_iter().collect())
            }
            Self::Delete(trees) => {
                trees.iter().try_for_each(|path| tree::remove(path, work))?;
                Ok(Vec::new())
            }
        }
    }
}

/// Who does long work.
pub(crate) trait Workers {
    /// Does the work of such a step, or begins to.
    fn take(&self, kind: StepKind, job: Job) -> Taken;

    /// Looks for the holders of a vault's files, or begins to.
    fn seek(&self, search: Search) -> Sought;
}

/// What became of it so far.
pub(crate) enum Taken {
    Over(Outcome),
    UnderWay(Arc<Work>, JoinHandle<Outcome>),
}

/// A thread for each work, which does this between two pieces of it. For a moment it is waited for.
pub(crate) struct Threads(pub(crate) Arc<dyn BetweenPieces>);

impl Workers for Threads {
    fn take(&self, kind: StepKind, job: Job) -> Taken {
        let work = Arc::new(Work::apart(kind, Arc::clone(&self.0)));
        let theirs = Arc::clone(&work);
        // How deep users' folders nest is up to them, as far as these are gone into.
        let builder = thread::Builder::new().name("long work".to_owned()).stack_size(tree::STACK);
        match builder.spawn(move || job.run(&theirs)) {
            Ok(thread) if is_over_within(&thread, SHORT) => Taken::Over(outcome(thread)),
            Ok(thread) => Taken::UnderWay(work, thread),
            Err(error) => Taken::Over(Err(error.into())),
        }
    }

    fn seek(&self, search: Search) -> Sought {
        match thread::Builder::new().name("holders".to_owned()).spawn(move || search.run()) {
            Ok(thread) => Sought::UnderWay(thread),
            Err(error) => Sought::Over(vec![format!("who holds files of it can't be looked for: {error}")]),
        }
    }
}

fn is_over_within(thread: &JoinHandle<Outcome>, span: Duration) -> bool {
    let late = Instant::now() + span;
    while !thread.is_finished() && Instant::now() < late {
        thread::sleep(Duration::from_millis(2));
    }
    thread.is_finished()
}

fn outcome(thread: JoinHandle<Outcome>) -> Outcome {
    thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the work ended by a panic").into()))
}

struct Running {
    act: Act,
    work: Arc<Work>,
    thread: JoinHandle<Outcome>,
    /// When it was asked to end.
    asked: Option<Instant>,
}

impl Running {
    /// It was asked to end, and does not.
    fn hangs(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() >= STOPS_WITHIN)
    }

    fn ask_to_end(&mut self) -> JobLeft {
        self.work.stop();
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let (kind, progress) = (self.act.step.kind(), self.work.to_string());
        if self.hangs() {
            JobLeft::Hangs { kind, progress }
        } else {
            JobLeft::Ends { kind, progress, until: asked + STOPS_WITHIN }
        }
    }
}

/// A job that is over.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) id: VaultId,
    pub(crate) act: Act,
    pub(crate) outcome: Outcome,
    /// It was asked to end: that it came to none is no failure.
    pub(crate) stopped: bool,
}

/// A job that was asked to end, and is not over yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobLeft {
    /// It is on its way there; it hangs if it is not over `until` then.
    #[error("{kind} ({progress}) is asked to end first; it goes on by itself once that has")]
    Ends { kind: StepKind, progress: String, until: Instant },
    /// The kernel holds it. It ends by itself as soon as that lets it go.
    #[error(
        "{kind} ({progress}) was stopped and does not end, for the kernel holds it: see `dmesg` for the disk, and whether a filesystem is frozen (`fsfreeze -u`); it goes on by itself once that ends"
    )]
    Hangs { kind: StepKind, progress: String },
}

/// What became of a job that is to end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// There is none.
    None,
    /// It is over.
    Over(Over),
    /// It is asked to end, and its end is heard of as that of any other: nobody waits for it.
    Asked(JobLeft),
}

/// The jobs of a node, one a vault, and its searches for holders.
pub(crate) struct Jobs {
    seeking: Seeking,
    running: BTreeMap<VaultId, Running>,
    workers: Box<dyn Workers>,
}

impl Jobs {
    /// None yet.
    pub(crate) fn of(workers: Box<dyn Workers>) -> Self {
        Self { seeking: Seeking::default(), running: BTreeMap::new(), workers }
    }

    /// Starts a job on a vault that has none. What is over at once is handed back at once.
    pub(crate) fn start(&mut self, id: VaultId, act: Act, job: Job) -> Option<Over> {
        match self.workers.take(act.step.kind(), job) {
            Taken::Over(outcome) => Some(Over { id, act, outcome, stopped: false }),
            Taken::UnderWay(work, thread) => {
                self.running.insert(id, Running { act, work, thread, asked: None });
                None
            }
        }
    }

    /// The job of a vault, if it is over.
    fn poll(&mut self, id: VaultId) -> Option<Over> {
        let over = self.running.get(&id)?.thread.is_finished();
        over.then(|| self.join(id)).flatten()
    }

    /// All that are over.
    pub(crate) fn over(&mut self) -> Vec<Over> {
        let all: Vec<VaultId> = self.running.keys().copied().collect();
        all.into_iter().filter_map(|id| self.poll(id)).collect()
    }

    /// Has the job of a vault end at its next piece. It is not waited for: other vaults would wait meanwhile.
    pub(crate) fn stop(&mut self, id: VaultId) -> Stopped {
        if let Some(over) = self.poll(id) {
            return Stopped::Over(over);
        }
        let Some(running) = self.running.get_mut(&id) else { return Stopped::None };
        Stopped::Asked(running.ask_to_end())
    }

    /// The same, and no more: its end is heard of as that of any other.
    pub(crate) fn ask_to_end(&mut self, id: VaultId) {
        if let Some(running) = self.running.get_mut(&id) {
            running.ask_to_end();
        }
    }

    /// Whether the job of a vault was asked to end, and is about to.
    pub(crate) fn is_ending(&self, id: VaultId) -> bool {
        self.running.get(&id).is_some_and(|running| running.asked.is_some() && !running.hangs())
    }

    fn join(&mut self, id: VaultId) -> Option<Over> {
        let Running { act, work, thread, .. } = self.running.remove(&id)?;
        Some(Over { id, act, outcome: outcome(thread), stopped: work.is_stopped() })
    }

    /// What is under way on a vault, and how far it is, in words.
    pub(crate) fn progress(&self, id: VaultId) -> Option<(Act, String)> {
        self.running.get(&id).map(|running| (running.act, running.work.to_string()))
    }

    /// Looks for the holders of a vault's files. What is found at once is handed back.
    pub(crate) fn seek(&mut self, id: VaultId, search: Search) -> Option<Vec<String>> {
        self.seeking.ask(id, search, &*self.workers)
    }

    /// Whether that is under way.
    pub(crate) fn seeks(&self, id: VaultId) -> bool {
        self.seeking.is_about(id)
    }

    /// The holders that were found since, vault by vault; or that a search was given up.
    pub(crate) fn sought(&mut self, now: Instant) -> Vec<(VaultId, Vec<String>)> {
        self.seeking.over(now, &*self.workers)
    }

    /// When to ask again; nothing while none is under way.
    pub(crate) fn again(&self) -> Option<Instant> {
        let is_ending = self.running.keys().any(|id| self.is_ending(*id));
        let look = if is_ending { LOOK_SOON } else { LOOK };
        (!self.running.is_empty() || self.seeking.is_out()).then(|| Instant::now() + look)
    }
}
