//! Evidence as it is kept, and its judgement by `attest`: the only place where this crate speaks to it.
//! Kept is what the device showed, never a verdict: each decision judges it anew, so a written-down "passed" is worth nothing.

use std::net::IpAddr;

use ::attest::{Appraisal, DeviceSession, PcrBank, PcrDigest, PcrValues, SessionKey, Verdict};
use vault::decide::Standing;
use vault::decide::TpmPin;
use wire::attest::{PcrAlgorithm, PcrValue, Quote};

use crate::store::{CertRow, DeviceRow, Pcrs, Record, ReferenceRow, ReferenceState, UnixSeconds};

pub use crate::store::{BadEvidence, BadQuote, BadSignature};

/// `ZCertType` of the attestation key's certificate.
pub(crate) const ATTESTATION_CERT: i32 = 11;

/// That of the endorsement key's.
pub(crate) const ENDORSEMENT_CERT: i32 = 12;

/// The kind under which a key is kept that an operator had forgotten: it is not pinned again by an upload of before that is sent again.
pub(crate) fn taken_off(kind: i32) -> i32 {
    -kind
}

/// What a piece of evidence is worth.
pub enum Shown {
    /// A TPM quoted.
    Quoted(Box<Appraisal>),
    /// The device key signed.
    DeviceSigned(DeviceSession),
}

impl Record {
    /// Takes what came in; `before` is the evidence that stood until now.
    ///
    /// # Errors
    /// [`BadEvidence`]: it is bound to no session, or has a PCR value that is none.
    pub fn of(quote: Quote, before: Option<&Self>) -> Result<Self, BadEvidence> {
        let binding = quote.binding.ok_or(BadEvidence::Unbound)?;
        Ok(Self {
            session: binding.session.0,
            nonce: binding.nonce,
            claims: binding.claims,
            attest_data: quote.attest_data,
            signature: quote.signature,
            device_signature: binding.device_signature.map(|signature| signature.0.to_vec()),
            pcrs: appraised(&quote.pcr_values)?,
            before: before.map(|record| record.attest_data.clone()).filter(|quote| !quote.is_empty()),
        })
    }

    /// Whether it was made of this quote, byte by byte.
    #[must_use]
    pub fn is_of(&self, quote: &Quote) -> bool {
        let alone = Self { before: None, ..self.clone() };
        Self::of(quote.clone(), None).is_ok_and(|made| made == alone)
    }

    /// The session it speaks for.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        SessionKey(self.session)
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
/// [`BadEvidence`]: it is worth nothing.
pub fn judge(
    record: &Record,
    device: &DeviceRow,
    certs: &[CertRow],
    references: &[ReferenceRow],
) -> Result<Shown, BadEvidence> {
    match (&record.device_signature, device.tpm) {
        (None, _) => quoted(record, certs, references),
        (Some(_), TpmPin::Present) => Err(BadEvidence::Unquoted),
        (Some(signature), TpmPin::Unknown | TpmPin::Absent) => {
            device_signed(record, device, signature).map(Shown::DeviceSigned).map_err(BadEvidence::Signature)
        }
    }
}

/// The PCR values to learn from good evidence of a TPM: none of a boot that nothing measured.
#[must_use]
pub fn reference_of(record: &Record, shown: &Shown) -> Option<Pcrs> {
    let measured = unmeasured(&record.pcrs).is_none();
    (matches!(shown, Shown::Quoted(_)) && measured).then(|| record.pcrs.clone())
}

/// What shows that PCR values are of no measured boot.
pub(crate) fn unmeasured(pcrs: &Pcrs) -> Option<::attest::Unmeasured> {
    ::attest::unmeasured(&pcrs.0)
}

/// Those that are appraised: of the SHA-256 bank where any of it came, else of the SHA-384 one. Whether the quote is over that one is
/// appraised with the rest.
fn appraised(values: &[PcrValue]) -> Result<Pcrs, BadEvidence> {
    let of = |bank| values.iter().filter(move |pcr| pcr.algorithm == PcrAlgorithm::of(bank));
    let bank = if of(PcrBank::Sha256).next().is_some() { PcrBank::Sha256 } else { PcrBank::Sha384 };
    let wanted = of(bank).filter(|pcr| crate::service::APPRAISED_PCRS.0 & (1 << pcr.index) != 0);
    let values = wanted.map(|pcr| Some((pcr.index, PcrDigest::in_bank(bank, &pcr.value)?)));
    values.collect::<Option<_>>().map(Pcrs).ok_or(BadEvidence::Quote(BadQuote::PcrValue))
}

/// The values of those that an operator approved.
fn approved(references: &[ReferenceRow]) -> Vec<PcrValues> {
    let good = references.iter().filter(|row| row.state == ReferenceState::Approved);
    good.map(|row| row.pcrs.0.clone()).collect()
}

fn device_signed(
    record: &Record,
    device: &DeviceRow,
    signature: &[u8],
) -> Result<DeviceSession, BadSignature> {
    let signature: [u8; 64] = signature.try_into().map_err(|_| BadSignature::Length)?;
    let certificate = wire::Certificate::from_der(&device.cert_der).map_err(|_| BadSignature::Certificate)?;
    let point = certificate.public_key().point();
    DeviceSession::verify(point, &record.nonce, &record.session(), &record.claims, &signature)
        .map_err(BadSignature::Unverified)
}

fn quoted(record: &Record, certs: &[CertRow], references: &[ReferenceRow]) -> Result<Shown, BadEvidence> {
    let ak = certs.iter().find(|cert| cert.kind == ATTESTATION_CERT).and_then(|cert| cert.public.as_ref());
    let input = ::attest::Input {
        ak: ak.ok_or(BadEvidence::NoAttestationKey)?,
        attest_data: &record.attest_data,
        signature: &record.signature,
        pcrs: &record.pcrs.0,
        nonce: &record.nonce,
        session: &record.session(),
        claims: &record.claims,
        selection: crate::service::APPRAISED_PCRS.0,
        before: record.before.as_deref(),
        approved: &approved(references),
    };
    let appraisal =
        ::attest::appraise(&input).map_err(|error| BadEvidence::Quote(BadQuote::Appraised(error)))?;
    match appraisal.continuity() {
        // Not taken in place of the quote before it: the next one would then be held against this one.
        Verdict::Failed(why) => Err(BadEvidence::WentBack(why.clone())),
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
    /// An operator imported it: then, and only then, a courier's challenge counts.
    pub by_courier: bool,
}

impl From<UnixSeconds> for Came {
    fn from(at: UnixSeconds) -> Self {
        Self { at, from: None, by_courier: false }
    }
}
