//! The one place where it is decided whether a key may leave the controller (AC-1, AC-2, AC-5, KO-1).
//! Closed by default: whatever is not plainly good is withheld, and says why, in full for the operator and coarsely for the node.
//! Only [`decide`] makes a [`Granted`], and nothing opens a key for release without one.
//! It establishes nothing of its own: evidence is judged by `attest`, epochs by `rotation`.

use std::collections::BTreeSet;
use std::time::Duration;

use attest::{Finding, SessionKey};

use crate::cause::Cause;
use crate::ids::{DeviceId, Epoch, VaultId};
use crate::policy::{Check, DEFAULT_ATTEST_EVERY, Door, VaultPolicy};
use crate::rotation::Epochs;
use crate::section::{self, Custody};

mod bars;
mod escrow;
mod evidence;
mod lacking;
mod span;

pub use bars::{Barred, Bars};
pub use escrow::{BundleNeeded, EscrowGranted, escrow};
pub use evidence::{Asking, Bar, Standing, StandingAt, TpmPin, Unmet};
pub use lacking::lacking;
pub use span::changes_at;

/// How long evidence that is due for renewal is still good: time for a slow node to answer the challenge beside its section.
pub const RENEWAL_GRACE: Duration = Duration::from_secs(5 * 60);

/// Evidence that did not help is not asked for again, beside a section, before it is this old. A node answers a challenge and polls
/// at once, so without this a vault whose policy is not met would keep its node quoting without end.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);

/// One vault about which is decided.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The vault.
    pub vault: VaultId,
    /// Its policy.
    pub policy: &'a VaultPolicy,
    /// Its epochs at the controller.
    pub epochs: Epochs,
    /// The epoch that the node reported its protector under; none when no controller's key is part of it.
    pub reported: Option<Epoch>,
    /// Whether it is wanted.
    pub standing: section::Presence,
}

/// What was decided for one vault.
#[derive(Debug)]
pub struct Decision {
    /// Release, or why not.
    pub ruling: Ruling,
    /// Which of the policy's demands on the evidence does not hold. A vault that is locked by its operator counts by its evidence alone.
    pub lacks: Option<Withheld>,
    /// Its evidence is due to be renewed.
    pub renewal_due: bool,
}

impl Decision {
    /// Whether all of the policy's demands on the evidence hold.
    #[must_use]
    pub fn met(&self) -> bool {
        self.lacks.is_none()
    }

    /// The same where the controller's newest keys of these vaults do not open: what would go out, and can't be opened, is withheld.
    #[must_use]
    pub fn unless_unopened(self, unopened: &BTreeSet<VaultId>) -> Self {
        match &self.ruling {
            Ruling::Release(granted) if unopened.contains(&granted.vault) => {
                Self { ruling: Ruling::Withhold(Withheld::KeyUnopened), ..self }
            }
            _ => self,
        }
    }
}

/// Release, or why not.
#[derive(Debug)]
pub enum Ruling {
    /// The custody asks for no key of the controller's. A lease, where the policy has one, is renewed.
    NotNeeded,
    /// Its current and last keys may go out to this session.
    Release(Granted),
    /// No key.
    Withhold(Withheld),
}

/// The witness that keys of these epochs may go to this session of this device: made by [`decide`] alone.
///
/// Nothing else can make one, so a release without a decision does not compile:
///
/// ```compile_fail
/// use vault::decide::Granted;
/// fn forge(device: vault::ids::DeviceId, session: attest::SessionKey, vault: vault::ids::VaultId) -> Granted {
///     let (custody, epochs) = (vault::section::Custody::Controller, vault::rotation::Epochs::first());
///     Granted { device, session, vault, custody, epochs }
/// }
/// ```
#[derive(Debug)]
pub struct Granted {
    device: DeviceId,
    session: SessionKey,
    vault: VaultId,
    custody: Custody,
    epochs: Epochs,
}

impl Granted {
    /// To which device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
    /// To which session.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        self.session
    }
    /// Of which vault.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.vault
    }
    /// Under which custody.
    #[must_use]
    pub fn custody(&self) -> Custody {
        self.custody
    }
    /// Which epochs: the current and the last one, no other (VC-3).
    #[must_use]
    pub fn epochs(&self) -> Epochs {
        self.epochs
    }
}

/// Why a key is withheld. For the operator words are made of it where they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// This session has given no evidence.
    NoEvidence,
    /// The evidence is of another session.
    OtherSession,
    /// The node has a TPM, or may have one, and did not quote.
    MustQuote,
    /// The evidence is older than the policy allows, by so many seconds.
    TooOld {
        /// Its age, in seconds.
        age_s: u64,
    },
    /// The evidence is from the controller's future: its clock was set back.
    FromTheFuture,
    /// The TPM's counters fell since the quote before, or its clock within one boot.
    WentBack {
        /// Which, and from what to what.
        why: Finding,
    },
    /// The custody asks for a TPM, and the node has none.
    NoTpm,
    /// A check that the policy demands did not pass.
    Failed {
        /// Which one.
        check: Check,
        /// Why not.
        why: Unmet,
    },
    /// The operator wants it locked.
    LockedByOperator,
    /// It is being removed.
    BeingRemoved,
    /// It was removed, and is kept.
    Retained,
    /// Its device is lost.
    DeviceLost,
    /// Its device may be two.
    DeviceDoubled,
    /// It would go out, and the controller can't open it: [`Decision::unless_unopened`] is told so, for no key is opened here.
    KeyUnopened,
}

