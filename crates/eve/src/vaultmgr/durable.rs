//! Files by path: read with a bound, no link followed at the last component; and whole trees of users' files, wiped and removed.
//! What is ours alone is written through a [`disk::Disk`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

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
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let kind = fs::symlink_metadata(path)?;
            return if kind.is_dir() { Ok(()) } else { Err(error) };
        }
        other => other?,
    }
    sync_parent(path)
}

/// Overwrites a regular file in place, then unlinks it. Nothing there is success. While the file has another name its data is
/// somebody else's too, and stays: within one tree the last name wipes it.
pub(crate) fn wipe(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    match found.nlink() {
        1 => overwrite(&open_to_wipe(path)?)?,
        _ => tracing::warn!("a file that is to be wiped has another name: its data stays there"),
    }
    fs::remove_file(path)?;
    sync_parent(path)
}

fn open_to_wipe(path: &Path) -> io::Result<File> {
    let open = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        OpenOptions::new().write(true).custom_flags(flags).open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            take(path, 0o600).and_then(|()| open())
        }
        other => other,
    }
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

/// Makes all directories of a tree ours.
fn take_directories(path: &Path) -> io::Result<()> {
    take(path, 0o700)?;
    for entry in entries(path)? {
        if entry.file_type()?.is_dir() {
            take_directories(&entry.path())?;
        }
    }
    Ok(())
}

fn overwrite(mut file: &File) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let part = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..usize::try_from(part).unwrap_or(ZEROS.len())])?;
        left -= part;
    }
    file.sync_all()
}

/// Overwrites every regular file of a plain tree, then removes the tree. Nothing there is success.
pub(crate) fn wipe_tree(path: &Path) -> io::Result<()> {
    if path.is_dir() && !path.is_symlink() {
        take(path, 0o700)?;
    }
    for entry in entries(path)? {
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            wipe_tree(&path)?;
        } else if kind.is_file() {
            wipe(&path)?;
        }
    }
    remove_tree(path)
}

/// The entries of a directory; none when there is no directory.
pub(crate) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other?.collect(),
    }
}

/// Removes whatever is at the path, a whole tree too; a link is removed, not followed. Nothing there is success.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                take_directories(path).and_then(|()| fs::remove_dir_all(path))
            }
            other => other,
        },
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    sync_parent(path)
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
        assert!(wipe(&link).is_err());
        assert!(make_dir(&link, 0o700).is_err());
        assert!(take(&link, 0o700).is_err());
        assert_eq!(fs::read(&real).expect("reads"), b"x");
        remove_tree(&link).expect("removes the link itself");
        assert!(real.exists() && !link.exists());
    }

    /// vaultmgr's own capabilities are enough to delete what other users wrote into a vault.
    #[test]
    fn other_users_files_go_too() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["removed", "wiped"] {
            let sub = dir.path().join(name).join("sub");
            fs::create_dir_all(&sub).expect("makes");
            fs::write(sub.join("file"), b"x").expect("writes");
            fs::set_permissions(sub.join("file"), fs::Permissions::from_mode(0o400)).expect("sets");
            std::os::unix::fs::chown(sub.join("file"), Some(12345), Some(12345)).expect("as root");
            fs::set_permissions(&sub, fs::Permissions::from_mode(0o500)).expect("sets");
            std::os::unix::fs::chown(&sub, Some(12345), Some(12345)).expect("as root");
        }
        let (removed, wiped) = (dir.path().join("removed"), dir.path().join("wiped"));
        // Capabilities are a thread's own.
        let without = std::thread::spawn(move || {
            caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_DAC_OVERRIDE).expect("drops");
            (remove_tree(&removed), wipe_tree(&wiped))
        });
        let (removal, wipe) = without.join().expect("runs");
        removal.and(wipe).expect("both go");
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_wiped_file_is_zeros_for_whoever_kept_it_open() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        fs::write(&path, vec![7; 100_000]).expect("writes");
        let mut kept = File::open(&path).expect("opens");
        wipe_tree(dir.path()).expect("wipes");
        let mut bytes = Vec::new();
        kept.read_to_end(&mut bytes).expect("reads");
        assert_eq!(bytes, vec![0; 100_000]);
        assert!(!dir.path().exists());
    }

    /// Of a file with a name outside the tree nothing is touched: neither its data nor its owner and mode.
    #[test]
    fn what_has_a_name_elsewhere_stays_and_the_last_name_wipes() {
        let dir = tempfile::tempdir().expect("a directory");
        let (outside, tree) = (dir.path().join("outside"), dir.path().join("tree"));
        fs::create_dir(&tree).expect("makes");
        fs::write(&outside, "precious").expect("writes");
        fs::hard_link(&outside, tree.join("linked")).expect("links");
        fs::write(tree.join("one"), "twice").expect("writes");
        fs::hard_link(tree.join("one"), tree.join("two")).expect("links");
        let mut twice = File::open(tree.join("one")).expect("opens");
        wipe_tree(&tree).expect("wipes");
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(&outside).expect("reads"), "precious");
        let mut bytes = Vec::new();
        twice.read_to_end(&mut bytes).expect("reads");
        assert_eq!(bytes, [0; 5]);
    }
}
