//! The two places as folders: one that can't be used is as good as a damaged copy, and what could not be wiped in either is known until it is. Both are
//! tried again by themselves; what to do meanwhile is told.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fscrypt::{KeyIdentifier, MetaDir, MetaError, ProtectorDescriptor};
use vault::ids::VaultId;

use super::{CryptError, Kernel};
use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::generation::files::{covered_on_the_way, is_covered};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::{prepare, tree};
use crate::agents::vaultmgr::paths::Paths;

/// Why the first place can't be used, and what to do.
#[derive(Debug, Clone)]
pub(super) struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Unusable {
    fn of(place: &Path, error: &MetaError) -> Self {
        let (place, why) = (tree::shown(place), chain(error));
        let advice = match error {
            MetaError::Io { .. } => {
                "see what the kernel's log (`dmesg`) says of the disk, and run `fsck` on it while it is not mounted".to_owned()
            }
            MetaError::Covered { .. } => "what is beneath is not seen".to_owned(),
            _ => format!(
                "give it and the folders in it back to root alone (`chown -R root {place}`, `chmod -R go-w {place}`), or move away what stands there and is no folder"
            ),
        };
        Self(format!(
            "{place}, the first place of key files, can't be used ({why}): {advice}; until then vaults open by the second copy in persist/vaults/.meta, none is made and no key is changed; it is tried again by itself"
        ))
    }
}

/// Makes the first place if there is none, clears what a write cut short left, and sees that it can be read.
pub(super) fn open_first(paths: &Paths) -> Result<MetaDir, Unusable> {
    let path = paths.persist().join(".fscrypt");
    let open = || {
        if is_covered(paths, &path) {
            return Err(covered_on_the_way(paths, &path).into());
        }
        let first = MetaDir::create(paths.disk(), &path)?;
        first.protectors().and_then(|_| first.policies()).map(|_| first)
    };
    let first = open().map_err(|error| Unusable::of(&path, &error))?;
    if let Err(error) = first.sweep() {
        // It is swept again at each write, and the vaults open without.
        tracing::error!(error = %chain(&error), "sweeping .fscrypt");
    }
    Ok(first)
}

impl Kernel {
    /// The first place.
    ///
    /// # Errors
    /// [`MetaError::Io`] while it can't be used: nothing is concluded of what is in it.
    pub(super) fn first(&self) -> Result<&MetaDir, MetaError> {
        let doing = "opening the first place of key files";
        self.first.as_ref().map_err(|why| MetaError::Io { doing, source: io::Error::other(why.to_string()) })
    }

    /// Tries again what could not be used, or wiped. Says whether anything came of it.
    pub(super) fn mend_places(&mut self) -> bool {
        // Nothing is made or wiped by the paths of a disk that went.
        if self.is_away() {
            return false;
        }
        let before = self.unusable.clone();
        if !before.is_empty() || prepare::any_covered(&self.paths) {
            self.unusable = prepare::own_folders(&self.paths);
        }
        if self.unusable.len() < before.len() {
            // What lies there was not seen.
            self.read_names();
            self.read_unwiped();
        }
        if self.first.is_err() {
            self.first = open_first(&self.paths);
            if self.first.is_ok() {
                self.read_names();
                self.read_unwiped();
                return true;
            }
        }
        self.wipe_left() || self.unusable != before
    }

    fn wipe_left(&mut self) -> bool {
        let vaults: Vec<VaultId> = self.left.keys().copied().collect();
        for vault in &vaults {
            let swept = self.first().and_then(MetaDir::sweep);
            let swept = swept.and(self.second(*vault).and_then(|second| second.sweep()));
            if let Err(error) = swept {
                tracing::debug!(%vault, error = %chain(&error), "wiping what is left of key files");
            }
            self.note_left(*vault);
        }
        self.left.len() != vaults.len()
    }

