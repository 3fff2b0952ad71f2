//! Key files as they are written: made, wrapped anew, and one copy mended by the other; and whether the filesystem encrypts as is asked.

use fscrypt::kernel::AddKeyError;
use fscrypt::{ContentKey, KeyFiles, MetaDir, ProbeError, ProtectorDescriptor, ProtectorKey, key_files};
use vault::condition::Hint;
use vault::ids::VaultId;
use vault::secret::WrappingSecret;
use vault::section::Encryption;

use super::files::mended;
use super::parts::{iv, modes, probe, wrapping_key, write};
use super::{Kernel, failed};
use crate::agents::vaultmgr::generation::shares::random;
use crate::agents::vaultmgr::hands::crypt::{Crypt, CryptError, MetaPlace};
use crate::agents::vaultmgr::hands::label;

impl Kernel {
    /// A content key and a protector, both random, in both places.
    pub(super) fn make_files(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<ProtectorKey, CryptError> {
        // What an earlier attempt left would stand under the same name, which fscrypt wants unique.
        self.forget(vault)?;
        let content = ContentKey::init(random).map_err(failed("drawing a content key"))?;
        self.probe(encryption)?;
        let protector = ProtectorKey::init(random).map_err(failed("drawing a protector key"))?;
        let ivs = key_files::Ivs { protector: iv()?, policy: iv()? };
        let name = label::write(vault, name);
        let files =
            KeyFiles::make(&content, &protector, &wrapping_key(secret), &name, modes(encryption), ivs);
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(files.protector.descriptor());
        names.policies.insert(files.policy.policy().identifier);
        write(self.first().map_err(failed("writing metadata"))?, &files)?;
        write(&self.make_second(vault)?, &files)?;
        self.proved.insert(vault, files);
        Ok(protector)
    }

    /// Both copies, and the wraps of before scrubbed.
    pub(super) fn wrap_anew(
        &mut self,
        vault: VaultId,
        protector: &ProtectorKey,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<(), CryptError> {
        let second = self.second_or_make(vault)?;
        self.name_in_both(vault, protector, &second)?;
        let name = label::write(vault, name);
        let file = key_files::rewrap(protector, &wrapping_key(secret), &name, iv()?);
        let rewrapped = self.first().and_then(|first| fscrypt::rewrap_both(&[first, &second], &file));
        self.note_left_in(vault, Ok(&second));
        self.residue = rewrapped.map_err(|error| self.not_rewrapped(vault, error))?.or(self.residue);
        self.proved.entry(vault).and_modify(|files| files.protector = file);
        Ok(())
    }

    /// The other copy, by the one that is whole there.
    pub(super) fn mend_from(&mut self, vault: VaultId, from: MetaPlace) -> Result<(), CryptError> {
        let files = self.whole(vault, from)?.remove(0);
        // Of a copy that was put back nothing may be known yet.
        let names = self.names.entry(vault).or_default();
        names.protectors.insert(files.protector.descriptor());
        names.policies.insert(files.policy.policy().identifier);
        if from == MetaPlace::First {
            self.make_second(vault)?;
        }
        // This copy too: what it borrowed.
        let places = [from.other(), from];
        let mended =
            places.into_iter().try_for_each(|place| self.mend(vault, place, &self.good(vault, &files)));
        mended.and_then(|()| self.follow(vault)).map_err(failed("writing metadata"))
    }

    /// A change of protectors that was cut short may have left one policy without ours: what is re-wrapped opens both copies.
    fn name_in_both(
        &self,
        vault: VaultId,
        protector: &ProtectorKey,
        second: &MetaDir,
    ) -> Result<(), CryptError> {
        let ours = ProtectorDescriptor::of(protector);
        let Some(files) = self.proved.get(&vault).filter(|files| files.protector.descriptor() == ours) else {
            return Ok(());
        };
        let of = files.policy.policy().identifier;
        let name = |folder: &MetaDir| match folder.read_policy(of) {
            Ok(there) if !there.wraps_alike(&files.policy, ours) => {
                folder.write_policy(&mended(&there, files)?)
            }
            _ => Ok(()),
        };
        let named = self.first().and_then(name).and_then(|()| name(second));
        named.map_err(failed("writing the policy's file"))
    }

    /// Once for each: a probe makes a file and takes its key back, for which the kernel syncs the whole filesystem.
    fn probe(&mut self, encryption: Encryption) -> Result<(), CryptError> {
        if !self.able.contains(&encryption) {
            probe(&self.vaults, encryption)?.map_err(|error| self.with_advice(error))?;
            self.able.push(encryption);
        }
        Ok(())
    }

    /// Where the filesystem can't encrypt at all it is said which it is, and what to do.
    fn with_advice(&self, error: ProbeError) -> CryptError {
        let unable = matches!(error, ProbeError::Key(AddKeyError::Unsupported));
        let error = failed("trying the encryption that is asked for")(error);
        if unable {
            CryptError::because(&crate::agents::vaultmgr::hands::mounts::to_encrypt(&self.persist), error)
        } else {
            error
        }
    }
}
