//! Plain files that lay in a default vault's place before it was one (DF-5): copied into a new directory under the policy, compared
//! byte by byte, exchanged with the old at once. Until the exchange the originals are untouched, after it the copy is whole.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::{durable, xattrs};

/// Why plain files were not moved in. They are where they were. None says a file's name: names are part of what a vault protects,
/// and these words go into status and log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// Reading or writing.
    #[error("copying plain files into the vault")]
    Copy(#[from] io::Error),
    /// The copy is not what the original is: something writes there meanwhile.
    #[error("a plain file changed while it was copied into the vault; stop what writes there")]
    Differs,
    /// A device or a pipe.
    #[error("among the plain files is a device or a pipe; find it (find -type b,c,p) and move it away")]
    Special,
    /// An extended attribute that can't be had in the vault.
    #[error(
        "a plain file has an extended attribute that can't be given to its copy; find it (getfattr -Rhm -) and remove it, or move the file away"
    )]
    Attribute(#[source] io::Error),
}

/// Copies all of `from` into the empty directory `to`, and compares. Sockets are left out: their owners make them anew. Names of
/// one file become a file each.
pub(crate) fn copy_and_compare(from: &Path, to: &Path) -> Result<(), MoveError> {
    copy_dir(from, to)?;
    nix::unistd::syncfs(&File::open(to)?).map_err(io::Error::from)?;
    compare_dir(from, to)
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), MoveError> {
    for entry in durable::entries(from)? {
        copy_one(&entry.path(), &to.join(entry.file_name()))?;
    }
    keep_rights(from, to, &fs::symlink_metadata(from)?)
}

fn copy_one(from: &Path, to: &Path) -> Result<(), MoveError> {
    let found = fs::symlink_metadata(from)?;
    let kind = found.file_type();
    if kind.is_dir() {
        durable::make_dir(to, 0o700)?;
        copy_dir(from, to)
    } else if kind.is_file() {
        copy_file(from, to, &found)
    } else if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        keep_rights(from, to, &found)
    } else if kind.is_socket() {
        Ok(())
    } else {
        Err(MoveError::Special)
    }
}

fn copy_file(from: &Path, to: &Path, found: &Metadata) -> Result<(), MoveError> {
    let target = File::create_new(to)?;
    copy_data(&durable::read_only(from)?, &target, found.len())?;
    target.set_times(fs::FileTimes::new().set_modified(found.modified()?))?;
    keep_rights(from, to, found)
}

/// Attributes while the copy is still ours, for another's we could not write; then the owner, and last the mode: a change of owner
/// takes set-id bits away.
fn keep_rights(from: &Path, to: &Path, found: &Metadata) -> Result<(), MoveError> {
    xattrs::copy(from, to).map_err(MoveError::Attribute)?;
    lchown(to, Some(found.uid()), Some(found.gid()))?;
    if !found.is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    }
    Ok(())
}

/// What is written in a file goes to the same places of the other; holes stay holes.
fn copy_data(mut source: &File, mut target: &File, length: u64) -> io::Result<()> {
    target.set_len(length)?;
    let mut end = 0;
    while let Some(start) = next_data(source, end)? {
        end = lseek(source, start, Whence::SeekHole)?;
        lseek(source, start, Whence::SeekSet)?;
        lseek(target, start, Whence::SeekSet)?;
        io::copy(&mut Read::take(&mut source, end.abs_diff(start)), &mut target)?;
    }
    Ok(())
}

fn next_data(source: &File, from: i64) -> nix::Result<Option<i64>> {
    match lseek(source, from, Whence::SeekData) {
        Err(Errno::ENXIO) => Ok(None),
        start => start.map(Some),
    }
}

fn compare_dir(from: &Path, to: &Path) -> Result<(), MoveError> {
    for entry in durable::entries(from)? {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        compare_one(&from, &to)?.then_some(()).ok_or(MoveError::Differs)?;
    }
    xattrs::same(from, to)?.then_some(()).ok_or(MoveError::Differs)
}

