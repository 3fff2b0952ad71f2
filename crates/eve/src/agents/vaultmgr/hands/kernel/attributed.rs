//! Key files in the first place whose name does not tell whose they are: it has a bit too many, or the disk does not give it, and the twin that would tell is
//! gone. The policy of the vault's directory, or of what is left of its second copy, names them. None is taken from a vault that is there, and of somebody else's
//! none is taken that reads.

use std::collections::BTreeSet;

use fscrypt::{KeyIdentifier, MetaDir, MetaError, PathKind, ProtectorDescriptor};
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};

use super::files::Names;
use super::{Kernel, label};

impl Kernel {
    /// Gives each vault that has no protector of its own, or no policy, those that its policy names.
    pub(super) fn read_attributed(&mut self) {
        let lacking = self.all_that_stand().into_iter().filter(|vault| self.lacks_ours(*vault));
        for vault in lacking.collect::<Vec<_>>() {
            let (found, ours) = self.attributed_to(vault);
            for of in ours {
                self.names.values_mut().for_each(|names| {
                    names.protectors.remove(&of);
                });
                self.attributed.insert(of, vault);
            }
            if !found.is_empty() {
                let policies = &found.policies;
                let others = self.names.iter_mut().filter(|(of, _)| **of != vault);
                others.for_each(|(_, names)| names.policies.retain(|policy| !policies.contains(policy)));
                self.names.entry(vault).or_default().add(found);
            }
        }
        let second = |vault: &VaultId| !matches!(self.second(*vault), Err(MetaError::Absent { .. }));
        let nobodys = self.names.iter().filter(|(vault, names)| names.is_empty() && !second(vault));
        let nobodys: Vec<VaultId> = nobodys.map(|(vault, _)| *vault).collect();
        nobodys.iter().for_each(|vault| drop(self.names.remove(vault)));
    }

    /// By files that are known, and by directories.
    fn all_that_stand(&self) -> BTreeSet<VaultId> {
        let names = disk::entries(&self.vaults).unwrap_or_default().into_iter();
        let directories = names.filter_map(|entry| entry.file_name().to_str()?.parse::<VaultId>().ok());
        self.names.keys().copied().chain(directories).chain([CONFIG_VAULT, IMAGE_VAULT]).collect()
    }

    fn lacks_ours(&self, vault: VaultId) -> bool {
        let Some(names) = self.names.get(&vault) else { return true };
        let second = self.second(vault).ok();
        let is_ours = |of: &ProtectorDescriptor| {
            let folders = [self.first().ok(), second.as_ref()].into_iter().flatten();
            let mut read = folders.filter_map(|folder| folder.read_protector(*of).ok());
            read.any(|file| label::kind(file.name(), vault) == Some(label::Kind::Primary))
        };
        names.policies.is_empty() || !names.protectors.iter().any(is_ours)
    }

    /// Names that may be this vault's, and those of them that are, but for a few bits of their label.
    fn attributed_to(&self, vault: VaultId) -> (Names, Vec<ProtectorDescriptor>) {
        let (mut found, mut ours) = (Names::default(), Vec::new());
        let Ok(first) = self.first() else { return (found, ours) };
        let known = self.names.get(&vault).map(|names| names.policies.clone()).unwrap_or_default();
        let of_place = self.key_of_place(vault).filter(|of| !known.contains(of));
        for policy in known.into_iter().chain(of_place) {
            let named = match self.named_by(vault, first, policy) {
                Ok(named) => named,
                Err(MetaError::Absent { .. }) => continue,
                // It is the vault's, and whom it names is not known: nothing is concluded.
                Err(_) => {
                    found.policies.insert(policy);
                    continue;
                }
            };
            // What stands at a vault's path may be somebody else's directory: then a protector of his reads.
            if of_place == Some(policy) && named.iter().any(|of| self.is_anothers(first, *of, vault)) {
                continue;
            }
            for of in named {
                let read = first.read_protector(of);
                if read.as_ref().is_ok_and(|file| self.is_nearly(file.name(), vault)) {
                    ours.push(of);
                } else if !read.is_err_and(|error| !matches!(error, MetaError::Absent { .. })) {
                    continue;
                }
                found.protectors.insert(of);
                found.policies.insert(policy);
            }
        }
        (found, ours)
    }

    /// What a policy's file names, of whichever place has it.
    fn named_by(
        &self,
        vault: VaultId,
        first: &MetaDir,
        policy: KeyIdentifier,
    ) -> Result<Vec<ProtectorDescriptor>, MetaError> {
        let file = match first.read_policy(policy) {
            Err(MetaError::Absent { .. }) => self.second(vault)?.read_policy(policy)?,
            file => file?,
        };
        Ok(file.named().collect())
    }

    /// The key that its directory is under, where that is no other vault's.
    fn key_of_place(&self, vault: VaultId) -> Option<KeyIdentifier> {
        let Ok(PathKind::Encrypted(_, policy)) = self.look(&self.paths.vault(vault)) else { return None };
        let of = policy.identifier;
        let mut others =
            self.names.iter().filter(|(id, names)| **id != vault && names.policies.contains(&of));
        (!others.any(|(id, _)| self.stands(*id))).then_some(of)
    }

    /// Whether whoever is none of ours has key files that name this key: each protector that its policy names reads, and is his. One that does not read may be
    /// this vault's own.
    pub(super) fn is_a_strangers(&self, vault: VaultId, key: KeyIdentifier) -> bool {
        let Ok(first) = self.first() else { return false };
        let named = first.read_policy(key).map(|file| file.named().collect::<Vec<_>>()).unwrap_or_default();
        !named.is_empty() && named.into_iter().all(|of| self.is_anothers(first, of, vault))
    }

    fn is_anothers(&self, first: &MetaDir, of: ProtectorDescriptor, vault: VaultId) -> bool {
        let is_ours = |name: &str| label::kind(name, vault).is_some() || self.is_nearly(name, vault);
        first.read_protector(of).is_ok_and(|file| !is_ours(file.name()))
    }

    /// Whether a name is this vault's label, but for a few bits, and no label of another that is there. Those of the default vaults are two bits apart.
    fn is_nearly(&self, name: &str, vault: VaultId) -> bool {
        let other = label::read(name).map(|label| label.vault);
        other != Some(vault)
            && label::resembles(name, vault)
            && !other.is_some_and(|other| other.is_default() || self.stands(other))
    }

    /// Whether anything is there of a vault beside what the first place's names say. What can't be looked at may be.
    fn stands(&self, vault: VaultId) -> bool {
        let second = !matches!(self.second(vault), Err(MetaError::Absent { .. }));
        second || !matches!(self.look(&self.paths.vault(vault)), Ok(PathKind::Nothing))
    }
}
