//! Files that a power cut leaves as they were or as they are to be, never as a third thing.
//! No link is followed at the last component; what is read has a bound. Each durable step passes [`super::faults::step`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::faults;

/// Writes a file: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    faults::room()?;
    let temporary = temporary(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    fs::rename(&temporary, path)?;
    sync_parent(path)?;
    faults::step();
    Ok(())
}

/// One fixed name, so that what a crash leaves is overwritten next time and never piles up.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(path.with_file_name(format!(".{}.tmp", name.to_string_lossy())))
}

/// Reads a regular file of at most `max` bytes; nothing when there is none.
pub(crate) fn read(path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match read_only(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > max {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file ever is")),
        false => Ok(Some(bytes)),
    }
}

/// Makes a directory if there is none. One that is there keeps its mode; anything else there is an error.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        faults::room()?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let kind = fs::symlink_metadata(path)?;
            return if kind.is_dir() { Ok(()) } else { Err(error) };
        }
        other => other?,
    }
    sync_parent(path)?;
    faults::step();
    Ok(())
}

/// Makes another user's file or directory ours, with this mode: vaultmgr may change owners, and may not write past them. Through a descriptor,
/// so that a link put in its place meanwhile is refused and not followed.
pub(crate) fn take(path: &Path, mode: u32) -> io::Result<()> {
    let file = read_only(path)?;
    std::os::unix::fs::fchown(&file, Some(0), Some(0))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Opens for reading, never through a link, and never waiting for a pipe.
pub(crate) fn read_only(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// The entries of a directory; none when there is no directory.
pub(crate) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other?.collect(),
    }
}

/// Makes a change of names in the path's directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("record");
        write(&path, b"one", 0o600).expect("writes");
        write(&path, b"two", 0o600).expect("writes over");
        assert_eq!(read(&path, 3).expect("reads"), Some(b"two".to_vec()));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1, "no temporary file is left");
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
        assert!(make_dir(&link, 0o700).is_err());
        assert!(take(&link, 0o700).is_err());
        assert_eq!(fs::read(&real).expect("reads"), b"x");
    }
}
