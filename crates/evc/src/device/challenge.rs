//! Challenges: a nonce of a device's, good for [`NONCE_TTL_S`] seconds and for one answer. Giving one writes nothing ([`crate::custody::Nonces`]).
//! One that asks again within [`GIVEN_AGAIN_S`] gets the same one, so it may answer whichever it was told last. Each answer that comes with a
//! good nonce counts, whatever it is worth, and makes all that were given before void: nothing is answered twice, and what was held back on
//! the way comes too late. A clock that was set back makes nonces of the future, which are not good; and a controller that is started anew knows
//! none of before, so who held one is challenged anew at its next poll.
//! A courier's (`super::courier`) is good for as long as it says. It is one of the same count: whoever answered otherwise since can't answer it.

use vault::decide::ChallengeWay;
use wire::control::Challenge;

use crate::custody::{Carried, CustodyError, For};
use crate::fleet::evidence::Came;
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

    /// Of a nonce that this device was given in time, and gave no answer since: when its evidence shows the device to have been there, which is
    /// now but for a courier's. None: it is not good.
    pub(super) fn shown_at(&self, nonce: &[u8; 32], device: &DeviceRow, came: Came) -> Option<UnixSeconds> {
        let (whom, now) = (self.whom(device), came.at);
        let of_courier = || self.nonces.of_courier(nonce, whom);
        if let Some(Carried { given, life_s }) = came.by_courier.then(of_courier).flatten() {
            let age_s = now.checked_sub(given)?;
            // Later than it was seen otherwise it was there by no proof.
            let seen = [Some(given), device.last_seen, device.proved_at].into_iter().flatten().max();
            return seen.filter(|_| age_s < u64::from(life_s));
        }
        let age_s = self.nonces.when(nonce, whom).and_then(|given| now.checked_sub(given))?;
        (age_s < u64::from(NONCE_TTL_S)).then_some(now)
    }

    /// A courier's challenge, given now.
    pub(super) fn carried(&self, device: &DeviceRow, life_s: u32, now: UnixSeconds) -> Challenge {
        let nonce = self.nonces.carried(self.whom(device), Carried { given: now, life_s });
        // How long the node tries; for how long it is good the nonce says.
        let (ttl_s, pcrs) = (NONCE_TTL_S, APPRAISED_PCRS);
        Challenge { nonce, ttl_s, pcrs, wants_quote: true, wants_location: false }
    }

    fn whom<'a>(&self, device: &'a DeviceRow) -> For<'a> {
        let DeviceRow { id, cert_digest, answered, .. } = device;
        For { incarnation: self.incarnation, device: *id, cert_digest, answered: *answered }
    }
}
