//! One vault's files opened by a key that is at hand: each protector of ours is tried, and what opens is proved to be the good one.

use fscrypt::{ContentKey, KeyFiles, ProtectorKey, UnwrapError, WrappingKey, key_files};
use vault::ids::VaultId;

use super::files::Lie;
use super::{CryptError, Kernel, MetaPlace, failed};

impl Kernel {
    /// The content key of one copy, proved to be the one that its policy names.
    pub(super) fn content(
        &self,
        vault: VaultId,
        place: MetaPlace,
        protector: &ProtectorKey,
    ) -> Result<ContentKey, CryptError> {
        let files = self.whole(vault, place)?;
        key_files::open_policy(&files[0].policy, protector).map_err(failed("unwrapping the content key"))
    }

    /// The protector of one pair of files. The policy must open too: a copy of which only the half opens is no copy to go on with. A pair
    /// that lies here as it was read needs no mending.
    pub(super) fn open_one(
        &mut self,
        vault: VaultId,
        place: MetaPlace,
        (files, lie): (KeyFiles, Lie),
        wrapping: &WrappingKey,
    ) -> Result<Option<ProtectorKey>, CryptError> {
        let ((files, protector), lie) = match files.open(wrapping) {
            Ok((_, protector)) => ((files, protector), lie),
            Err(UnwrapError::WrongKey) => return Ok(None),
            Err(error) => {
                let opened = self.open_with_twin(vault, place, files, wrapping);
                (opened.ok_or_else(|| CryptError::damage("unwrapping the protector", error))?, Lie::Apart)
            }
        };
        self.proved.entry(vault).or_insert_with(|| files.clone());
        if lie == Lie::Apart {
            self.mend_one(vault, place, &files);
        }
        // For the step that follows, which gives the content key to the kernel.
        self.opened.replace(Some((vault, files.policy)));
        Ok(Some(protector))
    }

    fn mend_one(&self, vault: VaultId, place: MetaPlace, files: &KeyFiles) {
        if let Err(error) = self.mend(vault, place, files) {
            tracing::warn!(%vault, error = %crate::agents::vaultmgr::chain(&error), "one copy of its metadata");
        }
    }

    /// The content key by the policy's file that was opened just now. It is good once: what lies there later is read anew.
    pub(super) fn opened_content(&self, vault: VaultId, protector: &ProtectorKey) -> Option<ContentKey> {
        let (_, policy) = self.opened.take().filter(|(of, _)| *of == vault)?;
        key_files::open_policy(&policy, protector).ok()
    }

    /// What a key has opened with this protector, else what was read.
    pub(super) fn good(&self, vault: VaultId, files: &KeyFiles) -> KeyFiles {
        let proved = self.proved.get(&vault).filter(|proved| proved.protector == files.protector);
        let other = proved.filter(|by| !by.policy.agrees(&files.policy, files.protector.descriptor()));
        other.unwrap_or(files).clone()
    }

    /// For a copy whose protector opens and whose policy does not, for changed bytes of its wrap show only to a key: the other place's
    /// policy, if that opens, makes it whole (seen by users 0b.11).
    pub(super) fn open_with_twin(
        &self,
        vault: VaultId,
        place: MetaPlace,
        files: KeyFiles,
        wrapping: &WrappingKey,
    ) -> Option<(KeyFiles, ProtectorKey)> {
        let protector = key_files::open_protector(&files.protector, wrapping).ok()?;
        let twin = self.part(vault, place.other()).ok()?;
        let policy =
            twin.policies.into_iter().find(|policy| key_files::open_policy(policy, &protector).is_ok())?;
        Some((KeyFiles { policy, ..files }, protector))
    }
}
