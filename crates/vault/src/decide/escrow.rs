//! Whether a node may have its escrow bundle back. With it, and its own TPM, a node opens every vault that is sealed to a measured boot: so it
//! goes to a boot that an operator approved, and to no other, whatever the policies of its vaults ask.

use attest::SessionKey;

use super::{Asking, Bar, RENEWAL_GRACE, StandingAt, Withheld};
use crate::ids::DeviceId;
use crate::policy::{Check, DEFAULT_ATTEST_EVERY};

/// The witness that a bundle may go to this session of this device: made by [`escrow`] alone.
///
/// ```compile_fail
/// use vault::decide::EscrowGranted;
/// fn forge(device: vault::ids::DeviceId, session: attest::SessionKey) -> EscrowGranted {
///     EscrowGranted { device, session }
/// }
/// ```
#[derive(Debug)]
pub struct EscrowGranted {
    device: DeviceId,
    session: SessionKey,
}

impl EscrowGranted {
    /// To which device, of whose bundles.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
    /// To which session.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        self.session
    }
}

/// From when on a session needs the bundle, in seconds since 1970: it asks for it back, or a drill of it is due. None: not by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BundleNeeded(pub Option<u64>);

impl BundleNeeded {
    /// It does not.
    pub const NEVER: Self = Self(None);

    /// Whether evidence is wanted for it now: it is needed, and what is there is too old for it, whatever policies make of that.
    pub(super) fn wants_evidence(self, evidence: &StandingAt<'_>, asking: &Asking, now: u64) -> bool {
        let is_needed = self.0.is_some_and(|from| from <= now) && asking.barred.is_none();
        is_needed && evidence.in_force(asking, DEFAULT_ATTEST_EVERY, now).is_err()
    }

    /// When that may change: at the time itself, and when evidence gets too old.
    pub(super) fn turns(self, evidence: &StandingAt<'_>) -> impl Iterator<Item = u64> + use<> {
        let too_old = evidence.at.saturating_add((DEFAULT_ATTEST_EVERY + RENEWAL_GRACE).as_secs() + 1);
        self.0.into_iter().flat_map(move |from| [from, too_old])
    }
}

/// Decides. `now` in seconds since 1970, by the controller's clock.
///
/// # Errors
/// Why not.
pub fn escrow(evidence: &StandingAt<'_>, asking: &Asking, now: u64) -> Result<EscrowGranted, Withheld> {
    match asking.barred {
        Some(Bar::Lost) => return Err(Withheld::DeviceLost),
        Some(Bar::Doubled) => return Err(Withheld::DeviceDoubled),
        None => {}
    }
    evidence.in_force(asking, DEFAULT_ATTEST_EVERY, now)?;
    evidence.passed(Check::Pcrs)?;
    Ok(EscrowGranted { device: asking.device, session: asking.session })
}
