//! The share table of one generation, `shares.<g>`: one 32-byte share per vault that the TPM has a part in,
//! each sealed (AES-256-GCM) under the volume storage key of its TPM policy (KO-1).
//! Holds ciphertext only, so it may be copied, changed and written again. Nonces are arguments.
//! The table authenticates under `T_g` alone: entries whose `P_g` can't be read now are kept as they are, and can be marked.

mod codec;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::aead;
use zeroize::Zeroizing;

use crate::ids::{Generation, VaultId};
use crate::roots::Vsk;
use crate::secret::TpmShare;
use crate::section::{MAX_VAULTS, Seal};

pub use codec::{MAX_TABLE_BYTES, TableError};

/// Most entries: the vaults of a section and the two default ones.
pub const MAX_SHARES: usize = MAX_VAULTS + 2;
const SEALED_LEN: usize = 48;
const LABEL: &[u8; 18] = b"eve-vault share v1";

/// 12 random bytes for one sealing.
#[derive(Debug, Clone, Copy)]
pub struct Nonce(pub [u8; 12]);

/// How far the making of a vault has come, as its share tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The share is durable, the vault is not whole yet.
    Begun,
    /// Directory, policy, metadata and share were there together once.
    Made,
    /// Made once, and its share went with a table that was lost.
    Lost,
}

/// One vault's line in the table.
#[derive(Clone, PartialEq, Eq)]
pub struct ShareEntry {
    seal: Seal,
    mark: Mark,
    nonce: [u8; 12],
    sealed: [u8; SEALED_LEN],
}

impl ShareEntry {
    /// Under which TPM policy its share is sealed.
    #[must_use]
    pub fn seal(&self) -> Seal {
        self.seal
    }
    /// How far its vault is made.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }
}

impl fmt::Debug for ShareEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareEntry({:?}, {:?})", self.seal, self.mark)
    }
}

/// SHA-256 of the controller's root certificate, pinned at first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPin(pub [u8; 32]);

/// Why an entry was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is one; it is never overwritten by adding.
    #[error("the vault has a share already")]
    Exists,
    /// [`MAX_SHARES`].
    #[error("the share table is full")]
    Full,
}

/// Why a share was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No entry, or its share was lost.
    #[error("the vault has no share")]
    Absent,
    /// It is sealed under the other TPM policy.
    #[error("the share is sealed under the other TPM policy")]
    OtherSeal,
    /// The key is the right one and the bytes are not.
    #[error("the share is damaged")]
    Damaged,
}

