//! One process, as /proc shows it: what it has open, where it stands, what it has mapped, which sockets it has bound.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fscrypt::sharing::same_descriptors;
use vault::text::quoted;

use super::subject::{Late, Subject, What};
use crate::agents::vaultmgr::hands::mounts::Table;

/// Longest text of one process that is read, in bytes.
const MAX_TEXT: u64 = 4 << 20;
/// With so many tables of a process a thread's is compared; a process that makes more has each looked through.
const MAX_COMPARED: usize = 4;
/// So many threads that wait for a disk are looked at once more.
const MAX_WAITING: usize = 64;
/// How long a thread that waits for a disk is given to move on.
const STILL: Duration = Duration::from_millis(200);

/// Its folder in /proc.
pub(super) struct Process(pub(super) PathBuf);

impl fmt::Display for Process {
    /// A process names itself as it likes, with what a terminal obeys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = fs::read(self.0.join("comm")).unwrap_or_default();
        let name = quoted(String::from_utf8_lossy(&name).trim());
        write!(f, "process {} ({name})", self.0.file_name().unwrap_or_default().display())
    }
}

impl Process {
    /// Whether one of its threads stays where no signal reaches it. Nearly every wait for a disk is over at the second look. How many threads
    /// there are, and wait, is up to any user: where it is late, nothing is said of them.
    pub(super) fn hangs(&self, late: Late<'_>) -> bool {
        let tasks = self.tasks().take_while(|_| !late());
        let before: Vec<_> = tasks.filter_map(beyond_signals).take(MAX_WAITING).collect();
        if before.is_empty() || late() {
            return false;
        }
        std::thread::sleep(STILL);
        before.into_iter().any(|(task, turns)| beyond_signals(task).is_some_and(|(_, now)| now == turns))
    }

    /// Which namespace it is in.
    pub(super) fn namespace(&self, kind: &str) -> Option<PathBuf> {
        fs::read_link(self.0.join("ns").join(kind)).ok()
    }

    pub(super) fn mounts(&self, subject: &Subject<'_>) -> Option<Table> {
        Table::read_until(&self.0.join("mountinfo"), subject.late).ok()
    }

    pub(super) fn open_file(&self, subject: &Subject<'_>, bound: &BTreeSet<String>) -> Option<&'static str> {
        let tables = self.tables(subject).into_iter().map(|task| task.join("fd"));
        let descriptors = tables.filter_map(|table| fs::read_dir(table).ok()).flatten().flatten();
        descriptors
            .take_while(|_| !(subject.late)())
            .find_map(|entry| self.descriptor(&entry.path(), subject, bound))
    }

    /// Its threads: each may have descriptors and a working directory of its own (unshare(2): CLONE_FILES, CLONE_FS), and go on when
    /// the first of them ended.
    fn tasks(&self) -> impl Iterator<Item = PathBuf> + use<> {
        fs::read_dir(self.0.join("task")).into_iter().flatten().flatten().map(|entry| entry.path())
    }

    /// Of its threads one for each table of descriptors. Nearly always that is one, however many threads there are.
    pub(super) fn tables(&self, subject: &Subject<'_>) -> Vec<PathBuf> {
        let mut tables: Vec<PathBuf> = Vec::new();
        for task in self.tasks().take_while(|_| !(subject.late)()) {
            let number = |task: &Path| task.file_name()?.to_str()?.parse().ok();
            let same = |table: &PathBuf| {
                number(table).zip(number(&task)).is_some_and(|(one, other)| same_descriptors(one, other))
            };
            if !tables.iter().take(MAX_COMPARED).any(same) {
                tables.push(task);
            }
        }
        tables
    }

    fn descriptor(
        &self,
        link: &Path,
        subject: &Subject<'_>,
        bound: &BTreeSet<String>,
    ) -> Option<&'static str> {
        let target = fs::read_link(link).unwrap_or_default();
        let target = target.to_string_lossy();
        let of_task = link.parent().and_then(Path::parent).unwrap_or(&self.0);
        let about = || of_task.join("fdinfo").join(link.file_name().unwrap_or_default());
        match &*target {
            "anon_inode:inotify" if matches!(subject.what, What::Vault(_)) => {
                any_line(&about(), subject.late, |line| line.starts_with("inotify") && subject.watches(line))
                    .then_some("an inotify watch")
            }
            socket if bound.contains(socket) => Some("a bound socket"),
            _ if subject.is_own(link) || !subject.has(link) => None,
            _ => match subject.what {
                What::Vault(_) => Some("an open file"),
                What::Plain { .. } if Subject::is_folder(link) => Some("an open folder"),
                What::Plain { .. } => {
                    any_line(&about(), subject.late, writes).then_some("a file open for writing")
                }
            },
        }
    }

    /// Where it stands, and what it calls the root.
    pub(super) fn folder(&self, subject: &Subject<'_>) -> Option<&'static str> {
        let ways = [("cwd", "its working directory"), ("root", "its root folder")];
        self.tasks()
            .take_while(|_| !(subject.late)())
            .flat_map(|task| ways.map(|(link, how)| (task.join(link), how)))
            .find_map(|(link, how)| subject.has(&link).then_some(how))
    }

    /// A program that runs from it, and what else is mapped; of plain files only what is shared for writing.
    pub(super) fn mapping(&self, subject: &Subject<'_>) -> Option<&'static str> {
        let plain = matches!(subject.what, What::Plain { .. });
        let mapped = |line: &str| {
            let mut fields = line.split(' ');
            let (range, rights) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let counts = line.contains('/') && (!plain || rights.contains('w') && rights.ends_with('s'));
            counts && subject.has(&self.0.join("map_files").join(range))
        };
        let runs = || !plain && subject.has(&self.0.join("exe"));
        (runs() || any_line(&self.0.join("maps"), subject.late, mapped)).then_some("a mapped file")
    }

    /// The sockets of its network that are bound to a path in the tree, as links in /proc name them.
    pub(super) fn bound_in(&self, table: &Table, subject: &Subject<'_>) -> BTreeSet<String> {
        let mut bound = BTreeSet::new();
        let Some(place) = &subject.place else { return bound };
        any_line(&self.0.join("net/unix"), subject.late, |line| {
            // Num RefCount Protocol Flags Type St Inode Path
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let path = line.find(" /").map(|at| Path::new(&line[at + 1..]));
            if let (Some(inode), Some(path)) = (fields.get(6), path)
                && table.leads_into(path, place)
            {
                bound.insert(format!("socket:[{inode}]"));
            }
            false
        });
        bound
    }
}

/// A thread in that state (proc_pid_stat(5), D), and how often it was given a processor: none that moved on has the same number.
fn beyond_signals(task: PathBuf) -> Option<(PathBuf, String)> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    of("State:\tD")?;
    let turns = of("voluntary_ctxt_switches:")?.to_owned();
    Some((task, turns))
}

/// Whether an open file's flags, in octal as fdinfo has them, are those of a writer.
fn writes(line: &str) -> bool {
    let flags = line.strip_prefix("flags:").and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY && flags & libc::O_PATH == 0)
}

/// Whether a line of a text of the kernel's is so; the first that is ends the reading, and so does that it is late. Paths in it are bytes.
fn any_line(file: &Path, late: Late<'_>, mut is_so: impl FnMut(&str) -> bool) -> bool {
    let Ok(file) = fs::File::open(file) else { return false };
    let lines = BufReader::new(file.take(MAX_TEXT)).split(b'\n').map_while(Result::ok);
    lines.take_while(|_| !late()).any(|line| is_so(&String::from_utf8_lossy(&line)))
}
