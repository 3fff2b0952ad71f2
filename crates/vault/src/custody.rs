//! Who holds a vault's key, as arithmetic: from the shares to `R`, which wraps a protector's own key (KO-1, KO-3).
//! HKDF is RFC 5869 with SHA-256. Pure: the shares are arguments, and what comes out is never stored.
//! A share too few or too many for the custody can't be written down: the custody follows from the shares.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::ids::{Epoch, VaultId};
use crate::secret::{ControllerKey, TpmShare, WrappingSecret};
use crate::section::Custody;

const LABEL: &[u8] = b"eve-vault protector v1";

/// The shares that make one `R`, whole.
#[derive(Debug, Clone, Copy)]
pub enum Shares<'a> {
    /// Custody `tpm`.
    Tpm(&'a TpmShare),
    /// Custody `controller`.
    Controller(&'a ControllerKey),
    /// Custody `tpm+controller`.
    Both(&'a TpmShare, &'a ControllerKey),
}

impl Shares<'_> {
    /// The custody that these shares are.
    #[must_use]
    pub fn custody(self) -> Custody {
        match self {
            Self::Tpm(_) => Custody::Tpm,
            Self::Controller(_) => Custody::Controller,
            Self::Both(..) => Custody::TpmAndController,
        }
    }
}

/// What a protector's key is wrapped under: the custody, and the epoch when the controller's key is part of it. A name, no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrapping {
    /// The TPM's share alone.
    Tpm,
    /// The controller's key of this epoch alone.
    Controller(Epoch),
    /// The TPM's share and the controller's key of this epoch.
    Both(Epoch),
}

impl Wrapping {
    /// The wrapping of `custody` at `epoch`; nothing when the custody asks for an epoch and there is none.
    #[must_use]
    pub fn of(custody: Custody, epoch: Option<Epoch>) -> Option<Self> {
        match custody {
            Custody::Tpm => Some(Self::Tpm),
            Custody::Controller => epoch.map(Self::Controller),
            Custody::TpmAndController => epoch.map(Self::Both),
        }
    }

    /// Its custody.
    #[must_use]
    pub fn custody(self) -> Custody {
        match self {
            Self::Tpm => Custody::Tpm,
            Self::Controller(_) => Custody::Controller,
            Self::Both(_) => Custody::TpmAndController,
        }
    }

    /// Its epoch, when a controller's key is part of it.
    #[must_use]
    pub fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Tpm => None,
            Self::Controller(epoch) | Self::Both(epoch) => Some(epoch),
        }
    }
}

/// `R` = HKDF-SHA-256(salt = vault UUID, ikm = \[TPM share\] || \[controller key\],
/// info = "eve-vault protector v1" || custody (1 byte: 1 tpm, 2 controller, 3 both) || vault UUID); 32 bytes.
#[must_use]
pub fn wrapping_secret(vault: VaultId, shares: Shares<'_>) -> WrappingSecret {
    let mut ikm = Zeroizing::new([0; 64]);
    let ikm = join(shares, &mut ikm);
    let info = [LABEL, &[number(shares.custody())], vault.0.as_bytes()];
    let Ok(secret) = WrappingSecret::init::<std::convert::Infallible>(|out| {
        derive(vault.0.as_bytes(), ikm, &info, out);
        Ok(())
    });
    secret
}

fn join<'b>(shares: Shares<'_>, ikm: &'b mut [u8; 64]) -> &'b [u8] {
    let (first, second): (&[u8; 32], Option<&[u8; 32]>) = match shares {
        Shares::Tpm(share) => (share.expose_tpm_share(), None),
        Shares::Controller(key) => (key.expose_controller_key(), None),
        Shares::Both(share, key) => (share.expose_tpm_share(), Some(key.expose_controller_key())),
    };
    ikm[..32].copy_from_slice(first);
    let Some(second) = second else { return &ikm[..32] };
    ikm[32..].copy_from_slice(second);
    ikm
}

fn number(custody: Custody) -> u8 {
    match custody {
        Custody::Tpm => 1,
        Custody::Controller => 2,
        Custody::TpmAndController => 3,
    }
}

/// HKDF-SHA-256 to 32 bytes. An empty salt is RFC 5869's "not provided".
pub(crate) fn derive(salt: &[u8], ikm: &[u8], info: &[&[u8]], out: &mut [u8; 32]) {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(ikm)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out))
        .expect("32 bytes are one block of HKDF-SHA-256, well under its bound of 255");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> VaultId {
        "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a UUID")
    }

    fn shares() -> (TpmShare, ControllerKey) {
        let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
        (TpmShare::copied_from(&counting), ControllerKey::copied_from(&[0xc5; 32]))
    }

    /// KO-3: known answers, computed by an independent implementation (Python's `hmac`, RFC 5869 written out).
    #[test]
    fn ko3_known_answers() {
        let (share, key) = shares();
        for (shares, answer) in [
            (Shares::Tpm(&share), "7c5f05d528976345dcd5f990870b020d6fe16d8a8ff0c1848c5e2d7b27ef2de0"),
            (Shares::Controller(&key), "54c784abd104d2fbdc185781754cc0ae2286279aea41774e0b985e091469c3ca"),
            (Shares::Both(&share, &key), "d55bb728235881050e8370a1895d9b3abfcf388466bcc2ca3fbfb49b71838669"),
        ] {
            let secret = wrapping_secret(vault(), shares);
            let hex: String = secret.expose_wrapping_secret().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, answer, "{:?}", shares.custody());
        }
    }

    /// KO-1, UC-D: the same shares give nothing for another vault, and a secret prints as nothing.
    #[test]
    fn ko1_each_vault_has_its_own() {
        let (share, _) = shares();
        let one = wrapping_secret(vault(), Shares::Tpm(&share));
        let other = wrapping_secret(crate::ids::CONFIG_VAULT, Shares::Tpm(&share));
        assert_ne!(one.expose_wrapping_secret(), other.expose_wrapping_secret());
        assert_eq!(format!("{one:?}"), "WrappingSecret(redacted)");
    }
}