    /// Looks whether something of a vault's key files is left that is to be wiped. What can't be listed is told where it is read.
    pub(super) fn note_left(&mut self, vault: VaultId) {
        let second = self.second(vault);
        self.note_left_in(vault, second.as_ref());
    }

    /// The same, with the folder of its second copy.
    pub(super) fn note_left_in(&mut self, vault: VaultId, second: Result<&MetaDir, &MetaError>) {
        match self.left_of(vault, second) {
            Ok(left) if left.is_empty() => drop(self.left.remove(&vault)),
            Ok(left) => drop(self.left.insert(vault, left)),
            // What was left may be there still.
            Err(error) => {
                tracing::debug!(%vault, error = %chain(&error), "listing what is left of key files");
            }
        }
    }

    /// Of a place that can't be used now what was known is still so.
    fn left_of(
        &self,
        vault: VaultId,
        second: Result<&MetaDir, &MetaError>,
    ) -> Result<Vec<PathBuf>, MetaError> {
        let first = match self.first() {
            Ok(first) => self.its_own(vault, first.leftovers()?),
            Err(_) => self.known_left(vault, &self.persist.join(".fscrypt")),
        };
        let second = match second {
            Ok(second) => second.leftovers()?.into_iter().map(|(path, _)| path).collect(),
            Err(_) => self.known_left(vault, &self.metas),
        };
        Ok([first, second].concat())
    }

    fn known_left(&self, vault: VaultId, place: &Path) -> Vec<PathBuf> {
        let known = self.left.get(&vault).into_iter().flatten();
        known.filter(|path| path.starts_with(place)).cloned().collect()
    }

    /// Of what is left in the first place, where it lies for all.
    fn its_own(&self, vault: VaultId, left: Vec<(PathBuf, String)>) -> Vec<PathBuf> {
        let names = self.names.get(&vault);
        let is_protector = |of: &str| {
            of.parse().is_ok_and(|of: ProtectorDescriptor| {
                names.is_some_and(|names| names.protectors.contains(&of))
            })
        };
        let is_policy = |of: &str| {
            of.parse().is_ok_and(|of: KeyIdentifier| names.is_some_and(|names| names.policies.contains(&of)))
        };
        let is_its = |live: &str| is_protector(live) || is_policy(live);
        left.into_iter().filter(|(_, live)| is_its(live)).map(|(path, _)| path).collect()
    }

    pub(super) fn words_of_left(&self, vault: VaultId) -> Option<String> {
        let left = self.left.get(&vault)?;
        let several = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|found| found.nlink() > 1);
        let no_file =
            |path: &PathBuf| replaced(path).filter(|at| at.symlink_metadata().is_ok_and(|it| !it.is_file()));
        let what = match (left.iter().find_map(no_file), left.iter().find(several)) {
            (Some(path), _) => format!(
                "{} is no file of ours but a link, or a folder, that somebody put there: move it away",
                tree::shown(&path)
            ),
            (None, Some(path)) => self.of_two_names(path),
            (None, None) => {
                let shown = tree::shown(left.first()?);
                format!(
                    "see what `dmesg` says of the disk, and whether {shown} is marked immutable (`chattr -i -a {shown}`)"
                )
            }
        };
        Some(format!(
            "what its key was wrapped in before is not wiped, and the key of before still opens it: {what}; no epoch is told as taken before, and it goes on by itself then"
        ))
    }

    /// What is to be done about it is told by path.
    pub(super) fn not_rewrapped(&self, vault: VaultId, error: MetaError) -> CryptError {
        let what = match self.words_of_left(vault) {
            Some(words) => format!("re-wrapping the protector: {words}"),
            None => "re-wrapping the protector".to_owned(),
        };
        CryptError::because(&what, error)
    }
}

/// Whose place a leftover was to take, or took.
fn replaced(leftover: &Path) -> Option<PathBuf> {
    let live = disk::live_name(leftover.file_name()?.to_str()?)?;
    Some(leftover.with_file_name(live))
}
