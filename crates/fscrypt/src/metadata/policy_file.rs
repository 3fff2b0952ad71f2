//! A policy's file: how a directory is encrypted, and its content key wrapped by one or more protectors.

use prost::Message;

use super::{
    Iv, NotAuthentic, ParseError, WrappedKey, decode,
    messages::{EncryptionOptions, PolicyData, WrappedPolicyKey},
    wrong,
};
use crate::{ContentKey, KeyIdentifier, Modes, Policy, ProtectorDescriptor, ProtectorKey};

/// The only policy version that we speak.
const POLICY_VERSION: i64 = 2;

/// A policy's file, checked: a version 2 policy, with at least one wrap of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    policy: Policy,
    wraps: Vec<(ProtectorDescriptor, WrappedKey<64>)>,
}

impl PolicyFile {
    /// Wraps `content` under `protector`, for directories encrypted with `modes`.
    pub fn seal(content: &ContentKey, protector: &ProtectorKey, modes: Modes, iv: Iv) -> Self {
        let wrapped = WrappedKey::seal(protector.expose_protector_key(), content.expose_content_key(), iv);
        let policy = Policy { identifier: KeyIdentifier::of(content), modes };
        Self { policy, wraps: vec![(ProtectorDescriptor::of(protector), wrapped)] }
    }

    /// Reads a file's bytes. That a wrap is authentic shows only when it is opened.
    ///
    /// # Errors
    /// [`ParseError`]: damaged, of policy version 1, or not a policy's file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let message: PolicyData = decode(bytes)?;
        let identifier = message.key_descriptor.parse().map_err(|_| wrong("key_descriptor"))?;
        let modes = modes_of(&message.options.ok_or(wrong("options"))?)?;
        let wraps = message.wrapped_policy_keys.iter().map(wrap_of).collect::<Result<Vec<_>, _>>()?;
        if wraps.is_empty() {
            return Err(wrong("wrapped_policy_keys"));
        }
        Ok(Self { policy: Policy { identifier, modes }, wraps })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let modes = self.policy.modes;
        let options = EncryptionOptions {
            padding: modes.padding(),
            contents: modes.contents.into(),
            filenames: modes.filenames.into(),
            policy_version: POLICY_VERSION,
        };
        let wrapped_policy_keys = self.wraps.iter().map(|(protector, wrapped)| WrappedPolicyKey {
            protector_descriptor: protector.to_string(),
            wrapped_key: Some(wrapped.message()),
        });
        PolicyData {
            key_descriptor: self.policy.identifier.to_string(),
            options: Some(options),
            wrapped_policy_keys: wrapped_policy_keys.collect(),
        }
        .encode_to_vec()
    }

    /// The policy that directories of this file have in the kernel.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The protectors that wrap the key, in the file's order.
    pub fn protectors(&self) -> impl Iterator<Item = ProtectorDescriptor> {
        self.wraps.iter().map(|(protector, _)| *protector)
    }

    /// Unwraps the content key; `None` when `protector` wraps it not.
    pub(crate) fn unwrap_key(&self, protector: &ProtectorKey) -> Option<Result<ContentKey, NotAuthentic>> {
        let descriptor = ProtectorDescriptor::of(protector);
        let (_, wrapped) = self.wraps.iter().find(|(of, _)| *of == descriptor)?;
        Some(ContentKey::init(|key| wrapped.open(protector.expose_protector_key(), key)))
    }
}

fn modes_of(options: &EncryptionOptions) -> Result<Modes, ParseError> {
    if options.policy_version != POLICY_VERSION {
        return Err(wrong("policy_version"));
    }
    Modes::from_options(options.padding, options.contents.into(), options.filenames.into())
        .ok_or(wrong("options"))
}

fn wrap_of(message: &WrappedPolicyKey) -> Result<(ProtectorDescriptor, WrappedKey<64>), ParseError> {
    let protector = message.protector_descriptor.parse().map_err(|_| wrong("protector_descriptor"))?;
    Ok((protector, WrappedKey::parse(message.wrapped_key.as_ref())?))
}
