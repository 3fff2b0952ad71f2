//! Challenges: a nonce of a device's, good for [`NONCE_TTL_S`] seconds and for one answer. Giving one writes nothing ([`crate::custody::Nonces`]).
//! One that asks again within [`GIVEN_AGAIN_S`] gets the same one, so it may answer whichever it was told last. Each answer that comes with a
//! good nonce counts, whatever it is worth, and makes all that were given before void: nothing is answered twice, and what was held back on
//! the way comes too late. A clock that was set back makes nonces of the future, which are not good; and a controller that is started anew knows
//! none of before, so who held one is challenged anew at its next poll.

use vault::decide::ChallengeWay;
use wire::control::Challenge;

use crate::custody::{CustodyError, For};
use crate::service::{APPRAISED_PCRS, Controller, NONCE_TTL_S};
use crate::store::{DeviceRow, UnixSeconds};

/// A nonce is given for so long, in seconds, and is good for at least as long when it is.
const GIVEN_AGAIN_S: u32 = NONCE_TTL_S / 2;

impl Controller {
    /// The challenge that is needed.
    ///
    /// # Errors
    /// [`CustodyError`]: there is no randomness.
    pub(super) fn challenge(
        &self,
        device: &DeviceRow,
        needed: ChallengeWay,
        now: UnixSeconds,
    ) -> Result<Option<Challenge>, CustodyError> {
        if needed == ChallengeWay::None {
            return Ok(None);
        }
        let nonce = self.nonce_for(device, now)?;
        let (ttl_s, pcrs) = (GIVEN_AGAIN_S, APPRAISED_PCRS);
        Ok(Some(Challenge { nonce, ttl_s, pcrs, wants_quote: true, wants_location: false }))
    }

    /// The nonce that this device is given now.
    ///
    /// # Errors
    /// [`CustodyError`]: there is no randomness.
    pub(super) fn nonce_for(&self, device: &DeviceRow, now: UnixSeconds) -> Result<[u8; 32], CustodyError> {
        self.nonces.given(self.whom(device), now - now % u64::from(GIVEN_AGAIN_S))
    }

    /// Whether a nonce is one that this device was given in time, and gave no answer since.
    pub(super) fn is_good(&self, nonce: &[u8; 32], device: &DeviceRow, now: UnixSeconds) -> bool {
        let age_s = self.nonces.when(nonce, self.whom(device)).and_then(|given| now.checked_sub(given));
        age_s.is_some_and(|age_s| age_s < u64::from(NONCE_TTL_S))
    }

    fn whom<'a>(&self, device: &'a DeviceRow) -> For<'a> {
        let DeviceRow { id, cert_digest, answered, .. } = device;
        For { incarnation: self.incarnation, device: *id, cert_digest, answered: *answered }
    }
}
