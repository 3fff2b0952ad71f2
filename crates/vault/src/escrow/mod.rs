//! The escrow bundle of one generation: what a node needs again when its PCRs moved or its files were destroyed, and that its controller keeps
//! for it. It is ciphertext, but for names: `P_g` under a key that follows from `T_g`, the share table, and the key files of each vault.
//! The controller can't open it, and neither can the node's disk and TPM without it once the PCRs differ.
//! Pure: bytes in, bytes out. Who may have it back is decided in [`crate::decide::escrow`].

mod codec;
pub mod drill;
pub mod history;
pub mod holding;
pub mod hope;
pub mod rescue;
pub mod restore;
#[cfg(test)]
mod tests;
pub mod worth;

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{DeviceKey, Generation, VaultId};
use crate::roots::{PcrsRoot, Vsk};
use crate::secret::{EscrowKey, RootSecret};

pub use codec::{BadBundle, MAX_BUNDLE_BYTES, fitting};

const LABEL: &[u8; 19] = b"eve-vault escrow v1";
/// A root, and the tag.
const SEALED_LEN: usize = 48;

/// Which bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BundleId {
    /// The generation of the TPM roots it belongs to.
    pub generation: Generation,
    /// SHA-256 of the bundle's bytes.
    pub digest: [u8; 32],
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of generation {}", hex::encode(&self.digest[..4]), self.generation)
    }
}

/// A key file as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name, the descriptor in hexadecimal.
    pub name: String,
    /// Its bytes: a wrapped key.
    pub bytes: Vec<u8>,
}

/// The key files of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultFiles {
    /// Its own protector's.
    pub protector: KeyFile,
    /// Its policy's.
    pub policy: KeyFile,
}

/// All of one generation.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    device: DeviceKey,
    generation: Generation,
    /// None of a TPM that has no bank of PCRs to bind to.
    sealed_pcrs: Option<[u8; SEALED_LEN]>,
    table: Vec<u8>,
    vaults: BTreeMap<VaultId, VaultFiles>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle(generation {}, {} vaults)", self.generation, self.vaults.len())
    }
}

/// The sealed root does not open: another device's, generation's or TPM's, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the root in the bundle does not open under this TPM's own root: it is another node's, or damaged")]
pub struct NotOurs;

impl Bundle {
    /// Puts one together. `pcrs` is the VSK that `P_g` is; `table` the share table's bytes as they lie on the disk.
    ///
    /// The same parts give the same bytes: the key seals one message in its life, so its nonce is fixed.
    #[must_use]
    pub fn new(
        key: &EscrowKey,
        pcrs: Option<&Vsk>,
        (device, generation): (DeviceKey, Generation),
        table: Vec<u8>,
        vaults: BTreeMap<VaultId, VaultFiles>,
    ) -> Self {
        let sealed_pcrs = pcrs.map(|pcrs| sealed(key, pcrs.key().expose_volume_key(), device, generation));
        Self { device, generation, sealed_pcrs, table, vaults }
    }

    /// Of which generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// Of which device, by its key.
    #[must_use]
    pub fn device(&self) -> DeviceKey {
        self.device
    }
    /// The share table's bytes; not authenticated here.
    #[must_use]
    pub fn table(&self) -> &[u8] {
        &self.table
    }
    /// The key files of each vault.
    #[must_use]
    pub fn vaults(&self) -> &BTreeMap<VaultId, VaultFiles> {
        &self.vaults
    }
    /// Whether the root that is bound to PCRs is in it.
    #[must_use]
    pub fn has_pcrs(&self) -> bool {
        self.sealed_pcrs.is_some()
    }

    /// `P_g`; none where none is in it.
    ///
    /// # Errors
    /// [`NotOurs`]: nothing of the bundle is to be used.
    pub fn open_pcrs(&self, key: &EscrowKey) -> Result<Option<PcrsRoot>, NotOurs> {
        let Some(sealed) = &self.sealed_pcrs else { return Ok(None) };
        let mut buffer = Zeroizing::new(*sealed);
        let aad = Aad::from(aad(self.device, self.generation));
        let plain = cipher(key).open_in_place(nonce(), aad, buffer.as_mut_slice()).map_err(|_| NotOurs)?;
        let plain: &[u8; 32] = (&*plain).try_into().map_err(|_| NotOurs)?;
        Ok(Some(PcrsRoot(RootSecret::copied_from(plain))))
    }
}

fn sealed(key: &EscrowKey, root: &[u8; 32], device: DeviceKey, generation: Generation) -> [u8; SEALED_LEN] {
    let mut out = [0; SEALED_LEN];
    let (text, tag) = out.split_at_mut(32);
    text.copy_from_slice(root);
    let made = cipher(key).seal_in_place_separate_tag(nonce(), Aad::from(aad(device, generation)), text);
    tag.copy_from_slice(made.expect("32 bytes are no more than AES-GCM takes").as_ref());
    out
}

fn cipher(key: &EscrowKey) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.expose_escrow_key());
    LessSafeKey::new(key.expect("32 bytes are a key of AES-256"))
}

/// `W_g` seals `P_g` and nothing else: the same message each time.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn aad(device: DeviceKey, generation: Generation) -> Vec<u8> {
    [&LABEL[..], &device.0, &generation.0.to_be_bytes()].concat()
}
