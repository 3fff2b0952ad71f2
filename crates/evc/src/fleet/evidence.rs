//! Evidence as it is kept, and its judgement by `attest`: the only place where this crate speaks to it.
//! Kept is what the device showed, never a verdict: each decision judges it anew, so a written-down "passed" is worth nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ::attest::{Appraisal, BadDeviceSignature, DeviceSession, Finding, PcrValues, SessionKey, Verdict};
use serde::{Deserialize, Serialize};
use vault::decide::Standing;
use wire::attest::{PcrAlgorithm, Quote};

use crate::store::{CertRow, DeviceRow, ReferenceRow, ReferenceState, Tpm, UnixSeconds};

/// `ZCertType` of the attestation key's certificate.
pub(crate) const ATTESTATION_CERT: i32 = 11;

/// What a device showed, as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    session: [u8; 32],
    nonce: [u8; 32],
    #[serde(with = "hex_text")]
    claims: Vec<u8>,
    #[serde(with = "hex_text")]
    attest_data: Vec<u8>,
    #[serde(with = "hex_text")]
    signature: Vec<u8>,
    device_signature: Option<String>,
    /// PCR of the SHA-256 bank to its value, in hexadecimal.
    pcrs: BTreeMap<u8, String>,
    /// The quote before this one, for continuity.
    before: Option<String>,
}

/// What a piece of evidence is worth.
pub enum Shown {
    /// A TPM quoted.
    Quoted(Box<Appraisal>),
    /// The device key signed.
    DeviceSigned(DeviceSession),
}

/// Why evidence is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is bound to no session.
    Unbound,
    /// Its nonce is not one of this device's, was used, or is out of date.
    Nonce,
    /// The node has a TPM, and sent no quote of it.
    Unquoted,
    /// No attestation key is pinned that could have made the quote.
    NoAttestationKey,
    /// The device's signature is not good.
    Signature(BadSignature),
    /// The quote is not good.
    Quote(BadQuote),
    /// The TPM's counters or clock are behind what they were: this is a copy of it, or it was put back.
    WentBack(Finding),
}

/// How a device's signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSignature {
    /// It has not 64 bytes.
    Length,
    /// The device's certificate, as stored, does not read.
    Certificate,
    /// It does not verify.
    Unverified(BadDeviceSignature),
}

/// How a quote is not good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadQuote {
    /// A PCR's value has not 32 bytes.
    PcrValue,
    /// The quote before it, as kept, does not read.
    Before,
    /// It is not the one that was asked for.
    Appraised(::attest::Refused),
}

impl Record {
    /// Takes what came in; `before` is the evidence that stood until now.
    ///
    /// # Errors
    /// [`Refused`]: it is bound to no session.
    pub fn of(quote: Quote, before: Option<&Self>) -> Result<Self, Refused> {
        let binding = quote.binding.ok_or(Refused::Unbound)?;
        let sha256 = quote.pcr_values.into_iter().filter(|pcr| pcr.algorithm == PcrAlgorithm::Sha256);
        Ok(Self {
            session: binding.session.0,
            nonce: binding.nonce,
            claims: binding.claims,
            attest_data: quote.attest_data,
            signature: quote.signature,
            device_signature: binding.device_signature.map(|signature| hex::encode(signature.0)),
            pcrs: sha256
                .filter(|pcr| crate::service::APPRAISED_PCRS.0 & (1 << pcr.index) != 0)
                .map(|pcr| (pcr.index, hex::encode(pcr.value)))
                .collect(),
            before: before.map(|record| hex::encode(&record.attest_data)).filter(|quote| !quote.is_empty()),
        })
    }

    /// The session it speaks for.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        SessionKey(self.session)
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record's map has numbers for keys, which are written as text")
    }

    /// As it was kept.
    ///
    /// # Errors
    /// When it is not what [`Self::to_json`] writes.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Shown {
    /// As decisions take it.
    #[must_use]
    pub fn standing(&self) -> Standing<'_> {
        match self {
            Self::Quoted(appraisal) => Standing::Quoted(appraisal),
            Self::DeviceSigned(session) => Standing::DeviceSigned(session),
        }
    }
}

