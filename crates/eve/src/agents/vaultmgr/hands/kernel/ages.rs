//! Recovery keys encrypted with age, in both places as `<vault>.<protector>.age`, and that a key was used. Bytes and names alone: what they are worth
//! is judged in `recovery`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use disk::Folder;
use fscrypt::ProtectorDescriptor;
use fscrypt::scrub::{scrub, sweep};
use vault::ids::VaultId;
use wire::age::MAX_AGE_FILE;

use super::MetaPlace;
use super::recovery::{PLACES, REMOVAL};

/// Age files, and that a key of one was used, in both places.
#[derive(Debug)]
pub(super) struct AgeFiles {
    /// The disk that was opened: its path may lead to another one since.
    persist: Folder,
    /// Both places under it.
    folders: [PathBuf; 2],
    /// How they are called.
    paths: [PathBuf; 2],
    names: BTreeSet<String>,
}

impl AgeFiles {
    /// Clears what a write cut short left, and reads the names. What can't be read is told when a vault is looked at.
    pub(super) fn open(persist: Folder, (under, paths): (&Path, [PathBuf; 2])) -> Self {
        let mut names = BTreeSet::new();
        let folders = paths.each_ref().map(|path| path.strip_prefix(under).unwrap_or(path).to_owned());
        for folder in folders.iter().filter_map(|path| persist.below(path).ok()) {
            let swept = sweep(&folder).and_then(|_| folder.names());
            match swept {
                Ok(all) => names.extend(all),
                Err(error) => {
                    tracing::warn!(error = %crate::agents::vaultmgr::chain(&error), "the folder of recovery keys")
                }
            }
        }
        Self { persist, folders, paths, names }
    }

    /// The protectors that there are age files of.
    pub(super) fn of(&self, vault: VaultId) -> BTreeSet<ProtectorDescriptor> {
        self.names
            .iter()
            .filter_map(|name| read_name(name))
            .filter(|(of, _)| *of == vault)
            .map(|(_, by)| by)
            .collect()
    }

    pub(super) fn is_used(&self, vault: VaultId) -> bool {
        self.names.contains(&used(vault))
    }

    pub(super) fn places(&self) -> [&Path; 2] {
        self.paths.each_ref().map(PathBuf::as_path)
    }

    fn folder(&self, place: MetaPlace) -> Result<Folder, disk::Error> {
        let path = &self.folders[place as usize];
        let names = path.parent().zip(path.file_name().and_then(OsStr::to_str));
        let (parent, name) =
            names.ok_or_else(|| disk::Error::Absent { name: "the place of recovery keys".into() })?;
        self.persist.below(parent)?.make_folder(name, 0o700)
    }

    /// Whether the file is there, in one place, and is the one that the protector's name tells of.
    pub(super) fn is_good(&self, place: MetaPlace, file: &str, sum: [u8; 5]) -> bool {
        let folder = self.persist.below(&self.folders[place as usize]);
        folder
            .and_then(|folder| folder.read(file, MAX_AGE_FILE + 1))
            .is_ok_and(|bytes| checksum(&bytes) == sum)
    }

    pub(super) fn write(&mut self, name: String, bytes: &[u8]) -> Result<(), disk::Error> {
        self.names.insert(name.clone());
        for place in PLACES {
            scrub(vec![self.folder(place)?.replace(&name, bytes)?])?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), disk::Error> {
        for place in REMOVAL {
            scrub(vec![self.folder(place)?.retire(name)?])?;
        }
        self.names.remove(name);
        Ok(())
    }

    /// All of one vault's.
    pub(super) fn forget(&mut self, vault: VaultId) -> Result<(), disk::Error> {
        let all: Vec<String> = self.of(vault).into_iter().map(|by| name(vault, by)).collect();
        all.iter().try_for_each(|name| self.remove(name))?;
        if self.is_used(vault) { self.remove(&used(vault)) } else { Ok(()) }
    }
}

pub(super) fn name(vault: VaultId, by: ProtectorDescriptor) -> String {
    format!("{vault}.{by}.age")
}

pub(super) fn used(vault: VaultId) -> String {
    format!("{vault}.used")
}

fn read_name(name: &str) -> Option<(VaultId, ProtectorDescriptor)> {
    let (vault, by) = name.strip_suffix(".age")?.split_once('.')?;
    Some((vault.parse().ok()?, by.parse().ok()?))
}

/// Against damage, not against somebody who writes to the disk.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 5] {
    *digest::digest(&digest::SHA256, bytes).as_ref().first_chunk().expect("SHA-256 has more bytes")
}
