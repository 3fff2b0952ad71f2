//! Trees put into a project while their owners are in the way of that. What the kernel would do is written down in its place.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{DEEPEST, Uncounted, Work, enlist};

thread_local! {
    static JOINED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// As the kernel does with one that is immutable, and with one that exceeds a limit.
fn join(file: BorrowedFd<'_>, _: u32, _: bool) -> io::Result<()> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    match path.file_name().and_then(|name| name.to_str()) {
        Some("fixed") => Err(Errno::EPERM.into()),
        Some("large") => Err(Errno::EDQUOT.into()),
        _ => {
            JOINED.with_borrow_mut(|joined| joined.push(path));
            Ok(())
        }
    }
}

fn enlisted(top: &Path) -> (Uncounted, Vec<PathBuf>) {
    JOINED.take();
    let left = enlist(top, (1, join), &Work::default()).expect("nobody stopped it");
    (left, JOINED.take())
}

/// VC-7: what can't be counted is passed over, counted and named; all else is counted.
#[test]
fn what_can_not_be_counted_ends_no_walk() {
    let dir = tempfile::tempdir().expect("a directory");
    for folder in ["a", "b", "c", "d", "e"] {
        fs::create_dir(dir.path().join(folder)).expect("makes");
        fs::write(dir.path().join(folder).join("fixed"), "x").expect("writes");
    }
    fs::write(dir.path().join("z"), "x").expect("writes");
    let (left, joined) = enlisted(dir.path());
    assert!(joined.contains(&dir.path().join("z")), "{joined:?}");
    let words = left.words().expect("five are left out");
    assert!(words.starts_with("storage limit in force, and 5 files or folders are not counted"), "{words}");
    assert!(words.contains("a/fixed: can't be counted") && words.contains("chattr -i"), "{words}");
    assert!(words.contains("c/fixed") && !words.contains("d/fixed"), "some stand for all: {words}");
}

/// VC-7: folders that nest too deep are passed over, told, and what is beside them is counted.
#[test]
fn too_deep_a_folder_is_left_out_and_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join(vec!["d"; DEEPEST + 2].join("/"));
    fs::create_dir_all(deep).expect("makes");
    fs::write(dir.path().join("z"), "x").expect("writes");
    let (left, joined) = enlisted(dir.path());
    assert!(joined.contains(&dir.path().join("z")), "what is beside it");
    let words = left.words().expect("one is left out");
    assert!(words.contains("1 file or folder is not counted") && words.contains("nest too deep"), "{words}");
}

/// VC-7: where the limit has no room for the files of before, their folders are in the project: what is made in these is bounded.
#[test]
fn folders_are_counted_before_files() {
    let dir = tempfile::tempdir().expect("a directory");
    for folder in ["a", "b"] {
        fs::create_dir(dir.path().join(folder)).expect("makes");
        fs::write(dir.path().join(folder).join("small"), "x").expect("writes");
    }
    fs::write(dir.path().join("a/large"), "x").expect("writes");
    let (left, joined) = enlisted(dir.path());
    let place = |of: &str| joined.iter().position(|path| path.ends_with(of)).expect(of);
    assert!(place("b") < place("a/small"), "{joined:?}");
    assert!(left.words().is_some_and(|words| words.contains("a limit that is reached")));
}
