//! What is said of evidence that is worth nothing: in full to the operator, coarsely to the node, which may be anybody's.

use std::fmt;

use ::attest::Verdict;
use vault::policy::Check;

use super::withheld::Why;
use crate::fleet::evidence::{BadEvidence, BadQuote, BadSignature};
use crate::service::chain;
use crate::store::{Alarm, AlarmCause, Fared, OfEvidence};

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

/// The same in a few words.
pub(crate) fn in_few_words(refused: &BadEvidence) -> String {
    match refused {
        BadEvidence::WentBack(finding) => finding.to_string(),
        other => in_full(other),
    }
}

/// Why evidence was refused: in sentences of a build of before where that kept it.
pub(crate) fn of_refused(fared: &Fared) -> Why {
    let words = of_fared(fared);
    let short = match &fared.found {
        Some(OfEvidence::Bad(why)) => in_few_words(why),
        Some(OfEvidence::Checked { .. } | OfEvidence::NoTpm) | None => {
            words.first().cloned().unwrap_or_default()
        }
    };
    Why { short, whole: words.join("; ") }.after("evidence refused")
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

/// How a device's evidence fared; in sentences of a build of before where that kept it.
pub(crate) fn of_fared(fared: &Fared) -> Vec<String> {
    match &fared.found {
        Some(OfEvidence::Checked { references, firmware, clock }) => checked(references, firmware, clock),
        Some(OfEvidence::NoTpm) => vec!["no TPM: nothing is measured".into()],
        Some(OfEvidence::Bad(why)) => vec![in_full(why)],
        None => fared.words.clone(),
    }
}

/// Of an alarm of this device.
pub(crate) fn of_alarm(alarm: &Alarm, name: &impl fmt::Display) -> String {
    match alarm {
        Alarm::Gave { at, cause } => format!(
            "{}: {}; a copy of it may be running: take that away, then `evc device settle {name:#} --confirm {name:#}`",
            crate::clock::text(*at),
            of_cause(cause)
        ),
        Alarm::Told(words) => words.clone(),
    }
}

fn of_cause(cause: &AlarmCause) -> String {
    match cause {
        AlarmCause::Turns { again, other } => {
            let [again, other] = [again, other].map(hex::encode);
            format!("session {again} gave evidence again after session {other} had")
        }
        AlarmCause::Flood(count) => {
            format!("{count} sessions gave way to new ones within an hour: a node that restarts makes fewer")
        }
        AlarmCause::WentBack(finding) => format!("{finding}; {WENT_BACK}"),
    }
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

/// For the node too: which demand of the policies good evidence does not meet. A node that says it again to its root knows it as this word.
pub(crate) fn demand(check: Check) -> &'static str {
    match check {
        Check::Pcrs => "PCRs",
    }
}

/// Whether the PCRs of a good quote are those of an approved boot.
pub(crate) fn of_references(references: &Verdict) -> String {
    match references {
        Verdict::Passed => "reference values: passed".into(),
        Verdict::Failed(why) => format!("reference values: failed: {why}"),
        Verdict::NotChecked(why) => format!("reference values: not checked, {why}"),
    }
}

/// Of a good quote, for the operator: what is not checked is shown as not checked.
fn checked(references: &Verdict, firmware: &Verdict, clock: &Verdict) -> Vec<String> {
    let firmware = match firmware {
        Verdict::Passed => "TPM firmware: as before".to_owned(),
        Verdict::Failed(why) => format!("TPM firmware: changed: {why}"),
        Verdict::NotChecked(why) => format!("TPM firmware: not checked, {why}"),
    };
    let clock = match clock {
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
    [of_references(references), firmware, clock].into_iter().chain(later.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Appraised;

    fn fared(found: Option<OfEvidence>, words: Vec<String>) -> Fared {
        let (session, pcrs, strange) = (None, None, None);
        let outcome = Appraised::Refused;
        Fared {
            at: 7,
            from: None,
            session,
            pcrs,
            outcome,
            found,
            words,
            strange,
            unmet: false,
            went_back: false,
        }
    }

    /// What an earlier build kept of evidence, in sentences, is shown in these; of what was found sentences are made when they are asked for.
    #[test]
    fn how_evidence_fared_is_shown_whichever_build_kept_it() {
        let before = vec!["reference values: passed".to_owned(), "event log: not checked".to_owned()];
        assert_eq!(of_fared(&fared(None, before.clone())), before);
        let bad = fared(Some(OfEvidence::Bad(BadEvidence::Nonce)), Vec::new());
        assert_eq!(of_fared(&bad), [in_full(&BadEvidence::Nonce)]);
    }

    /// Seen by users 0.12: an alarm says how it is settled by the name that the device has when it is read; one of an earlier build says what
    /// that wrote.
    #[test]
    fn an_alarm_names_the_device_as_it_is_called_now() {
        let alarm = Alarm::Gave { at: 0, cause: AlarmCause::Turns { again: [0xa5; 4], other: [7; 4] } };
        let words = of_alarm(&alarm, &"edge-2");
        assert!(
            words.starts_with("1970-01-01T00:00:00Z: session a5a5a5a5 gave evidence again after"),
            "{words}"
        );
        assert!(words.ends_with("then `evc device settle edge-2 --confirm edge-2`"), "{words}");
        assert_eq!(of_alarm(&Alarm::Told("it may be two".into()), &"edge-2"), "it may be two");
    }
}
