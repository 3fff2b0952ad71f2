//! What stands at a vault's path, asked before a byte is written there; and the probe of what the kernel can encrypt with. Setting a policy does not tell: only making a file loads the cipher.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::fd::AsFd,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use nix::errno::Errno;

use crate::{
    Claims, ContentKey, KeyIdentifier, Modes, Policy,
    kernel::{self, AddKeyError, GetPolicyError, SetPolicyError},
    place,
};

/// What stands at a path, by the kernel's word; the open directories stay what they are, whatever happens to the path.
#[derive(Debug)]
pub enum PathKind {
    /// Nothing.
    Nothing,
    /// No directory that could be a vault: a link, a file, or a policy not of version 2.
    Stranger,
    /// Something is mounted there, or on the way there. It was not opened: what stands under it is not seen.
    Covered,
    /// A directory without a policy.
    Plain(File),
    /// A directory under a v2 policy. That its key is present is not said.
    Encrypted(File, Policy),
}

/// Why it is not known what stands at a path.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It could not be opened.
    #[error("the directory could not be opened")]
    Io(#[from] io::Error),
    /// Its policy could not be asked for.
    #[error("the directory's encryption policy is not known")]
    Policy(#[from] GetPolicyError),
}

/// Looks at what stands at `inside` of the folder `top`, which must be on the filesystem `device` (`st_dev`). Only the last part of the
/// path is never followed as a link: nothing is proved about its parents. What is mounted below `top`, or over it since it was opened, is asked for
/// nothing.
///
/// # Errors
/// [`LookError`].
pub fn look(top: impl AsFd, inside: &Path, device: u64) -> Result<PathKind, LookError> {
    if inside.is_absolute() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    }
    match place::open(top.as_fd(), inside) {
        Ok(Some(directory)) => standing(directory, device),
        Ok(None) => Ok(PathKind::Covered),
        Err(Errno::ENOENT) => Ok(PathKind::Nothing),
        Err(Errno::ENOTDIR | Errno::ELOOP) => Ok(PathKind::Stranger),
        Err(errno) => Err(LookError::Io(errno.into())),
    }
}

fn standing(directory: File, device: u64) -> Result<PathKind, LookError> {
    if directory.metadata()?.dev() != device {
        return Ok(PathKind::Stranger);
    }
    match kernel::get_policy(&directory) {
        Ok(Some(policy)) => Ok(PathKind::Encrypted(directory, policy)),
        Ok(None) => Ok(PathKind::Plain(directory)),
        Err(GetPolicyError::Version { .. }) => Ok(PathKind::Stranger),
        Err(error) => Err(error.into()),
    }
}

/// Why vaults with these modes can't be made on a filesystem.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel lacks the cipher, or the filesystem can't use it.
    #[error("this kernel cannot encrypt with these modes")]
    Modes {
        /// What making a file said.
        source: io::Error,
    },
    /// The probe's key was refused.
    #[error("the kernel refuses keys for this filesystem")]
    Key(#[from] AddKeyError),
    /// The probe's policy was refused.
    #[error("the kernel refuses such a policy on this filesystem")]
    Policy(#[from] SetPolicyError),
    /// The probe's directory could not be made or opened.
    #[error("the probe's directory could not be made")]
    Io(#[from] io::Error),
}

/// Tries whether files encrypted with `modes` can be made under `parent`, a directory that is not encrypted. `key` is a
/// random one, for this only. The directory `.eve-probe` and the key are gone afterwards, whatever came of it.
///
/// # Errors
/// [`ProbeError::Modes`]: not with these modes; the others: not at all.
pub fn probe_modes(parent: &Path, modes: Modes, key: &ContentKey) -> Result<(), ProbeError> {
    let (fs, path) = (File::open(parent)?, parent.join(".eve-probe"));
    // Left by a probe that was cut short; it never holds more than its file.
    clear_probe(&path);
    DirBuilder::new().mode(0o700).create(&path)?;
    let outcome = probe_in(&fs, &path, modes, key);
    clear_probe(&path);
    // After the files: else the kernel would keep the key as incompletely removed.
    let _ = kernel::remove_key(&fs, KeyIdentifier::of(key), Claims::Own);
    outcome
}

fn probe_in(fs: &File, path: &Path, modes: Modes, key: &ContentKey) -> Result<(), ProbeError> {
    let identifier = kernel::add_key(fs, key)?;
    kernel::set_policy(File::open(path)?, &Policy { identifier, modes })?;
    write_probe(path).map_err(|source| ProbeError::Modes { source })
}

fn write_probe(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path.join("probe"))?;
    file.write_all(b"probe")?;
    file.sync_all()
}

/// By the names that it lists: of a probe that was cut short the kernel has no key any more, and shows others than were given.
fn clear_probe(path: &Path) {
    // What could not be removed shows when the directory is made anew.
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(path);
}
