//! Two trees compared, each walked once by its descriptors. What differs is forgotten, to be copied anew.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::path::PathBuf;

use rustix::fs::OFlags;

use super::stamps::Stamps;
use crate::agents::vaultmgr::hands::tree::{Entry, Folder, Kind, Trouble, Work, same_data};
use crate::agents::vaultmgr::hands::xattrs;

/// How closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Byte by byte.
    Bytes,
    /// Whether anything was written since it was last compared: by lengths and times.
    Stamps,
}

/// A comparison and the first thing that it found to differ.
pub(super) struct Comparison<'a> {
    pub(super) stamps: &'a mut Stamps,
    pub(super) look: Look,
    pub(super) work: &'a Work,
    pub(super) differs: Option<PathBuf>,
}

impl Comparison<'_> {
    /// Compares all of it, though something differs.
    pub(super) fn tree(&mut self, from: &Folder, to: &Folder) -> Result<(), Trouble> {
        let (ours, copies) = (names(from)?, to.names()?);
        if copies.iter().any(|name| !ours.contains(name)) || !alike(&from.as_entry()?, &to.as_entry()?)? {
            self.differs.get_or_insert_with(|| from.path.clone());
        }
        ours.iter().try_for_each(|name| self.one(from, to, name))
    }

    fn one(&mut self, from: &Folder, to: &Folder, name: &CStr) -> Result<(), Trouble> {
        let (original, copy) = (from.entry(name)?, to.entry(name)?);
        let (Some(original), Some(copy)) = (original, copy) else {
            self.differs.get_or_insert_with(|| from.path_of(name));
            return Ok(());
        };
        let same = match (original.kind(), copy.kind()) {
            (Kind::Folder, Kind::Folder) => {
                return self.tree(&from.into(name, original)?, &to.into(name, copy)?);
            }
            (Kind::File, Kind::File) | (Kind::Link, Kind::Link) => self.same(&original, &copy)?,
            _ => false,
        };
        if !same {
            self.stamps.forget(&original.stat, &copy.stat);
            self.differs.get_or_insert(original.path);
        }
        Ok(())
    }

    /// That nothing was written to the original since it was copied is looked at last.
    fn same(&self, original: &Entry, copy: &Entry) -> Result<bool, Trouble> {
        let same = match self.look {
            Look::Stamps => self.stamps.is_copy(&copy.stat),
            Look::Bytes => same_contents(original, copy, self.work)? && alike(original, copy)?,
        };
        let now = original.now().map_err(Trouble::of(&original.path, super::NOT_COMPARED))?;
        Ok(same && self.stamps.is_original(&now))
    }
}

/// Bytes of a file, or where a link leads.
pub(super) fn same_contents(one: &Entry, other: &Entry, work: &Work) -> Result<bool, Trouble> {
    let same = || -> std::io::Result<bool> {
        match (one.kind(), other.kind()) {
            (Kind::File, Kind::File) => {
                let open = |entry: &Entry| entry.open(OFlags::RDONLY | OFlags::NONBLOCK);
                same_data(&open(one)?, &open(other)?, work)
            }
            (Kind::Link, Kind::Link) => Ok(one.target()? == other.target()?),
            _ => Ok(false),
        }
    };
    same().map_err(Trouble::of(&one.path, super::NOT_COMPARED))
}

/// Owner, mode and attributes.
fn alike(one: &Entry, other: &Entry) -> Result<bool, Trouble> {
    let rights = |entry: &Entry| (entry.stat.stx_uid, entry.stat.stx_gid, entry.stat.stx_mode);
    let same = xattrs::same(one, other).map_err(Trouble::of(&one.path, super::NOT_COMPARED))?;
    Ok(same && rights(one) == rights(other))
}

/// All but sockets, which are not copied.
fn names(folder: &Folder) -> Result<BTreeSet<CString>, Trouble> {
    let mut names = BTreeSet::new();
    for name in folder.names()? {
        if folder.entry(&name)?.is_some_and(|entry| entry.kind() != Kind::Socket) {
            names.insert(name);
        }
    }
    Ok(names)
}
