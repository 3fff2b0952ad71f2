//! The recovery key of a vault on the disk: a second protector of ours in both copies of its metadata, and the key that opens it, encrypted with
//! age (`ages`). The policy's file decides which is in force: a new one is whole beside the one before
//! until both policies name it, so at each instant one opens. By its name the protector says for whom its key is encrypted, and what
//! the age file is: nobody here could open that to look.

use std::collections::BTreeSet;

use fscrypt::{
    ContentKey, KeyFiles, KeyIdentifier, MetaDir, MetaError, ProtectorDescriptor, ProtectorFile,
    ProtectorKey, key_files,
};
use vault::condition::{Hint, Recovery, RecoveryHint};
use vault::ids::VaultId;
use vault::recovery::Recipients;
use vault::secret::{RecoveryKey, WrappingSecret};
use wire::age;

use super::ages::{checksum, name, used};
use super::label::{self, Kind, RecoveryName};
use super::parts::{iv, recovery_key, wrapping_key};
use super::{CryptError, Kernel, KeyId, MetaPlace, failed};
use crate::agents::vaultmgr::generation::shares::random;

pub(super) const PLACES: [MetaPlace; 2] = [MetaPlace::First, MetaPlace::Second];
/// What is removed goes from the second place first: what a cut leaves is seen in the first, at the start.
pub(super) const REMOVAL: [MetaPlace; 2] = [MetaPlace::Second, MetaPlace::First];

impl Kernel {
    /// What there is of a vault's recovery key. `named`: a copy of its metadata names a protector of that kind.
    pub(super) fn recovery_of(&self, vault: VaultId, named: bool) -> Recovery {
        let ages = self.ages.of(vault);
        let alone = self.names.get(&vault).is_none_or(|names| names.protectors.len() <= 1);
        if !named && alone && ages.is_empty() && !self.ages.is_used(vault) {
            return Recovery::Nothing;
        }
        let [first, second] = PLACES.map(|place| self.recovery_files(vault, place));
        let all: BTreeSet<_> =
            [&first, &second].into_iter().flatten().map(ProtectorFile::descriptor).chain(ages).collect();
        match (&first[..], &second[..]) {
            _ if all.is_empty() && !self.ages.is_used(vault) => Recovery::Nothing,
            ([one], [twin]) if all.len() == 1 && one == twin => {
                self.whole_recovery(vault, one).unwrap_or(Recovery::Parts)
            }
            _ => Recovery::Parts,
        }
    }

    /// One protector, the same in both copies: whether both policies name it, and both age files are good.
    fn whole_recovery(&self, vault: VaultId, file: &ProtectorFile) -> Option<Recovery> {
        let Some(Kind::Recovery(RecoveryName { hint, sum })) = label::kind(file.name(), vault) else {
            return None;
        };
        let named = |place| {
            self.policies(vault, place).iter().any(|policy| policy.named().any(|by| by == file.descriptor()))
        };
        let good = |place| named(place) && self.ages.is_good(place, &name(vault, file.descriptor()), sum);
        let whole = PLACES.into_iter().all(good);
        whole.then_some(if self.ages.is_used(vault) { Recovery::Used(hint) } else { Recovery::Ready(hint) })
    }

    fn policies(&self, vault: VaultId, place: MetaPlace) -> Vec<fscrypt::PolicyFile> {
        self.part(vault, place).map(|part| part.policies).unwrap_or_default()
    }

    /// The recovery protectors of a vault in one place: those that its policies name, and what a cut left.
    fn recovery_files(&self, vault: VaultId, place: MetaPlace) -> Vec<ProtectorFile> {
        let known = self.names.get(&vault).map(|names| names.protectors.clone()).unwrap_or_default();
        let named = PLACES.into_iter().flat_map(|place| self.policies(vault, place));
        let all: BTreeSet<_> =
            named.flat_map(|policy| policy.named().collect::<Vec<_>>()).chain(known).collect();
        let read =
            |by: ProtectorDescriptor| self.in_place(vault, place, |folder| folder.read_protector(by)).ok();
        let is_ours =
            |file: &ProtectorFile| matches!(label::kind(file.name(), vault), Some(Kind::Recovery(_)));
        all.into_iter().filter_map(read).filter(is_ours).collect()
    }

