//! The real kernel and the real metadata: [`Crypt`] over the `fscrypt` crate, for one mounted filesystem.
//! Metadata lies twice: in `.fscrypt` of the mount point, where the fscrypt tool looks, and in a folder of ours per vault.
//! Which files are which vault's is read once at start from the protectors' names, and kept in step with what is written here.

mod files;
mod parts;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use disk::{Disk, Op};
use fscrypt::{
    Claims, ContentKey, KeyFiles, KeyIdentifier, KeyStatus, MetaDir, MetaError, Policy, ProtectorKey,
    Removal, Residue, Standing, UnwrapError, key_files,
};
use vault::condition::Key;
use vault::custody::Wrapping;
use vault::ids::VaultId;
use vault::secret::WrappingSecret;
use vault::section::Encryption;

use crate::agents::vaultmgr::generation::shares::random;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, Place};
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::hands::label;
use crate::agents::vaultmgr::hands::tree::{self, Work};
use crate::agents::vaultmgr::paths::Paths;
use files::Names;
use parts::{encryption, iv, modes, probe, wipe, wrapping_key, write};

/// One filesystem.
#[derive(Debug)]
pub(crate) struct Kernel {
    disk: Disk,
    persist: PathBuf,
    mount: File,
    device: u64,
    vaults: PathBuf,
    metas: PathBuf,
    first: MetaDir,
    names: BTreeMap<VaultId, Names>,
    /// Files that a key has opened: these may be written over others that read as well.
    proved: BTreeMap<VaultId, KeyFiles>,
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
        let disk = paths.disk().clone();
        let first = MetaDir::create(&disk, &paths.persist().join(".fscrypt"));
        let first = first.map_err(failed("opening .fscrypt"))?;
        if let Err(error) = first.sweep() {
            // It is swept again at each write, and the vaults open without.
            tracing::error!(error = %crate::agents::vaultmgr::chain(&error), "sweeping .fscrypt");
        }
        let (vaults, metas) = (paths.vaults(), paths.metas());
        let (names, proved, able) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let residue = fscrypt::scrub::residue(&mount);
        let persist = paths.persist();
        let mut kernel =
            Self { disk, persist, mount, device, vaults, metas, first, names, proved, able, residue };
        kernel.read_names().map_err(failed("listing metadata"))?;
        Ok(kernel)
    }

    /// Once for each: a probe makes a file and takes its key back, for which the kernel syncs the whole filesystem.
    fn probe(&mut self, encryption: Encryption) -> Result<(), CryptError> {
        if !self.able.contains(&encryption) {
            probe(&self.vaults, encryption).map_err(|error| self.with_advice(error))?;
            self.able.push(encryption);
        }
        Ok(())
    }

    /// Where the filesystem can't encrypt at all it is said which it is, and what to do.
    fn with_advice(&self, error: CryptError) -> CryptError {
        let start: &(dyn std::error::Error + 'static) = &error;
        let mut causes = std::iter::successors(Some(start), |error| error.source());
        let unable = causes
            .any(|cause| matches!(cause.downcast_ref(), Some(fscrypt::kernel::AddKeyError::Unsupported)));
        if unable {
            CryptError::because(&crate::agents::vaultmgr::hands::mounts::to_encrypt(&self.persist), error)
        } else {
            error
        }
    }

    /// The content key of one copy, proved to be the one that its policy names.
    fn content(
        &self,
        vault: VaultId,
        place: Place,
        protector: &ProtectorKey,
    ) -> Result<ContentKey, CryptError> {
        let files = self.whole(vault, place)?;
        key_files::open_policy(&files.policy, protector).map_err(failed("unwrapping the content key"))
    }

    fn look(&self, path: &Path) -> Result<Standing, CryptError> {
        fscrypt::look(path, self.device).map_err(failed("looking at a vault's place"))
    }
}

impl Crypt for Kernel {
    type Protector = ProtectorKey;

    fn vaults(&self) -> Result<Vec<VaultId>, CryptError> {
        Ok(self.names.keys().copied().collect())
    }

    fn read(&self, vault: VaultId, place: Place) -> Result<CopyRead, CryptError> {
        match self.files(vault, place) {
            Ok(None) => Ok(CopyRead::Absent),
            Ok(Some(files)) => {
                let hint = label::hint(files.protector.name(), vault);
                let Policy { identifier, modes } = files.policy.policy();
                Ok(CopyRead::Whole { hint, key: KeyId(identifier.0), encryption: encryption(modes) })
            }
            Err(error @ MetaError::Io { .. }) => Err(CryptError::because("reading metadata", error)),
            Err(_) => Ok(CopyRead::Damaged),
        }
    }

    fn create(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        wrapping: Wrapping,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        // What an earlier attempt left would stand under the same name, which fscrypt wants unique.
        self.forget(vault)?;
        let content = ContentKey::init(random).map_err(failed("drawing a content key"))?;
        self.probe(encryption)?;
        let protector = ProtectorKey::init(random).map_err(failed("drawing a protector key"))?;
        let ivs = key_files::Ivs { protector: iv()?, policy: iv()? };
        let name = label::write(vault, wrapping);
        let files =
            KeyFiles::make(&content, &protector, &wrapping_key(secret), &name, modes(encryption), ivs);
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(files.protector.descriptor());
        names.policies.insert(files.policy.policy().identifier);
        write(&self.first, &files)?;
        write(&self.make_second(vault)?, &files)?;
        Ok(protector)
    }

