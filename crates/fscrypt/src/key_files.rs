//! A vault's two key files as one: made, opened, and wrapped anew. Pure: keys and randomness are arguments.
//!
//! ```text
//! wrapping key --wraps--> protector key (ProtectorFile) --wraps--> content key (PolicyFile)
//! ```

use crate::{
    ContentKey, KeyIdentifier, Modes, ProtectorDescriptor, ProtectorKey, WrappingKey,
    metadata::{Iv, PolicyFile, ProtectorFile},
};

/// What makes a vault openable: its protector's file and its policy's file.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyFiles {
    /// Changes with each re-wrap.
    pub protector: ProtectorFile,
    /// Never changes.
    pub policy: PolicyFile,
}

/// Two IVs, random and different.
#[derive(Clone, Copy, Debug)]
pub struct Ivs {
    /// For the wrap of the protector's key.
    pub protector: Iv,
    /// For the wrap of the content key.
    pub policy: Iv,
}

/// Why key files did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Authentic under no key given. Changed bytes of this one wrap look the same: a second copy that is equal byte for
    /// byte tells a wrong key from damage.
    #[error("the key does not open this wrap")]
    WrongKey,
    /// Not what was written, whatever the key.
    #[error("the key files are damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
}

const fn damaged(what: &'static str) -> UnwrapError {
    UnwrapError::Damaged { what }
}

impl KeyFiles {
    /// Makes the files of a new vault. `name` is the protector's, unique per filesystem.
    pub fn make(
        content: &ContentKey,
        protector: &ProtectorKey,
        wrapping: &WrappingKey,
        name: &str,
        modes: Modes,
        ivs: Ivs,
    ) -> Self {
        Self {
            protector: ProtectorFile::seal(protector, wrapping, name, ivs.protector),
            policy: PolicyFile::seal(content, protector, modes, ivs.policy),
        }
    }

    /// Opens both files.
    ///
    /// # Errors
    /// [`UnwrapError::WrongKey`]: try another. [`UnwrapError::Damaged`]: no key will do; take the other copy.
    pub fn open(&self, wrapping: &WrappingKey) -> Result<(ContentKey, ProtectorKey), UnwrapError> {
        let protector = open_protector(&self.protector, wrapping)?;
        match open_policy(&self.policy, &protector) {
            Ok(content) => Ok((content, protector)),
            // The protector's key is proved, so it is the policy's file that is not of this vault any more.
            Err(UnwrapError::WrongKey) => Err(damaged("the policy does not name this protector")),
            Err(error) => Err(error),
        }
    }
}

/// Opens a protector's file; the key that comes out is proved to be the one that its descriptor names.
///
/// # Errors
/// As [`KeyFiles::open`].
pub fn open_protector(file: &ProtectorFile, wrapping: &WrappingKey) -> Result<ProtectorKey, UnwrapError> {
    let key = file.unwrap_key(wrapping).map_err(|_| UnwrapError::WrongKey)?;
    if ProtectorDescriptor::of(&key) != file.descriptor() {
        return Err(damaged("the protector's key and its descriptor differ"));
    }
    Ok(key)
}

/// Opens a policy's file with the protector's key itself, as whoever keeps it in memory can.
///
/// # Errors
/// [`UnwrapError::WrongKey`]: the policy names no such protector. [`UnwrapError::Damaged`]: it does, but does not open.
pub fn open_policy(file: &PolicyFile, protector: &ProtectorKey) -> Result<ContentKey, UnwrapError> {
    let key = file.unwrap_key(protector).ok_or(UnwrapError::WrongKey)?;
    let key = key.map_err(|_| damaged("the policy's key does not open under its protector"))?;
    if KeyIdentifier::of(&key) != file.policy().identifier {
        return Err(damaged("the policy's key and its identifier differ"));
    }
    Ok(key)
}

/// Wraps a protector's key anew under `wrapping` (VC-2). The content key and the policy's file stay.
pub fn rewrap(protector: &ProtectorKey, wrapping: &WrappingKey, name: &str, iv: Iv) -> ProtectorFile {
    ProtectorFile::seal(protector, wrapping, name, iv)
}
