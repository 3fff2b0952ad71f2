//! Names of things: vaults, devices, projects, epochs, generations, versions of the section.
//! A newtype each, so that none is taken for another. Never holds a secret.

use std::fmt;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::text::typed;

/// Identity of a vault, made by the controller (VC-1); fixed for the two default vaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaultId(pub Uuid);

/// The Config Vault (DF-1): `/persist/config`. The same on every node.
pub const CONFIG_VAULT: VaultId = VaultId(Uuid::from_u128(0x6576_6500_0000_5000_8000_0000_0000_0001));
/// The Image Vault (DF-2): `/persist/img`. The same on every node.
pub const IMAGE_VAULT: VaultId = VaultId(Uuid::from_u128(0x6576_6500_0000_5000_8000_0000_0000_0002));

impl VaultId {
    /// Whether this is one of the two default vaults, which absence never deletes.
    #[must_use]
    pub fn is_default(self) -> bool {
        self == CONFIG_VAULT || self == IMAGE_VAULT
    }
}

/// Identity of an edge node, made by the controller at registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub Uuid);

/// An edge node's own key: SHA-256 of its `SubjectPublicKeyInfo` (RFC 5280, DER). A certificate made anew for the same key has the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceKey(pub [u8; 32]);

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

macro_rules! uuid_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}
uuid_text!(VaultId, DeviceId);

/// Number of a controller key of one vault; counts up from 1, one more at each rotation (VC-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch a vault is made under.
    pub const FIRST: Self = Self(1);

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Number of a set of TPM roots on a node; counts up from 1, one more at each generation change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation a node starts with.
    pub const FIRST: Self = Self(1);

    /// The one after it, while numbers last.
    #[must_use]
    pub fn after(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// One life of a controller's database: random, new at first start and at every restore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({})", Uuid::from_bytes(self.0))
    }
}

/// Where a section stands in its device's history: `version` counts within `incarnation`, a lower one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SectionVersion {
    /// The life of the controller's database.
    pub incarnation: Incarnation,
    /// Counts up within it, per device.
    pub version: u64,
}

/// SHA-256 of a vault section as it was sent: its place in the chain that node and controller both keep.
/// In text formats 64 hexadecimal digits: a controller reads dozens of them for each poll, and a list of numbers costs it many times that.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionDigest(pub [u8; 32]);

impl Serialize for SectionDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(&hex::encode(self.0)) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for SectionDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            from.deserialize_any(DigestText)
        } else {
            <_>::deserialize(from).map(Self)
        }
    }
}

/// Reads hexadecimal digits, and the list of numbers that was written before.
struct DigestText;

impl<'de> Visitor<'de> for DigestText {
    type Value = SectionDigest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SectionDigest, E> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(E::custom)?;
        Ok(SectionDigest(digest))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<SectionDigest, A::Error> {
        <_>::deserialize(SeqAccessDeserializer::new(numbers)).map(SectionDigest)
    }
}

impl fmt::Debug for SectionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A user's name for a vault, policy or device: 1 to 64 of `a-z A-Z 0-9 . _ -`, or with inner spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 64 letters, digits, dots, underscores, hyphens or inner spaces, and starts with a letter or digit"
)]
pub struct BadName;

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ');
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts && text.len() <= 64 && text.chars().all(allowed) && !text.ends_with(' ') {
            Ok(Self(text))
        } else {
            Err(BadName)
        }
    }
}

impl FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// As it is; by `{:#}` as it is typed into a shell, where a command is advised.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&typed(&self.0)) } else { f.write_str(&self.0) }
    }
}

/// A tenant of a controller. Names of devices and policies are unique within one, an operator's token is of one, and a vault's keys are
/// sealed for one: what is of one project is not there for another. As [`Name`]s are, so without a slash: it is a part of what keys are bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Project(Name);

impl Project {
    /// The one that everything is of where no other was named.
    pub const DEFAULT: &'static str = "default";

    /// Its name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for Project {
    fn default() -> Self {
        Self(Name(Self::DEFAULT.to_owned()))
    }
}

impl TryFrom<String> for Project {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Name::try_from(text).map(Self)
    }
}

impl FromStr for Project {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record or ledger of before is read, and each is written anew in digits.
    #[test]
    fn a_digest_is_digits_in_text_and_reads_as_numbers_too() {
        let digest = SectionDigest([0xab; 32]);
        let digits = format!("\"{}\"", "ab".repeat(32));
        assert_eq!(serde_json::to_string(&digest).expect("writes"), digits);
        for text in [digits, format!("{:?}", [0xab; 32])] {
            assert_eq!(serde_json::from_str::<SectionDigest>(&text).expect(&text), digest);
        }
        for text in ["\"abab\"", "[171]", "\"zz\"", "7", "null"] {
            assert!(serde_json::from_str::<SectionDigest>(text).is_err(), "{text}");
        }
    }

    /// UC-C; threats, Controller: a project is a checked name. None has the slash that parts it from what stands after it where keys are bound to it.
    #[test]
    fn a_project_is_a_name_and_the_default_one_is_too() {
        assert_eq!(Project::DEFAULT.parse(), Ok(Project::default()));
        for good in ["default", "berlin", "Shop 7", "a.b_c-d"] {
            assert_eq!(good.parse::<Project>().map(|project| project.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a/b", "/", " a", "a ", "../a", "a\n", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<Project>(), Err(BadName), "{bad:?}");
            assert!(serde_json::from_value::<Project>(bad.into()).is_err(), "{bad:?}");
        }
    }
}
