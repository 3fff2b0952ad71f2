//! Which key files are whose, in both places, and one copy of them read. Ours are found by their label; what others added to a vault's
//! policy is in `others`.

use std::collections::BTreeSet;
use std::path::Path;

use disk::Folder;
use fscrypt::{KeyFiles, KeyIdentifier, MetaDir, MetaError, PolicyFile, ProtectorDescriptor, ProtectorFile};
use vault::ids::VaultId;

use super::label;
use super::part::{Part, identifier};
use super::{CryptError, Kernel, MetaPlace, failed};
use crate::agents::vaultmgr::hands::tree::{self, Work};

/// Protectors by name, as they were read, and the names of policies.
type ReadIn = (Vec<(ProtectorDescriptor, Result<ProtectorFile, MetaError>)>, BTreeSet<KeyIdentifier>);

/// Names of one vault's files: its policies, and the protectors that are ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) protectors: BTreeSet<ProtectorDescriptor>,
    pub(super) policies: BTreeSet<KeyIdentifier>,
}

/// Where the two files of a pair lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Both in the place that was read, as they were read.
    Here,
    /// One in each place.
    Apart,
}

impl Names {
    /// All that a folder has.
    pub(super) fn in_all_of(folder: &MetaDir) -> Result<Self, MetaError> {
        let (protectors, policies) = (folder.protectors()?, folder.policies()?);
        Ok(Self { protectors: protectors.into_iter().collect(), policies: policies.into_iter().collect() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.protectors.is_empty() && self.policies.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.protectors.extend(other.protectors);
        self.policies.extend(other.policies);
    }
}

impl Kernel {
    /// A file that can't be read is nobody's here; its twin may name it.
    pub(super) fn read_names(&mut self) {
        self.read_first_protectors();
        self.read_second();
        self.read_first_policies();
        self.read_attributed();
        let all: Vec<VaultId> = self.names.keys().copied().collect();
        if self.first().is_ok_and(MetaDir::has_leftovers) {
            all.iter().for_each(|vault| self.note_left(*vault));
        }
        all.into_iter().for_each(|vault| self.share_policies(vault));
    }

    fn read_first_protectors(&mut self) {
        let Ok(first) = &self.first else { return };
        for protector in first.protectors().unwrap_or_default() {
            let Ok(file) = first.read_protector(protector) else { continue };
            if let Some(label) = label::read(file.name()) {
                self.names.entry(label.vault).or_default().protectors.insert(protector);
            }
        }
    }

    fn read_first_policies(&mut self) {
        let Ok(first) = self.first() else { return };
        let policies = first.policies().unwrap_or_default().into_iter();
        let read = policies.filter_map(|of| Some((of, first.read_policy(of).ok()?)));
        let owned: Vec<_> = read.filter_map(|(of, file)| Some((of, self.owner(&file)?))).collect();
        for (policy, vault) in owned {
            self.names.entry(vault).or_default().policies.insert(policy);
        }
    }

    /// Whose a policy is: of the vault that has it in its second copy, else of the first protector of ours that it names. What opens it
    /// beside that was added later, though it may be another vault's.
    fn owner(&self, policy: &PolicyFile) -> Option<VaultId> {
        let of =
            |is: &dyn Fn(&Names) -> bool| self.names.iter().find(|(_, names)| is(names)).map(|(id, _)| *id);
        let first = || policy.named().find_map(|by| of(&|names| names.protectors.contains(&by)));
        of(&|names| names.policies.contains(&policy.policy().identifier)).or_else(first)
    }

    /// What is ours of a policy's file never changes: where one place lacks that of a protector it has, it gets the other place's (seen by users
    /// 0b.11). Where the disk takes no write the vault opens all the same, by [`Self::files`].
    fn share_policies(&self, vault: VaultId) {
        let both = [MetaPlace::First, MetaPlace::Second].map(|place| self.part(vault, place));
        let [Ok(first), Ok(second)] = both else { return };
        for (place, part, twin) in [(MetaPlace::First, &first, &second), (MetaPlace::Second, &second, &first)]
        {
            for files in part.borrowing(twin) {
                if let Err(error) = self.mend(vault, place, &files) {
                    tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "a policy's file");
                }
            }
        }
    }

    /// Writes what is ours into one place. What reads there and is another may be the only good one: until a key has opened what is
    /// to be written, it stays. What others wrote into a policy's file there stays in any case.
    pub(super) fn mend(&self, vault: VaultId, place: MetaPlace, files: &KeyFiles) -> Result<(), MetaError> {
        self.in_place(vault, place, |folder| {
            let (ours, proved) = (files.protector.descriptor(), self.is_proved(vault, files));
            let protector = folder.read_protector(ours).ok();
            // The protector first: a policy without its protector opens for nobody.
            if protector.is_none_or(|there| proved && there != files.protector) {
                folder.write_protector(&files.protector)?;
            }
            match folder.read_policy(files.policy.policy().identifier).ok() {
                None => folder.write_policy(&files.policy),
                Some(there) if there.agrees(&files.policy, ours) => Ok(()),
                // Where the modes alone differ no key is lost with them: the directory has told which are right.
                Some(there) if there.wraps_alike(&files.policy, ours) => {
                    folder.write_policy(&mended(&there, files)?)
                }
                Some(there) if !proved && there.protectors().any(|by| by == ours) => Ok(()),
                Some(there) => folder.write_policy(&mended(&there, files)?),
            }
        })
    }

    pub(super) fn is_proved(&self, vault: VaultId, files: &KeyFiles) -> bool {
        let ours = files.protector.descriptor();
        let same = |by: &KeyFiles| by.protector == files.protector && by.policy.agrees(&files.policy, ours);
        self.proved.get(&vault).is_some_and(same)
    }

    /// Does something in the folder of one place.
    pub(super) fn in_place<T>(
        &self,
        vault: VaultId,
        place: MetaPlace,
        work: impl FnOnce(&MetaDir) -> Result<T, MetaError>,
    ) -> Result<T, MetaError> {
        match place {
            MetaPlace::First => work(self.first()?),
            MetaPlace::Second => work(&self.second(vault)?),
        }
    }

    /// What is wrong with one vault's folder concerns that vault alone: it is told when the vault is read.
    fn read_second(&mut self) {
        let names = self.second_place().and_then(|place| place.names()).unwrap_or_default();
        for name in names {
            let Ok(vault) = name.parse::<VaultId>() else { continue };
            let second = self.second(vault);
            let mut is_swept = true;
            let names = second.and_then(|second| {
                is_swept = second.sweep().is_ok();
                self.names_in(&second, vault)
            });
            match names {
                // Left by a removal that was cut short; it is tried again at the next start.
                Ok(names) if names.is_empty() && is_swept => {
                    drop(tree::remove(&self.metas.join(&name), &Work::default()))
                }
                Ok(names) => self.names.entry(vault).or_default().add(names),
                Err(error) => {
                    tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "its second copy of the metadata");
                    self.names.entry(vault).or_default();
                }
            }
            if !is_swept {
                self.note_left(vault);
            }
        }
    }

