//! What [`super::Kernel`] is made of: files of one copy written and wiped, and our words turned into fscrypt's.

use std::path::Path;

use fscrypt::{ContentKey, Iv, KeyFiles, MetaDir, MetaError, Modes, ProbeError, WrappingKey};
use vault::secret::{RecoveryKey, WrappingSecret};
use vault::section::Encryption;

use super::files::Names;
use super::others::Doomed;
use super::{CryptError, failed};
use crate::agents::vaultmgr::generation::shares::random;

/// Writes both files of one copy, durably.
pub(super) fn write(folder: &MetaDir, files: &KeyFiles) -> Result<(), CryptError> {
    folder.write(files).map_err(failed("writing metadata"))
}

/// Overwrites and unlinks what goes with a vault from the first place, durably. Others' protectors before the policy: after a cut they are
/// found by it again.
pub(super) fn wipe(folder: &MetaDir, doomed: &Doomed) -> Result<(), MetaError> {
    doomed.others.iter().try_for_each(|protector| folder.remove_protector(*protector))?;
    wipe_names(folder, &doomed.ours)
}

/// Overwrites and unlinks all that is in a folder of one vault alone, durably; in the same order.
pub(super) fn wipe_all(folder: &MetaDir, doomed: &Doomed) -> Result<(), MetaError> {
    let all = Names::in_all_of(folder)?;
    let others = all.protectors.difference(&doomed.ours.protectors);
    others.copied().try_for_each(|protector| folder.remove_protector(protector))?;
    wipe_names(folder, &all)
}

fn wipe_names(folder: &MetaDir, names: &Names) -> Result<(), MetaError> {
    names.policies.iter().try_for_each(|policy| folder.remove_policy(*policy))?;
    names.protectors.iter().try_for_each(|protector| folder.remove_protector(*protector))
}

pub(super) fn modes(encryption: Encryption) -> Modes {
    match encryption {
        Encryption::Aes256Xts => Modes::AES_256_XTS,
        Encryption::Adiantum => Modes::ADIANTUM,
    }
}

pub(super) fn encryption(found: Modes) -> Option<Encryption> {
    [Encryption::Aes256Xts, Encryption::Adiantum].into_iter().find(|ours| modes(*ours) == found)
}

pub(super) fn iv() -> Result<Iv, CryptError> {
    let mut bytes = [0; 16];
    random(&mut bytes).map_err(failed("drawing an initialisation vector"))?;
    Ok(Iv(bytes))
}

/// A recovery key is what wraps its protector's key.
pub(super) fn recovery_key(key: &RecoveryKey) -> WrappingKey {
    let Ok(key) = WrappingKey::init::<std::convert::Infallible>(|out| {
        out.copy_from_slice(key.expose_recovery_key());
        Ok(())
    });
    key
}

pub(super) fn wrapping_key(secret: &WrappingSecret) -> WrappingKey {
    let Ok(key) = WrappingKey::init::<std::convert::Infallible>(|out| {
        out.copy_from_slice(secret.expose_wrapping_secret());
        Ok(())
    });
    key
}

/// Only making a file tells whether the kernel has the cipher.
pub(super) fn probe(parent: &Path, encryption: Encryption) -> Result<Result<(), ProbeError>, CryptError> {
    let key = ContentKey::init(random).map_err(failed("drawing a key"))?;
    Ok(fscrypt::probe_modes(parent, modes(encryption), &key))
}
