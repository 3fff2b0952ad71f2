//! What stands of a session's evidence at the time of a decision: whose it is, how old, and what its checks said.

use std::time::Duration;

use attest::{Appraisal, DeviceSession, Finding, SessionKey, Unchecked, Verdict};
use serde::{Deserialize, Serialize};

use super::{RENEWAL_GRACE, RETRY_AFTER, Withheld};
use crate::ids::DeviceId;
use crate::policy::Check;

/// What a session has shown for itself.
#[derive(Clone, Copy)]
pub enum Standing<'a> {
    /// A TPM quoted, and the quote was appraised.
    Quoted(&'a Appraisal),
    /// The device key signed, on a node without a TPM.
    DeviceSigned(&'a DeviceSession),
    /// Nothing.
    None,
}

/// A standing and its time.
#[derive(Clone, Copy)]
pub struct StandingAt<'a> {
    /// What was shown.
    pub standing: Standing<'a>,
    /// When it was appraised, in seconds since 1970 by the controller's clock.
    pub at: u64,
    /// It is wanted anew before its time: an operator's word changed what it is held against.
    pub renew: bool,
}

/// Whether a node has a TPM, as the controller pinned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TpmPin {
    /// It has not told yet.
    Unknown,
    /// Its attestation key is pinned: it must quote, always.
    Present,
    /// It told that it has none, and was believed.
    Absent,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// The device that signed the request.
    pub device: DeviceId,
    /// The session it asks for.
    pub session: SessionKey,
    /// Whether it has a TPM.
    pub tpm: TpmPin,
    /// Why nothing goes out to it, whatever it shows.
    pub barred: Option<Bar>,
}

/// What stands between a device and every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// The operator said that it is lost: whoever has it now may be anybody.
    Lost,
    /// It did what one device does not do: its sessions alternate, or its TPM's counters fell.
    Doubled,
}

/// Why a check that a policy demands did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// A node without a TPM has no measured state.
    NoTpm,
    /// It was made, and found this.
    Found(Finding),
    /// It was not made.
    Unchecked(Unchecked),
}

impl StandingAt<'_> {
    /// No evidence.
    pub const NONE: Self = Self { standing: Standing::None, at: 0, renew: false };

    /// Whether it stands for this session now, under a policy that wants it renewed `every` so long.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn in_force(&self, asking: &Asking, every: Duration, now: u64) -> Result<(), Withheld> {
        let session = self.of_its_kind(asking.tpm)?;
        if session != asking.session {
            return Err(Withheld::OtherSession);
        }
        let age_s = now.checked_sub(self.at).ok_or(Withheld::FromTheFuture)?;
        if age_s > (every + RENEWAL_GRACE).as_secs() { Err(Withheld::TooOld { age_s }) } else { Ok(()) }
    }

    /// A node with a TPM, or of which it is not known, never gets by without a quote.
    fn of_its_kind(&self, tpm: TpmPin) -> Result<SessionKey, Withheld> {
        match (&self.standing, tpm) {
            (Standing::None, _) => Err(Withheld::NoEvidence),
            (Standing::Quoted(appraisal), TpmPin::Present) => {
                continuous(appraisal).map(|()| appraisal.session())
            }
            (Standing::DeviceSigned(session), TpmPin::Absent) => Ok(session.session()),
            (Standing::Quoted(_) | Standing::DeviceSigned(_), _) => Err(Withheld::MustQuote),
        }
    }

    /// Whether it is time to challenge anew.
    pub(super) fn renewal_due(&self, every: Duration, now: u64) -> bool {
        self.renew || now.saturating_sub(self.at) >= every.as_secs()
    }

    /// Whether evidence that does not satisfy is old enough for another try.
    pub(super) fn retry_due(&self, now: u64) -> bool {
        now.saturating_sub(self.at) >= RETRY_AFTER.as_secs()
    }

    /// Whether a check that a policy demands passed. A check that was not made did not pass.
    pub(super) fn passed(&self, check: Check) -> Result<(), Withheld> {
        let Standing::Quoted(appraisal) = &self.standing else {
            return Err(Withheld::Failed { check, why: Unmet::NoTpm });
        };
        match check {
            Check::Pcrs => verdict(appraisal.references(), check),
        }
    }
}

/// Asked of every quote, whatever the policy. A first quote has none before it.
fn continuous(appraisal: &Appraisal) -> Result<(), Withheld> {
    match appraisal.continuity() {
        Verdict::Passed | Verdict::NotChecked(_) => Ok(()),
        Verdict::Failed(why) => Err(Withheld::WentBack { why: why.clone() }),
    }
}

fn verdict(verdict: &Verdict, check: Check) -> Result<(), Withheld> {
    match verdict {
        Verdict::Passed => Ok(()),
        Verdict::Failed(why) => Err(Withheld::Failed { check, why: Unmet::Found(why.clone()) }),
        Verdict::NotChecked(why) => Err(Withheld::Failed { check, why: Unmet::Unchecked(why.clone()) }),
    }
}
