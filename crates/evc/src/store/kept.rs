//! What columns hold whole, as types: as JSON, or packed where each attestation reads them. An engine writes and reads them at the row's edge,
//! and nobody picks them apart.
//! What a record is worth is for `fleet` to say, which makes and judges them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::UNIX_EPOCH;

use ::attest::{PcrBank, PcrDigest, PcrValues};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vault::ids::{DeviceId, Generation, Incarnation, SectionVersion, VaultId};
use vault::report::VaultReport;
use wire::info::{AttestationState, TpmPresence};

use super::UnixSeconds;
use super::found::OfEvidence;

/// What a device showed as evidence. It is no verdict: each decision judges it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) session: [u8; 32],
    pub(crate) nonce: [u8; 32],
    #[serde(with = "hex_text")]
    pub(crate) claims: Vec<u8>,
    #[serde(with = "hex_text")]
    pub(crate) attest_data: Vec<u8>,
    #[serde(with = "hex_text")]
    pub(crate) signature: Vec<u8>,
    #[serde(with = "hex_text_if_any")]
    pub(crate) device_signature: Option<Vec<u8>>,
    pub(crate) pcrs: Pcrs,
    /// The quote before this one, for continuity.
    #[serde(with = "hex_text_if_any")]
    pub(crate) before: Option<Vec<u8>>,
}

impl Record {
    /// Bytes of what a device can make long.
    pub(crate) fn bytes(&self) -> usize {
        let long = [&self.claims, &self.attest_data, &self.signature];
        let some = [&self.device_signature, &self.before].into_iter().flatten();
        long.into_iter().chain(some).map(Vec::len).sum()
    }
}

/// PCRs of one bank and their values; as text in hexadecimal: 64 digits in the SHA-256 bank, the only one that earlier builds knew, 96 in
/// the SHA-384 one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pcrs(pub PcrValues);

impl Serialize for Pcrs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return BTreeMap::<u8, String>::from(self.clone()).serialize(to);
        }
        to.collect_map(self.0.iter().map(|(pcr, value)| (pcr, value.as_bytes())))
    }
}

impl<'de> Deserialize<'de> for Pcrs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let texts = BTreeMap::<u8, String>::deserialize(from)?;
            return Self::try_from(texts).map_err(D::Error::custom);
        }
        let values = BTreeMap::<u8, &[u8]>::deserialize(from)?;
        Self::of_one_bank(&values).ok_or_else(|| D::Error::custom(NOT_OF_ONE_BANK))
    }
}

const NOT_OF_ONE_BANK: &str = "not all PCR values have 32 bytes, or all 48";

impl Pcrs {
    /// Their bank; none where there are none.
    #[must_use]
    pub fn bank(&self) -> Option<PcrBank> {
        self.0.values().next().map(PcrDigest::bank)
    }

    /// None: they are not all as long as one bank's.
    fn of_one_bank(values: &BTreeMap<u8, impl AsRef<[u8]>>) -> Option<Self> {
        let is_long = values.values().all(|value| value.as_ref().len() == 48);
        let bank = if is_long { PcrBank::Sha384 } else { PcrBank::Sha256 };
        let value = |(pcr, value): (&u8, _)| Some((*pcr, PcrDigest::in_bank(bank, AsRef::as_ref(value))?));
        values.iter().map(value).collect::<Option<_>>().map(Self)
    }
}

impl TryFrom<BTreeMap<u8, String>> for Pcrs {
    type Error = &'static str;
    fn try_from(texts: BTreeMap<u8, String>) -> Result<Self, Self::Error> {
        let bytes = texts.into_iter().map(|(pcr, text)| Some((pcr, hex::decode(text).ok()?)));
        let bytes: Option<BTreeMap<u8, Vec<u8>>> = bytes.collect();
        bytes.and_then(|values| Self::of_one_bank(&values)).ok_or(NOT_OF_ONE_BANK)
    }
}

impl From<Pcrs> for BTreeMap<u8, String> {
    fn from(pcrs: Pcrs) -> Self {
        pcrs.0.into_iter().map(|(pcr, value)| (pcr, hex::encode(value.as_bytes()))).collect()
    }
}

/// How a device's last evidence fared, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fared {
    /// When.
    pub at: UnixSeconds,
    /// From which address it came; of IPv6 its /64.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The session that it names: the first digits of its key.
    #[serde(default)]
    pub session: Option<String>,
    /// The PCRs that were to be quoted, and of which bank they were.
    #[serde(default)]
    pub pcrs: Option<String>,
    /// What came of it.
    pub outcome: Appraised,
    /// What was found; none where a build of before kept it, in `words`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<OfEvidence>,
    /// The same in sentences, of a build of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Of a quote whose PCRs are of no reference value: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strange: Option<Strange>,
    /// It is good and satisfied none of its device's policies.
    #[serde(default)]
    pub unmet: bool,
    /// It was refused for this alone, that its TPM is behind what it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub went_back: bool,
}

/// How PCRs are of no reference value that an operator approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strange {
    /// Nothing measured the boot.
    Unmeasured,
    /// They differ.
    Differ,
    /// No reference value is approved.
    Unapproved,
}

impl Fared {
    /// Whether it stands.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.outcome != Appraised::Refused
    }
}

/// What came of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Appraised {
    /// A TPM quoted.
    Quoted,
    /// The device key signed, for there is no TPM.
    DeviceSigned,
    /// It is worth nothing.
    Refused,
}

