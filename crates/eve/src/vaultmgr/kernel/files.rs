//! Which key files are whose, in both places, and one copy of them read.

use std::collections::{BTreeMap, BTreeSet};

use fscrypt::{KeyFiles, KeyIdentifier, MetaDir, MetaError, ProtectorDescriptor};
use vault::ids::VaultId;

use super::{CryptError, Kernel, Place, durable, failed, label};

/// Names of one vault's files.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) protectors: BTreeSet<ProtectorDescriptor>,
    pub(super) policies: BTreeSet<KeyIdentifier>,
}

impl Kernel {
    /// A file that can't be read is nobody's here; its twin may name it.
    pub(super) fn read_first(&mut self) -> Result<(), MetaError> {
        let mut whose = BTreeMap::new();
        for protector in self.first.protectors()? {
            let Ok(file) = self.first.read_protector(protector) else { continue };
            if let Some((vault, _)) = label::read(file.name()) {
                self.names.entry(vault).or_default().protectors.insert(protector);
                whose.insert(protector, vault);
            }
        }
        for policy in self.first.policies()? {
            let Ok(file) = self.first.read_policy(policy) else { continue };
            for vault in file.protectors().filter_map(|by| whose.get(&by)) {
                self.names.entry(*vault).or_default().policies.insert(policy);
            }
        }
        Ok(())
    }

    pub(super) fn read_second(&mut self) -> Result<(), MetaError> {
        for entry in durable::entries(&self.metas).unwrap_or_default() {
            let vault = entry.file_name().to_str().and_then(|name| name.parse::<VaultId>().ok());
            let Some((vault, second)) = vault.and_then(|vault| Some((vault, self.second(vault).ok()?)))
            else {
                continue;
            };
            second.sweep()?;
            let (protectors, policies) = (second.protectors()?, second.policies()?);
            if protectors.is_empty() && policies.is_empty() {
                // Left by a removal that was cut short; it is tried again at the next start.
                drop(durable::remove_tree(&entry.path()));
            }
            let names = self.names.entry(vault).or_default();
            names.protectors.extend(protectors);
            names.policies.extend(policies);
        }
        self.names.retain(|_, names| !names.protectors.is_empty() || !names.policies.is_empty());
        Ok(())
    }

    pub(super) fn second(&self, vault: VaultId) -> Result<MetaDir, MetaError> {
        MetaDir::open(&self.metas.join(vault.to_string()))
    }

    pub(super) fn make_second(&self, vault: VaultId) -> Result<MetaDir, CryptError> {
        let made = MetaDir::create(&self.metas.join(vault.to_string()));
        made.map_err(failed("making the folder of the second copy"))
    }

    /// The files of one copy: nothing when neither is there, an error when it is not whole.
    pub(super) fn files(&self, vault: VaultId, place: Place) -> Result<Option<KeyFiles>, MetaError> {
        match place {
            Place::First => self.files_in(vault, &self.first),
            Place::Second => match self.second(vault) {
                Ok(second) => self.files_in(vault, &second),
                Err(MetaError::Absent { .. }) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    fn files_in(&self, vault: VaultId, folder: &MetaDir) -> Result<Option<KeyFiles>, MetaError> {
        let Some(names) = self.names.get(&vault) else { return Ok(None) };
        let protector = one(names.protectors.iter().map(|name| folder.read_protector(*name)))?;
        let policy = one(names.policies.iter().map(|name| folder.read_policy(*name)))?;
        match (protector, policy) {
            (None, None) => Ok(None),
            (Some(protector), Some(policy)) if policy.protectors().any(|by| by == protector.descriptor()) => {
                Ok(Some(KeyFiles { protector, policy }))
            }
            _ => Err(MetaError::Absent { name: "one of the two files".to_owned() }),
        }
    }

    pub(super) fn whole(&self, vault: VaultId, place: Place) -> Result<KeyFiles, CryptError> {
        let files = self.files(vault, place).map_err(failed("reading metadata"))?;
        files.ok_or_else(|| CryptError::new("this copy of the metadata is absent"))
    }
}

/// The one file that is there: none is none, and one that is damaged is told.
fn one<F>(reads: impl Iterator<Item = Result<F, MetaError>>) -> Result<Option<F>, MetaError> {
    let mut found = None;
    for read in reads {
        match read {
            Err(MetaError::Absent { .. }) => {}
            other => found = Some(other?),
        }
    }
    Ok(found)
}
