//! Who holds files of a vault that is to be locked: open files, working directories, mappings, mounts, loop devices.
//! Says process and kind of hold, never a file name: names inside a vault are part of what it protects.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most holders that are named; the rest are counted by the kernel alone.
const MAX_NAMED: usize = 8;
/// Longest search: whoever asked waits, and any user's processes and their files take time to look through.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest text of one process that is read, in bytes.
const MAX_TEXT: u64 = 4 << 20;

/// The holders of anything under `dir`, in words; at most eight, and whether there may be more that nobody looked for.
pub(crate) fn holders(dir: &Path) -> Vec<String> {
    search(dir, Instant::now() + PATIENCE)
}

fn search(dir: &Path, until: Instant) -> Vec<String> {
    let Ok(dir) = fs::canonicalize(dir) else { return Vec::new() };
    let in_time = || Instant::now() < until;
    let processes = processes().take_while(|_| in_time()).filter_map(|pid| of_process(&pid, &dir, until));
    let mut found: Vec<String> = loops(&dir).into_iter().chain(processes).take(MAX_NAMED).collect();
    if !in_time() {
        found.push("perhaps others: there are too many processes to look at them all".to_owned());
    }
    found
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let is_pid = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_pid)
}

/// A process may end while it is looked at: then it holds nothing.
fn of_process(process: &Path, dir: &Path, until: Instant) -> Option<String> {
    let link = |name: &str| fs::read_link(process.join(name)).is_ok_and(|target| target.starts_with(dir));
    let how = if open_file(process, dir, until) {
        "an open file"
    } else if link("cwd") || link("root") {
        "its working directory"
    } else if link("exe") || mapped(process, dir) {
        "a mapped file"
    } else if mounted(process, dir) {
        "a mount in its namespace"
    } else {
        return None;
    };
    // A process names itself as it likes, with what a terminal obeys.
    let name = fs::read(process.join("comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim().escape_debug().to_string();
    let pid = process.file_name()?.to_string_lossy();
    Some(format!("process {pid} ({name}) holds {how}"))
}

fn open_file(process: &Path, dir: &Path, until: Instant) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut targets = descriptors
        .take_while(|_| Instant::now() < until)
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.starts_with(dir))
}

/// Whether a line of a text of the kernel's is so. Paths in it are bytes.
fn any_line(file: &Path, is_so: impl Fn(&str) -> bool) -> bool {
    let Ok(file) = fs::File::open(file) else { return false };
    let lines = BufReader::new(file.take(MAX_TEXT)).split(b'\n').map_while(Result::ok);
    lines.into_iter().any(|line| is_so(&String::from_utf8_lossy(&line)))
}

fn mapped(process: &Path, dir: &Path) -> bool {
    let within = |line: &str| line.find('/').is_some_and(|at| Path::new(&line[at..]).starts_with(dir));
    any_line(&process.join("maps"), within)
}

/// A mount point inside the vault, or a bind mount of a part of it: field 5, or field 4 below the filesystem's own root.
fn mounted(process: &Path, dir: &Path) -> bool {
    let within = |line: &str| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let part_of = root.len() > 1 && dir.ends_with(root.trim_start_matches('/'));
        part_of || Path::new(point).starts_with(dir)
    };
    any_line(&process.join("mountinfo"), within)
}

fn loops(dir: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let held = |device: &PathBuf| {
        fs::read_to_string(device.join("loop/backing_file"))
            .is_ok_and(|file| Path::new(file.trim()).starts_with(dir))
    };
    let words = |device: PathBuf| {
        format!("loop device {} is backed by a file", device.file_name().unwrap_or_default().display())
    };
    devices.map(|entry| entry.path()).filter(held).map(words).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn unhurried() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[test]
    fn an_open_file_names_its_process_and_not_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let _open = fs::File::create(dir.path().join("private-name")).expect("creates");
        let found = search(dir.path(), unhurried());
        let own = format!("process {} (", std::process::id());
        assert!(
            found.iter().any(|line| line.starts_with(&own) && line.ends_with("an open file")),
            "{found:?}"
        );
        assert!(!found.concat().contains("private-name"));
    }

    #[test]
    fn nobody_holds_an_idle_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(search(dir.path(), unhurried()), Vec::<String>::new());
    }

    /// A search ends, however many processes anybody starts, and says that it was cut short.
    #[test]
    fn a_search_that_takes_too_long_says_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let _open = fs::File::create(dir.path().join("file")).expect("creates");
        let mut there = Command::new("sleep").arg("600").current_dir(dir.path()).spawn().expect("starts");
        let told = search(dir.path(), Instant::now());
        there.kill().and_then(|()| there.wait()).expect("ends");
        assert!(matches!(told.as_slice(), [one] if one.contains("too many")), "{told:?}");
    }

    /// Threats: a process can't write to root's terminal by what it calls itself.
    #[test]
    fn a_name_with_control_characters_is_told_escaped() {
        let dir = tempfile::tempdir().expect("a directory");
        let _open = fs::File::create(dir.path().join("file")).expect("creates");
        let before = fs::read("/proc/self/comm").expect("reads");
        fs::write("/proc/self/comm", "a\x1b[2Jb").expect("names itself");
        let found = search(dir.path(), unhurried()).concat();
        fs::write("/proc/self/comm", before.trim_ascii_end()).expect("names itself");
        assert!(found.contains(r"(a\u{1b}[2Jb)") && !found.contains('\x1b'), "{found}");
    }
}
