//! Which key files are whose, in both places, and one copy of them read.

use std::collections::{BTreeMap, BTreeSet};

use fscrypt::{KeyFiles, KeyIdentifier, MetaDir, MetaError, PolicyFile, ProtectorDescriptor, ProtectorFile};
use vault::ids::VaultId;

use super::{CryptError, Kernel, Place, Work, durable, failed, label, tree};

/// Names of one vault's files.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) protectors: BTreeSet<ProtectorDescriptor>,
    pub(super) policies: BTreeSet<KeyIdentifier>,
}

impl Names {
    /// All that a folder has.
    pub(super) fn in_all_of(folder: &MetaDir) -> Result<Self, MetaError> {
        let (protectors, policies) = (folder.protectors()?, folder.policies()?);
        Ok(Self { protectors: protectors.into_iter().collect(), policies: policies.into_iter().collect() })
    }

    fn is_empty(&self) -> bool {
        self.protectors.is_empty() && self.policies.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.protectors.extend(other.protectors);
        self.policies.extend(other.policies);
    }
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

    /// What is wrong with one vault's folder concerns that vault alone: it is told when the vault is read.
    pub(super) fn read_second(&mut self) {
        for entry in durable::entries(&self.metas).unwrap_or_default() {
            let vault = entry.file_name().to_str().and_then(|name| name.parse::<VaultId>().ok());
            let Some(vault) = vault else { continue };
            match self
                .second(vault)
                .and_then(|second| second.sweep().and_then(|()| Names::in_all_of(&second)))
            {
                // Left by a removal that was cut short; it is tried again at the next start.
                Ok(names) if names.is_empty() => drop(tree::remove(&entry.path(), &Work::default())),
                Ok(names) => self.names.entry(vault).or_default().add(names),
                Err(error) => {
                    tracing::warn!(%vault, error = %crate::vaultmgr::chain(&error), "its second copy of the metadata");
                    self.names.entry(vault).or_default();
                }
            }
        }
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
        let mut pairs = self.pairs(vault, place)?;
        if pairs.len() > 1 {
            // An older life of this vault, as a backup brings it back, is in one of the two places only.
            let twins = self.pairs(vault, place.other())?;
            let policy = |files: &KeyFiles| files.policy.policy().identifier;
            pairs.retain(|pair| twins.iter().any(|twin| policy(twin) == policy(pair)));
            if pairs.len() != 1 {
                return Err(MetaError::Absent {
                    name: "a twin that tells which of several is in force".to_owned(),
                });
            }
        }
        Ok(pairs.pop())
    }

    /// All pairs of files in one place that belong together.
    fn pairs(&self, vault: VaultId, place: Place) -> Result<Vec<KeyFiles>, MetaError> {
        match place {
            Place::First => {
                self.names.get(&vault).map_or(Ok(Vec::new()), |names| pairs_in(&self.first, names))
            }
            Place::Second => match self.second(vault) {
                Ok(second) => pairs_in(&second, &Names::in_all_of(&second)?),
                Err(MetaError::Absent { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn whole(&self, vault: VaultId, place: Place) -> Result<KeyFiles, CryptError> {
        let files = self.files(vault, place).map_err(failed("reading metadata"))?;
        files.ok_or_else(|| CryptError::new("this copy of the metadata is absent"))
    }
}

/// A file that is not whole is told only where no pair is.
fn pairs_in(folder: &MetaDir, names: &Names) -> Result<Vec<KeyFiles>, MetaError> {
    let (protectors, damaged) = there(names.protectors.iter().map(|name| folder.read_protector(*name)));
    let (policies, also_damaged) = there(names.policies.iter().map(|name| folder.read_policy(*name)));
    let nothing = protectors.is_empty() && policies.is_empty();
    let of = |policy: &PolicyFile| {
        let by = |protector: &&ProtectorFile| policy.protectors().any(|by| by == protector.descriptor());
        protectors.iter().find(by).cloned()
    };
    let pair = |policy: PolicyFile| of(&policy).map(|protector| KeyFiles { protector, policy });
    let pairs: Vec<KeyFiles> = policies.into_iter().filter_map(pair).collect();
    match damaged.or(also_damaged) {
        Some(error) if pairs.is_empty() => Err(error),
        None if pairs.is_empty() && !nothing => {
            Err(MetaError::Absent { name: "one of the two files".to_owned() })
        }
        _ => Ok(pairs),
    }
}

/// The files that are there, and what is wrong with one that is and does not read.
fn there<F>(reads: impl Iterator<Item = Result<F, MetaError>>) -> (Vec<F>, Option<MetaError>) {
    let (mut files, mut wrong) = (Vec::new(), None);
    for read in reads {
        match read {
            Ok(file) => files.push(file),
            Err(MetaError::Absent { .. }) => {}
            Err(error) => wrong = Some(error),
        }
    }
    (files, wrong)
}
