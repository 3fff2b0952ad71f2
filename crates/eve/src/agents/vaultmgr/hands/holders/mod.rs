//! Who holds files of a tree: of a vault that is to be locked, or of plain files that are to be wiped. Compared is what the kernel
//! compares, filesystem, inode and encryption policy, and not the path that somebody sees: a container has paths of its own.
//! How much there is to look through is up to any user: whether it is late is asked in every loop, before the next system call, and what
//! is kept meanwhile is little.
//! Says process and kind of hold, never a file's name: names inside a vault are part of what it protects. Nothing here waits for
//! another filesystem than the tree's own.

mod kernels;
mod process;
mod subject;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fscrypt::KeyIdentifier;

use crate::agents::vaultmgr::hands::crypt::KeyId;
use process::Process;
use subject::{Late, Subject, What};

/// Most holders that are named; the rest are counted by the kernel alone.
const MAX_NAMED: usize = 8;
/// Of a holder that no signal ends, whatever its user does.
const HANGS: &str = ", and waits in the kernel for a disk (a frozen filesystem, as for a snapshot, or one that fails): thaw it (`fsfreeze --unfreeze`) or mend it, for nothing ends that process before";
/// Longest search: whoever asked waits, and any user's processes and their files take time to look through.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often plain files are looked at before it is believed that somebody holds them.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// The holders of anything in the vault at `dir`, whose key is `key`, in words; at most eight, and whether there may be more that
/// nobody looked for.
pub(crate) fn of_vault(dir: &Path, key: Option<KeyId>) -> Vec<String> {
    search(dir, What::Vault(key.map(|key| KeyIdentifier(key.0))), &patience())
}

/// Those who could still write to plain files at `dir`, or make new ones beside them, by what they hold and not by a name.
/// `device` and `inodes`: what the files are; `own`: the descriptor that we hold the tree by ourselves.
pub(crate) fn of_plain(dir: &Path, device: u64, inodes: &BTreeSet<u64>, own: Option<RawFd>) -> Vec<String> {
    let look = || search(dir, What::Plain { device, inodes, own }, &patience());
    // Who was only passing (a child before its exec has all that its parent has) is gone at one of the next looks; what he wrote is
    // found by comparing.
    for _ in 1..LOOKS {
        if look().is_empty() {
            return Vec::new();
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    look()
}

/// Whether it is late, for a search that begins now.
fn patience() -> impl Fn() -> bool {
    let until = Instant::now() + PATIENCE;
    move || Instant::now() >= until
}

fn search(dir: &Path, what: What<'_>, late: Late<'_>) -> Vec<String> {
    let Some(subject) = Subject::new(dir, what, late) else { return Vec::new() };
    let found = kernels::kernels(&subject);
    let mut search = Search { subject, mounted: BTreeMap::new(), sockets: BTreeMap::new(), found };
    for process in processes() {
        if late() || search.found.len() >= MAX_NAMED {
            break;
        }
        search.look_at(&Process(process));
    }
    if late() || search.subject.is_cut() {
        let words = "perhaps others: there are too many processes, mounts or files to look at them all";
        search.found.push(words.to_owned());
    }
    search.found
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let is_pid = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_pid)
}

/// A search, with what many processes have in common.
struct Search<'a> {
    subject: Subject<'a>,
    /// By mount namespace: how its mounts hold the tree, until that is told. Their table is not kept: any user makes namespaces with long ones.
    mounted: BTreeMap<PathBuf, Option<&'static str>>,
    /// By namespaces of mounts and network: the sockets of the second that are bound in the tree, as their paths read in the first.
    sockets: BTreeMap<[PathBuf; 2], BTreeSet<String>>,
    found: Vec<String>,
}

impl Search<'_> {
    /// A process may end while it is looked at: then it holds nothing.
    fn look_at(&mut self, process: &Process) {
        let how = self.mapped_or_open(process).or_else(|| self.mounted(process));
        if let Some(how) = how {
            let hangs = if process.hangs(self.subject.late) { HANGS } else { "" };
            self.found.push(format!("{process} holds {how}{hangs}"));
        }
    }

    fn mapped_or_open(&mut self, process: &Process) -> Option<&'static str> {
        let both = [process.namespace("mnt")?, process.namespace("net").unwrap_or_default()];
        if !self.sockets.contains_key(&both) {
            self.enter(process, &both);
        }
        let (subject, none) = (&self.subject, BTreeSet::new());
        process
            .open_file(subject, self.sockets.get(&both).unwrap_or(&none))
            .or_else(|| process.folder(subject))
            .or_else(|| process.mapping(subject))
    }

    /// By the first process that is found in them. One that ended meanwhile says nothing.
    fn enter(&mut self, process: &Process, both: &[PathBuf; 2]) -> Option<()> {
        let table = process.mounts(&self.subject)?;
        self.sockets.insert(both.clone(), process.bound_in(&table, &self.subject));
        let place = self.subject.place.as_ref()?;
        let late = self.subject.late;
        self.mounted.entry(both[0].clone()).or_insert_with(|| table.holds(place, late));
        Some(())
    }

    /// Each namespace is told once, by the first process that is found in it.
    fn mounted(&mut self, process: &Process) -> Option<&'static str> {
        self.mounted.get_mut(&process.namespace("mnt")?)?.take()
    }
}

#[cfg(test)]
mod tests;
