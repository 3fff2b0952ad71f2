//! The real kernel and the real metadata: [`Crypt`] over the `fscrypt` crate, for one mounted filesystem.
//! Metadata lies twice: in `.fscrypt` of the mount point, where the fscrypt tool looks, and in a folder of ours per vault.
//! Which files are which vault's is read once at start from the protectors' names, and kept in step with what is written here.

mod files;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fscrypt::{
    Claims, ContentKey, Iv, KeyFiles, KeyIdentifier, KeyStatus, MetaDir, MetaError, Modes, Policy,
    ProtectorKey, Removal, UnwrapError, WrappingKey, key_files,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use vault::custody::Wrapping;
use vault::ids::VaultId;
use vault::plan::Key;
use vault::secret::WrappingSecret;
use vault::section::Encryption;

use super::crypt::{CopyRead, Crypt, CryptError, Found, KeyId, Place};
use super::paths::Paths;
use super::shares::random;
use super::{durable, faults, label};
use files::Names;

/// One filesystem.
#[derive(Debug)]
pub(crate) struct Kernel {
    mount: File,
    device: u64,
    vaults: PathBuf,
    metas: PathBuf,
    first: MetaDir,
    names: BTreeMap<VaultId, Names>,
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: &str) -> impl Fn(E) -> CryptError {
    move |error| CryptError::because(what, error)
}

impl Kernel {
    /// Opens the filesystem that `persist` is the mount point of, clears what a write cut short left, and reads the names.
    pub(crate) fn open(paths: &Paths) -> Result<Self, CryptError> {
        let mount = File::open(paths.persist()).map_err(failed("opening the persist filesystem"))?;
        let device = mount.metadata().map_err(failed("looking at the persist filesystem"))?.dev();
        let first = MetaDir::create(&paths.persist().join(".fscrypt")).map_err(failed("opening .fscrypt"))?;
        first.sweep().map_err(failed("sweeping .fscrypt"))?;
        let (vaults, metas) = (paths.vaults(), paths.metas());
        let mut kernel = Self { mount, device, vaults, metas, first, names: BTreeMap::new() };
        kernel.read_first().and_then(|()| kernel.read_second()).map_err(failed("listing metadata"))?;
        Ok(kernel)
    }

    fn directory(&self, path: &Path) -> Result<Option<File>, Found> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::ENOENT) => Err(Found::Nothing),
            Err(Errno::ENOTDIR | Errno::ELOOP) => Err(Found::Stranger),
            Err(_) => Ok(None),
        }
    }
}

fn wipe(folder: &MetaDir, names: &Names) -> Result<(), MetaError> {
    names.policies.iter().try_for_each(|name| folder.remove_policy(*name))?;
    names.protectors.iter().try_for_each(|name| folder.remove_protector(*name))?;
    faults::step();
    Ok(())
}

fn modes(encryption: Encryption) -> Modes {
    match encryption {
        Encryption::Aes256Xts => Modes::AES_256_XTS,
        Encryption::Adiantum => Modes::ADIANTUM,
    }
}

fn encryption(found: Modes) -> Option<Encryption> {
    [Encryption::Aes256Xts, Encryption::Adiantum].into_iter().find(|ours| modes(*ours) == found)
}

fn iv() -> Result<Iv, CryptError> {
    let mut bytes = [0; 16];
    random(&mut bytes).map_err(failed("drawing an initialisation vector"))?;
    Ok(Iv(bytes))
}

