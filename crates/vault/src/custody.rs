//! Who holds a vault's key, as arithmetic: from the shares to `R`, which wraps a protector's own key (KO-1, KO-3).
//! HKDF is RFC 5869 with SHA-256. Pure: the shares are arguments, and what comes out is never stored.
//! A share too few or too many for the custody can't be written down: the custody follows from the shares.
//!
//! ```text
//! at the controller                                       on the node
//! KEK, 32 B (file 0600)                                   T_g, P_g: 32 B each, random, in TPM NV only
//!  ├─ CA, signing, ECDH, TLS keys (AES-256-GCM,            ├─ VSK(tpm)  = HKDF(T_g, "vsk tpm")
//!  │  the row's name is associated data)                   ├─ VSK(pcrs) = P_g
//!  └─ period key, one a month                              └─ table key = HKDF(T_g, "table"): authenticates shares.<g>
//!      └─ controller key of (vault, epoch), 32 B           TPM share of one vault, 32 B random,
//!            │  HPKE to the session, in the signed section     AES-256-GCM under its VSK in shares.<g>
//!            ▼                                                     │
//!         R = HKDF-SHA-256(salt = vault UUID, ikm = [TPM share] || [controller key],
//!                          info = "eve-vault protector v1" || custody || vault UUID)
//!          └─ wraps the protector's own key, 32 B      (fscrypt protector file, twice on disk)
//!              └─ wraps the content key, 64 B, random  (fscrypt policy file, twice on disk; open: in the kernel)
//! ```
//!
//! Two epochs may go out: the current one and the last (the same one before any rotation). At unlock the current one is tried, then
//! the last. While a vault is open vaultmgr keeps its protector's key in locked memory, so a node that was merely cut off takes
//! whatever epoch comes next. A node that was off for one rotation opens with the last key and moves on. A node that was off for two
//! leaves the vault locked, and keeps the data.
//!
//! A share belongs to one seal: a vault that changes its seal gets a fresh one, and has two meanwhile. Which share a line of the table
//! is, its vault and seal say. Names of our protectors, `eve-vault <uuid> e<epoch>-<mark>`, are hints for people and plans: what counts is
//! what a key opened. The mark, `HKDF(controller key, "eve-vault epoch mark v1")`, tells the key from another of the same epoch: another
//! controller, or another copy of its database, counts from 1 too. A *generation* is one pair of roots, T and P. There are two places for them in NV, used in turn; so far a node
//! stays at its first, unless a lost table is begun anew by order on a TPM that gives no root which it opens under.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::ids::{Epoch, VaultId};
use crate::secret::{ControllerKey, TpmShare, WrappingSecret};
use crate::section::{Custody, NodePolicy, Seal};

const LABEL: &[u8] = b"eve-vault protector v1";
const MARK_LABEL: &[u8] = b"eve-vault epoch mark v1";

/// What tells a controller's key of one epoch from another that bears the same number. It says nothing of the key, and is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochMark(pub [u8; 16]);

impl std::fmt::Debug for EpochMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochMark")
    }
}

/// The first 16 bytes of HKDF-SHA-256(salt = vault UUID, ikm = controller key, info = "eve-vault epoch mark v1" || vault UUID).
#[must_use]
pub fn epoch_mark(vault: VaultId, key: &ControllerKey) -> EpochMark {
    let mut out = [0; 32];
    let info = [MARK_LABEL, vault.0.as_bytes()];
    derive(vault.0.as_bytes(), key.expose_controller_key(), &info, &mut out);
    EpochMark(*out.first_chunk().expect("16 of 32 bytes"))
}

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

/// What a protector's key is wrapped under: which of the TPM's shares, told by its seal, and the controller's key of which epoch.
/// A name, no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrapping {
    /// The TPM's share alone.
    Tpm(Seal),
    /// The controller's key of this epoch alone.
    Controller(Epoch),
    /// The TPM's share and the controller's key of this epoch.
    Both(Seal, Epoch),
}

