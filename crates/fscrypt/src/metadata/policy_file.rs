//! A policy's file: how a directory is encrypted, and its content key wrapped by one or more protectors. Whoever holds the content key
//! may add a wrap: what others added is no business of ours, and stays as they wrote it.

use prost::Message;

use super::{
    Iv, MAX_FILE_LEN, NotAuthentic, ParseError, WrappedKey, decode,
    messages::{EncryptionOptions, PolicyData, WrappedPolicyKey},
    wrong,
};
use crate::{ContentKey, KeyIdentifier, Modes, Policy, ProtectorDescriptor, ProtectorKey};

/// The only policy version that we speak.
const POLICY_VERSION: i64 = 2;

/// A policy's file, checked: a version 2 policy, with at least one wrap of its key that reads. Its bytes stay as they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    policy: Policy,
    wraps: Vec<Wrap>,
    bytes: Vec<u8>,
}

/// The content key under one protector.
#[derive(Clone, Debug, PartialEq)]
struct Wrap {
    /// A `WrappedPolicyKey`, as it was written.
    bytes: Vec<u8>,
    /// Nothing where it does not read: of another's it may be a form that we do not know.
    by: Option<ProtectorDescriptor>,
    key: Option<WrappedKey<64>>,
}

impl PolicyFile {
    /// Wraps `content` under `protector`, for directories encrypted with `modes`.
    pub fn seal(content: &ContentKey, protector: &ProtectorKey, modes: Modes, iv: Iv) -> Self {
        let wrapped = WrappedKey::seal(protector.expose_protector_key(), content.expose_content_key(), iv);
        let by = ProtectorDescriptor::of(protector);
        let message =
            WrappedPolicyKey { protector_descriptor: by.to_string(), wrapped_key: Some(wrapped.message()) };
        let policy = Policy { identifier: KeyIdentifier::of(content), modes };
        Self::of(policy, vec![Wrap { bytes: message.encode_to_vec(), by: Some(by), key: Some(wrapped) }])
    }

    fn of(policy: Policy, wraps: Vec<Wrap>) -> Self {
        let modes = policy.modes;
        let options = EncryptionOptions {
            padding: modes.padding(),
            contents: modes.contents.into(),
            filenames: modes.filenames.into(),
            policy_version: POLICY_VERSION,
        };
        let message = PolicyData {
            key_descriptor: policy.identifier.to_string(),
            options: Some(options),
            wrapped_policy_keys: wraps.iter().map(|wrap| wrap.bytes.clone()).collect(),
        };
        Self { policy, wraps, bytes: message.encode_to_vec() }
    }