/// The table, authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    generation: Generation,
    pin: Option<RootPin>,
    entries: BTreeMap<VaultId, ShareEntry>,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self { generation, pin: None, entries: BTreeMap::new() }
    }
    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// The controller's pinned root, once there was contact.
    #[must_use]
    pub fn pin(&self) -> Option<RootPin> {
        self.pin
    }
    /// Pins the controller's root.
    pub fn set_pin(&mut self, pin: RootPin) {
        self.pin = Some(pin);
    }
    /// One vault's entry.
    #[must_use]
    pub fn entry(&self, vault: VaultId) -> Option<&ShareEntry> {
        self.entries.get(&vault)
    }
    /// All vaults with an entry, in order.
    pub fn vaults(&self) -> impl Iterator<Item = VaultId> + '_ {
        self.entries.keys().copied()
    }

    /// Whether no share lies in it: marks of lost ones at most.
    #[must_use]
    pub fn is_barren(&self) -> bool {
        self.entries.values().all(|entry| entry.mark == Mark::Lost)
    }

    /// Seals a new share into the table.
    ///
    /// # Errors
    /// [`AddError`]: the table is unchanged.
    pub fn add(
        &mut self,
        vault: VaultId,
        mark: Mark,
        vsk: &Vsk,
        share: &TpmShare,
        nonce: Nonce,
    ) -> Result<(), AddError> {
        self.room(vault)?;
        let entry = self.sealed(vault, mark, vsk, share, nonce);
        self.entries.insert(vault, entry);
        Ok(())
    }

    /// Writes down that a vault was made once and its share is gone.
    ///
    /// # Errors
    /// [`AddError`]: the table is unchanged.
    pub fn add_lost(&mut self, vault: VaultId) -> Result<(), AddError> {
        self.room(vault)?;
        let lost = ShareEntry { seal: Seal::Tpm, mark: Mark::Lost, nonce: [0; 12], sealed: [0; SEALED_LEN] };
        self.entries.insert(vault, lost);
        Ok(())
    }

    fn room(&self, vault: VaultId) -> Result<(), AddError> {
        match self.entries.len() {
            _ if self.entries.contains_key(&vault) => Err(AddError::Exists),
            MAX_SHARES.. => Err(AddError::Full),
            _ => Ok(()),
        }
    }

    /// Opens one share.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, vault: VaultId, vsk: &Vsk) -> Result<TpmShare, OpenError> {
        let entry = self.entries.get(&vault).filter(|e| e.mark != Mark::Lost).ok_or(OpenError::Absent)?;
        if entry.seal != vsk.seal() {
            return Err(OpenError::OtherSeal);
        }
        let mut buffer = Zeroizing::new(entry.sealed);
        let nonce = aead::Nonce::assume_unique_for_key(entry.nonce);
        let plain = cipher(vsk).open_in_place(nonce, self.aad(vault, entry.seal), buffer.as_mut_slice());
        let share = plain.ok().and_then(|plain| plain.first_chunk()).ok_or(OpenError::Damaged)?;
        Ok(TpmShare::copied_from(share))
    }

    /// Seals the same share under another TPM policy; mark unchanged.
    ///
    /// # Errors
    /// [`OpenError`]: the share does not open under `from`, and the table is unchanged.
    pub fn reseal(&mut self, vault: VaultId, from: &Vsk, to: &Vsk, nonce: Nonce) -> Result<(), OpenError> {
        let share = self.open(vault, from)?;
        let mark = self.entries.get(&vault).ok_or(OpenError::Absent)?.mark;
        let entry = self.sealed(vault, mark, to, &share, nonce);
        self.entries.insert(vault, entry);
        Ok(())
    }

    /// Writes down how far the vault is made; the sealed bytes stay as they are. Says whether there was an entry.
    pub fn mark(&mut self, vault: VaultId, mark: Mark) -> bool {
        self.entries.get_mut(&vault).map(|entry| entry.mark = mark).is_some()
    }

    /// Drops a vault's entry. Says whether there was one.
    pub fn remove(&mut self, vault: VaultId) -> bool {
        self.entries.remove(&vault).is_some()
    }

    fn sealed(&self, vault: VaultId, mark: Mark, vsk: &Vsk, share: &TpmShare, nonce: Nonce) -> ShareEntry {
        let mut sealed = [0; SEALED_LEN];
        let (text, tag_place) = sealed.split_at_mut(32);
        text.copy_from_slice(share.expose_tpm_share());
        let iv = aead::Nonce::assume_unique_for_key(nonce.0);
        let tag = cipher(vsk)
            .seal_in_place_separate_tag(iv, self.aad(vault, vsk.seal()), text)
            .expect("32 bytes are far under AES-GCM's bound");
        tag_place.copy_from_slice(tag.as_ref());
        ShareEntry { seal: vsk.seal(), mark, nonce: nonce.0, sealed }
    }

    /// "eve-vault share v1" || generation (4, big endian) || vault (16) || seal (1).
    fn aad(&self, vault: VaultId, seal: Seal) -> aead::Aad<[u8; 39]> {
        let mut aad = [0; 39];
        aad[..18].copy_from_slice(LABEL);
        aad[18..22].copy_from_slice(&self.generation.0.to_be_bytes());
        aad[22..38].copy_from_slice(vault.0.as_bytes());
        aad[38] = codec::seal_number(seal);
        aead::Aad::from(aad)
    }
}

fn cipher(vsk: &Vsk) -> aead::LessSafeKey {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, vsk.key().expose_volume_key());
    aead::LessSafeKey::new(key.expect("a volume key is 32 bytes, as AES-256 wants"))
}
