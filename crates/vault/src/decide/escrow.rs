//! Whether a node may have its escrow bundle back. With it, and its own TPM, a node opens every vault that is sealed to a measured boot: so it
//! goes to a boot that an operator approved, and to no other, whatever the policies of its vaults ask.

use attest::SessionKey;

use super::{Asking, Bar, StandingAt, Withheld};
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
