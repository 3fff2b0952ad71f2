//! A vault's key files on their way into escrow, and back to where they lay. What reads on the disk is never written over but by what a key opens.

use fscrypt::{KeyFiles, MetaError, PolicyFile, ProtectorFile};
use vault::escrow::{KeyFile, VaultFiles};
use vault::ids::VaultId;
use vault::secret::WrappingSecret;

use super::parts::wrapping_key;
use super::{CryptError, Kernel, MetaPlace, failed};

/// Both files, each under the name that its own bytes say.
fn read(files: &VaultFiles) -> Result<KeyFiles, MetaError> {
    let damaged = |name: &str| {
        let name = name.to_owned();
        move |source| MetaError::Damaged { name, source }
    };
    let VaultFiles { protector, policy } = files;
    let read = KeyFiles {
        protector: ProtectorFile::parse(&protector.bytes).map_err(damaged(&protector.name))?,
        policy: PolicyFile::parse(&policy.bytes).map_err(damaged(&policy.name))?,
    };
    let named = [
        (read.protector.descriptor().to_string(), &protector.name),
        (read.policy.policy().identifier.to_string(), &policy.name),
    ];
    match named.into_iter().find(|(is, said)| is != *said) {
        Some((_, said)) => Err(MetaError::Misnamed { name: said.clone() }),
        None => Ok(read),
    }
}

/// Whether two are the same in what is ours. What does not read is like nothing else.
pub(super) fn is_alike(one: &VaultFiles, other: &VaultFiles) -> bool {
    let (Ok(a), Ok(b)) = (read(one), read(other)) else { return one == other };
    a.protector == b.protector && a.policy.agrees(&b.policy, a.protector.descriptor())
}

impl Kernel {
    pub(super) fn bring_files_back(&mut self, vault: VaultId, files: &VaultFiles) -> Result<(), CryptError> {
        let read = read(files).map_err(failed("reading the key files that came from escrow"))?;
        if [MetaPlace::First, MetaPlace::Second].iter().any(|place| self.whole(vault, *place).is_ok()) {
            return Ok(());
        }
        self.make_second(vault)?;
        self.write_back(vault, &read).map_err(failed("writing metadata"))
    }

    pub(super) fn put_files_back(
        &mut self,
        vault: VaultId,
        files: &VaultFiles,
        secret: &WrappingSecret,
    ) -> Result<bool, CryptError> {
        let read = read(files).map_err(failed("reading the key files that came from escrow"))?;
        if read.open(&wrapping_key(secret)).is_err() {
            return Ok(false);
        }
        self.make_second(vault)?;
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(read.protector.descriptor());
        names.policies.insert(read.policy.policy().identifier);
        self.proved.insert(vault, read.clone());
        let mended =
            [MetaPlace::First, MetaPlace::Second].into_iter().try_for_each(|to| self.mend(vault, to, &read));
        mended.map(|()| true).map_err(failed("writing metadata"))
    }

    pub(super) fn files_for_escrow(&self, vault: VaultId) -> Option<VaultFiles> {
        // What a key opened in this life, as it lies there or as it was: what a key protects may be damaged since, in files that read.
        let is_proved = |all: &Vec<KeyFiles>| all.first().is_some_and(|one| self.is_proved(vault, one));
        let all: Vec<_> =
            [MetaPlace::First, MetaPlace::Second].map(|place| self.files(vault, place).ok()).into();
        let all: Vec<_> = all.into_iter().flatten().collect();
        let there = all.iter().find(|all| is_proved(all)).and_then(|all| all.first());
        let alone = all.iter().find(|all| all.len() == 1).and_then(|all| all.first());
        let files = there.or_else(|| self.proved.get(&vault)).or(alone)?;
        let protector =
            KeyFile { name: files.protector.descriptor().to_string(), bytes: files.protector.to_bytes() };
        let policy =
            KeyFile { name: files.policy.policy().identifier.to_string(), bytes: files.policy.to_bytes() };
        Some(VaultFiles { protector, policy })
    }

    pub(super) fn would_help(&self, vault: VaultId, files: &VaultFiles) -> bool {
        let Ok(read) = read(files) else { return false };
        let ours = read.protector.descriptor();
        let belong = read.policy.protectors().any(|by| by == ours);
        belong && (!self.proved.contains_key(&vault) || self.is_proved(vault, &read))
    }

    /// The protector first: a policy without its protector opens for nobody.
    fn write_back(&mut self, vault: VaultId, files: &KeyFiles) -> Result<(), MetaError> {
        let (protector, policy) = (files.protector.descriptor(), files.policy.policy().identifier);
        for place in [MetaPlace::First, MetaPlace::Second] {
            self.in_place(vault, place, |folder| {
                if folder.read_protector(protector).is_err() {
                    folder.write_protector(&files.protector)?;
                }
                match folder.read_policy(policy) {
                    Ok(_) => Ok(()),
                    Err(_) => folder.write_policy(&files.policy),
                }
            })?;
        }
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(protector);
        names.policies.insert(policy);
        Ok(())
    }
}