    /// All names of recovery protectors that there is anything of.
    fn recovery_names(&self, vault: VaultId) -> BTreeSet<ProtectorDescriptor> {
        let files = PLACES.into_iter().flat_map(|place| self.recovery_files(vault, place));
        files.map(|file| file.descriptor()).chain(self.ages.of(vault)).collect()
    }

    /// The content key by whichever of the vault's policies a protector opens, in either place.
    pub(super) fn any_content(&self, vault: VaultId, by: &ProtectorKey) -> Result<ContentKey, CryptError> {
        let mut policies = PLACES.into_iter().flat_map(|place| self.policies(vault, place));
        let opened = policies.find_map(|policy| key_files::open_policy(&policy, by).ok());
        opened.ok_or_else(|| CryptError::new("no copy of the policy's file opens by this protector"))
    }

    pub(super) fn write_recovery(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        recipients: &Recipients,
        hint: RecoveryHint,
    ) -> Result<(), CryptError> {
        let content = self.any_content(vault, by)?;
        let second = self.make_second(vault)?;
        let old = self.recovery_names(vault);
        let key = RecoveryKey::init(random).map_err(failed("drawing a recovery key"))?;
        let protector = ProtectorKey::init(random).map_err(failed("drawing a protector key"))?;
        let bytes = age::seal(recipients, &key).map_err(failed("encrypting the recovery key"))?;
        let label = label::write_recovery(vault, RecoveryName { hint, sum: checksum(&bytes) });
        let file = ProtectorFile::seal(&protector, &recovery_key(&key), &label, iv()?);
        self.ages
            .write(name(vault, file.descriptor()), &bytes)
            .map_err(failed("writing the recovery key"))?;
        self.put_protector(vault, &second, &file)?;
        self.put_wrap(vault, &content, &protector, &|of| old.contains(&of))?;
        self.know_policy(vault);
        self.remove_recovery(vault, &old)
    }

    /// Into both places. Nothing names it yet.
    fn put_protector(
        &mut self,
        vault: VaultId,
        second: &MetaDir,
        file: &ProtectorFile,
    ) -> Result<(), CryptError> {
        self.names.entry(vault).or_default().protectors.insert(file.descriptor());
        let both = self.first().map(|first| [first, second]);
        let written = both.and_then(|both| both.iter().try_for_each(|folder| folder.write_protector(file)));
        written.map_err(failed("writing a protector"))
    }

    /// Puts a wrap of the content key into both policies, in place of those that go. Where no policy reads it is written whole.
    fn put_wrap(
        &self,
        vault: VaultId,
        content: &ContentKey,
        protector: &ProtectorKey,
        gone: &dyn Fn(ProtectorDescriptor) -> bool,
    ) -> Result<(), CryptError> {
        let (of, iv) = (KeyIdentifier::of(content), iv()?);
        let read = |place| self.in_place(vault, place, |folder| folder.read_policy(of));
        let good = PLACES.into_iter().find_map(|place| read(place).ok());
        let good = good.ok_or_else(|| CryptError::new("no copy of the policy's file reads"))?;
        for place in PLACES {
            let there = read(place).unwrap_or_else(|_| good.clone());
            let policy = there
                .rewrapped(gone, Some((content, protector, iv)))
                .map_err(failed("adding to the policy's file"))?;
            self.in_place(vault, place, |folder| folder.write_policy(&policy))
                .map_err(failed("writing the policy's file"))?;
        }
        Ok(())
    }

    pub(super) fn take_recovery_away(&mut self, vault: VaultId) -> Result<(), CryptError> {
        let old = self.recovery_names(vault);
        for place in PLACES {
            for policy in
                self.policies(vault, place).iter().filter(|policy| policy.named().any(|by| old.contains(&by)))
            {
                let without = policy
                    .rewrapped(&|by| old.contains(&by), None)
                    .map_err(failed("taking from the policy's file"))?;
                self.in_place(vault, place, |folder| folder.write_policy(&without))
                    .map_err(failed("writing the policy's file"))?;
            }
        }
        self.know_policy(vault);
        self.remove_recovery(vault, &old)
    }

    /// What a key has opened is the policy's file of now. With that of before a bundle would bring back a recovery key that was taken away.
    fn know_policy(&mut self, vault: VaultId) {
        let Some(proved) = self.proved.get(&vault) else { return };
        let ours = proved.protector.descriptor();
        let of = proved.policy.policy().identifier;
        let read = self.first().and_then(|first| first.read_policy(of)).ok();
        let Some(now) = read.filter(|now| now.agrees(&proved.policy, ours)) else { return };
        self.proved.entry(vault).and_modify(|files| files.policy = now);
    }

