//! The data folder: private, made with those above it, and the root certificate in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use disk::Disk;
use nix::unistd::geteuid;

use super::start::StartError;

pub(super) fn at(path: &Path, source: std::io::Error) -> StartError {
    StartError::File { path: path.display().to_string(), source }
}

/// What lies in the folder is private file by file; a folder that is there already keeps its mode. One that others may write into
/// is no place for keys: they could put files of their own in the place of ours.
pub(super) fn make_folder(disk: &Disk, path: &Path) -> Result<(), StartError> {
    if !path.is_dir() {
        return make_folders(disk, path).map_err(|error| at(path, error.into()));
    }
    let safe = is_nobody_elses(path).map_err(|source| at(path, source))?;
    if safe { Ok(()) } else { Err(StartError::Shared { path: path.display().to_string() }) }
}

/// Whether a folder is this user's or root's, and nobody else may write into it.
///
/// # Errors
/// It can't be looked at.
pub(crate) fn is_nobody_elses(path: &Path) -> std::io::Result<bool> {
    let meta = fs::metadata(path)?;
    Ok(meta.mode() & 0o022 == 0 && [0, geteuid().as_raw()].contains(&meta.uid()))
}

fn make_folders(disk: &Disk, path: &Path) -> Result<(), disk::Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        make_folders(disk, parent)?;
    }
    disk.make_folder(path, 0o700).map(drop)
}

/// For the nodes' installer. What is there already is this root, or somebody must look.
pub(super) fn publish_root(disk: &Disk, file: &Path, pem: &str) -> Result<(), StartError> {
    match fs::read(file) {
        Ok(there) if there == pem.as_bytes() => Ok(()),
        Ok(_) => Err(StartError::OtherRoot { path: file.display().to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            disk.write(file, pem.as_bytes(), 0o644).map_err(|error| at(file, error.into()))
        }
        Err(source) => Err(at(file, source)),
    }
}
