//! Files by path: read with a bound, no link followed at the last component. What is ours is written through a [`disk::Disk`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a regular file of at most `max` bytes; nothing when there is none.
pub(crate) fn read(path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match read_only(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    // Room at once, and for the byte that is not there: then two reads tell all of it.
    let mut bytes = Vec::with_capacity(max.min(usize::try_from(found.len()).unwrap_or(max)) + 1);
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file ever is"));
    }
    Ok(Some(bytes))
}

/// Opens for reading, never through a link, and never waiting for a pipe.
pub(crate) fn read_only(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Makes a change of names in the path's directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_with_a_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("record");
        fs::write(&path, b"two").expect("writes");
        assert_eq!(read(&path, 3).expect("reads"), Some(b"two".to_vec()));
        assert!(read(&path, 2).is_err(), "longer than allowed");
        assert_eq!(read(&dir.path().join("other"), 3).expect("no error"), None);
    }

    #[test]
    fn links_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, b"x").expect("writes");
        std::os::unix::fs::symlink(&real, &link).expect("links");
        assert!(read(&link, 9).is_err());
        assert_eq!(fs::read(&real).expect("reads"), b"x");
    }
}