    /// Scrubs what no policy names any more.
    fn remove_recovery(
        &mut self,
        vault: VaultId,
        old: &BTreeSet<ProtectorDescriptor>,
    ) -> Result<(), CryptError> {
        self.remove_protectors(vault, old)?;
        let removed = old.iter().try_for_each(|by| self.ages.remove(&name(vault, *by)));
        removed.map_err(failed("removing a recovery key"))?;
        if self.ages.is_used(vault) {
            self.ages.remove(&used(vault)).map_err(failed("removing a recovery key's mark"))?;
        }
        Ok(())
    }

    fn remove_protectors(
        &mut self,
        vault: VaultId,
        all: &BTreeSet<ProtectorDescriptor>,
    ) -> Result<(), CryptError> {
        for place in REMOVAL {
            let removed = self
                .in_place(vault, place, |folder| all.iter().try_for_each(|by| folder.remove_protector(*by)));
            removed.or_else(absent_is_fine).map_err(failed("removing a protector"))?;
        }
        let names = &mut self.names.entry(vault).or_default().protectors;
        names.retain(|by| !all.contains(by));
        Ok(())
    }

    /// Our own protectors that a policy of this content key names. One that reads in neither place opens nothing as it is.
    fn primaries(&self, vault: VaultId, of: KeyIdentifier) -> BTreeSet<ProtectorDescriptor> {
        let known = self.names.get(&vault).map(|names| names.protectors.clone()).unwrap_or_default();
        let policy = |place| self.in_place(vault, place, |folder| folder.read_policy(of)).ok();
        let named: BTreeSet<_> = PLACES
            .into_iter()
            .filter_map(policy)
            .flat_map(|policy| policy.named().collect::<Vec<_>>())
            .collect();
        let read = |by, place| self.in_place(vault, place, |folder| folder.read_protector(by)).ok();
        let kind = |by| PLACES.into_iter().find_map(|place| label::kind(read(by, place)?.name(), vault));
        let ours = |by: &ProtectorDescriptor| !matches!(kind(*by), Some(Kind::Recovery(_) | Kind::Unknown));
        known.intersection(&named).copied().filter(ours).collect()
    }

    /// Tries a recovery key. That it was used here is on the disk before anything opens by it.
    pub(super) fn open_recovery(
        &mut self,
        vault: VaultId,
        key: &RecoveryKey,
    ) -> Result<Option<(ProtectorKey, KeyId)>, CryptError> {
        let wrapping = recovery_key(key);
        let files: Vec<_> = PLACES.into_iter().flat_map(|place| self.recovery_files(vault, place)).collect();
        let opened = files.iter().find_map(|file| key_files::open_protector(file, &wrapping).ok());
        let Some(protector) = opened else { return Ok(None) };
        let content = self.any_content(vault, &protector)?;
        if let Err(error) = self.ages.write(used(vault), b"used\n") {
            // On a disk that can't be written it opens all the same.
            tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "that the recovery key was used can't be noted");
        }
        Ok(Some((protector, KeyId(KeyIdentifier::of(&content).0))))
    }

    pub(super) fn replace_primary(
        &mut self,
        vault: VaultId,
        by: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        let content = self.any_content(vault, by)?;
        let second = self.make_second(vault)?;
        let old = self.primaries(vault, KeyIdentifier::of(&content));
        let protector = ProtectorKey::init(random).map_err(failed("drawing a protector key"))?;
        let file = key_files::rewrap(&protector, &wrapping_key(secret), &label::write(vault, name), iv()?);
        self.put_protector(vault, &second, &file)?;
        self.put_wrap(vault, &content, &protector, &|of| old.contains(&of))?;
        self.remove_protectors(vault, &old)?;
        let policy = self.first().and_then(|first| first.read_policy(KeyIdentifier::of(&content)));
        let policy = policy.map_err(failed("reading metadata"))?;
        self.proved.insert(vault, KeyFiles { protector: file, policy });
        self.opened.take();
        Ok(protector)
    }
}

fn absent_is_fine(error: MetaError) -> Result<(), MetaError> {
    match error {
        MetaError::Absent { .. } => Ok(()),
        other => Err(other),
    }
}