impl Withheld {
    /// For the node: which kind, no detail that would help who tampers with it.
    #[must_use]
    pub fn coarse(&self) -> Cause {
        match self {
            Self::NoEvidence | Self::OtherSession | Self::MustQuote => Cause::EvidenceWanted,
            Self::TooOld { .. } | Self::FromTheFuture => Cause::EvidenceOutOfDate,
            Self::NoTpm => Cause::NoTpm,
            Self::Failed { check: Check::Pcrs, .. } => Cause::Pcrs,
            Self::WentBack { .. } => Cause::Evidence,
            Self::LockedByOperator => Cause::LockedByOperator,
            Self::BeingRemoved => Cause::BeingRemoved,
            Self::Retained => Cause::Retained,
            Self::DeviceLost => Cause::DeviceLost,
            Self::KeyUnopened => Cause::KeyUnopened,
            Self::DeviceDoubled => Cause::DeviceDoubled,
        }
    }
}

/// Decides for one vault. `now` in seconds since 1970, by the controller's clock.
#[must_use]
pub fn decide(subject: &Subject<'_>, evidence: &StandingAt<'_>, asking: &Asking, now: u64) -> Decision {
    let demands = demands(subject.policy, evidence, asking, now);
    let lacks = demands.as_ref().err().cloned();
    let ruling = match demands {
        // Locked there too, as far as it still listens: also what the TPM alone opens.
        _ if asking.barred == Some(Bar::Lost) => Ruling::Withhold(Withheld::DeviceLost),
        _ if subject.policy.node.custody.needs_tpm() && asking.tpm == TpmPin::Absent => {
            Ruling::Withhold(Withheld::NoTpm)
        }
        _ if !needs_word(subject) => Ruling::NotNeeded,
        _ if asking.barred == Some(Bar::Doubled) => Ruling::Withhold(Withheld::DeviceDoubled),
        Err(why) => Ruling::Withhold(why),
        Ok(()) if !needs_key(subject) => Ruling::NotNeeded,
        Ok(()) => wanted(subject, asking),
    };
    Decision { ruling, lacks, renewal_due: evidence.renewal_due(subject.policy.attest.every, now) }
}

/// A vault whose custody gave up the controller's key still needs it to get off the epoch it is wrapped under.
fn needs_key(subject: &Subject<'_>) -> bool {
    subject.policy.node.custody.needs_controller() || subject.reported.is_some()
}

/// A lease is a word of the controller's too: what the TPM alone opens has it on the same demands.
fn needs_word(subject: &Subject<'_>) -> bool {
    needs_key(subject) || subject.policy.node.lease.is_some()
}

/// Everything that the policy asks of the evidence.
fn demands(
    policy: &VaultPolicy,
    evidence: &StandingAt<'_>,
    asking: &Asking,
    now: u64,
) -> Result<(), Withheld> {
    evidence.in_force(asking, policy.attest.every, now)?;
    policy.attest.require.iter().try_for_each(|check| evidence.passed(*check))
}

fn wanted(subject: &Subject<'_>, asking: &Asking) -> Ruling {
    match (subject.standing, subject.policy.operation) {
        (section::Presence::Removing, _) => Ruling::Withhold(Withheld::BeingRemoved),
        (section::Presence::Retained, _) => Ruling::Withhold(Withheld::Retained),
        (section::Presence::Active, Door::Lock) => Ruling::Withhold(Withheld::LockedByOperator),
        (section::Presence::Active, Door::Unlock) => Ruling::Release(Granted {
            device: asking.device,
            session: asking.session,
            vault: subject.vault,
            custody: subject.policy.node.custody,
            epochs: subject.epochs,
        }),
    }
}

/// How the session is to be challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeWay {
    /// Not now.
    None,
    /// Beside the section: the evidence is due to be renewed.
    Beside,
    /// In the section's place (AC-2).
    InPlace,
}

/// Decides whether the section goes out, and a challenge with it or instead of it, from what was decided for all listed vaults.
///
/// | state of the evidence | answer |
/// | --- | --- |
/// | none for this session, too old, of another kind than the node's, or no listed vault's policy met | no section; a challenge in its place |
/// | in force | the section: every listed vault, each with keys, `not needed`, or `withheld: reason` |
/// | in force, older than `attest.every`, or new evidence is wanted | the section, and a challenge beside it ([`RENEWAL_GRACE`]) |
/// | in force, a vault's policy not met | the section, and a challenge beside it, at most once in [`RETRY_AFTER`] |
/// | in force, and too old for the bundle in escrow, which is needed now | the section, and a challenge beside it |
#[must_use]
pub fn challenge(
    decisions: &[Decision],
    evidence: &StandingAt<'_>,
    asking: &Asking,
    bundle: BundleNeeded,
    now: u64,
) -> ChallengeWay {
    let standing = match decisions {
        [] => evidence.in_force(asking, DEFAULT_ATTEST_EVERY, now).is_ok(),
        listed => listed.iter().any(Decision::met),
    };
    let due = match decisions {
        [] => evidence.renewal_due(DEFAULT_ATTEST_EVERY, now),
        listed => {
            let again = evidence.retry_due(now);
            listed.iter().any(|decision| decision.renewal_due || (!decision.met() && again))
        }
    };
    let due = due || bundle.wants_evidence(evidence, asking, now);
    match (standing, due) {
        (false, _) => ChallengeWay::InPlace,
        (true, true) => ChallengeWay::Beside,
        (true, false) => ChallengeWay::None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