/// Judges evidence. Whether its nonce was good is said by who took it in.
///
/// # Errors
/// [`Refused`]: it is worth nothing.
pub fn judge(
    record: &Record,
    device: &DeviceRow,
    certs: &[CertRow],
    references: &[ReferenceRow],
) -> Result<Shown, Refused> {
    match (&record.device_signature, device.tpm) {
        (None, _) => quoted(record, certs, references),
        (Some(_), Tpm::Present) => Err(Refused::Unquoted),
        (Some(signature), Tpm::Unknown | Tpm::Absent) => {
            device_signed(record, device, signature).map(Shown::DeviceSigned).map_err(Refused::Signature)
        }
    }
}

/// The PCR values to learn from good evidence of a TPM: none of a boot that nothing measured.
#[must_use]
pub fn reference_of(record: &Record, shown: &Shown) -> Option<String> {
    let measured = values(&record.pcrs).is_some_and(|pcrs| ::attest::unmeasured(&pcrs).is_none());
    let learned = matches!(shown, Shown::Quoted(_)) && measured;
    learned.then(|| serde_json::to_string(&record.pcrs).expect("numbers and text"))
}

/// What shows, in a reference value as it is kept, that it is of no measured boot. One that does not read shows nothing, and
/// is met by nothing.
pub(crate) fn unmeasured(pcrs: &str) -> Option<::attest::Unmeasured> {
    let kept: Option<BTreeMap<u8, String>> = serde_json::from_str(pcrs).ok();
    kept.as_ref().and_then(values).and_then(|pcrs| ::attest::unmeasured(&pcrs))
}

/// The values of those that an operator approved.
fn approved(references: &[ReferenceRow]) -> Vec<PcrValues> {
    let good = references.iter().filter(|row| row.state == ReferenceState::Approved);
    good.filter_map(|row| serde_json::from_str(&row.pcrs).ok()).filter_map(|texts| values(&texts)).collect()
}

fn values(texts: &BTreeMap<u8, String>) -> Option<PcrValues> {
    let value = |text: &String| hex::decode(text).ok()?.try_into().ok();
    texts.iter().map(|(pcr, text)| Some((*pcr, value(text)?))).collect()
}

fn device_signed(
    record: &Record,
    device: &DeviceRow,
    signature: &str,
) -> Result<DeviceSession, BadSignature> {
    let signature = hex::decode(signature).ok().and_then(|bytes| bytes.try_into().ok());
    let signature: [u8; 64] = signature.ok_or(BadSignature::Length)?;
    let certificate = wire::Certificate::from_der(&device.cert_der).map_err(|_| BadSignature::Certificate)?;
    let point = certificate.public_key().point();
    DeviceSession::verify(point, &record.nonce, &record.session(), &record.claims, &signature)
        .map_err(BadSignature::Unverified)
}

fn quoted(record: &Record, certs: &[CertRow], references: &[ReferenceRow]) -> Result<Shown, Refused> {
    let ak = certs.iter().find(|cert| cert.kind == ATTESTATION_CERT).and_then(|cert| cert.public.as_ref());
    let pcrs = values(&record.pcrs).ok_or(Refused::Quote(BadQuote::PcrValue))?;
    let before = record.before.as_ref().map(hex::decode).transpose();
    let before = before.map_err(|_| Refused::Quote(BadQuote::Before))?;
    let input = ::attest::Input {
        ak: ak.ok_or(Refused::NoAttestationKey)?,
        attest_data: &record.attest_data,
        signature: &record.signature,
        pcrs: &pcrs,
        nonce: &record.nonce,
        session: &record.session(),
        claims: &record.claims,
        selection: crate::service::APPRAISED_PCRS.0,
        before: before.as_deref(),
        approved: &approved(references),
    };
    let appraisal = ::attest::appraise(&input).map_err(|error| Refused::Quote(BadQuote::Appraised(error)))?;
    match appraisal.continuity() {
        // Not taken in place of the quote before it: the next one would then be held against this one.
        Verdict::Failed(why) => Err(Refused::WentBack(why.clone())),
        Verdict::Passed | Verdict::NotChecked(_) => Ok(Shown::Quoted(Box::new(appraisal))),
    }
}

/// When evidence came, and from which address, where that is known.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// When.
    pub at: UnixSeconds,
    /// From where, as the controller sees it.
    pub from: Option<IpAddr>,
}

impl From<UnixSeconds> for Came {
    fn from(at: UnixSeconds) -> Self {
        Self { at, from: None }
    }
}

/// Bytes as hexadecimal text.
mod hex_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
