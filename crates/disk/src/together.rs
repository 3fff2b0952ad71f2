//! Many files made in a few folders: each folder is synced once, after all of them.
//!
//! What is put off is the durability of *names*, and only of those that nothing waits for: a file's bytes are synced before its
//! name, and whoever overwrites old bytes has synced the names that took them out of force. It ends with [`Disk::together`], which
//! says whether all is durable. Other threads put nothing off.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use nix::sys::stat::fstat;

use crate::folder::io;
use crate::{Disk, Error, Folder, Op};

/// Folders whose names are not durable yet, while a thread makes several things together.
#[derive(Debug, Default)]
pub(crate) struct Together(Mutex<Option<PutOff>>);

#[derive(Debug)]
struct PutOff {
    by: ThreadId,
    folders: BTreeMap<(u64, u64), OwnedFd>,
}

/// Puts nothing off any more, also where the work ends by a panic.
struct Ends<'a>(&'a Together);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        *self.0.state() = None;
    }
}

impl Disk {
    /// Does `work`, on this thread, and syncs each folder that files or folders were made in once, after it. Nothing of `work` may
    /// count on a new name that it made to be durable. Not to be nested.
    ///
    /// # Errors
    /// [`Error::Io`]: what `work` has made may be lost by a power cut.
    pub fn together<T>(&self, work: impl FnOnce() -> T) -> Result<T, Error> {
        *self.together.state() = Some(PutOff { by: thread::current().id(), folders: BTreeMap::new() });
        let ends = Ends(&self.together);
        let done = work();
        let folders = self.together.take();
        drop(ends);
        let sync = |folder: OwnedFd| self.run(Op::SyncFolder { folder: folder.as_fd() });
        // All of them, whatever becomes of one.
        let synced: Vec<_> = folders.into_values().map(sync).collect();
        synced.into_iter().collect::<Result<(), _>>().map_err(io("syncing a folder"))?;
        Ok(done)
    }
}

impl Disk {
    /// Whether this thread is in the midst of such work.
    #[must_use]
    pub fn is_together(&self) -> bool {
        self.together.state().as_ref().is_some_and(|put_off| put_off.by == thread::current().id())
    }
}

impl Folder {
    /// [`Folder::sync`], at the end of what is done [together](Disk::together) with this; at once where nothing is.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn sync_together(&self) -> Result<(), Error> {
        if self.disk.together.put_off(self)? { Ok(()) } else { self.sync() }
    }
}

impl Together {
    fn state(&self) -> MutexGuard<'_, Option<PutOff>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> BTreeMap<(u64, u64), OwnedFd> {
        self.state().take().map(|put_off| put_off.folders).unwrap_or_default()
    }

    fn put_off(&self, folder: &Folder) -> Result<bool, Error> {
        let mut state = self.state();
        let Some(put_off) = state.as_mut().filter(|put_off| put_off.by == thread::current().id()) else {
            return Ok(false);
        };
        let of = fstat(folder).map_err(io("looking at a folder"))?;
        let kept = folder.as_fd().try_clone_to_owned().map_err(io("keeping a folder open"))?;
        put_off.folders.entry((of.st_dev, of.st_ino)).or_insert(kept);
        Ok(true)
    }
}
