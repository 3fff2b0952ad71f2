//! What is in a tree, by inode, as far as there is time: users decide how deep and wide it is. One directory is open at a time and read as a
//! stream: no name is held, and of the way up only inode numbers and places in directories are.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{Dir, DirEntry, FileType};

use super::Folder;

/// Most that are found: whoever asks has them in locked memory.
const MOST: usize = 1 << 18;

/// The inodes of a tree.
#[derive(Debug, Default)]
pub(crate) struct Inodes {
    pub(crate) found: BTreeSet<u64>,
    /// These are all.
    pub(crate) whole: bool,
}

/// Those of the directory and of all in it, until it is late. What can't be entered is left out with what is in it.
pub(crate) fn inodes(top: &Path, late: &dyn Fn() -> bool) -> Inodes {
    let mut found = BTreeSet::new();
    let whole = Folder::unless_covered(top).is_ok_and(|top| walk(top, &mut found, late).is_some());
    Inodes { found, whole }
}

/// Nothing, where it was late, or a directory was moved meanwhile.
fn walk(top: Folder, found: &mut BTreeSet<u64>, late: &dyn Fn() -> bool) -> Option<()> {
    found.insert(top.stat().ok()?.stx_ino);
    let (mut here, mut above, mut from) = (top, Vec::new(), 0);
    loop {
        match scan(&here, from, found, late)? {
            Some((inner, after)) => {
                above.push((here.stat().ok()?.stx_ino, after));
                (here, from) = (inner, 0);
            }
            None => {
                let Some((inode, after)) = above.pop() else { return Some(()) };
                (here, from) = (here.up(inode).ok()?, after);
            }
        }
    }
}

/// Looks through a directory from a place in it on, up to the first that can be entered: it, and the place behind it.
fn scan(
    folder: &Folder,
    from: i64,
    found: &mut BTreeSet<u64>,
    late: &dyn Fn() -> bool,
) -> Option<Option<(Folder, i64)>> {
    let mut entries = Dir::read_from(folder).ok()?;
    entries.seek(from).ok()?;
    while !late() && found.len() < MOST {
        let Some(entry) = entries.read() else { return Some(None) };
        let entry = entry.ok()?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        found.insert(entry.ino());
        if let Some(inner) = inner(folder, &entry) {
            return Some(Some((inner, entry.offset())));
        }
    }
    None
}

/// The directory, if it is one. Not every filesystem says that with the name.
fn inner(folder: &Folder, entry: &DirEntry) -> Option<Folder> {
    let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
    may_be.then(|| folder.below(entry.file_name()).ok())?
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn all_in_a_tree_are_found_however_deep() {
        let top = tempfile::tempdir().expect("a directory");
        let (mut dir, mut all) = (top.path().to_owned(), BTreeSet::new());
        for _ in 0..20 {
            for name in ["a", "m", "z"] {
                fs::write(dir.join(name), name).expect("writes");
            }
            dir.push("inner");
            fs::create_dir(&dir).expect("makes");
            fs::create_dir(dir.with_file_name("empty")).expect("makes");
        }
        let mut todo = vec![top.path().to_owned()];
        while let Some(path) = todo.pop() {
            all.insert(fs::symlink_metadata(&path).expect("there").ino());
            todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        let found = inodes(top.path(), &|| false);
        assert_eq!((found.found, found.whole), (all, true));
    }

    /// TH-3: users decide how wide a directory is, and no search of one goes on when it is late.
    #[test]
    fn a_wide_directory_is_not_looked_through_when_it_is_late() {
        let top = tempfile::tempdir().expect("a directory");
        for name in 0..500 {
            fs::write(top.path().join(name.to_string()), "").expect("writes");
        }
        let asked = Cell::new(0);
        let late = || {
            asked.set(asked.get() + 1);
            asked.get() > 50
        };
        let found = inodes(top.path(), &late);
        assert!(!found.whole && found.found.len() <= 51, "{}", found.found.len());
    }
}
