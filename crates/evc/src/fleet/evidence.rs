//! Evidence as it is kept, and its judgement by `attest`: the only place where this crate speaks to it.
//! Kept is what the device showed, never a verdict: each decision judges it anew, so a written-down "passed" is worth nothing.

use std::net::IpAddr;

use ::attest::{Appraisal, DeviceSession, PcrValues, SessionKey, Verdict};
use vault::decide::Standing;
use wire::attest::{PcrAlgorithm, PcrValue, Quote, QuoteCode};

use crate::store::{CertRow, DeviceRow, Fared, Pcrs, Record, ReferenceRow, ReferenceState, Tpm, UnixSeconds};

/// `ZCertType` of the attestation key's certificate.
pub(crate) const ATTESTATION_CERT: i32 = 11;

/// What a piece of evidence is worth.
pub enum Shown {
    /// A TPM quoted.
    Quoted(Box<Appraisal>),
    /// The device key signed.
    DeviceSigned(DeviceSession),
}

/// Why evidence was refused.
#[derive(Debug)]
pub struct Refused {
    /// In EVE's words.
    pub code: QuoteCode,
    /// For the operator.
    pub full: String,
    /// For the node.
    pub coarse: &'static str,
    /// The TPM's counters or clock are behind what they were: this is a copy of it, or it was put back.
    pub went_back: bool,
}

impl Refused {
    fn new(code: QuoteCode, full: impl Into<String>, coarse: &'static str) -> Self {
        Self { code, full: full.into(), coarse, went_back: false }
    }
}

/// What to do about a TPM that went back.
const WENT_BACK: &str = "no power cut does that: an older state of the TPM is at work (a virtual machine set back, or a copy of it), or the TPM was cleared; bring back the newest state, or register the node as a new device";

