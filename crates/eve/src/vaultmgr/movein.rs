//! Plain files that lay in a default vault's place before it was one (DF-5): copied into a new directory under the policy, compared
//! byte by byte, exchanged with the old at once. Until the exchange the originals are untouched, after it the copy is whole.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{durable, faults};

/// Why plain files were not moved in. They are where they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// Reading or writing.
    #[error("copying {}", path.display())]
    Copy {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy is not what the original is: something writes there meanwhile.
    #[error("{} changed while it was copied", path.display())]
    Differs {
        /// Where.
        path: PathBuf,
    },
    /// A device or a pipe.
    #[error("{} is neither file, directory nor link; move it away", path.display())]
    Special {
        /// Where.
        path: PathBuf,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> MoveError {
    move |source| MoveError::Copy { path: path.to_owned(), source }
}

/// Copies all of `from` into the empty directory `to`, and compares. Sockets are left out: their owners make them anew.
pub(crate) fn copy_and_compare(from: &Path, to: &Path) -> Result<(), MoveError> {
    copy_dir(from, to)?;
    nix::unistd::syncfs(&File::open(to).map_err(at(to))?).map_err(io::Error::from).map_err(at(to))?;
    compare_dir(from, to)
}

/// Exchanges two directories on one filesystem at once; durable when it returns.
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?;
    durable::sync_parent(one)?;
    durable::sync_parent(other)?;
    faults::step();
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), MoveError> {
    for entry in durable::entries(from).map_err(at(from))? {
        copy_one(&entry.path(), &to.join(entry.file_name()))?;
    }
    let found = fs::symlink_metadata(from).map_err(at(from))?;
    keep_owner_and_mode(to, &found).map_err(at(to))
}

fn copy_one(from: &Path, to: &Path) -> Result<(), MoveError> {
    let found = fs::symlink_metadata(from).map_err(at(from))?;
    let kind = found.file_type();
    if kind.is_dir() {
        durable::make_dir(to, 0o700).map_err(at(to))?;
        copy_dir(from, to)
    } else if kind.is_file() {
        copy_file(from, to, &found).map_err(at(from))
    } else if kind.is_symlink() {
        copy_link(from, to, &found).map_err(at(from))
    } else if kind.is_socket() {
        Ok(())
    } else {
        Err(MoveError::Special { path: from.to_owned() })
    }
}

fn copy_file(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    faults::room()?;
    let mut target = File::create_new(to)?;
    io::copy(&mut durable::read_only(from)?, &mut target)?;
    target.set_times(fs::FileTimes::new().set_modified(found.modified()?))?;
    keep_owner_and_mode(to, found)?;
    faults::step();
    Ok(())
}

fn copy_link(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    symlink(fs::read_link(from)?, to)?;
    lchown(to, Some(found.uid()), Some(found.gid()))
}

/// The owner first: a change of owner takes set-id bits away.
fn keep_owner_and_mode(to: &Path, found: &Metadata) -> io::Result<()> {
    chown(to, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))
}

fn compare_dir(from: &Path, to: &Path) -> Result<(), MoveError> {
    for entry in durable::entries(from).map_err(at(from))? {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let same = compare_one(&from, &to)?;
        same.then_some(()).ok_or(MoveError::Differs { path: from })?;
    }
    Ok(())
}

fn compare_one(from: &Path, to: &Path) -> Result<bool, MoveError> {
    let kind = fs::symlink_metadata(from).map_err(at(from))?.file_type();
    if kind.is_dir() {
        compare_dir(from, to).map(|()| true)
    } else if kind.is_file() {
        same_bytes(from, to).map_err(at(from))
    } else if kind.is_symlink() {
        Ok(fs::read_link(from).map_err(at(from))? == fs::read_link(to).map_err(at(to))?)
    } else {
        Ok(true)
    }
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
    use super::*;

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
        exchange(&from, &to).expect("exchanges");
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
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Differs { .. })));
        fs::remove_file(to.join("a/b/file")).expect("removes");
        assert!(matches!(compare_dir(&from, &to), Err(MoveError::Copy { .. })));
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
        assert!(matches!(copy_and_compare(&from, &to), Err(MoveError::Special { .. })));
        assert!(pipe.exists());
    }
}
