//! The TPM's device, made tpmmgr's: a stock system gives it to root alone (`crw------- root root`), and tpmmgr is no root. Done in tpmmgr's own
//! process before it gives up its rights, so no other process of ours opens the device or could.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// A group may read and write.
const GROUP: u32 = 0o060;

/// Gives a character device whose group is root's to this group. One of another group (a rule of udev gave it to `tss`) is left as it is: its
/// group is taken along. What is no device, a link included, is left too.
///
/// # Errors
/// The system's: a container may not change what it was given.
pub(super) fn give(path: &Path, gid: u32) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let ours = meta.gid() == 0 || meta.gid() == gid;
    if !meta.file_type().is_char_device() || !ours {
        return Ok(());
    }
    if meta.gid() != gid {
        lchown(path, None, Some(gid))?;
    }
    let mode = meta.mode() & 0o7777;
    if mode & GROUP == GROUP {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode | GROUP))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    const GID: u32 = 7304;

    fn standing(path: &Path) -> (u32, u32, u32) {
        let meta = fs::metadata(path).expect("there");
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    }

    /// Invariant 7: the device of a stock system becomes tpmmgr's; one that an administrator gave to a group, and what is none, stay as they are.
    #[test]
    fn a_device_of_roots_alone_is_given_to_the_agent() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = |name: &str, gid, mode| {
            let path = dir.path().join(name);
            mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(1, 3)).expect("as root");
            chown(&path, Some(0), Some(gid)).expect("as root");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("as root");
            give(&path, GID).expect("given");
            standing(&path)
        };
        assert_eq!(made("stock", 0, 0o600), (0, GID, 0o660));
        assert_eq!(made("ours", GID, 0o600), (0, GID, 0o660));
        assert_eq!(made("udev", 108, 0o660), (0, 108, 0o660));
        assert_eq!(made("closed", 108, 0o600), (0, 108, 0o600), "whoever closed it to its group meant that");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("writes");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
        symlink("file", dir.path().join("link")).expect("links");
        for name in ["file", "link"] {
            give(&dir.path().join(name), GID).expect("left");
        }
        assert_eq!(standing(&file), (0, 0, 0o600), "no file of root's is given away");
        assert!(give(&dir.path().join("none"), GID).is_err());
    }
}
