//! Who holds files of a vault that is to be locked: open files, working directories, mappings, mounts, loop devices.
//! Says process and kind of hold, never a file name: names inside a vault are part of what it protects.

use std::fs;
use std::path::{Path, PathBuf};

/// Most holders that are named; the rest are counted by the kernel alone.
const MAX_NAMED: usize = 8;

/// The holders of anything under `dir`, in words; at most eight.
pub(crate) fn holders(dir: &Path) -> Vec<String> {
    let Ok(dir) = fs::canonicalize(dir) else { return Vec::new() };
    let processes = processes().into_iter().filter_map(|pid| of_process(&pid, &dir));
    processes.chain(loops(&dir)).take(MAX_NAMED).collect()
}

fn processes() -> Vec<PathBuf> {
    let is_pid = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_pid).collect()
}

/// A process may end while it is looked at: then it holds nothing.
fn of_process(process: &Path, dir: &Path) -> Option<String> {
    let link = |name: &str| fs::read_link(process.join(name)).is_ok_and(|target| target.starts_with(dir));
    let how = if open_file(process, dir) {
        "an open file"
    } else if link("cwd") || link("root") {
        "its working directory"
    } else if link("exe") || mentions(&process.join("maps"), dir) {
        "a mapped file"
    } else if mounted(process, dir) {
        "a mount in its namespace"
    } else {
        return None;
    };
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let pid = process.file_name()?.to_string_lossy();
    Some(format!("process {pid} ({}) holds {how}", name.trim()))
}

fn open_file(process: &Path, dir: &Path) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.starts_with(dir))
}

fn mentions(file: &Path, dir: &Path) -> bool {
    let within = |line: &str| line.find('/').is_some_and(|at| Path::new(&line[at..]).starts_with(dir));
    fs::read_to_string(file).is_ok_and(|text| text.lines().any(within))
}

/// A mount point inside the vault, or a bind mount of a part of it: field 5, or field 4 below the filesystem's own root.
fn mounted(process: &Path, dir: &Path) -> bool {
    let within = |line: &str| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let part_of = root.len() > 1 && dir.ends_with(root.trim_start_matches('/'));
        part_of || Path::new(point).starts_with(dir)
    };
    fs::read_to_string(process.join("mountinfo")).is_ok_and(|text| text.lines().any(within))
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
    use super::*;

    #[test]
    fn an_open_file_names_its_process_and_not_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let _open = fs::File::create(dir.path().join("private-name")).expect("creates");
        let found = holders(dir.path());
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
        assert_eq!(holders(dir.path()), Vec::<String>::new());
    }
}
