//! How a device's last evidence fared, as it is kept for the operator.

use ::attest::{SessionKey, Unchecked, Verdict};

use super::evidence::{BadEvidence, Came, Shown};
use super::heard::digits_of;
use crate::store::{Appraised, Fared, Strange};
use crate::words::evidence::{in_full, not_checked};

impl Fared {
    pub(crate) fn of(fared: Result<&Shown, &BadEvidence>, session: SessionKey, came: Came) -> Self {
        let (outcome, words) = match fared {
            Ok(Shown::Quoted(appraisal)) => (Appraised::Quoted, not_checked(appraisal)),
            Ok(Shown::DeviceSigned(_)) => {
                (Appraised::DeviceSigned, vec!["no TPM: nothing is measured".to_owned()])
            }
            Err(why) => (Appraised::Refused, vec![in_full(why)]),
        };
        let (pcrs, strange) = (fared.ok().and_then(quoted), fared.ok().and_then(strange));
        let went_back = matches!(fared, Err(BadEvidence::WentBack(_)));
        let session = Some(digits_of(session));
        Self { at: came.at, from: came.from, session, pcrs, outcome, words, strange, unmet: false, went_back }
    }
}

/// How PCRs are of no reference value; none where they are of one.
pub(crate) fn strange(shown: &Shown) -> Option<Strange> {
    let Shown::Quoted(appraisal) = shown else { return None };
    match appraisal.references() {
        Verdict::Failed(_) => Some(Strange::Differ),
        Verdict::NotChecked(Unchecked::NotMeasured(_)) => Some(Strange::Unmeasured),
        Verdict::NotChecked(Unchecked::NoneApproved) => Some(Strange::Unapproved),
        Verdict::Passed | Verdict::NotChecked(Unchecked::First) => None,
    }
}

/// The PCRs of a quote and their bank. Of a TPM without one they are those that were asked for.
fn quoted(shown: &Shown) -> Option<String> {
    let Shown::Quoted(appraisal) = shown else { return None };
    let bank = appraisal.quote().bank()?;
    Some(format!("{} ({bank})", listed(crate::service::APPRAISED_PCRS.0)))
}

/// The bits of a selection, as numbers.
pub(crate) fn listed(selection: u32) -> String {
    numbers(&(0..24_u8).filter(|pcr| selection & (1 << pcr) != 0).collect::<Vec<_>>())
}

pub(crate) fn numbers(pcrs: &[u8]) -> String {
    pcrs.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
