//! How a device's last evidence fared, as it is kept for the operator.

use ::attest::{SessionKey, Unchecked, Verdict};

use super::evidence::{BadEvidence, Came, Shown};
use super::heard::digits_of;
use crate::store::{Appraised, Fared, OfEvidence, Strange};

impl Fared {
    pub(crate) fn of(fared: Result<&Shown, &BadEvidence>, session: SessionKey, came: Came) -> Self {
        let (outcome, found) = match fared {
            Ok(Shown::Quoted(appraisal)) => (
                Appraised::Quoted,
                OfEvidence::Checked {
                    references: appraisal.references().clone(),
                    firmware: appraisal.firmware().clone(),
                    clock: appraisal.clock().clone(),
                },
            ),
            Ok(Shown::DeviceSigned(_)) => (Appraised::DeviceSigned, OfEvidence::NoTpm),
            Err(why) => (Appraised::Refused, OfEvidence::Bad(why.clone())),
        };
        let (pcrs, strange) = (fared.ok().and_then(quoted), fared.ok().and_then(strange));
        Self {
            at: came.at,
            from: came.from,
            session: Some(digits_of(session)),
            pcrs,
            outcome,
            found: Some(found),
            words: Vec::new(),
            strange,
            unmet: false,
            went_back: matches!(fared, Err(BadEvidence::WentBack(_))),
        }
    }

    /// What was found of its PCRs; none where they were not held against any.
    pub(crate) fn references(&self) -> Option<&Verdict> {
        match self.found.as_ref()? {
            OfEvidence::Checked { references, .. } => Some(references),
            OfEvidence::NoTpm | OfEvidence::Bad(_) => None,
        }
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

fn numbers(pcrs: &[u8]) -> String {
    pcrs.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