    /// In the folder of a vault's second copy: all policies, and the protectors that are ours. Where none is known to be, its label is
    /// damaged, and a key tells.
    pub(super) fn names_in(&self, second: &MetaDir, vault: VaultId) -> Result<Names, MetaError> {
        let (ours, policies) = self.read_in(second, vault)?;
        Ok(Names { protectors: ours.into_iter().map(|(of, _)| of).collect(), policies })
    }

    /// The same, with the protectors' files, which tell whose they are.
    fn read_in(&self, second: &MetaDir, vault: VaultId) -> Result<ReadIn, MetaError> {
        let names = Names::in_all_of(second)?;
        let read = names.protectors.into_iter().map(|of| (of, second.read_protector(of)));
        let (ours, rest): (Vec<_>, Vec<_>) = read.partition(|(of, file)| self.is_ours(file, vault, *of));
        let protectors = if ours.is_empty() && !self.knows_ours(vault) { rest } else { ours };
        Ok((protectors, names.policies))
    }

    /// By its label in either place, in the second as it was read. One that reads in neither is taken for ours: it opens nothing as it
    /// is.
    fn is_ours(
        &self,
        there: &Result<ProtectorFile, MetaError>,
        vault: VaultId,
        of: ProtectorDescriptor,
    ) -> bool {
        let there =
            there.as_ref().ok().map(|file| label::kind(file.name(), vault) == Some(label::Kind::Primary));
        there == Some(true) || self.is_labelled_first(vault, of).unwrap_or(there.is_none())
    }

    /// As [`is_labelled`], in the first place.
    fn is_labelled_first(&self, vault: VaultId, of: ProtectorDescriptor) -> Option<bool> {
        is_labelled(self.first().ok()?, vault, of)
    }

    fn knows_ours(&self, vault: VaultId) -> bool {
        let labelled = |of: &ProtectorDescriptor| self.is_labelled_first(vault, *of) == Some(true);
        self.names.get(&vault).is_some_and(|names| names.protectors.iter().any(labelled))
    }

    pub(super) fn second(&self, vault: VaultId) -> Result<MetaDir, MetaError> {
        let path = self.metas.join(vault.to_string());
        MetaDir::within(&self.below(&path)?, &path)
    }

    /// The folder of all second copies.
    fn second_place(&self) -> Result<Folder, disk::Error> {
        self.below(&self.metas)
    }

    /// A folder of the disk that was opened: its path may lead to another one since, and what lies there is not ours.
    fn below(&self, path: &Path) -> Result<Folder, disk::Error> {
        let inside = path.strip_prefix(&self.persist).unwrap_or(path);
        self.top.below(inside).map_err(|error| error.beneath(&self.persist))
    }

