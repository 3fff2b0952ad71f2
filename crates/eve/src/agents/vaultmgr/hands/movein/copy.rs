//! One tree made like another: at first all of it, then again what was written since. Until it is done the copy is nobody's but ours.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

use super::stamps::Stamps;
use crate::agents::vaultmgr::hands::tree::{Entry, Folder, Kind, Rights, Trouble, Work, copy_data};
use crate::agents::vaultmgr::hands::xattrs;

const NOT_COPIED: &str = "can't be copied into the vault";
const ATTRIBUTE: &str = "has an extended attribute or owner that can't be given to its copy; remove it (getfattr -dm - shows it), or move the file away";

/// Makes `to` like `from`. Sockets are left out: their owners make them anew. Names of one file become a file each.
pub(super) fn tree(from: &Folder, to: &Folder, stamps: &mut Stamps, work: &Work) -> Result<(), Trouble> {
    // It may have its owner and mode from the time before.
    to.take().map_err(Trouble::of(&from.path, NOT_COPIED))?;
    let names = from.names()?;
    for gone in to.names()?.iter().filter(|name| !names.contains(*name)) {
        clear(to, gone, work)?;
    }
    for name in &names {
        if let Some(entry) = from.entry(name)? {
            one(from, to, name, entry, stamps, work)?;
        }
    }
    keep_rights(&from.as_entry()?, &to.as_entry()?)
}

fn one(
    from: &Folder,
    to: &Folder,
    name: &CStr,
    entry: Entry,
    stamps: &mut Stamps,
    work: &Work,
) -> Result<(), Trouble> {
    let there = to.entry(name)?;
    let fits = |copy: &Entry| match entry.kind() {
        Kind::Folder => copy.kind() == Kind::Folder,
        _ => stamps.is_original(&entry.stat) && stamps.is_copy(&copy.stat),
    };
    let is_there = there.as_ref().is_some_and(fits);
    if there.is_some() && !is_there {
        clear(to, name, work)?;
    }
    drop(there);
    match entry.kind() {
        _ if entry.is_encrypted() => Err(Trouble::new(&entry.path, super::ENCRYPTED)),
        Kind::Folder => tree(&from.into(name, entry)?, &to.make(name)?, stamps, work),
        Kind::Socket => Ok(()),
        Kind::Special => Err(Trouble::new(&entry.path, super::SPECIAL)),
        Kind::File | Kind::Link if is_there => Ok(()),
        Kind::File | Kind::Link => {
            let copy = if entry.kind() == Kind::File {
                file(to, name, &entry, work)?
            } else {
                link(to, name, &entry)?
            };
            stamps.note(&entry.stat, &copy.stat);
            Ok(())
        }
    }
}

/// Copies one file under a name that nothing has. The copy is durable only with its filesystem.
pub(super) fn file(to: &Folder, name: &CStr, entry: &Entry, work: &Work) -> Result<Entry, Trouble> {
    let copied = || -> io::Result<u64> {
        let source = entry.open(OFlags::RDONLY | OFlags::NONBLOCK)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = File::from(rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
        copy_data(&source, &target, work)?;
        keep_time(&target, entry)?;
        Ok(target.metadata()?.ino())
    };
    let made = copied().map_err(Trouble::of(&entry.path, NOT_COPIED))?;
    work.file();
    finished(to, name, entry, |copy| copy.stat.stx_ino == made)
}

fn link(to: &Folder, name: &CStr, entry: &Entry) -> Result<Entry, Trouble> {
    let made = entry.target().and_then(|target| Ok(rustix::fs::symlinkat(target, to, name)?));
    made.map_err(Trouble::of(&entry.path, NOT_COPIED))?;
    finished(to, name, entry, |copy| copy.kind() == Kind::Link)
}

/// With owner, mode and attributes, as it is then. `is_made`: whoever may write in the folder may have put something else of his, or of
/// another's, under the name meanwhile, and that gets nothing.
fn finished(
    to: &Folder,
    name: &CStr,
    entry: &Entry,
    is_made: impl Fn(&Entry) -> bool,
) -> Result<Entry, Trouble> {
    let gone = || Trouble::new(&entry.path, NOT_COPIED);
    let ours = || to.entry(name)?.filter(&is_made).ok_or_else(gone);
    keep_rights(entry, &ours()?)?;
    ours()
}

fn keep_time(target: &File, entry: &Entry) -> io::Result<()> {
    let at = entry.stat.stx_mtime;
    let time = Timespec { tv_sec: at.tv_sec, tv_nsec: at.tv_nsec.into() };
    Ok(rustix::fs::futimens(target, &Timestamps { last_access: time, last_modification: time })?)
}

/// Attributes while the copy is still ours, for another's we could not write; then the owner, and last the mode: a change of owner
/// takes set-id bits away.
fn keep_rights(from: &Entry, to: &Entry) -> Result<(), Trouble> {
    let kept = || -> io::Result<()> {
        xattrs::copy(from, to)?;
        if from.kind() == Kind::Folder {
            return to.give(Rights::of(&from.stat));
        }
        let (uid, gid) = (Uid::from_raw(from.stat.stx_uid), Gid::from_raw(from.stat.stx_gid));
        rustix::fs::chownat(to, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        if from.kind() == Kind::Link {
            return Ok(());
        }
        let mode = u32::from(from.stat.stx_mode) & 0o7777;
        std::fs::set_permissions(to.itself(), std::fs::Permissions::from_mode(mode))
    };
    kept().map_err(Trouble::of(&from.path, ATTRIBUTE))
}

/// Takes away what was copied under a name.
fn clear(to: &Folder, name: &CStr, work: &Work) -> Result<(), Trouble> {
    crate::agents::vaultmgr::hands::tree::remove_in(to, name, work)
}
