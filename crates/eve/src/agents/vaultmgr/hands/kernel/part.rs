//! One vault's files in one place, as far as they read, and which of them belong together.

use std::collections::BTreeSet;

use fscrypt::{KeyFiles, KeyIdentifier, MetaDir, MetaError, PolicyFile, ProtectorFile};
use vault::ids::VaultId;

use super::files::Names;
use super::label::{self, Kind};

/// Which content key two files are of.
pub(super) fn identifier(files: &KeyFiles) -> KeyIdentifier {
    files.policy.policy().identifier
}

/// One vault's files in one place, as far as they read.
#[derive(Debug, Default)]
pub(super) struct Part {
    protectors: Vec<ProtectorFile>,
    pub(super) policies: Vec<PolicyFile>,
    /// What is wrong with one that is there and does not read.
    wrong: Option<MetaError>,
}

impl Part {
    /// Reads the files of these names.
    pub(super) fn of(folder: &MetaDir, vault: VaultId, names: &Names) -> Self {
        let protectors = names.protectors.iter().map(|name| folder.read_protector(*name));
        Self::with_read(protectors, folder, vault, &names.policies)
    }

    /// With protectors' files that were read already. One that no key of the custody opens is never tried.
    pub(super) fn with_read(
        protectors: impl Iterator<Item = Result<ProtectorFile, MetaError>>,
        folder: &MetaDir,
        vault: VaultId,
        policies: &BTreeSet<KeyIdentifier>,
    ) -> Self {
        let (mut protectors, wrong) = there(protectors);
        protectors.retain(|file| {
            !matches!(label::kind(file.name(), vault), Some(Kind::Recovery(_) | Kind::Unknown))
        });
        let (policies, also) = there(policies.iter().map(|name| folder.read_policy(*name)));
        Self { protectors, policies, wrong: wrong.or(also) }
    }

    /// All pairs that belong together.
    pub(super) fn pairs(&self) -> Vec<KeyFiles> {
        self.with(&self.policies)
    }

    /// Pairs of a protector here and a policy of the other place, while there is no pair here.
    pub(super) fn borrowing(&self, other: &Self) -> Vec<KeyFiles> {
        if self.pairs().is_empty() { self.with(&other.policies) } else { Vec::new() }
    }

    fn with(&self, policies: &[PolicyFile]) -> Vec<KeyFiles> {
        let of = |policy: &PolicyFile| {
            let named: BTreeSet<_> = policy.protectors().collect();
            let ours = self.protectors.iter().filter(|file| named.contains(&file.descriptor()));
            ours.map(|file| KeyFiles { protector: file.clone(), policy: policy.clone() }).collect::<Vec<_>>()
        };
        policies.iter().flat_map(of).collect()
    }

    /// Why there is no pair: a file that is not whole is told only there.
    pub(super) fn lack(self) -> Result<(), MetaError> {
        match self.wrong {
            Some(error) => Err(error),
            None if self.protectors.is_empty() && self.policies.is_empty() => Ok(()),
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
