//! One process, as /proc shows it: what it has open, where it stands, what it has mapped, which sockets it has bound.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fscrypt::sharing::same_descriptors;
use vault::text::quoted;

use super::subject::{Subject, What};
use crate::agents::vaultmgr::hands::mounts::Table;

/// Longest text of one process that is read, in bytes.
const MAX_TEXT: u64 = 4 << 20;
/// With so many tables of a process a thread's is compared; a process that makes more has each looked through.
const MAX_COMPARED: usize = 4;

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
    /// Which namespace it is in.
    pub(super) fn namespace(&self, kind: &str) -> Option<PathBuf> {
        fs::read_link(self.0.join("ns").join(kind)).ok()
    }

    pub(super) fn mounts(&self) -> Option<Table> {
        Table::read(&self.0.join("mountinfo")).ok()
    }

    pub(super) fn open_file(&self, subject: &Subject<'_>, bound: &BTreeSet<String>) -> Option<&'static str> {
        let tables = self.tables(subject).into_iter().map(|task| task.join("fd"));
        let descriptors = tables.filter_map(|table| fs::read_dir(table).ok()).flatten().flatten();
        descriptors
            .take_while(|_| !subject.late())
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
        for task in self.tasks().take_while(|_| !subject.late()) {
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
                any_line(&about(), |line| line.starts_with("inotify") && subject.watches(line))
                    .then_some("an inotify watch")
            }
            socket if bound.contains(socket) => Some("a bound socket"),
            _ if subject.is_own(link) || !subject.has(link) => None,
            _ => match subject.what {
                What::Vault(_) => Some("an open file"),
                What::Plain { .. } if Subject::is_folder(link) => Some("an open folder"),
                What::Plain { .. } => any_line(&about(), writes).then_some("a file open for writing"),
            },
        }
    }

    /// Where it stands, and what it calls the root.
    pub(super) fn folder(&self, subject: &Subject<'_>) -> Option<&'static str> {
        self.tasks()
            .flat_map(|task| ["cwd", "root"].map(|link| task.join(link)))
            .any(|link| subject.has(&link))
            .then_some("its working directory")
    }

    /// A program that runs from it, and what else is mapped; of plain files only what is shared for writing.
    pub(super) fn mapping(&self, subject: &Subject<'_>) -> Option<&'static str> {
        let plain = matches!(subject.what, What::Plain { .. });
        let mapped = |line: &str| {
            let mut fields = line.split(' ');
            let (range, rights) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let counts = line.contains('/') && (!plain || rights.contains('w') && rights.ends_with('s'));
            counts && !subject.late() && subject.has(&self.0.join("map_files").join(range))
        };
        let runs = || !plain && subject.has(&self.0.join("exe"));
        (runs() || any_line(&self.0.join("maps"), mapped)).then_some("a mapped file")
    }

    /// The sockets of its network that are bound to a path in the tree, as links in /proc name them.
    pub(super) fn bound_in(&self, table: Option<&Table>, subject: &Subject<'_>) -> BTreeSet<String> {
        let (Some(table), Some(place)) = (table, &subject.place) else { return BTreeSet::new() };
        let mut bound = BTreeSet::new();
        any_line(&self.0.join("net/unix"), |line| {
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

/// Whether an open file's flags, in octal as fdinfo has them, are those of a writer.
fn writes(line: &str) -> bool {
    let flags = line.strip_prefix("flags:").and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY && flags & libc::O_PATH == 0)
}

/// Whether a line of a text of the kernel's is so; the first that is ends the reading. Paths in it are bytes.
fn any_line(file: &Path, mut is_so: impl FnMut(&str) -> bool) -> bool {
    let Ok(file) = fs::File::open(file) else { return false };
    let mut lines = BufReader::new(file.take(MAX_TEXT)).split(b'\n').map_while(Result::ok);
    lines.any(|line| is_so(&String::from_utf8_lossy(&line)))
}
