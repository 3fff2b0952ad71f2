//! The real kernel and the real metadata: [`Crypt`] over the `fscrypt` crate, for one mounted filesystem.
//! Metadata lies twice: in `.fscrypt` of the mount point, where the fscrypt tool looks, and in a folder of ours per vault.
//! Which files are which vault's is read once at start from the protectors' names, and kept in step with what is written here.

mod ages;
mod attributed;
mod brought_back;
mod files;
mod forgetting;
mod looking;
mod opening;
mod others;
mod part;
mod parts;
mod places;
mod recovery;
mod space;
mod writing;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use disk::{Disk, Folder, Op};
use fscrypt::meta_dir::Stamp;
use fscrypt::{
    Claims, KeyFiles, KeyIdentifier, KeyStatus, MetaDir, MetaError, PathKind, Policy, PolicyFile,
    ProtectorDescriptor, ProtectorKey, Removal, Residue, Source,
};
use vault::condition::{Hint, Key, Recovery, RecoveryHint};
use vault::escrow::VaultFiles;
use vault::ids::VaultId;
use vault::recovery::Recipients;
use vault::secret::{RecoveryKey, WrappingSecret};
use vault::section::Encryption;
use vault::space::{Space, StorageLimit};

use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, MetaPlace};
use crate::agents::vaultmgr::hands::{label, prepare};
use crate::agents::vaultmgr::paths::Paths;
use files::Names;
use parts::{encryption, modes, wrapping_key};
use places::Unusable;

/// One filesystem.
#[derive(Debug)]
pub(crate) struct Kernel {
    paths: Paths,
    disk: Disk,
    persist: PathBuf,
    mount: File,
    /// The same, as a folder of ours.
    top: Folder,
    /// Which directory of which filesystem that is.
    itself: looking::Known,
    device: u64,
    vaults: PathBuf,
    metas: PathBuf,
    first: Result<MetaDir, Unusable>,
    names: BTreeMap<VaultId, Names>,
    /// Protectors that are a vault's though their own name does not say so.
    attributed: BTreeMap<ProtectorDescriptor, VaultId>,
    /// Files that a key has opened: these may be written over others that read as well.
    proved: BTreeMap<VaultId, KeyFiles>,
    /// Vaults whose key files were to be wiped, and are not yet.
    unwiped: BTreeSet<VaultId>,
    /// Where bytes of key files lie that are in force no more, and could not be wiped.
    left: BTreeMap<VaultId, Vec<PathBuf>>,
    /// Which of our other folders can't be used, in words.
    unusable: Vec<String>,
    /// Recovery keys, encrypted.
    ages: ages::AgeFiles,
    /// The policy's file of the vault that was opened last, until its key is given to the kernel.
    opened: RefCell<Option<(VaultId, PolicyFile)>>,
    /// When files were put into the first place or taken away last, as far as it was looked.
    stamp: Option<Stamp>,
    /// What the kernel was seen to encrypt with.
    able: Vec<Encryption>,
    /// Where overwritten key files may have left copies.
    residue: Option<Residue>,
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl Fn(E) -> CryptError {
    move |error| CryptError::because(what, error)
}

impl Kernel {
    /// Opens the filesystem that `persist` is the mount point of, clears what a write cut short left, and reads the names.
    pub(crate) fn open(paths: &Paths) -> Result<Self, CryptError> {
        let mount = File::open(paths.persist()).map_err(failed("opening the persist filesystem"))?;
        let device = mount.metadata().map_err(failed("looking at the persist filesystem"))?.dev();
        let itself = looking::known(&mount).map_err(failed("looking at the persist filesystem"))?;
        let disk = paths.disk().clone();
        let first = places::open_first(paths);
        let stamp = first.as_ref().ok().and_then(MetaDir::stamp);
        let (vaults, metas) = (paths.vaults(), paths.metas());
        let (names, proved, able) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (residue, opened) = (fscrypt::scrub::residue(&mount), RefCell::default());
        let persist = paths.persist();
        let top = || disk.opened(&mount).map_err(failed("opening the persist filesystem"));
        let (top, ages) = (top()?, ages::AgeFiles::open(top()?, (&persist, paths.recoveries())));
        let mut kernel = Self {
            paths: paths.clone(),
            disk,
            persist,
            mount,
            top,
            itself,
            device,
            vaults,
            metas,
            first,
            names,
            attributed: BTreeMap::new(),
            proved,
            unwiped: BTreeSet::new(),
            left: BTreeMap::new(),
            unusable: prepare::own_folders(paths),
            ages,
            opened,
            stamp,
            able,
            residue,
        };
        kernel.read_names();
        kernel.read_unwiped();
        Ok(kernel)
    }

