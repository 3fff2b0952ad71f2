//! A vault's key files that came back from escrow, on their way to where they lay. What reads on the disk is never written over.

use fscrypt::{KeyFiles, MetaError, PolicyFile, ProtectorFile};
use vault::escrow::VaultFiles;
use vault::ids::VaultId;

use super::{Kernel, Place};

/// Both files, each under the name that its own bytes say.
pub(super) fn read(files: &VaultFiles) -> Result<KeyFiles, MetaError> {
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

impl Kernel {
    /// The protector first: a policy without its protector opens for nobody.
    pub(super) fn write_back(&mut self, vault: VaultId, files: &KeyFiles) -> Result<(), MetaError> {
        let (protector, policy) = (files.protector.descriptor(), files.policy.policy().identifier);
        for place in [Place::First, Place::Second] {
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
