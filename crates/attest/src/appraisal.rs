//! The appraisal of a quote: exists when identity, signature, structure, nonce, session and claims hold; carries a verdict for the rest.

use crate::binding::{SessionKey, qualifying_data};
use crate::checks::{self, CheckError, PcrValues};
use crate::continuity::{ClockFell, Discontinuity, OtherFirmware, clock, continuity, firmware};
use crate::key::{AkPublic, KeyError};
use crate::measured::Unmeasured;
use crate::quote::{Quote, QuoteError};
use crate::references::{Difference, describe, differ, references};
use serde::{Deserialize, Serialize};

/// All that an appraisal is made from.
pub struct Input<'a> {
    /// TPM2B_PUBLIC of the attestation key that was pinned for this device.
    pub ak: &'a [u8],
    /// TPMS_ATTEST, as sent.
    pub attest_data: &'a [u8],
    /// DER of the signature over it, as sent.
    pub signature: &'a [u8],
    /// The PCRs' values, as sent.
    pub pcrs: &'a PcrValues,
    /// The nonce of the challenge. Whether it is fresh is the caller's to know.
    pub nonce: &'a [u8; 32],
    /// The session that the evidence speaks for.
    pub session: &'a SessionKey,
    /// The claims, as sent.
    pub claims: &'a [u8],
    /// PCRs that were asked for: bit n is PCR n.
    pub selection: u32,
    /// TPMS_ATTEST of the last appraised quote of this device.
    pub before: Option<&'a [u8]>,
    /// PCR values that an operator approved for this device.
    pub approved: &'a [PcrValues],
}

/// Why there is no appraisal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotAppraised {
    /// The pinned key can't make quotes.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is no quote.
    #[error(transparent)]
    Quote(#[from] QuoteError),
    /// It is not the quote asked for.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The quote before it, as kept, does not read: then nothing can be said of continuity.
    #[error("the last quote of this device, as kept, does not read")]
    Before(#[source] QuoteError),
}

/// What came of one check. Kept to be shown it decides nothing: an [`Appraisal`] is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed(Finding),
    /// It was not made, and why. Never taken for passed.
    NotChecked(Unchecked),
}

/// Why a check was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unchecked {
    /// It is the first quote of this device.
    #[error("nothing to compare with")]
    First,
    /// No reference value is approved.
    #[error("none is approved")]
    NoneApproved,
    /// Nothing measured this boot, so no reference value can be met.
    #[error("boot not measured: {0}")]
    NotMeasured(Unmeasured),
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The TPM's counters went back, or its clock within one boot.
    #[error(transparent)]
    Discontinuity(#[from] Discontinuity),
    /// The TPM's clock stands lower than before, in a later boot: no reproach.
    #[error(transparent)]
    ClockFell(#[from] ClockFell),
    /// The TPM's firmware is another than before.
    #[error(transparent)]
    Firmware(#[from] OtherFirmware),
    /// No approved reference value has these PCRs. Those named differ from the nearest one.
    #[error("{} from every approved reference value; nearest in the list: {}", differ(.pcrs), describe(.differences))]
    Pcrs {
        /// Their numbers, as text.
        pcrs: String,
        /// PCR, was, is.
        differences: Vec<Difference>,
    },
}

impl Finding {
    /// In a line: of PCRs which they are, and not each value.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self {
            Self::Pcrs { pcrs, .. } => format!("{} from every approved reference value", differ(pcrs)),
            other => other.to_string(),
        }
    }
}

/// Witness that the pinned attestation key quoted exactly the PCRs asked for, for this nonce, session and claims.
///
/// It does not establish that the key sits in a TPM beside a known endorsement key, nor that the claims are true.
///
/// Who has one may ask it:
/// ```
/// fn ask(appraisal: &attest::Appraisal) -> &attest::Verdict {
///     appraisal.references()
/// }
/// ```
/// Nobody but [`appraise`] can make one:
/// ```compile_fail
/// use attest::{Appraisal, Quote, SessionKey, Verdict::Passed};
/// fn forge(session: SessionKey, quote: Quote) -> Appraisal {
///     Appraisal { session, quote, continuity: Passed, clock: Passed, firmware: Passed, references: Passed }
/// }
/// ```
#[derive(Debug)]
pub struct Appraisal {
    session: SessionKey,
    quote: Quote,
    continuity: Verdict,
    clock: Verdict,
    firmware: Verdict,
    references: Verdict,
}

impl Appraisal {
    /// The session that it speaks for.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        self.session
    }
    /// What the quote says.
    #[must_use]
    pub fn quote(&self) -> &Quote {
        &self.quote
    }
    /// Whether it can come after the quote before it.
    #[must_use]
    pub fn continuity(&self) -> &Verdict {
        &self.continuity
    }
    /// Whether the TPM's clock ran on since the quote before it. A fall in a later boot is worth saying and no more: a power cut does it.
    #[must_use]
    pub fn clock(&self) -> &Verdict {
        &self.clock
    }
    /// Whether the TPM's firmware is that of the quote before it.
    #[must_use]
    pub fn firmware(&self) -> &Verdict {
        &self.firmware
    }
    /// Whether its PCRs are those of an approved reference value. Not checked when none is approved, or nothing was measured.
    #[must_use]
    pub fn references(&self) -> &Verdict {
        &self.references
    }
}

/// Appraises evidence.
///
/// # Errors
/// [`NotAppraised`]: the evidence is worth nothing here.
pub fn appraise(input: &Input<'_>) -> Result<Appraisal, NotAppraised> {
    let ak = AkPublic::from_tpm2b(input.ak)?;
    checks::signature(&ak, input.attest_data, input.signature)?;
    let quote = Quote::read(input.attest_data)?;
    checks::qualifying(&quote, &qualifying_data(input.nonce, input.session, input.claims))?;
    // Without a bank nothing can be measured: an appraisal, of which no reference value is ever passed.
    let quoted = if checks::no_bank(&quote) { 0 } else { input.selection };
    if quoted != 0 {
        checks::selection(&quote, quoted)?;
    }
    checks::composite(&quote, quoted, input.pcrs)?;
    let before = input.before.map(Quote::read).transpose().map_err(NotAppraised::Before)?;
    Ok(Appraisal {
        session: *input.session,
        continuity: after(before.as_ref(), |before| continuity(before, &quote)),
        clock: after(before.as_ref(), |before| clock(before, &quote)),
        firmware: after(before.as_ref(), |before| firmware(before, &quote)),
        references: references(input.approved, input.pcrs),
        quote,
    })
}

/// The verdict of a check against the quote before, where there is one.
fn after<E: Into<Finding>>(before: Option<&Quote>, check: impl FnOnce(&Quote) -> Result<(), E>) -> Verdict {
    match before.map(check) {
        None => Verdict::NotChecked(Unchecked::First),
        Some(Ok(())) => Verdict::Passed,
        Some(Err(why)) => Verdict::Failed(why.into()),
    }
}