impl Record {
    /// Takes what came in; `before` is the evidence that stood until now.
    ///
    /// # Errors
    /// [`Refused`]: it is bound to no session, or has a PCR value that is none.
    pub fn of(quote: Quote, before: Option<&Self>) -> Result<Self, Refused> {
        let unbound = || {
            Refused::new(
                QuoteCode::Invalid,
                "the evidence is bound to no session",
                "evidence not bound to a session",
            )
        };
        let binding = quote.binding.ok_or_else(unbound)?;
        Ok(Self {
            session: binding.session.0,
            nonce: binding.nonce,
            claims: binding.claims,
            attest_data: quote.attest_data,
            signature: quote.signature,
            device_signature: binding.device_signature.map(|signature| hex::encode(signature.0)),
            pcrs: appraised(quote.pcr_values)?,
            before: before.map(|record| hex::encode(&record.attest_data)).filter(|quote| !quote.is_empty()),
        })
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
/// [`Refused`]: it is worth nothing.
pub fn judge(
    record: &Record,
    device: &DeviceRow,
    certs: &[CertRow],
    references: &[ReferenceRow],
) -> Result<Shown, Refused> {
    match (&record.device_signature, device.tpm) {
        (None, _) => quoted(record, certs, references),
        (Some(_), Tpm::Present) => {
            let full = "the node has a TPM, and sent evidence without a quote of it";
            Err(Refused::new(QuoteCode::QuoteFailed, full, "this node has to quote"))
        }
        (Some(signature), Tpm::Unknown | Tpm::Absent) => device_signed(record, device, signature),
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

/// Those of the SHA-256 bank that are appraised.
fn appraised(values: Vec<PcrValue>) -> Result<Pcrs, Refused> {
    let sha256 = values.into_iter().filter(|pcr| pcr.algorithm == PcrAlgorithm::Sha256);
    let wanted = sha256.filter(|pcr| crate::service::APPRAISED_PCRS.0 & (1 << pcr.index) != 0);
    let values = wanted.map(|pcr| Some((pcr.index, pcr.value.try_into().ok()?))).collect::<Option<_>>();
    values.map(Pcrs).ok_or_else(|| bad("a PCR value has not 32 bytes".into()))
}

fn bad(full: String) -> Refused {
    Refused::new(QuoteCode::QuoteFailed, full, "the quote is not good")
}

/// The values of those that an operator approved.
fn approved(references: &[ReferenceRow]) -> Vec<PcrValues> {
    let good = references.iter().filter(|row| row.state == ReferenceState::Approved);
    good.map(|row| row.pcrs.0.clone()).collect()
}

fn device_signed(record: &Record, device: &DeviceRow, signature: &str) -> Result<Shown, Refused> {
    let bad = |full: &str| Refused::new(QuoteCode::QuoteFailed, full, "the device's signature is not good");
    let signature: [u8; 64] = hex::decode(signature)
        .ok()
        .and_then(|s| s.try_into().ok())
        .ok_or_else(|| bad("the signature has not 64 bytes"))?;
    let certificate = wire::Certificate::from_der(&device.cert_der)
        .map_err(|_| bad("the device's certificate does not read"))?;
    let point = certificate.public_key().point();
    DeviceSession::verify(point, &record.nonce, &record.session(), &record.claims, &signature)
        .map(Shown::DeviceSigned)
        .map_err(|e| bad(&crate::service::chain(&e)))
}

fn quoted(record: &Record, certs: &[CertRow], references: &[ReferenceRow]) -> Result<Shown, Refused> {
    let ak = certs.iter().find(|cert| cert.kind == ATTESTATION_CERT).and_then(|cert| cert.public.as_ref());
    let no_ak = || {
        Refused::new(
            QuoteCode::NoCertFound,
            "the device's attestation key is not known",
            "attestation key not known",
        )
    };
    let before = record.before.as_ref().map(hex::decode).transpose().map_err(|e| bad(e.to_string()))?;
    let input = ::attest::Input {
        ak: ak.ok_or_else(no_ak)?,
        attest_data: &record.attest_data,
        signature: &record.signature,
        pcrs: &record.pcrs.0,
        nonce: &record.nonce,
        session: &record.session(),
        claims: &record.claims,
        selection: crate::service::APPRAISED_PCRS.0,
        before: before.as_deref(),
        approved: &approved(references),
    };
    let appraisal = ::attest::appraise(&input).map_err(|e| bad(crate::service::chain(&e)))?;
    match appraisal.continuity() {
        // Not taken in place of the quote before it: the next one would then be held against this one.
        Verdict::Failed(why) => Err(Refused { went_back: true, ..bad(format!("{why}; {WENT_BACK}")) }),
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

impl Fared {
    pub(crate) fn of(fared: Result<&Shown, &Refused>, session: SessionKey, came: Came) -> Self {
        let (outcome, words) = match fared {
            Ok(Shown::Quoted(appraisal)) => ("quoted", quote_words(appraisal)),
            Ok(Shown::DeviceSigned(_)) => ("device-signed", vec!["no TPM: nothing is measured".to_owned()]),
            Err(why) => ("refused", vec![why.full.clone()]),
        };
        let pcrs = (outcome == "quoted").then(|| listed(crate::service::APPRAISED_PCRS.0));
        let session = Some(hex::encode(&session.0[..4]));
        Self { at: came.at, from: came.from, session, pcrs, outcome: outcome.into(), words }
    }
}

/// The bits of a selection, as numbers.
fn listed(selection: u32) -> String {
    let chosen = (0..24_u8).filter(|pcr| selection & (1 << pcr) != 0);
    chosen.map(|pcr| pcr.to_string()).collect::<Vec<_>>().join(", ")
}

/// What is not checked is shown as not checked.
fn quote_words(appraisal: &Appraisal) -> Vec<String> {
    let references = match appraisal.references() {
        Verdict::Passed => "reference values: passed".to_owned(),
        Verdict::Failed(why) => format!("reference values: failed: {why}"),
        Verdict::NotChecked(why) => format!("reference values: not checked, {why}"),
    };
    let firmware = match appraisal.firmware() {
        Verdict::Passed => "TPM firmware: as before".to_owned(),
        Verdict::Failed(why) => format!("TPM firmware: changed: {why}"),
        Verdict::NotChecked(why) => format!("TPM firmware: not checked, {why}"),
    };
    let clock = match appraisal.clock() {
        Verdict::Passed => "TPM clock: runs on".to_owned(),
        Verdict::Failed(why) => format!("TPM clock: {why}"),
        Verdict::NotChecked(why) => format!("TPM clock: not checked, {why}"),
    };
    let later = [
        "AK not proved to its EK: not checked",
        "event log: not checked",
        "geofence: not checked",
        "IP fence: not checked",
    ];
    [references, firmware, clock].into_iter().chain(later.map(str::to_owned)).collect()
}
