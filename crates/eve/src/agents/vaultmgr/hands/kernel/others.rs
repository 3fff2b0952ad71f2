//! What others added to a vault: protectors of theirs, beside ours in its policy's file. We never open one. They are counted for people,
//! kept byte for byte in both places, and wiped with the vault.
//!
//! The fscrypt tool writes to the first place alone. So that place says which protectors a vault has, and the second follows; a file of
//! theirs that the policy names is brought back from wherever it reads.

use std::collections::BTreeSet;

use fscrypt::{KeyFiles, MetaDir, MetaError, PolicyFile, ProtectorDescriptor, ProtectorFile, Source};
use vault::condition::Others;
use vault::ids::VaultId;

use super::files::Names;
use super::{Kernel, MetaPlace, label};

type Read = Result<ProtectorFile, MetaError>;

/// One write that the second copy, or a damaged file in the first place, needs.
#[derive(Debug)]
pub(super) enum Change {
    Write(MetaPlace, ProtectorFile),
    Policy(PolicyFile),
    Drop(ProtectorDescriptor),
}

/// What is to be wiped from the first place with a vault.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    /// Others' protectors, which no other policy names.
    pub(super) others: BTreeSet<ProtectorDescriptor>,
    /// Ours, and the vault's policies.
    pub(super) ours: Names,
}

impl Kernel {
    /// What opens one copy beside the protector of `files`; and whether a recovery protector of ours does.
    pub(super) fn others(&self, vault: VaultId, place: MetaPlace, files: &KeyFiles) -> (Others, bool) {
        let all: Vec<_> = files.policy.others(files.protector.descriptor()).collect();
        let read =
            |of: ProtectorDescriptor| self.in_place(vault, place, |folder| folder.read_protector(of)).ok();
        let (mut others, mut recovery) = (Others::default(), false);
        for file in all.into_iter().map(|of| of.and_then(read)) {
            let count = match file {
                None => &mut others.unknown,
                Some(file) if matches!(label::kind(file.name(), vault), Some(label::Kind::Recovery(_))) => {
                    recovery = true;
                    continue;
                }
                Some(file) => kind(&mut others, vault, &file),
            };
            *count = count.saturating_add(1);
        }
        (others, recovery)
    }

    /// What is to be written so that the second copy has what the first has of others. Nothing while one is not whole, or ours differ:
    /// that is mended first.
    pub(super) fn changes(&self, vault: VaultId) -> Result<Vec<Change>, MetaError> {
        let [first, second] = [MetaPlace::First, MetaPlace::Second].map(|place| self.files(vault, place));
        let (Some(first), Some(second)) = (first?.into_iter().next(), second?.into_iter().next()) else {
            return Ok(Vec::new());
        };
        let ours = first.protector.descriptor();
        if !first.policy.agrees(&second.policy, ours) {
            return Ok(Vec::new());
        }
        let (folder, named) = (self.second(vault)?, first.policy.others(ours).flatten().collect());
        let mut changes = self.files_to_write(&folder, &named);
        changes.extend(spare(&folder, vault, &named)?.into_iter().map(Change::Drop));
        // Last: while the policies differ it is seen that something is still to be done.
        changes.extend((first.policy != second.policy).then_some(Change::Policy(first.policy)));
        Ok(changes)
    }

    fn files_to_write(&self, second: &MetaDir, named: &BTreeSet<ProtectorDescriptor>) -> Vec<Change> {
        let read = |of: ProtectorDescriptor| self.first().and_then(|first| first.read_protector(of));
        let change = |of: &ProtectorDescriptor| write(read(*of), second.read_protector(*of));
        named.iter().filter_map(change).collect()
    }

    /// Makes these changes. Cut short, what is left of them is due again.
    pub(super) fn follow(&self, vault: VaultId) -> Result<(), MetaError> {
        for change in self.changes(vault)? {
            match change {
                Change::Write(place, file) => {
                    self.in_place(vault, place, |folder| folder.write_protector(&file))
                }
                Change::Policy(file) => self.second(vault)?.write_policy(&file),
                Change::Drop(of) => self.second(vault)?.remove_protector(of),
            }?;
        }
        Ok(())
    }

