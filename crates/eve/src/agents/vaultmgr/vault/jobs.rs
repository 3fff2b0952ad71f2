//! Long work on one vault's files, each on a thread of its own: plain files moved in, looked at again and wiped, a tree deleted. The
//! thread that decides goes on with the other vaults meanwhile; it starts, asks, and stops. A job has no key and changes nothing of
//! a plan: what it did is seen on the disk, and what it did not is the next plan's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use vault::ids::VaultId;
use vault::plan::Act;

use crate::agents::vaultmgr::hands::crypt::Join;
use crate::agents::vaultmgr::hands::movein::{self, MoveError, Places};
use crate::agents::vaultmgr::hands::tree::{self, BetweenPieces, Work};

/// How long a job is waited for before it is left to itself: most are over by then.
const SHORT: Duration = Duration::from_millis(300);
/// How often it is asked for.
const LOOK: Duration = Duration::from_millis(500);

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
    fn run(self, work: &Work) -> Outcome {
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

struct Running {
    act: Act,
    work: Arc<Work>,
    thread: JoinHandle<Outcome>,
}

/// A job that is over.
pub(crate) struct Over {
    pub(crate) id: VaultId,
    pub(crate) act: Act,
    pub(crate) outcome: Outcome,
}

/// The jobs of a node, one a vault.
#[derive(Default)]
pub(crate) struct Jobs {
    running: BTreeMap<VaultId, Running>,
    /// What threads do between two pieces of it. Nothing: whoever starts one waits for its end. Tests do, which stop a life at a step.
    apart: Option<Arc<dyn BetweenPieces>>,
}

impl Jobs {
    /// From now on long work is left to threads, which do this between two pieces of it.
    pub(crate) fn leave_to_threads(&mut self, between: Arc<dyn BetweenPieces>) {
        self.apart = Some(between);
    }

    /// Starts a job on a vault that has none. What is over at once is handed back at once.
    pub(crate) fn start(&mut self, id: VaultId, act: Act, job: Job) -> Option<Over> {
        let Some(between) = &self.apart else {
            return Some(Over { id, act, outcome: job.run(&Work::default()) });
        };
        let work = Arc::new(Work::apart(act.step.kind(), Arc::clone(between)));
        let theirs = Arc::clone(&work);
        let spawned = thread::Builder::new().name("long work".to_owned()).spawn(move || job.run(&theirs));
        let thread = match spawned {
            Ok(thread) => thread,
            Err(error) => return Some(Over { id, act, outcome: Err(error.into()) }),
        };
        let late = Instant::now() + SHORT;
        while !thread.is_finished() && Instant::now() < late {
            thread::sleep(Duration::from_millis(2));
        }
        self.running.insert(id, Running { act, work, thread });
        self.poll(id)
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

    /// Ends the job of a vault at its next piece, and waits for that.
    pub(crate) fn stop(&mut self, id: VaultId) -> Option<Over> {
        self.running.get(&id)?.work.stop();
        self.join(id)
    }

    fn join(&mut self, id: VaultId) -> Option<Over> {
        let Running { act, thread, .. } = self.running.remove(&id)?;
        let outcome =
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the work ended by a panic").into()));
        Some(Over { id, act, outcome })
    }

    /// What is under way on a vault, and how far it is, in words.
    pub(crate) fn progress(&self, id: VaultId) -> Option<(Act, String)> {
        self.running.get(&id).map(|running| (running.act, running.work.to_string()))
    }

    /// When to ask again; nothing while none is under way.
    pub(crate) fn again(&self) -> Option<Instant> {
        (!self.running.is_empty()).then(|| Instant::now() + LOOK)
    }
}
