//! To whom a vault's recovery key is encrypted: X25519 recipients in the form of age (<https://age-encryption.org/v1>), whose identities
//! an operator keeps offline. Public keys only; whoever has one of the identities and the node's disk opens the vault, by nothing else.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{agreement, digest};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use serde::{Deserialize, Serialize};

/// Most recipients of one policy.
pub const MAX_RECIPIENTS: usize = 8;
const HRP: Hrp = Hrp::parse_unchecked("age");
const DIGEST_LABEL: &[u8] = b"eve-vault recipients v1";

/// One recipient: an X25519 public key, written `age1...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient([u8; 32]);

/// What is wrong with recipients; the text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecipients {
    /// Not one of the form.
    #[error("write what `age-keygen` prints as public key: `age1` and 58 letters and digits")]
    Form,
    /// A point that gives the same secret whatever the other key is.
    #[error("nothing can be encrypted to it: write what `age-keygen` prints as public key")]
    LowOrder,
    /// One is there twice.
    #[error("name each recipient once")]
    Twice,
    /// More than there may be.
    #[error("name at most {MAX_RECIPIENTS} recipients")]
    TooMany,
}

impl Recipient {
    /// Checks a public key's bytes.
    ///
    /// # Errors
    /// [`BadRecipients::LowOrder`].
    pub fn of(bytes: [u8; 32]) -> Result<Self, BadRecipients> {
        // Which key is agreed with does not matter: a point of low order gives zero with each, and that is an error (RFC 7748, section 6.1).
        let any = agreement::PrivateKey::from_private_key(&agreement::X25519, &[0x55; 32]);
        let any = any.expect("any 32 bytes are an X25519 private key");
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, bytes);
        let agreed = agreement::agree(&any, peer, BadRecipients::LowOrder, |_| Ok(()));
        agreed.map(|()| Self(bytes))
    }

    /// The public key.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = BadRecipients;
    fn from_str(text: &str) -> Result<Self, BadRecipients> {
        let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| BadRecipients::Form)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if checked.hrp() == HRP && lower => Self::of(bytes),
            _ => Err(BadRecipients::Form),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_to_fmt::<Bech32, _>(f, HRP, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Recipient {
    type Error = BadRecipients;
    fn try_from(text: String) -> Result<Self, BadRecipients> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

/// The recipients of one policy: each once, in the order of their keys, at most [`MAX_RECIPIENTS`]. None: there is no recovery key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Recipient>", into = "Vec<Recipient>")]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// No recovery key.
    pub const NONE: Self = Self(Vec::new());

    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Recipient] {
        &self.0
    }

    /// What tells them from others, in whatever order they were written; nothing where there are none.
    #[must_use]
    pub fn digest(&self) -> Option<RecipientsDigest> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(DIGEST_LABEL);
        self.0.iter().for_each(|recipient| hash.update(&recipient.0));
        let bytes = hash.finish();
        let first = bytes.as_ref().first_chunk().expect("SHA-256 has more bytes");
        (!self.is_none()).then_some(RecipientsDigest::Whole(*first))
    }
}

impl TryFrom<Vec<Recipient>> for Recipients {
    type Error = BadRecipients;
    fn try_from(mut all: Vec<Recipient>) -> Result<Self, BadRecipients> {
        all.sort_unstable();
        if all.len() > MAX_RECIPIENTS {
            return Err(BadRecipients::TooMany);
        }
        let is_twice = all.windows(2).any(|pair| pair[0] == pair[1]);
        if is_twice { Err(BadRecipients::Twice) } else { Ok(Self(all)) }
    }
}

impl From<Recipients> for Vec<Recipient> {
    fn from(recipients: Recipients) -> Self {
        recipients.0
    }
}

/// The beginning of a SHA-256 over recipients. It is kept with the recovery protector, authenticated by nothing: a hint on whether
/// that is encrypted to the wanted ones, by which it is replaced and never opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecipientsDigest {
    /// Sixteen bytes of it: nobody finds other recipients that have the same.
    Whole([u8; 16]),
    /// Six bytes, in names of before. None is written any more.
    Short([u8; 6]),
}

impl RecipientsDigest {
    /// Whether it may be of the recipients that another is of. A short one is told by its six bytes.
    #[must_use]
    pub fn may_be(self, other: Self) -> bool {
        let (one, other) = (self.bytes(), other.bytes());
        one.starts_with(other) || other.starts_with(one)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Short(bytes) => bytes,
        }
    }
}

impl fmt::Debug for RecipientsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From age's specification and its `age-keygen`.
    const ONE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const OTHER: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn recipient(text: &str) -> Recipient {
        text.parse().expect("a recipient")
    }

    /// UC-E: what age takes is taken, and is written as it was.
    #[test]
    fn a_recipient_reads_and_writes_back() {
        for text in [ONE, OTHER] {
            assert_eq!(recipient(text).to_string(), text);
        }
    }

    /// UC-E: what nothing, or not this program, can encrypt to is refused at the door.
    #[test]
    fn what_is_no_recipient_is_refused() {
        let flipped = ONE.replace("ql3z", "ql3x");
        let secret = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        for text in ["", "age1", &ONE[..60], &flipped, &ONE.to_uppercase(), secret, &format!(" {ONE}")] {
            assert_eq!(text.parse::<Recipient>(), Err(BadRecipients::Form), "{text}");
        }
        for low in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert_eq!(Recipient::of(low), Err(BadRecipients::LowOrder));
        }
    }

    /// UC-E: recipients are a set, and their digest tells sets apart.
    #[test]
    fn recipients_are_a_set() {
        let (one, other) = (recipient(ONE), recipient(OTHER));
        let of = |all: Vec<Recipient>| Recipients::try_from(all);
        let both = of(vec![one, other]).expect("two");
        assert_eq!(of(vec![other, one]).expect("the same").digest(), both.digest());
        assert_ne!(of(vec![one]).expect("one").digest(), both.digest());
        assert_eq!(Recipients::NONE.digest(), None);
        let whole = both.digest().expect("there are some");
        let short = RecipientsDigest::Short(*whole.bytes().first_chunk().expect("sixteen"));
        assert_eq!(whole.bytes().len(), 16, "{whole:?}");
        assert!(short.may_be(whole) && whole.may_be(short) && whole.may_be(whole), "a name of before");
        assert!(!short.may_be(of(vec![one]).expect("one").digest().expect("some")));
        assert_eq!(of(vec![one, one]), Err(BadRecipients::Twice));
        let many = (0..=MAX_RECIPIENTS).map(|n| Recipient([9 + n as u8; 32])).collect();
        assert_eq!(of(many), Err(BadRecipients::TooMany));
    }
}
