//! Extended attributes of what is moved into a vault: rights beyond the mode, labels, notes of programs. Of the thing that was taken
//! hold of, a link too; by no name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use rustix::io::Errno;

use crate::agents::vaultmgr::hands::tree::Entry;

/// Longest list of names, and longest value: the kernel's own bounds.
const MOST: usize = 64 << 10;

/// Gives the copy what the original has. What the kernel or the filesystem does not let us give is an error.
pub(crate) fn copy(from: &Entry, to: &Entry) -> io::Result<()> {
    for name in names(from)? {
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

/// Whether the copy has all that the original has.
pub(crate) fn same(from: &Entry, to: &Entry) -> io::Result<bool> {
    for name in names(from)? {
        if value(from, &name)? != value(to, &name)? {
            return Ok(false);
        }
    }
    Ok(true)
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
