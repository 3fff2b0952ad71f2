//! Who holds files of a vault that does not lock is looked for apart, one vault after another: how long that takes is up to any user of the
//! machine, and the thread that decides waits for none of them. It asks, and takes up later what was found. A search that hangs, because what it looks
//! at does, is left to itself: nothing ends its thread.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault::condition::Key;
use vault::ids::VaultId;

use crate::agents::vaultmgr::hands::crypt::{Crypt, KeyId};
use crate::agents::vaultmgr::hands::holders;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::execute::StepError;
use crate::agents::vaultmgr::vault::jobs::Workers;

/// Stands where the holders are told, until they are known.
pub(crate) const SOUGHT: &str = "who holds files of it is being looked for";

/// A search that ended by a panic.
const NOT_KNOWN: &str = "who holds files of it could not be found out";

/// Stands where the holders are told, when a search for them is given up.
pub(crate) const HANGS: &str = "not known by whom, for who looks at the processes of this machine hangs in the kernel as one of them does, as where a filesystem is frozen or a disk fails: those in state D of `ps -eo pid,stat,comm` wait for it; thaw it (`fsfreeze --unfreeze`) or mend it";

/// A search takes two seconds, and a little more where holders hang; after so long it is given up.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// Searches that were given up and hang still: with so many no other begins.
const MOST_LEFT: usize = 3;

/// What is searched.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) dir: PathBuf,
    pub(crate) key: KeyId,
}

impl Search {
    /// The holders, in words.
    pub(crate) fn run(&self) -> Vec<String> {
        holders::of_vault(&self.dir, Some(self.key))
    }
}

/// How far a search is.
pub(crate) enum Sought {
    Over(Vec<String>),
    UnderWay(JoinHandle<Vec<String>>),
}

/// One that is under way.
struct Out {
    id: VaultId,
    thread: JoinHandle<Vec<String>>,
    since: Instant,
}

/// The searches of a node, one at a time: each looks at all processes.
#[derive(Default)]
pub(crate) struct Seeking {
    out: Option<Out>,
    due: VecDeque<(VaultId, Search)>,
    /// Those that were given up.
    left: Vec<JoinHandle<Vec<String>>>,
}

impl Seeking {
    /// Asks for a search, unless there is one of this vault. What is found at once is handed back.
    pub(crate) fn ask(&mut self, id: VaultId, search: Search, workers: &dyn Workers) -> Option<Vec<String>> {
        if self.is_about(id) {
            return None;
        }
        if self.out.is_some() {
            self.due.push_back((id, search));
            return None;
        }
        self.begin(id, search, workers)
    }

    fn begin(&mut self, id: VaultId, search: Search, workers: &dyn Workers) -> Option<Vec<String>> {
        self.left.retain(|thread| !thread.is_finished());
        if self.left.len() >= MOST_LEFT {
            return Some(vec![HANGS.to_owned()]);
        }
        match workers.seek(search) {
            Sought::Over(found) => Some(found),
            Sought::UnderWay(thread) => {
                self.out = Some(Out { id, thread, since: Instant::now() });
                None
            }
        }
    }

    /// The one that is under way, once it is over, or given up.
    fn ended(&mut self, now: Instant) -> Option<(VaultId, Vec<String>)> {
        if let Some(Out { id, thread, .. }) = self.out.take_if(|out| out.thread.is_finished()) {
            return Some((id, thread.join().unwrap_or_else(|_| vec![NOT_KNOWN.to_owned()])));
        }
        let Out { id, thread, .. } = self.out.take_if(|out| now >= out.since + GIVEN_UP)?;
        tracing::warn!(vault = %id, "the search for who holds files of it hangs, and is left to itself");
        self.left.push(thread);
        Some((id, vec![HANGS.to_owned()]))
    }

    /// What was found since, and the next search begins.
    pub(crate) fn over(&mut self, now: Instant, workers: &dyn Workers) -> Vec<(VaultId, Vec<String>)> {
        let mut over = Vec::from_iter(self.ended(now));
        while self.out.is_none()
            && let Some((id, search)) = self.due.pop_front()
        {
            over.extend(self.begin(id, search, workers).map(|found| (id, found)));
        }
        over
    }

    /// Whether the holders of this vault are being looked for, or will be.
    pub(crate) fn is_about(&self, id: VaultId) -> bool {
        self.out.iter().map(|out| &out.id).chain(self.due.iter().map(|(id, _)| id)).any(|one| *one == id)
    }

    pub(crate) fn is_out(&self) -> bool {
        self.out.is_some()
    }
}

impl<C: Crypt> Manager<C> {
    /// Why a vault is not locked though its key was taken away. What was found at an earlier try stands until the next search is over.
    pub(crate) fn held(&mut self, id: VaultId, key: KeyId) -> StepError {
        let found = self.jobs.seek(id, Search { dir: self.paths.vault(id), key });
        let slot = self.slots.entry(id).or_default();
        match found {
            Some(found) => slot.held_by(found),
            None => slot.held_by_whom(SOUGHT),
        }
        slot.held_error()
    }

    /// Takes up what was found. It stands in the reports of those that are held still.
    pub(crate) fn take_up_holders(&mut self, now: Instant) {
        for (id, found) in self.jobs.sought(now) {
            self.news += 1;
            if let Some(slot) = self.slots.get_mut(&id)
                && slot.sight().seen.key == Key::Incomplete
            {
                slot.held_by(found);
            }
        }
    }
}
