//! Folders that root makes on the node. We refuse symbolic links, and folders that another user owns: whoever could put one there
//! would have root change modes and owners wherever he likes.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// User and group.
pub(crate) type Owner = (u32, u32);

/// Makes a folder, or takes the one that is there, which must be root's or its owner's already. Folders above it are root's.
///
/// # Errors
/// Something else is there; or the system's.
pub(crate) fn make(path: &Path, (uid, gid): Owner, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = folder.metadata()?;
    let owner = found.uid();
    if owner != 0 && owner != uid {
        let words = format!("it belongs to user {owner}; look why, then remove it or give it to root");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    }
    // On a disk that can't be written what is as it should be is good.
    if (owner, found.gid()) != (uid, gid) {
        fchown(&folder, Some(uid), Some(gid))?;
    }
    if found.mode() & 0o7777 != mode {
        folder.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// The same on the persist filesystem. Without a folder that can't be made for want of a writable disk, or of room on it, the node goes on: vaultmgr
/// tells of it, and whoever writes there finds out.
pub(crate) fn make_if_writable(path: &Path, owner: Owner, mode: u32) -> io::Result<()> {
    match make(path, owner, mode) {
        Err(error) if is_for_want_of_a_disk(path, &error) => {
            tracing::warn!(path = %path.display(), %error, "not made");
            Ok(())
        }
        made => made,
    }
}

/// Or the folder that it is to lie in was not made for that.
fn is_for_want_of_a_disk(path: &Path, error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        ReadOnlyFilesystem | StorageFull | QuotaExceeded => true,
        NotFound => path.parent().is_some_and(|parent| !parent.exists()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const AGENT: Owner = (7301, 7301);

    fn owner_and_mode(path: &Path) -> (u32, u32, u32) {
        let found = fs::metadata(path).expect("there");
        (found.uid(), found.gid(), found.mode() & 0o777)
    }

    #[test]
    fn a_folder_is_made_and_taken_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("nim");
        for mode in [0o755, 0o711] {
            make(&folder, AGENT, mode).expect("root's or the agent's");
            assert_eq!(owner_and_mode(&folder), (7301, 7301, mode));
        }
    }

    /// Seen by users: a disk that takes nothing, or was full before the first write of ours, keeps no agent from starting; whatever else is wrong does.
    #[test]
    fn a_disk_without_room_keeps_nobody_from_starting() {
        let dir = tempfile::tempdir().expect("a directory");
        let (status, nim) = (dir.path().join("status"), dir.path().join("status/nim"));
        make_if_writable(&nim, AGENT, 0o755).expect("its folder was not made either");
        assert!(!status.exists());
        for (kind, goes_on) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::ReadOnlyFilesystem, true),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::NotADirectory, false),
        ] {
            assert_eq!(is_for_want_of_a_disk(&status, &kind.into()), goes_on, "{kind}");
        }
        assert!(
            !is_for_want_of_a_disk(&status, &io::ErrorKind::NotFound.into()),
            "the folder above is there"
        );
    }

    /// Threats, walls: a link in a folder's place gives nobody what it leads to.
    #[test]
    fn neither_a_link_nor_another_users_folder_is_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let (secret, link, file) = (dir.path().join("secret"), dir.path().join("nim"), dir.path().join("f"));
        fs::create_dir(&secret).expect("makes");
        fs::set_permissions(&secret, Permissions::from_mode(0o700)).expect("sets");
        symlink(&secret, &link).expect("links");
        fs::write(&file, "x").expect("writes");
        make(&link, AGENT, 0o755).expect_err("a link");
        make(&file, AGENT, 0o755).expect_err("a file");
        assert_eq!(owner_and_mode(&secret), (0, 0, 0o700), "what the link leads to");
        std::os::unix::fs::chown(&secret, Some(7302), None).expect("as root");
        let refused = make(&secret, AGENT, 0o755).expect_err("another agent's").to_string();
        assert!(refused.contains("7302"), "{refused}");
        assert_eq!(owner_and_mode(&secret).0, 7302);
    }
}