    /// Reads a file's bytes. That a wrap is authentic shows only when it is opened.
    ///
    /// # Errors
    /// [`ParseError`]: damaged, of policy version 1, without a wrap that reads, or not a policy's file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let message: PolicyData = decode(bytes)?;
        let identifier = message.key_descriptor.parse().map_err(|_| wrong("key_descriptor"))?;
        let modes = modes_of(&message.options.ok_or(wrong("options"))?)?;
        let wraps: Vec<_> = message.wrapped_policy_keys.into_iter().map(Wrap::read).collect();
        if !wraps.iter().any(|wrap| wrap.key.is_some()) {
            return Err(wrong("wrapped_policy_keys"));
        }
        Ok(Self { policy: Policy { identifier, modes }, wraps, bytes: bytes.into() })
    }

    /// The file's bytes: those that were read, whatever else is in them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The policy that directories of this file have in the kernel.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The protectors under which a wrap of the key reads, in the file's order.
    pub fn protectors(&self) -> impl Iterator<Item = ProtectorDescriptor> {
        self.wraps.iter().filter_map(|wrap| wrap.by.filter(|_| wrap.key.is_some()))
    }

    /// All protectors that it names, though a wrap of theirs may not read.
    pub fn named(&self) -> impl Iterator<Item = ProtectorDescriptor> {
        self.wraps.iter().filter_map(|wrap| wrap.by)
    }

    /// All that opens it beside `ours`: the protector of each other wrap, or nothing where not even that reads.
    pub fn others(&self, ours: ProtectorDescriptor) -> impl Iterator<Item = Option<ProtectorDescriptor>> {
        let skip = self.place(ours);
        self.wraps.iter().enumerate().filter(move |(at, _)| Some(*at) != skip).map(|(_, wrap)| wrap.by)
    }

    /// Whether this file and `other` say the same of `ours`: the same policy, and the same wrap. Wraps of others may differ.
    pub fn agrees(&self, other: &Self, ours: ProtectorDescriptor) -> bool {
        self.policy == other.policy && self.wraps_alike(other, ours)
    }

    /// Whether both have the same wrap under `ours`, whatever else they say of modes.
    #[must_use]
    pub fn wraps_alike(&self, other: &Self, ours: ProtectorDescriptor) -> bool {
        let (Some(here), Some(there)) = (self.place(ours), other.place(ours)) else { return false };
        self.wraps[here] == other.wraps[there]
    }

    /// This file with policy and wrap of `ours` as `good` has them, and all other wraps as they are here, byte for byte.
    ///
    /// # Errors
    /// [`ParseError::TooLong`]: there is no room for it. [`ParseError::Field`]: `good` has no such wrap.
    pub fn mended(&self, good: &Self, ours: ProtectorDescriptor) -> Result<Self, ParseError> {
        let good_wrap = &good.wraps[good.place(ours).ok_or(wrong("wrapped_policy_keys"))?];
        let mut wraps = self.wraps.clone();
        match self.damaged(ours, good_wrap) {
            Some(place) => wraps[place] = good_wrap.clone(),
            None => wraps.insert(0, good_wrap.clone()),
        }
        let mended = Self::of(good.policy, wraps);
        match mended.bytes.len() {
            len if len > MAX_FILE_LEN => Err(ParseError::TooLong { len }),
            _ => Ok(mended),
        }
    }

    /// This file without the wraps under `gone`, and with one of `content` under `added` at its beginning; all other wraps as they are here, byte
    /// for byte.
    ///
    /// # Errors
    /// [`ParseError::TooLong`]: there is no room for it. [`ParseError::Field`]: no wrap would be left.
    pub fn rewrapped(
        &self,
        gone: &dyn Fn(ProtectorDescriptor) -> bool,
        added: Option<(&ContentKey, &ProtectorKey, Iv)>,
    ) -> Result<Self, ParseError> {
        let added =
            added.map(|(content, protector, iv)| Self::seal(content, protector, self.policy.modes, iv).wraps);
        let stays = |wrap: &&Wrap| !wrap.by.is_some_and(gone);
        let wraps: Vec<Wrap> =
            added.into_iter().flatten().chain(self.wraps.iter().filter(stays).cloned()).collect();
        if !wraps.iter().any(|wrap| wrap.key.is_some()) {
            return Err(wrong("wrapped_policy_keys"));
        }
        let rewrapped = Self::of(self.policy, wraps);
        match rewrapped.bytes.len() {
            len if len > MAX_FILE_LEN => Err(ParseError::TooLong { len }),
            _ => Ok(rewrapped),
        }
    }

    /// Unwraps the content key; `None` when `protector` wraps it not.
    pub(crate) fn unwrap_key(&self, protector: &ProtectorKey) -> Option<Result<ContentKey, NotAuthentic>> {
        let wrapped = self.wraps[self.place(ProtectorDescriptor::of(protector))?].key.as_ref()?;
        Some(ContentKey::init(|key| wrapped.open(protector.expose_protector_key(), key)))
    }

    /// Where a wrap is that was `good` once: by its protector, by its key, or because it does not read.
    fn damaged(&self, ours: ProtectorDescriptor, good: &Wrap) -> Option<usize> {
        let place = |is: &dyn Fn(&Wrap) -> bool| self.wraps.iter().position(is);
        place(&|wrap| wrap.by == Some(ours))
            .or_else(|| place(&|wrap| wrap.key == good.key))
            .or_else(|| place(&|wrap| wrap.key.is_none()))
    }

    /// Where the wrap under a protector is, if it reads.
    fn place(&self, by: ProtectorDescriptor) -> Option<usize> {
        self.wraps.iter().position(|wrap| wrap.by == Some(by) && wrap.key.is_some())
    }
}

impl Wrap {
    fn read(bytes: Vec<u8>) -> Self {
        let message = WrappedPolicyKey::decode(&*bytes).unwrap_or_default();
        let by = message.protector_descriptor.parse().ok();
        let key = by.and_then(|_| WrappedKey::parse(message.wrapped_key.as_ref()).ok());
        Self { bytes, by, key }
    }
}

fn modes_of(options: &EncryptionOptions) -> Result<Modes, ParseError> {
    if options.policy_version != POLICY_VERSION {
        return Err(wrong("policy_version"));
    }
    Modes::from_options(options.padding, options.contents.into(), options.filenames.into())
        .ok_or(wrong("options"))
}