fn wrapping_key(secret: &WrappingSecret) -> WrappingKey {
    let Ok(key) = WrappingKey::init::<std::convert::Infallible>(|out| {
        out.copy_from_slice(secret.expose_wrapping_secret());
        Ok(())
    });
    key
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
                Ok(CopyRead::Whole { hint, key: KeyId(files.policy.policy().identifier.0) })
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
        probe(&self.vaults, encryption)?;
        let protector = ProtectorKey::init(random).map_err(failed("drawing a protector key"))?;
        let ivs = key_files::Ivs { protector: iv()?, policy: iv()? };
        let name = label::write(vault, wrapping);
        let files =
            KeyFiles::make(&content, &protector, &wrapping_key(secret), &name, modes(encryption), ivs);
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(files.protector.descriptor());
        names.policies.insert(files.policy.policy().identifier);
        self.first.write(&files).map_err(failed("writing metadata"))?;
        faults::step();
        self.make_second(vault)?.write(&files).map_err(failed("writing the second copy of the metadata"))?;
        faults::step();
        Ok(protector)
    }

    fn repair(&mut self, vault: VaultId, from: Place) -> Result<(), CryptError> {
        let files = self.whole(vault, from)?;
        let repaired = match from {
            Place::First => self.make_second(vault)?.write(&files),
            Place::Second => self.first.write(&files),
        };
        repaired.map_err(failed("repairing a copy of the metadata"))?;
        faults::step();
        Ok(())
    }

    fn unwrap(
        &self,
        vault: VaultId,
        place: Place,
        secret: &WrappingSecret,
    ) -> Result<Option<ProtectorKey>, CryptError> {
        let files = self.whole(vault, place)?;
        match key_files::open_protector(&files.protector, &wrapping_key(secret)) {
            Ok(protector) => Ok(Some(protector)),
            Err(UnwrapError::WrongKey) => Ok(None),
            Err(error) => Err(CryptError::because("unwrapping the protector", error)),
        }
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
        let mut hook = |_| {
            faults::step();
            Ok(())
        };
        let copies = [&self.first, &second];
        fscrypt::meta_dir::rewrap_both_with(&copies, &file, &mut hook)
            .map_err(failed("re-wrapping the protector"))
    }

    fn forget(&mut self, vault: VaultId) -> Result<(), CryptError> {
        let Some(names) = self.names.get(&vault).cloned() else { return Ok(()) };
        let second = self.second(vault).ok();
        let mut folders = [Some(&self.first), second.as_ref()].into_iter().flatten();
        folders.try_for_each(|folder| wipe(folder, &names)).map_err(failed("wiping metadata"))?;
        let folder = self.metas.join(vault.to_string());
        durable::remove_tree(&folder).map_err(failed("removing the folder of the second copy"))?;
        self.names.remove(&vault);
        Ok(())
    }

    fn find(&self, path: &Path) -> Result<Found, CryptError> {
        let directory = match self.directory(path) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Err(CryptError::because("opening a directory", io::Error::last_os_error())),
            Err(found) => return Ok(found),
        };
        if directory.metadata().map_err(failed("looking at a directory"))?.dev() != self.device {
            return Ok(Found::Stranger);
        }
        match fscrypt::get_policy(&directory) {
            Ok(Some(Policy { identifier, modes })) => {
                Ok(Found::Policy { key: KeyId(identifier.0), encryption: encryption(modes) })
            }
            Ok(None) => {
                let empty = std::fs::read_dir(path).map_err(failed("listing a directory"))?.next().is_none();
                Ok(Found::Plain { empty })
            }
            Err(fscrypt::kernel::GetPolicyError::Version { .. }) => Ok(Found::Stranger),
            Err(error) => Err(CryptError::because("reading a directory's policy", error)),
        }
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
        let files = self.either(vault)?;
        let content =
            key_files::open_policy(&files.policy, protector).map_err(failed("unwrapping the content key"))?;
        let named = files.policy.policy().identifier;
        if KeyIdentifier::of(&content) != named {
            return Err(CryptError::new("the content key is not the one that the metadata names"));
        }
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
        let directory = self.directory(path).ok().flatten();
        let directory = directory.ok_or_else(|| CryptError::new("the directory to encrypt is not there"))?;
        let policy = Policy { identifier: KeyIdentifier(key.0), modes: modes(encryption) };
        fscrypt::set_policy(&directory, &policy).map_err(failed("encrypting the directory"))?;
        directory
            .sync_all()
            .and_then(|()| durable::sync_parent(path))
            .map_err(failed("syncing the directory"))?;
        faults::step();
        Ok(())
    }
}

/// Only making a file tells whether the kernel has the cipher.
fn probe(parent: &Path, encryption: Encryption) -> Result<(), CryptError> {
    let key = ContentKey::init(random).map_err(failed("drawing a key"))?;
    fscrypt::probe_modes(parent, modes(encryption), &key)
        .map_err(failed("trying the encryption that is asked for"))
}
