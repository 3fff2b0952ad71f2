//! Extended attributes of what is moved into a vault: rights beyond the mode, labels, notes of programs. Of the thing that was taken
//! hold of, a link too; by no name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use crate::agents::vaultmgr::hands::tree::Entry;

/// Longest list of names, and longest value: the kernel's own bounds.
const MOST: usize = 64 << 10;

/// Gives the copy what the original has, and takes from it what that has not: of its folder, or of a time before, it may have rights that the
/// original gives nobody. What the kernel or the filesystem does not let us give or take is an error.
pub(crate) fn copy(from: &Entry, to: &Entry) -> io::Result<()> {
    let wanted = names(from)?;
    for name in too_many(&wanted, to)? {
        take(to, &name)?;
    }
    for name in wanted {
        let (name, wanted) = (OsStr::from_bytes(&name), value(from, &name)?);
        // A label that the kernel gave by itself may be right, and not ours to give.
        if let Some(wanted) =
            wanted.filter(|wanted| !value(to, name.as_bytes()).is_ok_and(|has| has.as_ref() == Some(wanted)))
        {
            setxattr(to.itself(), name, &wanted, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// Whether the copy has all that the original has, and nothing beside.
pub(crate) fn same(from: &Entry, to: &Entry) -> io::Result<bool> {
    let wanted = names(from)?;
    if !too_many(&wanted, to)?.is_empty() {
        return Ok(false);
    }
    for name in wanted {
        if value(from, &name)? != value(to, &name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the copy has and the original has not. A label that the kernel gave by itself is none of it.
fn too_many(wanted: &[Vec<u8>], to: &Entry) -> io::Result<Vec<Vec<u8>>> {
    let is_label = |name: &[u8]| name.starts_with(b"security.") && name != b"security.capability";
    let has = names(to)?.into_iter();
    Ok(has.filter(|name| !wanted.contains(name) && !is_label(name)).collect())
}

fn take(of: &Entry, name: &[u8]) -> io::Result<()> {
    match removexattr(of.itself(), OsStr::from_bytes(name)) {
        Err(Errno::NODATA) => Ok(()),
        taken => Ok(taken?),
    }
}

fn names(of: &Entry) -> io::Result<Vec<Vec<u8>>> {
    let mut list = Vec::with_capacity(MOST);
    match listxattr(of.itself(), spare_capacity(&mut list)) {
        // A filesystem without any.
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        listed => listed?,
    };
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

fn value(of: &Entry, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(MOST);
    match getxattr(of.itself(), OsStr::from_bytes(name), spare_capacity(&mut value)) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        got => Ok(got.map(|_| Some(value))?),
    }
}