impl Wrapping {
    /// The wrapping that `policy` asks for at `epoch`; nothing when its custody asks for an epoch and there is none.
    #[must_use]
    pub fn of(policy: &NodePolicy, epoch: Option<Epoch>) -> Option<Self> {
        match policy.custody {
            Custody::Tpm => Some(Self::Tpm(policy.seal)),
            Custody::Controller => epoch.map(Self::Controller),
            Custody::TpmAndController => epoch.map(|epoch| Self::Both(policy.seal, epoch)),
        }
    }

    /// Its custody.
    #[must_use]
    pub fn custody(self) -> Custody {
        match self {
            Self::Tpm(_) => Custody::Tpm,
            Self::Controller(_) => Custody::Controller,
            Self::Both(..) => Custody::TpmAndController,
        }
    }

    /// The seal of its share, when one of the TPM's is part of it.
    #[must_use]
    pub fn seal(self) -> Option<Seal> {
        match self {
            Self::Tpm(seal) | Self::Both(seal, _) => Some(seal),
            Self::Controller(_) => None,
        }
    }

    /// Its epoch, when a controller's key is part of it.
    #[must_use]
    pub fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Tpm(_) => None,
            Self::Controller(epoch) | Self::Both(_, epoch) => Some(epoch),
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
    use proptest::prelude::*;

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

    /// Known answer, by the same independent implementation. It tells keys and vaults apart, and is no part of what wraps anything.
    #[test]
    fn a_mark_tells_keys_of_one_number_apart() {
        let (_, key) = shares();
        let mark = epoch_mark(vault(), &key);
        assert_eq!(hex::encode(mark.0), "eecf74271f40424e2c69135c60a385e0");
        assert_ne!(mark, epoch_mark(vault(), &ControllerKey::copied_from(&[0xc6; 32])));
        assert_ne!(mark, epoch_mark(crate::ids::CONFIG_VAULT, &key));
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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// KO-1, KO-3: R hangs on each share, on the custody and on the vault: with any of them another, it is another.
        #[test]
        fn ko3_each_part_counts(share: [u8; 32], key: [u8; 32], other: [u8; 32], ids: [u128; 2]) {
            prop_assume!(share != other && key != other && ids[0] != ids[1]);
            let [share, other_share] = [share, other].map(|bytes| TpmShare::copied_from(&bytes));
            let [key, other_key] = [key, other].map(|bytes| ControllerKey::copied_from(&bytes));
            let [vault, other_vault] = ids.map(|id| VaultId(uuid::Uuid::from_u128(id)));
            let secrets = [
                wrapping_secret(vault, Shares::Both(&share, &key)),
                wrapping_secret(vault, Shares::Both(&other_share, &key)),
                wrapping_secret(vault, Shares::Both(&share, &other_key)),
                wrapping_secret(other_vault, Shares::Both(&share, &key)),
                wrapping_secret(vault, Shares::Tpm(&share)),
                wrapping_secret(vault, Shares::Controller(&key)),
            ];
            let bytes: Vec<_> = secrets.iter().map(WrappingSecret::expose_wrapping_secret).collect();
            let distinct: std::collections::BTreeSet<_> = bytes.iter().collect();
            prop_assert_eq!(distinct.len(), bytes.len());
        }

        /// What a policy is wrapped under has its custody, its seal and the newest epoch, as far as these are part of it.
        #[test]
        fn a_wrapping_is_that_of_its_policy(epoch in prop::option::of(any::<u64>().prop_map(Epoch)), pcrs: bool, nth in 0..3usize) {
            let custody = [Custody::Tpm, Custody::Controller, Custody::TpmAndController][nth];
            let seal = if pcrs { Seal::Pcrs } else { Seal::Tpm };
            let policy = NodePolicy { encryption: crate::section::Encryption::Aes256Xts, custody, seal, lease: None, recovery: crate::recovery::Recipients::NONE, storage_limit: None };
            match Wrapping::of(&policy, epoch) {
                None => prop_assert!(custody.needs_controller() && epoch.is_none()),
                Some(wrapping) => {
                    prop_assert_eq!(wrapping.custody(), custody);
                    prop_assert_eq!(wrapping.seal(), custody.needs_tpm().then_some(seal));
                    prop_assert_eq!(wrapping.epoch(), epoch.filter(|_| custody.needs_controller()));
                }
            }
        }
    }
}