fn compare_one(from: &Path, to: &Path) -> Result<bool, MoveError> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        return compare_dir(from, to).map(|()| true);
    }
    let same = match () {
        () if kind.is_file() => same_bytes(from, to)?,
        () if kind.is_symlink() => fs::read_link(from)? == fs::read_link(to)?,
        () => return Ok(true),
    };
    Ok(same && xattrs::same(from, to)?)
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (durable::read_only(one)?, durable::read_only(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (n, m) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left[..n] != right[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    use rustix::fs::{XattrFlags, lsetxattr};

    use super::*;
    use crate::bus::Agent;

    fn tree() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).expect("makes");
        fs::create_dir(&to).expect("makes");
        fs::write(from.join("a/b/file"), vec![3; 200_000]).expect("writes");
        fs::set_permissions(from.join("a/b/file"), fs::Permissions::from_mode(0o640)).expect("sets");
        symlink("file", from.join("a/b/link")).expect("links");
        (dir, from, to)
    }

    /// DF-5: everything comes over: contents, modes, links.
    #[test]
    fn df5_all_is_copied_and_exchanged() {
        let (_dir, from, to) = tree();
        copy_and_compare(&from, &to).expect("copies");
        disk::Disk::linux().exchange(&from, &to).expect("exchanges");
        fs::remove_dir_all(&to).expect("the originals are here now");
        assert_eq!(fs::read(from.join("a/b/file")).expect("reads"), vec![3; 200_000]);
        assert_eq!(fs::metadata(from.join("a/b/file")).expect("there").mode() & 0o777, 0o640);
        assert_eq!(fs::read_link(from.join("a/b/link")).expect("a link"), Path::new("file"));
    }

    #[test]
    fn a_difference_is_found() {
        let (_dir, from, to) = tree();
        copy_and_compare(&from, &to).expect("copies");
        fs::write(to.join("a/b/file"), vec![3; 199_999]).expect("writes");
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Differs)));
        fs::remove_file(to.join("a/b/file")).expect("removes");
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Copy(_))));
    }

    /// A link that takes a file's place after it was looked at gives nothing of what it points to.
    #[test]
    fn a_link_in_a_files_place_is_not_followed() {
        let (_dir, from, to) = tree();
        let found = fs::symlink_metadata(from.join("a/b/file")).expect("there");
        symlink("/proc/self/status", from.join("swapped")).expect("links");
        assert!(copy_file(&from.join("swapped"), &to.join("swapped"), &found).is_err());
        assert!(same_bytes(&from.join("swapped"), &from.join("a/b/file")).is_err());
    }

    #[test]
    fn a_pipe_is_refused_and_stays() {
        let (_dir, from, to) = tree();
        let pipe = from.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
        assert!(matches!(copy_and_compare(&from, &to), Err(MoveError::Special)));
        assert!(pipe.exists());
    }

    /// What keeps plain files out is told without their names.
    #[test]
    fn a_refusal_says_no_names() {
        let (_dir, from, to) = tree();
        nix::unistd::mkfifo(&from.join("private-name"), nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
        let special = copy_and_compare(&from, &to).expect_err("refuses");
        let missing = compare_dir(&from, &to.join("private-name")).expect_err("nothing is there");
        for error in [special, missing] {
            let words = crate::vaultmgr::chain(&error);
            assert!(!words.contains("private-name") && !words.contains("from"), "{words}");
        }
    }

    /// A file that is mostly holes takes no more room in the vault.
    #[test]
    fn holes_stay_holes() {
        let (_dir, from, to) = tree();
        let sparse = File::create(from.join("sparse")).expect("creates");
        sparse.write_all_at(b"first", 1 << 20).expect("writes");
        sparse.write_all_at(b"last", 63 << 20).expect("writes");
        sparse.set_len(64 << 20).expect("sets");
        copy_and_compare(&from, &to).expect("copies");
        let copy = fs::metadata(to.join("sparse")).expect("there");
        assert_eq!(copy.len(), 64 << 20);
        assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    }

    /// As vaultmgr copies, with its own capabilities; those are a thread's own.
    fn copied_as_vaultmgr(from: &Path, to: &Path) -> Result<(), MoveError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let copying = std::thread::spawn(move || {
            let own = Agent::Vaultmgr.row().caps.iter().copied().collect();
            caps::set(None, caps::CapSet::Effective, &own).expect("drops");
            copy_and_compare(&from, &to)
        });
        copying.join().expect("runs")
    }

    /// DF-5: other users' files come over with attributes and owners.
    #[test]
    fn df5_other_users_files_keep_owner_mode_and_attributes() {
        let (_dir, from, to) = tree();
        let file = from.join("a/b/file");
        lsetxattr(&file, "user.note", b"kept", XattrFlags::CREATE).expect("sets");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("sets");
        lchown(&file, Some(12345), Some(12345)).expect("as root");
        copied_as_vaultmgr(&from, &to).expect("copies");
        let copy = fs::metadata(to.join("a/b/file")).expect("there");
        assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o777), (12345, 12345, 0o400));
        lsetxattr(to.join("a/b/file"), "user.note", b"lost", XattrFlags::REPLACE).expect("sets");
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Differs)));
        lsetxattr(to.join("a/b/file"), "user.note", b"kept", XattrFlags::REPLACE).expect("sets");
        compare_dir(&from, &to).expect("the same again");
        lsetxattr(from.join("a"), "user.note", b"kept", XattrFlags::CREATE).expect("sets");
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Differs)), "a directory's too");
    }

    /// What can't be given is told and stays plain: file capabilities are not vaultmgr's to give.
    #[test]
    fn an_attribute_that_cannot_be_given_keeps_the_file_where_it_is() {
        let (_dir, from, to) = tree();
        // VFS_CAP_REVISION_2, of CAP_NET_RAW.
        let capability = [[0, 0, 0, 2], [0, 32, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        lsetxattr(from.join("a/b/file"), "security.capability", &capability, XattrFlags::CREATE)
            .expect("sets");
        assert!(matches!(copied_as_vaultmgr(&from, &to), Err(MoveError::Attribute(_))));
        assert!(from.join("a/b/file").exists());
    }
}