/// What a device reported of itself. Of vaults it holds the default ones, and those that no row is kept of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// When it came.
    pub received: Moment,
    /// Its TPM.
    pub tpm: TpmPresence,
    /// Maker and version of its TPM, for people.
    #[serde(default)]
    pub tpm_info: String,
    /// Where its attestation stands, as EVE says it.
    pub attestation: AttestationState,
    /// What went wrong with it.
    #[serde(default)]
    pub attestation_error: Option<String>,
    /// The newest section that it accepted.
    #[serde(default)]
    pub accepted: Option<Accepted>,
    /// The device that it was for, as the node says it: another one, where this one was deleted and let in anew.
    #[serde(default)]
    pub accepted_for: Option<DeviceId>,
    /// What is not checked or needs care, in human words.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Vaults, as far as this version understands what was said of them.
    #[serde(default, deserialize_with = "understood")]
    pub vaults: Vec<VaultReport>,
    /// Those of them of which a row is kept that is gone: orphans, and what is open, which its node is to erase unless it goes by a newer list.
    #[serde(default)]
    pub of_gone: BTreeSet<VaultId>,
    /// When it last spoke of those; none: with the rest.
    #[serde(default)]
    pub vaults_received: Option<Moment>,
    /// The disk of its persist is not there: nothing is known of the vaults on it.
    #[serde(default)]
    pub disk_away: bool,
    /// The generation of its TPM's roots in force; none: it did not say.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Whether firmware measured its boot, by the last session that gave evidence; none: nobody said.
    #[serde(default)]
    pub measured: Option<bool>,
    /// When it last said of the vaults that have rows what these say. A row is written when what is said of it changes.
    #[serde(default)]
    pub repeated: Option<Repeated>,
}

/// A time for the rows of many vaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// The time.
    pub at: Moment,
    /// Vaults that it did not speak of then: of these the row's own time holds.
    #[serde(default)]
    pub but: BTreeSet<VaultId>,
}

impl DeviceReport {
    /// When it last said what a vault's row says, where that is not the time of the row.
    #[must_use]
    pub fn repeated(&self, vault: VaultId) -> Option<UnixSeconds> {
        self.repeated.as_ref().filter(|repeated| !repeated.but.contains(&vault)).map(|repeated| repeated.at.0)
    }

    /// When it last spoke of its vaults.
    #[must_use]
    pub fn vaults_received(&self) -> Moment {
        self.vaults_received.unwrap_or(self.received)
    }
}

/// What was said of a vault in words of another version is left out alone.
pub(crate) fn understood<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<VaultReport>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Line {
        Understood(Box<VaultReport>),
        Other(IgnoredAny),
    }
    let lines = Vec::<Line>::deserialize(from)?.into_iter();
    Ok(lines
        .filter_map(|line| match line {
            Line::Understood(report) => Some(*report),
            Line::Other(_) => None,
        })
        .collect())
}

/// A section's place in its device's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The life of the controller's database.
    #[serde(with = "hex_text")]
    pub incarnation: [u8; 16],
    /// Counts up within it.
    pub version: u64,
}

impl From<SectionVersion> for Accepted {
    fn from(at: SectionVersion) -> Self {
        let Incarnation(incarnation) = at.incarnation;
        Self { incarnation, version: at.version }
    }
}

/// A time that is kept as text: RFC 3339, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(pub UnixSeconds);

impl TryFrom<String> for Moment {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let at = humantime::parse_rfc3339(&text).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        at.map(|since| Self(since.as_secs())).ok_or("no time since 1970 in RFC 3339")
    }
}

impl From<Moment> for String {
    fn from(at: Moment) -> Self {
        crate::clock::text(at.0)
    }
}

/// Bytes; in text formats as hexadecimal digits.
mod hex_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&hex::encode(bytes))
        } else {
            to.serialize_bytes(bytes.as_ref())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(
        from: D,
    ) -> Result<B, D::Error> {
        let bytes = if from.is_human_readable() {
            hex::decode(String::deserialize(from)?).map_err(D::Error::custom)?
        } else {
            <&[u8]>::deserialize(from)?.to_vec()
        };
        B::try_from(bytes).map_err(|_| D::Error::custom("not so many bytes"))
    }
}

/// The same, or nothing.
mod hex_text_if_any {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Bytes(#[serde(with = "super::hex_text")] Vec<u8>);

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.clone().map(Bytes).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::deserialize(from)?.map(|Bytes(bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(u8, String)]) -> Option<Pcrs> {
        let texts: BTreeMap<u8, String> = values.iter().cloned().collect();
        Pcrs::try_from(texts).ok()
    }

    /// AC-3, invariant 4: what earlier builds kept, 64 digits each, is of the SHA-256 bank; both banks read back; no record is of two, or of a value
    /// that was cut.
    #[test]
    fn the_bank_is_told_by_the_length_of_its_values() {
        let all = |digits: usize| vec![(0, "a5".repeat(digits / 2)), (4, "07".repeat(digits / 2))];
        for (digits, bank) in [(64, Some(PcrBank::Sha256)), (96, Some(PcrBank::Sha384))] {
            let pcrs = read(&all(digits)).expect("reads");
            assert_eq!(pcrs.bank(), bank);
            assert_eq!(Pcrs::try_from(BTreeMap::from(pcrs.clone())), Ok(pcrs));
        }
        assert_eq!(read(&[]).expect("of a TPM without a bank").bank(), None);
        let of_two = [all(64), all(96)].map(|values| values[0].clone());
        assert_eq!(read(&[of_two[0].clone(), (1, of_two[1].1.clone())]), None, "two banks");
        assert_eq!(read(&[of_two[1].clone(), (1, of_two[0].1.clone())]), None, "two banks");
        for digits in [40, 62, 66, 94, 98, 128] {
            assert_eq!(read(&all(digits)), None, "{digits}");
        }
    }
}
