//! Mount points under a directory. What is mounted there belongs to somebody else: a tree is only removed or exchanged while
//! nothing is, for removal would go on into it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Refuses a path that is a mount point or has one below it, in this process's mount namespace.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`]: there is one. Others: it could not be found out, which counts the same.
pub(crate) fn none_at(path: &Path) -> io::Result<()> {
    let real = match fs::canonicalize(path.parent().ok_or(io::ErrorKind::InvalidInput)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?),
    };
    let table = fs::read("/proc/self/mountinfo")?;
    match points(&table).any(|point| point.starts_with(&real)) {
        true => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "something is mounted inside; unmount it first"))
        }
        false => Ok(()),
    }
}

/// Field 5 of each line of proc_pid_mountinfo(5), with space, tab, newline and backslash written in octal.
fn points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    let field = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescaped);
    table.split(|byte| *byte == b'\n').filter_map(field).map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(field.len()), field);
    while let [first, tail @ ..] = rest {
        let code = tail.first_chunk::<3>().filter(|_| *first == b'\\').and_then(octal);
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    out
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_read_with_its_escapes() {
        let table =
            b"22 1 0:5 / /proc rw - proc proc rw\n30 22 7:0 /a /mnt/with\\040space\\134 rw - ext4 x rw\n";
        let points: Vec<_> = points(table).collect();
        assert_eq!(points, [Path::new("/proc"), Path::new("/mnt/with space\\")]);
    }

    #[test]
    fn what_is_mounted_below_is_found_and_its_neighbours_are_free() {
        assert!(none_at(Path::new("/proc")).is_err());
        assert!(none_at(Path::new("/proc/self")).is_ok());
        assert!(none_at(Path::new("/pro")).is_ok());
        assert!(none_at(Path::new("/absent/path")).is_ok());
    }
}