    /// Of several that are named as ours a key tells which is; until then no name is believed. Nor is that of a file which says of itself that it is none of
    /// ours.
    fn whole_copy(&self, vault: VaultId, place: MetaPlace, all: &[KeyFiles]) -> CopyRead {
        let Policy { identifier, modes } = all[0].policy.policy();
        let (others, recovery) = self.others(vault, place, &all[0]);
        let is_ours = all[0].protector.source() == Source::RawKey;
        let sure = is_ours && (all.len() == 1 || self.is_proved(vault, &all[0]));
        CopyRead::Whole {
            hint: if sure { label::hint(all[0].protector.name(), vault) } else { Hint::Unknown },
            key: KeyId(identifier.0),
            encryption: encryption(modes),
            others,
            recovery,
        }
    }
}

impl Crypt for Kernel {
    type Protector = ProtectorKey;

    fn vaults(&self) -> Result<Vec<VaultId>, CryptError> {
        Ok(self.names.keys().copied().collect())
    }

    fn read(&self, vault: VaultId, place: MetaPlace) -> Result<CopyRead, CryptError> {
        match self.files(vault, place) {
            Ok(all) if all.is_empty() && self.has_unwiped(vault, place) => Ok(CopyRead::Damaged),
            Ok(all) if all.is_empty() => Ok(CopyRead::Absent),
            Ok(all) => Ok(self.whole_copy(vault, place, &all)),
            Err(error @ (MetaError::Io { .. } | MetaError::Covered { .. })) => {
                Err(CryptError::because("reading metadata", error))
            }
            Err(_) => Ok(CopyRead::Damaged),
        }
    }

    fn create(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        self.make_files(vault, encryption, name, secret)
    }

    fn repair(&mut self, vault: VaultId, from: MetaPlace) -> Result<(), CryptError> {
        self.mend_from(vault, from)
    }

