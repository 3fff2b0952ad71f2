//! Which key files are whose, in both places, and one copy of them read.

use std::collections::BTreeSet;

use fscrypt::{
    KeyFiles, KeyIdentifier, MetaDir, MetaError, PolicyFile, ProtectorDescriptor, ProtectorFile,
    ProtectorKey, WrappingKey, key_files,
};
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
    pub(super) fn read_names(&mut self) -> Result<(), MetaError> {
        for protector in self.first.protectors()? {
            let Ok(file) = self.first.read_protector(protector) else { continue };
            if let Some((vault, _)) = label::read(file.name()) {
                self.names.entry(vault).or_default().protectors.insert(protector);
            }
        }
        self.read_second();
        for policy in self.first.policies()? {
            let Ok(file) = self.first.read_policy(policy) else { continue };
            let of = |names: &Names| file.protectors().any(|by| names.protectors.contains(&by));
            for names in self.names.values_mut().filter(|names| of(names)) {
                names.policies.insert(policy);
            }
        }
        self.names
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|vault| self.share_policies(vault));
        Ok(())
    }

    /// A policy's file never changes: where one place lacks that of a protector it has, it gets the other place's (seen by users
    /// 0b.11). Where the disk takes no write the vault opens all the same, by [`Self::files`].
    fn share_policies(&self, vault: VaultId) {
        for place in [Place::First, Place::Second] {
            let lacking = self.part(vault, place).ok().zip(self.part(vault, place.other()).ok());
            for files in lacking.map(|(part, twin)| part.borrowing(&twin)).unwrap_or_default() {
                if let Err(error) = self.mend(vault, place, &files) {
                    tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "a policy's file");
                }
            }
        }
    }

    /// Writes both files into one place. One that reads there and is another may be the only good one: until a key has opened what is
    /// to be written, it stays.
    pub(super) fn mend(&self, vault: VaultId, place: Place, files: &KeyFiles) -> Result<(), MetaError> {
        let second;
        let folder = match place {
            Place::First => &self.first,
            Place::Second => {
                second = self.second(vault)?;
                &second
            }
        };
        let proved = self.proved.get(&vault) == Some(files);
        let stays = |same: Option<bool>| same.is_some_and(|same| same || !proved);
        let protector = folder.read_protector(files.protector.descriptor()).ok();
        // The protector first: a policy without its protector opens for nobody.
        if !stays(protector.map(|there| there == files.protector)) {
            folder.write_protector(&files.protector)?;
        }
        let policy = folder.read_policy(files.policy.policy().identifier).ok();
        if !stays(policy.map(|there| there == files.policy)) {
            folder.write_policy(&files.policy)?;
        }
        Ok(())
    }

    /// For a copy whose protector opens and whose policy does not, for changed bytes of its wrap show only to a key: the other place's
    /// policy, if that opens, makes it whole (seen by users 0b.11).
    pub(super) fn open_with_twin(
        &self,
        vault: VaultId,
        place: Place,
        files: KeyFiles,
        wrapping: &WrappingKey,
    ) -> Option<(KeyFiles, ProtectorKey)> {
        let protector = key_files::open_protector(&files.protector, wrapping).ok()?;
        let twin = self.part(vault, place.other()).ok()?;
        let policy =
            twin.policies.into_iter().find(|policy| key_files::open_policy(policy, &protector).is_ok())?;
        Some((KeyFiles { policy, ..files }, protector))
    }

    /// What is wrong with one vault's folder concerns that vault alone: it is told when the vault is read.
    fn read_second(&mut self) {
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
                    tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "its second copy of the metadata");
                    self.names.entry(vault).or_default();
                }
            }
        }
    }

    pub(super) fn second(&self, vault: VaultId) -> Result<MetaDir, MetaError> {
        MetaDir::open(&self.disk, &self.metas.join(vault.to_string()))
    }

    pub(super) fn make_second(&self, vault: VaultId) -> Result<MetaDir, CryptError> {
        let made = MetaDir::create(&self.disk, &self.metas.join(vault.to_string()));
        made.map_err(failed("making the folder of the second copy"))
    }

    /// The files of one copy: nothing when neither is there, an error when it is not whole. While no place has a whole copy of its
    /// own, the protector of one is taken with the policy of the other.
    pub(super) fn files(&self, vault: VaultId, place: Place) -> Result<Option<KeyFiles>, MetaError> {
        let part = self.part(vault, place)?;
        let mut pairs = part.pairs();
        if pairs.len() > 1 {
            // An older life of this vault, as a backup brings it back, is in one of the two places only.
            let twins = self.part(vault, place.other())?.pairs();
            let policy = |files: &KeyFiles| files.policy.policy().identifier;
            pairs.retain(|pair| twins.iter().any(|twin| policy(twin) == policy(pair)));
            if pairs.len() != 1 {
                return Err(MetaError::Absent {
                    name: "a twin that tells which of several is in force".to_owned(),
                });
            }
        }
        if pairs.is_empty()
            && let Ok(twin) = self.part(vault, place.other())
            && twin.pairs().is_empty()
        {
            pairs = part.borrowing(&twin);
        }
        match pairs.pop() {
            None => part.lack(),
            whole => Ok(whole),
        }
    }

    /// What is there in one place.
    fn part(&self, vault: VaultId, place: Place) -> Result<Part, MetaError> {
        match place {
            Place::First => {
                Ok(self.names.get(&vault).map(|names| Part::of(&self.first, names)).unwrap_or_default())
            }
            Place::Second => match self.second(vault) {
                Ok(second) => Ok(Part::of(&second, &Names::in_all_of(&second)?)),
                Err(MetaError::Absent { .. }) => Ok(Part::default()),
                Err(error) => Err(error),
            },
        }
    }

    pub(super) fn whole(&self, vault: VaultId, place: Place) -> Result<KeyFiles, CryptError> {
        let files = self.files(vault, place).map_err(failed("reading metadata"))?;
        files.ok_or_else(|| CryptError::new("this copy of the metadata is absent"))
    }
}

