//! What the controller can't do without, by the same libraries: the machine's own floor, measured between the rounds.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result};
use attest::SessionKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::secret::ControllerKey;
use vault::section::Custody;
use wire::release::{Purpose, Series, SessionSecret};

use super::stats::Samples;

/// The unavoidable operations, by the same libraries.
pub(crate) struct Floor {
    key: EcdsaKeyPair,
    session: SessionKey,
    controller_key: ControllerKey,
    pub(crate) verify: Samples,
    pub(crate) sign: Samples,
    pub(crate) seal: Samples,
    pub(crate) further: Samples,
}

impl Floor {
    pub(crate) fn new() -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("a key")?;
        let session =
            SessionSecret::init(|bytes| aws_lc_rs::rand::fill(bytes)).context("randomness")?.session_key();
        let controller_key = ControllerKey::init(|key| {
            key.fill(7);
            Ok::<_, Infallible>(())
        })?;
        let (verify, sign, seal, further) = Default::default();
        Ok(Self { key, session, controller_key, verify, sign, seal, further })
    }

    pub(crate) fn measure(&mut self) -> Result<()> {
        let purpose = Purpose {
            device: DeviceId(uuid::Uuid::nil()),
            vault: VaultId(uuid::Uuid::nil()),
            custody: Custody::TpmAndController,
        };
        let message = [7; 400];
        let public =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref().to_vec());
        for _ in 0..50 {
            let signature =
                self.sign.time(|| self.key.sign(&SystemRandom::new(), &message)).context("signing")?;
            self.verify.time(|| public.verify(&message, signature.as_ref())).context("verifying")?;
            let key = &self.controller_key;
            let mut series = None;
            self.seal.time(|| series.insert(Series::to(&self.session)?).seal(&purpose, Epoch(1), key))?;
            let series = series.as_mut().context("a seal begins a series")?;
            self.further.time(|| series.seal(&purpose, Epoch(1), key))?;
        }
        Ok(())
    }

    /// One verification of the device's signature.
    pub(crate) fn poll(&self) -> Duration {
        self.verify.median()
    }

    /// Three of those (challenge, evidence, section), one of the quote, three signatures, and the keys, one for each vault, whose
    /// two epochs are the same: one is sealed, and the others share what it encapsulates.
    pub(crate) fn attestation(&self, vaults: u32) -> Duration {
        self.verify.median() * 4
            + self.sign.median() * 3
            + self.seal.median()
            + self.further.median() * vaults.saturating_sub(1)
    }
}