    fn unwrap(
        &mut self,
        vault: VaultId,
        place: MetaPlace,
        secret: &WrappingSecret,
    ) -> Result<Option<ProtectorKey>, CryptError> {
        let wrapping = wrapping_key(secret);
        let mut damaged = None;
        let (all, lie) = self.whole_or_borrowed(vault, place)?;
        for files in all {
            match self.open_one(vault, place, (files, lie), &wrapping) {
                Ok(None) => {}
                Ok(opened) => return Ok(opened),
                Err(error) => damaged = Some(error),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    fn rewrap(
        &mut self,
        vault: VaultId,
        protector: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<(), CryptError> {
        self.wrap_anew(vault, protector, name, secret)
    }

    fn bring_back(&mut self, vault: VaultId, files: &VaultFiles) -> Result<(), CryptError> {
        self.bring_files_back(vault, files)
    }

    fn put_back(
        &mut self,
        vault: VaultId,
        files: &VaultFiles,
        secret: &WrappingSecret,
    ) -> Result<bool, CryptError> {
        self.put_files_back(vault, files, secret)
    }

    fn forget(&mut self, vault: VaultId) -> Result<(), CryptError> {
        self.forget_all(vault)
    }

    fn recovery(&self, vault: VaultId, named: bool) -> Recovery {
        self.recovery_of(vault, named)
    }

    fn make_recovery(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        recipients: &Recipients,
        hint: RecoveryHint,
    ) -> Result<(), CryptError> {
        self.write_recovery(vault, by, recipients, hint)
    }

    fn drop_recovery(&mut self, vault: VaultId) -> Result<(), CryptError> {
        self.take_recovery_away(vault)
    }

    fn recover(
        &mut self,
        vault: VaultId,
        key: &RecoveryKey,
    ) -> Result<Option<(ProtectorKey, KeyId)>, CryptError> {
        self.open_recovery(vault, key)
    }

    fn new_protector(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        self.replace_primary(vault, by, name, secret)
    }

    fn lags(&self, vault: VaultId) -> bool {
        // What does not read is told where it is read.
        self.changes(vault).is_ok_and(|changes| !changes.is_empty())
    }

    fn is_away(&self) -> bool {
        self.is_elsewhere()
    }

    fn look_for_names(&mut self) {
        self.read_names();
    }

    fn stirred(&mut self) -> bool {
        let mended = self.mend_places();
        let Ok(first) = &self.first else { return mended };
        let now = first.stamp();
        std::mem::replace(&mut self.stamp, now) != now || now.is_none() || mended
    }

    fn find(&self, path: &Path) -> Result<Found, CryptError> {
        looking::found(&self.look(path)?)
    }

    fn find_with_space(&self, path: &Path) -> Result<(Found, Space), CryptError> {
        let kind = self.look(path)?;
        let found = looking::found(&kind)?;
        let directory = looking::directory(&kind).filter(|_| found.has_space());
        Ok((found, directory.and_then(|directory| self.space_of(directory)).unwrap_or_default()))
    }

    fn is_named_by_another(&self, vault: VaultId, key: KeyId) -> bool {
        let key = KeyIdentifier(key.0);
        let of_a_vault = |(id, names): (&VaultId, &Names)| *id != vault && names.policies.contains(&key);
        self.names.iter().any(of_a_vault) || self.is_a_strangers(vault, key)
    }

    fn key(&self, key: KeyId) -> Result<Key, CryptError> {
        let status = fscrypt::key_status(&self.mount, KeyIdentifier(key.0));
        Ok(match status.map_err(failed("asking the kernel for a key"))? {
            KeyStatus::Absent => Key::Absent,
            KeyStatus::Present { .. } => Key::Present,
            KeyStatus::IncompletelyRemoved => Key::Incomplete,
        })
    }

    fn add_key(&self, vault: VaultId, protector: &ProtectorKey) -> Result<(), CryptError> {
        let read = || self.content(vault, MetaPlace::First, protector);
        let read = || read().or_else(|_| self.content(vault, MetaPlace::Second, protector));
        let read = || read().or_else(|_| self.any_content(vault, protector));
        let content = self.opened_content(vault, protector).map_or_else(read, Ok)?;
        fscrypt::add_key(&self.mount, &content).map(drop).map_err(failed("giving the key to the kernel"))
    }

    fn remove_key(&self, key: KeyId) -> Result<Key, CryptError> {
        let removal = fscrypt::remove_key(&self.mount, KeyIdentifier(key.0), Claims::All);
        Ok(match removal.map_err(failed("removing the key from the kernel"))? {
            Removal::Removed | Removal::WasAbsent => Key::Absent,
            Removal::FilesBusy => Key::Incomplete,
            Removal::OtherUsers => Key::Present,
        })
    }

    fn set_policy(&self, path: &Path, key: KeyId, encryption: Encryption) -> Result<(), CryptError> {
        let PathKind::Plain(directory) = self.look(path)? else {
            return Err(CryptError::new("what is to be encrypted is no plain directory"));
        };
        let policy = Policy { identifier: KeyIdentifier(key.0), modes: modes(encryption) };
        fscrypt::set_policy(&directory, &policy).map_err(failed("encrypting the directory"))?;
        let parent = path.parent().ok_or_else(|| CryptError::new("a vault's directory has a parent"))?;
        let parent = self.disk.folder(parent).map_err(failed("opening the directory's folder"))?;
        let synced = self.disk.run(Op::SyncFile { file: &directory });
        synced.map_err(failed("syncing the directory"))?;
        parent.sync_together().map_err(failed("syncing the directory"))
    }

    fn enlist(&self, vault: VaultId, path: &Path) -> Result<u32, CryptError> {
        self.project_of(vault, path)
    }

    fn limit(&self, path: &Path, limit: Option<StorageLimit>) -> Result<(), CryptError> {
        self.set_limit(path, limit)
    }

    fn key_files(&self, vault: VaultId) -> Option<VaultFiles> {
        self.files_for_escrow(vault)
    }

    fn reads(&self, vault: VaultId, files: &VaultFiles) -> bool {
        self.would_help(vault, files)
    }

    fn has_opened(&self, vault: VaultId) -> bool {
        self.proved.contains_key(&vault)
    }

    fn is_alike(&self, one: &VaultFiles, other: &VaultFiles) -> bool {
        brought_back::is_alike(one, other)
    }

    fn unusable(&self) -> Vec<String> {
        let first = self.first.as_ref().err().map(ToString::to_string);
        first.into_iter().chain(self.unusable.iter().cloned()).collect()
    }

    fn unwiped(&self, vault: VaultId) -> Option<String> {
        self.words_of_left(vault)
    }

    fn residue(&self) -> Option<&'static str> {
        self.residue.map(|residue| match residue {
            Residue::Journal => {
                "what a rotation overwrites may stay in the journal of the persist filesystem: mount it with data=ordered and make it without inline_data, or use Linux 5.14 or newer"
            }
            Residue::Elsewhere => {
                "what a rotation overwrites may stay on the persist filesystem, which is no ext4 and writes elsewhere"
            }
        })
    }
}
