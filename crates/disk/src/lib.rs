//! What our programs do to a disk: one closed list of operations, and one handle that every durable write goes through.
//!
//! * [`Op`] is the list. Nothing else ever happens to the disk, and each operation is one system call.
//! * [`Disk`] carries operations out. Programs hold [`Disk::linux`]; tests put [`faulty::Faulty`] before it, which cuts, tears,
//!   loses, refuses or fails at the n-th operation, so that no program has a hook for it.
//! * [`Folder`] is what programs use: files that a power cut leaves as they were or as they are to be, and replacement that
//!   leaves no old bytes behind.
//!
//! Reading changes nothing, and is not on the list. Names are looked up in an open folder, and no link is followed at a name.
//! It knows nothing of vaults and keys, and prints no byte of what it writes.

#![warn(missing_docs)]

pub mod faulty;
mod folder;
mod op;
mod scrub;
mod together;

use std::fs::{DirEntry, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use folder::{Error, Folder};
pub use op::{At, Linux, Op, Operations};
pub use scrub::{Replaced, live_name};
use together::Together;

/// What is in a folder, by path; nothing where there is no folder. Names as they are, text or not, in no order.
///
/// # Errors
/// It can't be listed to the end: nothing is known of what is in it.
pub fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed?.collect(),
    }
}

/// The disk, as whoever writes to it holds it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disk {
    operations: Arc<dyn Operations>,
    together: Arc<Together>,
}

impl Disk {
    /// The machine's own.
    #[must_use]
    pub fn linux() -> Self {
        Self::through(Linux)
    }

    /// One whose operations are carried out by `operations`.
    #[must_use]
    pub fn through(operations: impl Operations + 'static) -> Self {
        Self { operations: Arc::new(operations), together: Arc::default() }
    }

    /// Does one operation.
    ///
    /// # Errors
    /// The kernel's answer: nothing was done, or, of a write, a part.
    pub fn run(&self, op: Op<'_>) -> io::Result<()> {
        self.operations.run(op)
    }

    /// Opens a folder, which no link leads to at the last part of the path.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Unsafe`]: a link, or no folder. [`Error::Io`]: the disk.
    pub fn folder(&self, path: &Path) -> Result<Folder, Error> {
        Folder::open(self.clone(), path)
    }

    /// A folder that is open already, wherever its path leads now.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no room for another descriptor.
    pub fn opened(&self, folder: &File) -> Result<Folder, Error> {
        Folder::of(self.clone(), folder)
    }

    /// Makes a folder if there is none, durably; one that is there keeps its mode.
    ///
    /// # Errors
    /// As [`Disk::folder`], of its parent too.
    pub fn make_folder(&self, path: &Path, mode: u32) -> Result<Folder, Error> {
        let (parent, name) = self.parent(path)?;
        parent.make_folder_or_mount(name, mode)
    }

    /// [`Folder::write`] by path.
    ///
    /// # Errors
    /// As there.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        parent.write(name, bytes, mode)
    }

    /// [`Folder::write_for_this_boot`] by path.
    ///
    /// # Errors
    /// As there.
    pub fn write_for_this_boot(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        parent.write_for_this_boot(name, bytes, mode)
    }

    /// [`Folder::write_first`] by path.
    ///
    /// # Errors
    /// As there.
    pub fn write_first(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        parent.write_first(name, bytes, mode)
    }

    /// [`Folder::unlink`] by path.
    ///
    /// # Errors
    /// As there.
    pub fn unlink(&self, path: &Path) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        parent.unlink(name)
    }

    /// Gives a file another name, in place of what has it, durably.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.two_names(from, to, |from, to| Op::Rename { from, to })
    }

    /// The same, unless something has the name.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk, or that (`EEXIST`).
    pub fn rename_to_free(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.two_names(from, to, |from, to| Op::RenameToFree { from, to })
    }

    /// Exchanges what two names of one filesystem are of, at once; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn exchange(&self, one: &Path, other: &Path) -> Result<(), Error> {
        self.two_names(one, other, |one, other| Op::Exchange { one, other })
    }

    fn two_names(
        &self,
        one: &Path,
        other: &Path,
        op: impl for<'a> FnOnce(At<'a>, At<'a>) -> Op<'a>,
    ) -> Result<(), Error> {
        let ((one, one_name), (other, other_name)) = (self.parent(one)?, self.parent(other)?);
        self.run(op(one.at(one_name), other.at(other_name))).map_err(folder::io("changing a name"))?;
        one.sync()?;
        other.sync()
    }

    /// The folder of a path, through which links may lead: the path is the caller's own.
    fn parent<'p>(&self, path: &'p Path) -> Result<(Folder, &'p str), Error> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| folder::not_ours(path))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok((Folder::open_through_links(self.clone(), parent)?, name))
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::linux()
    }
}