/// One vault's files in one place, as far as they read.
#[derive(Debug, Default)]
struct Part {
    protectors: Vec<ProtectorFile>,
    policies: Vec<PolicyFile>,
    /// What is wrong with one that is there and does not read.
    wrong: Option<MetaError>,
}

impl Part {
    fn of(folder: &MetaDir, names: &Names) -> Self {
        let (protectors, wrong) = there(names.protectors.iter().map(|name| folder.read_protector(*name)));
        let (policies, also) = there(names.policies.iter().map(|name| folder.read_policy(*name)));
        Self { protectors, policies, wrong: wrong.or(also) }
    }

    /// All pairs that belong together.
    fn pairs(&self) -> Vec<KeyFiles> {
        self.with(&self.policies)
    }

    /// Pairs of a protector here and a policy that is whole only in the other place.
    fn borrowing(&self, other: &Self) -> Vec<KeyFiles> {
        let here = |files: &KeyFiles| self.policies.contains(&files.policy);
        self.with(&other.policies).into_iter().filter(|files| !here(files)).collect()
    }

    fn with(&self, policies: &[PolicyFile]) -> Vec<KeyFiles> {
        let of = |policy: &PolicyFile| {
            let by = |protector: &&ProtectorFile| policy.protectors().any(|by| by == protector.descriptor());
            self.protectors.iter().find(by).cloned()
        };
        let pair =
            |policy: &PolicyFile| of(policy).map(|protector| KeyFiles { protector, policy: policy.clone() });
        policies.iter().filter_map(pair).collect()
    }

    /// Why there is no pair: a file that is not whole is told only there.
    fn lack(self) -> Result<Option<KeyFiles>, MetaError> {
        match self.wrong {
            Some(error) => Err(error),
            None if self.protectors.is_empty() && self.policies.is_empty() => Ok(None),
            None => Err(MetaError::Absent { name: "one of the two files".to_owned() }),
        }
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
