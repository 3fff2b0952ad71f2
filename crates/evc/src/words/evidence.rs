//! What is said of evidence that is worth nothing: in full to the operator, coarsely to the node, which may be anybody's.

use ::attest::{Appraisal, Verdict};

use crate::fleet::evidence::{BadEvidence, BadQuote, BadSignature};
use crate::service::chain;

/// What to do about a TPM that went back.
const WENT_BACK: &str = "no power cut does that: an older state of the TPM is at work (a virtual machine set back, or a copy of it), or the TPM was cleared; bring back the newest state; or, if this one is to go on, `evc device settle` with `--confirm` begins a new history of it once no other is running";

/// For the operator.
pub(crate) fn in_full(refused: &BadEvidence) -> String {
    match refused {
        BadEvidence::Unbound => "the evidence is bound to no session".into(),
        BadEvidence::Nonce => "its nonce is not one of this device's, was used, or is out of date".into(),
        BadEvidence::Unquoted => "the node has a TPM, and sent evidence without a quote of it".into(),
        BadEvidence::NoAttestationKey => "the device's attestation key is not known".into(),
        BadEvidence::Signature(why) => of_signature(why),
        BadEvidence::Quote(why) => of_quote(why),
        BadEvidence::WentBack(finding) => format!("{finding}; {WENT_BACK}"),
    }
}

fn of_signature(why: &BadSignature) -> String {
    match why {
        BadSignature::Length => "the signature has not 64 bytes".into(),
        BadSignature::Certificate => "the device's certificate does not read".into(),
        BadSignature::Unverified(error) => chain(error),
    }
}

fn of_quote(why: &BadQuote) -> String {
    match why {
        BadQuote::PcrValue => "a PCR value is not as long as its bank's hash".into(),
        BadQuote::Appraised(error) => chain(error),
    }
}

/// Of a device whose sessions took turns.
pub(crate) fn turns(again: &[u8; 32], other: &[u8; 32]) -> String {
    let [again, other] = [again, other].map(|session| hex::encode(&session[..4]));
    format!("session {again} gave evidence again after session {other} had")
}

/// Of a device with more new sessions than a node has that restarts.
pub(crate) fn flood(count: u64) -> String {
    format!("{count} sessions gave way to new ones within an hour: a node that restarts makes fewer")
}

/// For the node.
pub(crate) fn coarse(refused: &BadEvidence) -> &'static str {
    match refused {
        BadEvidence::Unbound => "this controller appraises only evidence that is bound to a session",
        BadEvidence::Nonce => "the nonce is not one of this device's, was used, or is out of date",
        BadEvidence::Unquoted => "this node has to quote",
        BadEvidence::NoAttestationKey => "attestation key not known",
        BadEvidence::Signature(_) => "the device's signature is not good",
        BadEvidence::Quote(_) | BadEvidence::WentBack(_) => "the quote is not good",
    }
}

/// Of a good quote, for the operator: what is not checked is shown as not checked.
pub(crate) fn not_checked(appraisal: &Appraisal) -> Vec<String> {
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