    /// What goes from the first place with a vault: all that is ours, and others' protectors that nothing else needs. While a policy of
    /// somebody else's does not read, nobody knows whom it names, and others' protectors stay.
    pub(super) fn doomed(
        &self,
        vault: VaultId,
        mut names: Names,
        second: Option<&MetaDir>,
    ) -> Result<Doomed, MetaError> {
        let mut all = names.protectors.clone();
        if let Some(second) = second {
            names.add(self.names_in(second, vault)?);
            all.extend(second.protectors()?);
        }
        for folder in [self.first().ok(), second].into_iter().flatten() {
            let policies = names.policies.iter().filter_map(|policy| folder.read_policy(*policy).ok());
            all.extend(policies.flat_map(|file| file.named().collect::<Vec<_>>()));
        }
        let primary =
            |of: &ProtectorDescriptor| self.label(second, *of) == Some((vault, label::Kind::Primary));
        let (ours, mut others): (BTreeSet<_>, BTreeSet<_>) = all.into_iter().partition(primary);
        if !others.is_empty() {
            let needed = self.needed(&names)?;
            let ours = |of| self.label(second, of).map(|(of, _)| of);
            others.retain(|of| match (ours(*of), &needed) {
                (Some(owner), _) => owner == vault,
                (None, Some(needed)) => !needed.contains(of),
                (None, None) => false,
            });
        }
        names.protectors = ours;
        Ok(Doomed { others, ours: names })
    }

    fn label(&self, second: Option<&MetaDir>, of: ProtectorDescriptor) -> Option<(VaultId, label::Kind)> {
        let read = |folder: &MetaDir| label::read(folder.read_protector(of).ok()?.name());
        if let Some(vault) = self.attributed.get(&of) {
            return Some((*vault, label::Kind::Primary));
        }
        let label = self.first().ok().and_then(read).or_else(|| second.and_then(read))?;
        Some((label.vault, label.kind))
    }

    /// The protectors that policies of others name; nothing when one of these does not read.
    fn needed(&self, names: &Names) -> Result<Option<BTreeSet<ProtectorDescriptor>>, MetaError> {
        let first = self.first()?;
        let theirs = first.policies()?.into_iter().filter(|policy| !names.policies.contains(policy));
        let named = |policy| Some(first.read_policy(policy).ok()?.named().collect::<Vec<_>>());
        let named: Option<Vec<_>> = theirs.map(named).collect();
        Ok(named.map(|named| named.into_iter().flatten().collect()))
    }
}

fn kind<'a>(others: &'a mut Others, vault: VaultId, file: &ProtectorFile) -> &'a mut u16 {
    match file.source() {
        _ if label::kind(file.name(), vault).is_some() => &mut others.named_ours,
        Source::Login => &mut others.logins,
        Source::Passphrase => &mut others.passphrases,
        Source::RawKey => &mut others.key_files,
    }
}

/// The first place's file, if it reads; else the second's brings it back. One that lies on another filesystem stays there.
fn write(first: Read, second: Read) -> Option<Change> {
    match (first, second) {
        (Ok(first), Ok(second)) if first == second => None,
        (Ok(first), _) => Some(Change::Write(MetaPlace::Second, first)),
        (Err(MetaError::Unsafe { .. } | MetaError::Covered { .. } | MetaError::Io { .. }), _)
        | (_, Err(_)) => None,
        (Err(_), Ok(second)) => Some(Change::Write(MetaPlace::First, second)),
    }
}

/// Others' protectors in the folder of the second copy that the vault does not have any more.
fn spare(
    second: &MetaDir,
    vault: VaultId,
    named: &BTreeSet<ProtectorDescriptor>,
) -> Result<Vec<ProtectorDescriptor>, MetaError> {
    let others = |of: &ProtectorDescriptor| {
        second.read_protector(*of).is_ok_and(|file| label::kind(file.name(), vault).is_none())
    };
    let here = second.protectors()?.into_iter();
    Ok(here.filter(|of| !named.contains(of) && others(of)).collect())
}
