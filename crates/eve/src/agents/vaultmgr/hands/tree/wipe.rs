//! Plain trees wiped: every regular file is overwritten where it has anything on the disk, then removed. A file that has another
//! name outside keeps its data, which is somebody else's too; within one tree the last name wipes it.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, OFlags, Uid};
use rustix::io::Errno;

use super::data::{PIECE, each_piece};
use super::remove::unlink_taking;
use super::{Entry, Folder, Kind, Trouble, Work};
use crate::agents::vaultmgr::hands::durable;

/// Most things that are named; the rest are counted.
const MAX_NAMED: usize = 8;
pub(crate) const NOT_WIPED: &str =
    "can't be wiped: if it is marked immutable or append-only take that off (chattr -i -a)";

pub(crate) const HELD: &str = "was moved in, and somebody whom /proc does not show can still write to it (a descriptor in flight between processes, io_uring); it is not wiped yet: end what used it, or restart this machine";
pub(crate) const HELD_UNKNOWN: &str = "was moved in, and whether anybody could still write to it is not to be had from the kernel, so it is not wiped; see that nothing uses it, compare it with what is in the vault, and remove it";

/// What is left in the clear where everything was to be wiped, each with its path and what to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    named: Vec<String>,
    count: usize,
}

impl Left {
    pub(crate) fn add(&mut self, words: String) {
        self.count += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(words);
        }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = self.count - self.named.len();
        write!(f, "{} of them: {}", self.count, self.named.join("; "))?;
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

/// What came of a wiping.
#[derive(Debug, Default)]
pub(crate) struct Wiped {
    /// What stands there still.
    pub(crate) left: Left,
    /// What is gone from the tree, and whose data stays under another name.
    pub(crate) elsewhere: Vec<PathBuf>,
}

/// Wipes and removes a plain tree. Nothing there is success. Goes on past what can't be wiped.
///
/// # Errors
/// The tree can't be walked, or the work was stopped. What was done stays done.
pub(crate) fn wipe(path: &Path, work: &Work) -> Result<Wiped, Trouble> {
    let top = match Folder::top(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wiped::default()),
        opened => opened.map_err(Trouble::of(path, "can't be opened"))?,
    };
    let mut wiping = Wiping { work, left: Left::default(), elsewhere: BTreeMap::new() };
    wiping.folder(&top)?;
    drop(top);
    let Wiping { left, elsewhere, .. } = wiping;
    match std::fs::remove_dir(path) {
        Ok(()) => {
            durable::sync_parent(path).map_err(Trouble::of(path, "its removal can't be made durable"))?
        }
        // What could not be wiped stands in it still.
        Err(_) if !left.is_empty() => {}
        Err(error) => return Err(Trouble::of(path, "can't be removed")(error)),
    }
    Ok(Wiped { left, elsewhere: elsewhere.into_values().collect() })
}

struct Wiping<'a> {
    work: &'a Work,
    left: Left,
    /// Files of more than one name, by inode, until the last of them was in this tree.
    elsewhere: BTreeMap<u64, PathBuf>,
}

impl Wiping<'_> {
    fn folder(&mut self, folder: &Folder) -> Result<(), Trouble> {
        for name in folder.names()? {
            self.work.pace().map_err(Trouble::of(&folder.path, "wiping it"))?;
            if let Err(trouble) = self.one(folder, &name) {
                self.left.add(crate::agents::vaultmgr::chain(&trouble));
            }
        }
        Ok(())
    }

    fn one(&mut self, folder: &Folder, name: &CStr) -> Result<(), Trouble> {
        let Some(entry) = folder.entry(name)? else { return Ok(()) };
        let kind = entry.kind();
        match kind {
            Kind::Folder => self.folder(&folder.into(name, entry)?)?,
            Kind::File => self.file(&entry)?,
            Kind::Link | Kind::Socket | Kind::Special => {}
        }
        match unlink_taking(folder, name, kind) {
            // What could not be wiped stands in it still, and is told.
            Err(Errno::NOTEMPTY) if !self.left.is_empty() => return Ok(()),
            gone => gone.map_err(Trouble::of(&folder.path_of(name), NOT_WIPED))?,
        }
        self.work.file();
        Ok(())
    }

    fn file(&mut self, entry: &Entry) -> Result<(), Trouble> {
        if entry.stat.stx_nlink > 1 {
            self.elsewhere.insert(entry.stat.stx_ino, entry.path.clone());
            return Ok(());
        }
        self.elsewhere.remove(&entry.stat.stx_ino);
        closed_to_others(entry)?;
        open_to_wipe(entry)
            .and_then(|file| overwrite(&file, self.work))
            .map_err(Trouble::of(&entry.path, NOT_WIPED))
    }
}

/// Refuses a file that somebody could write to while it is overwritten, or once it was: he would write into what is thrown away.
/// First nobody may open it anew, then the kernel is asked who has it open.
fn closed_to_others(entry: &Entry) -> Result<(), Trouble> {
    if !entry.is_fixed() {
        entry.take().map_err(Trouble::of(&entry.path, NOT_WIPED))?;
    }
    if entry.has_writers().map_err(Trouble::of(&entry.path, HELD_UNKNOWN))? {
        return Err(Trouble::new(&entry.path, HELD));
    }
    Ok(())
}

/// Another user's file is made ours first: vaultmgr may change owners, and may not write past them.
fn open_to_wipe(entry: &Entry) -> io::Result<File> {
    match entry.open(OFlags::RDWR | OFlags::NONBLOCK) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !entry.is_fixed() => {
            rustix::fs::chownat(entry, c"", Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::EMPTY_PATH)?;
            std::fs::set_permissions(entry.itself(), std::fs::Permissions::from_mode(0o600))?;
            entry.open(OFlags::RDWR | OFlags::NONBLOCK)
        }
        other => other,
    }
}

/// In place, and only what is allocated: a hole that is written to would take room that nobody has.
fn overwrite(file: &File, work: &Work) -> io::Result<()> {
    static ZEROS: [u8; PIECE] = [0; PIECE];
    each_piece(file, work, |at, length| file.write_all_at(&ZEROS[..length], at).map(|()| true))?;
    file.sync_all()
}