    fn repair(&mut self, vault: VaultId, from: Place) -> Result<(), CryptError> {
        let files = self.whole(vault, from)?;
        let proved = self.proved.get(&vault).filter(|proved| proved.protector == files.protector).cloned();
        let files = proved.unwrap_or(files);
        if from == Place::First {
            self.make_second(vault)?;
        }
        self.mend(vault, from.other(), &files).map_err(failed("writing metadata"))?;
        // What this copy borrowed.
        self.mend(vault, from, &files).map_err(failed("writing metadata"))
    }

    fn unwrap(
        &mut self,
        vault: VaultId,
        place: Place,
        secret: &WrappingSecret,
    ) -> Result<Option<ProtectorKey>, CryptError> {
        let (files, wrapping) = (self.whole(vault, place)?, wrapping_key(secret));
        // The policy too: a copy of which only the half opens is no copy to go on with.
        let (files, protector) = match files.open(&wrapping) {
            Ok((_, protector)) => (files, protector),
            Err(UnwrapError::WrongKey) => return Ok(None),
            Err(error) => self
                .open_with_twin(vault, place, files, &wrapping)
                .ok_or_else(|| CryptError::because("unwrapping the protector", error))?,
        };
        self.proved.entry(vault).or_insert_with(|| files.clone());
        if let Err(error) = self.mend(vault, place, &files) {
            tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "one copy of its metadata");
        }
        Ok(Some(protector))
    }

    fn rewrap(
        &mut self,
        vault: VaultId,
        protector: &ProtectorKey,
        wrapping: Wrapping,
        secret: &WrappingSecret,
    ) -> Result<(), CryptError> {
        let second = self.make_second(vault)?;
        let name = label::write(vault, wrapping);
        let file = key_files::rewrap(protector, &wrapping_key(secret), &name, iv()?);
        let rewrapped = fscrypt::rewrap_both(&[&self.first, &second], &file);
        self.residue = rewrapped.map_err(failed("re-wrapping the protector"))?.or(self.residue);
        self.proved.entry(vault).and_modify(|files| files.protector = file);
        Ok(())
    }

    fn forget(&mut self, vault: VaultId) -> Result<(), CryptError> {
        let Some(mut names) = self.names.get(&vault).cloned() else { return Ok(()) };
        self.proved.remove(&vault);
        let second = self.second(vault).ok();
        if let Some(second) = &second {
            names.add(Names::in_all_of(second).map_err(failed("listing metadata"))?);
        }
        let mut folders = [Some(&self.first), second.as_ref()].into_iter().flatten();
        folders.try_for_each(|folder| wipe(folder, &names)).map_err(failed("wiping metadata"))?;
        let folder = self.metas.join(vault.to_string());
        tree::remove(&folder, &Work::default()).map_err(failed("removing the folder of the second copy"))?;
        self.names.remove(&vault);
        Ok(())
    }

    fn find(&self, path: &Path) -> Result<Found, CryptError> {
        Ok(match self.look(path)? {
            Standing::Nothing => Found::Nothing,
            Standing::Stranger => Found::Stranger,
            Standing::Encrypted(_, Policy { identifier, modes }) => {
                Found::Policy { key: KeyId(identifier.0), encryption: encryption(modes) }
            }
            Standing::Plain(_) => {
                let mut entries = std::fs::read_dir(path).map_err(failed("listing a directory"))?;
                Found::Plain { empty: entries.next().is_none() }
            }
        })
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
        let content = self
            .content(vault, Place::First, protector)
            .or_else(|_| self.content(vault, Place::Second, protector))?;
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
        let Standing::Plain(directory) = self.look(path)? else {
            return Err(CryptError::new("what is to be encrypted is no plain directory"));
        };
        let policy = Policy { identifier: KeyIdentifier(key.0), modes: modes(encryption) };
        fscrypt::set_policy(&directory, &policy).map_err(failed("encrypting the directory"))?;
        let parent = path.parent().ok_or_else(|| CryptError::new("a vault's directory has a parent"))?;
        let parent = self.disk.folder(parent).map_err(failed("opening the directory's folder"))?;
        let synced = self.disk.run(Op::SyncFile { file: &directory });
        synced.map_err(failed("syncing the directory"))?;
        parent.sync().map_err(failed("syncing the directory"))
    }

    fn residue(&self) -> Option<&'static str> {
        self.residue.map(|residue| match residue {
            Residue::Journal => {
                "what a rotation overwrites may stay in the journal of the persist filesystem: mount it without data=journal and make it without inline_data, or use Linux 5.14 or newer"
            }
            Residue::Elsewhere => {
                "what a rotation overwrites may stay on the persist filesystem, which is no ext4 and writes elsewhere"
            }
        })
    }
}