    /// One that is there is as durable as the life made it that wrote into it first: to make sure of it again is three waits for the disk. Should a
    /// power cut take it all the same, the first copy is whole, and it is made from that.
    pub(super) fn second_or_make(&self, vault: VaultId) -> Result<MetaDir, CryptError> {
        match self.second(vault) {
            Err(MetaError::Absent { .. }) => self.make_second(vault),
            there => there.map_err(failed("opening the folder of the second copy")),
        }
    }

    pub(super) fn make_second(&self, vault: VaultId) -> Result<MetaDir, CryptError> {
        let name = vault.to_string();
        let made = self.second_place().map_err(MetaError::from);
        let made = made.and_then(|place| MetaDir::create_in(&place, &name, &self.metas.join(&name)));
        made.map_err(failed("making the folder of the second copy"))
    }

    /// What may open one copy: its policy with each protector of ours that it names, what a key has opened before the others. None when
    /// no file is there, an error when it is not whole. While no place has a whole copy of its own, protectors of one are taken with the
    /// policy of the other.
    pub(super) fn files(&self, vault: VaultId, place: MetaPlace) -> Result<Vec<KeyFiles>, MetaError> {
        self.files_or_borrowed(vault, place).map(|(pairs, _)| pairs)
    }

    /// The same, and whether they lie in this place as they are, rather than the half of them in the other.
    fn files_or_borrowed(&self, vault: VaultId, place: MetaPlace) -> Result<(Vec<KeyFiles>, Lie), MetaError> {
        let part = self.part(vault, place)?;
        let mut pairs = part.pairs();
        if are_several(&pairs) {
            // An older life of this vault, as a backup brings it back, is in one of the two places only.
            let twins = self.part(vault, place.other())?.pairs();
            pairs.retain(|pair| twins.iter().any(|twin| identifier(twin) == identifier(pair)));
            if pairs.is_empty() || are_several(&pairs) {
                return Err(MetaError::Absent {
                    name: "a twin that tells which of several is in force".to_owned(),
                });
            }
        }
        let lie = if pairs.is_empty() { Lie::Apart } else { Lie::Here };
        if pairs.is_empty()
            && let Ok(twin) = self.part(vault, place.other())
            && twin.pairs().is_empty()
        {
            pairs = part.borrowing(&twin);
        }
        pairs.sort_by_key(|pair| !self.is_proved(vault, pair));
        if pairs.is_empty() { part.lack().map(|()| (pairs, lie)) } else { Ok((pairs, lie)) }
    }

    /// What is there in one place.
    pub(super) fn part(&self, vault: VaultId, place: MetaPlace) -> Result<Part, MetaError> {
        match place {
            MetaPlace::First => {
                let (first, names) = (self.first()?, self.names.get(&vault));
                Ok(names.map(|names| Part::of(first, vault, names)).unwrap_or_default())
            }
            MetaPlace::Second => match self.second(vault) {
                Ok(second) => {
                    let (ours, policies) = self.read_in(&second, vault)?;
                    Ok(Part::with_read(ours.into_iter().map(|(_, file)| file), &second, vault, &policies))
                }
                Err(MetaError::Absent { .. }) => Ok(Part::default()),
                Err(error) => Err(error),
            },
        }
    }

    /// Those of a copy that is whole: at least one.
    pub(super) fn whole(&self, vault: VaultId, place: MetaPlace) -> Result<Vec<KeyFiles>, CryptError> {
        self.whole_or_borrowed(vault, place).map(|(pairs, _)| pairs)
    }

    /// The same, and where they lie.
    pub(super) fn whole_or_borrowed(
        &self,
        vault: VaultId,
        place: MetaPlace,
    ) -> Result<(Vec<KeyFiles>, Lie), CryptError> {
        match self.files_or_borrowed(vault, place).map_err(failed("reading metadata"))? {
            (files, _) if files.is_empty() => Err(CryptError::new("this copy of the metadata is absent")),
            found => Ok(found),
        }
    }
}

/// Whether a protector's file is labelled as one vault's; nothing when it does not read.
fn is_labelled(folder: &MetaDir, vault: VaultId, of: ProtectorDescriptor) -> Option<bool> {
    Some(label::kind(folder.read_protector(of).ok()?.name(), vault) == Some(label::Kind::Primary))
}

fn are_several(pairs: &[KeyFiles]) -> bool {
    pairs.iter().any(|pair| identifier(pair) != identifier(&pairs[0]))
}

/// The policy's file that is there, with what is ours as `files` have it.
pub(super) fn mended(there: &PolicyFile, files: &KeyFiles) -> Result<PolicyFile, MetaError> {
    let mended = there.mended(&files.policy, files.protector.descriptor());
    mended.map_err(|source| MetaError::Damaged { name: identifier(files).to_string(), source })
}
