//! The share table of one generation, `shares.<g>`: one 32-byte share per vault that the TPM has a part in,
//! each sealed (AES-256-GCM) under the volume storage key of its TPM policy (KO-1). A share stays under the policy that it was
//! made for: a vault that changes to the other one gets a share of its own there, and has both until nothing is wrapped under the old.
//! Holds ciphertext only, so it may be copied, changed and written again. Nonces are arguments.
//! The table authenticates under `T_g` alone: entries whose `P_g` can't be read now are kept as they are, and can be marked.

mod codec;
mod next;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_lc_rs::aead;
use zeroize::Zeroizing;

use crate::ids::{Generation, VaultId};
use crate::roots::Vsk;
use crate::secret::TpmShare;
use crate::section::{MAX_VAULTS, Seal};

pub use codec::{MAX_TABLE_BYTES, TableError, looks_whole, named};
pub use next::NextError;

/// Most entries: two for each vault of a section and for the two default ones.
pub const MAX_SHARES: usize = 2 * (MAX_VAULTS + 2);
/// Most vaults that are named as having lost a share of this generation; of more it is only known that there are some.
const MAX_DROPPED: usize = MAX_SHARES;
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

/// One vault's line in the table, under one TPM policy.
#[derive(Clone, PartialEq, Eq)]
pub struct ShareEntry {
    mark: Mark,
    locked: bool,
    nonce: [u8; 12],
    sealed: [u8; SEALED_LEN],
}

impl ShareEntry {
    /// How far its vault is made.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }
}

impl fmt::Debug for ShareEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareEntry({:?})", self.mark)
    }
}

/// SHA-256 of the controller's root certificate, pinned at first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPin(pub [u8; 32]);

/// Why an entry was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is one under this TPM policy; it is never overwritten by adding.
    #[error("the vault has a share under this TPM policy already")]
    Exists,
    /// [`MAX_SHARES`].
    #[error("the share table is full")]
    Full,
}

/// Why a share was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No entry under this TPM policy, or its share was lost.
    #[error("the vault has no share under this TPM policy")]
    Absent,
    /// The key is the right one and the bytes are not.
    #[error("the share is damaged")]
    Damaged,
}

/// Whether a share of a vault's was dropped from the table. As long as the generation's roots are there, it opens in a copy of the table of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Dropped {
    /// None was.
    #[default]
    None,
    /// Some were, and of which vaults is not known.
    Perhaps,
    /// One was.
    Yes,
}

/// What was dropped from a generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Drops {
    of: BTreeSet<VaultId>,
    /// Others too, perhaps: nobody wrote down which.
    others: bool,
}

/// The table, authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    generation: Generation,
    edition: u64,
    pin: Option<RootPin>,
    /// It was made from the table of the generation before, with all that was in that.
    follows: bool,
    /// A bundle of this node's may be in escrow: from before its first byte went out.
    escrowed: bool,
    dropped: Drops,
    entries: BTreeMap<(VaultId, Seal), ShareEntry>,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        let dropped = Drops::default();
        Self {
            generation,
            edition: 0,
            pin: None,
            follows: false,
            escrowed: false,
            dropped,
            entries: BTreeMap::new(),
        }
    }
    /// An empty one in place of a table of the same generation that was lost: what had been dropped from that, nobody knows.
    #[must_use]
    pub fn in_place_of_lost(generation: Generation) -> Self {
        Self { dropped: Drops { others: true, ..Drops::default() }, ..Self::new(generation) }
    }
    /// As it comes back from escrow, in place of one that was lost: what was dropped from that since, nobody knows.
    #[must_use]
    pub fn brought_back(self) -> Self {
        Self { dropped: Drops { others: true, ..self.dropped }, ..self }
    }
    /// Whether it has all that the table of the generation before had, which may go then.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.follows
    }
    /// Whether a bundle of this node's may be in escrow.
    #[must_use]
    pub fn is_escrowed(&self) -> bool {
        self.escrowed
    }
    /// Says that one may be, before its first byte goes out. Says whether that is new.
    pub fn set_escrowed(&mut self) -> bool {
        !std::mem::replace(&mut self.escrowed, true)
    }
    /// Whether shares were dropped from it, or may have been.
    #[must_use]
    pub fn has_dropped(&self) -> bool {
        self.dropped.others || !self.dropped.of.is_empty()
    }
    /// Whether one of this vault's was.
    #[must_use]
    pub fn dropped(&self, vault: VaultId) -> Dropped {
        match (self.dropped.of.contains(&vault), self.dropped.others) {
            (true, _) => Dropped::Yes,
            (false, true) => Dropped::Perhaps,
            (false, false) => Dropped::None,
        }
    }
    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// Which edition of this generation's table it is: of two authentic ones the higher is the newer.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }
    /// Makes it the edition after `last`; each that is written has one of its own.
    pub fn follow(&mut self, last: u64) {
        self.edition = last.saturating_add(1);
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
    /// Another controller takes the place of the one that was pinned. What that one keeps of this generation is to be dead, as if something had been dropped; the new one
    /// holds nothing of it that the next would have to wait for. Says whether it is another.
    pub fn change_controller(&mut self, pin: RootPin) -> bool {
        let is_another = self.pin.replace(pin).is_some_and(|before| before != pin);
        if is_another {
            (self.dropped.others, self.escrowed) = (true, false);
        }
        is_another
    }
    /// One vault's entry under one TPM policy.
    #[must_use]
    pub fn entry(&self, vault: VaultId, seal: Seal) -> Option<&ShareEntry> {
        self.entries.get(&(vault, seal))
    }
    /// All vaults with an entry, in order; one with two comes twice.
    pub fn vaults(&self) -> impl Iterator<Item = VaultId> + '_ {
        self.entries.keys().map(|(vault, _)| *vault)
    }

    /// Whether a share lies in it under this TPM policy.
    #[must_use]
    pub fn has_any(&self, seal: Seal) -> bool {
        self.entries.iter().any(|((_, under), entry)| *under == seal && entry.mark != Mark::Lost)
    }

    /// Whether no share lies in it: marks of lost ones at most.
    #[must_use]
    pub fn is_barren(&self) -> bool {
        self.entries.values().all(|entry| entry.mark == Mark::Lost)
    }

    /// Whether nothing lies in it that lasts: it was begun, and no more.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_barren() && self.pin.is_none() && !self.is_escrowed()
    }

    /// Seals a new share into the table, under the TPM policy of `vsk`. A mark of one that was lost there goes.
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
        self.room(vault, vsk.seal())?;
        let locked = self.is_locked(vault);
        let entry = ShareEntry { locked, ..self.sealed(vault, mark, vsk, share, nonce) };
        self.entries.insert((vault, vsk.seal()), entry);
        Ok(())
    }

    /// Writes down that a vault was made once and its share is gone.
    ///
    /// # Errors
    /// [`AddError`]: the table is unchanged.
    pub fn add_lost(&mut self, vault: VaultId) -> Result<(), AddError> {
        self.room(vault, Seal::Tpm)?;
        let lost = ShareEntry { mark: Mark::Lost, locked: false, nonce: [0; 12], sealed: [0; SEALED_LEN] };
        self.entries.insert((vault, Seal::Tpm), lost);
        Ok(())
    }

    /// Takes over what `newer`, of the same generation, has of a vault that has no line here. What was dropped since this one was written nobody knows then.
    /// Says whether it had any.
    pub fn take_line(&mut self, vault: VaultId, newer: &Self) -> bool {
        let of = |table: &Self| Seal::ALL.map(|seal| table.entry(vault, seal).cloned());
        if newer.generation != self.generation || of(self).iter().any(Option::is_some) {
            return false;
        }
        let lines = Seal::ALL.into_iter().zip(of(newer)).filter_map(|(seal, line)| Some((seal, line?)));
        let lines: Vec<_> = lines.filter(|(_, line)| line.mark != Mark::Lost).collect();
        let has = !lines.is_empty() && self.entries.len() + lines.len() <= MAX_SHARES;
        if has {
            self.entries.extend(lines.into_iter().map(|(seal, line)| ((vault, seal), line)));
            self.dropped.others = true;
        }
        has
    }

    fn room(&self, vault: VaultId, seal: Seal) -> Result<(), AddError> {
        match self.entry(vault, seal).map(ShareEntry::mark) {
            Some(Mark::Begun | Mark::Made) => Err(AddError::Exists),
            Some(Mark::Lost) => Ok(()),
            None if self.entries.len() >= MAX_SHARES => Err(AddError::Full),
            None => Ok(()),
        }
    }

    /// Opens a vault's share under the TPM policy of `vsk`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, vault: VaultId, vsk: &Vsk) -> Result<TpmShare, OpenError> {
        let entry =
            self.entry(vault, vsk.seal()).filter(|e| e.mark != Mark::Lost).ok_or(OpenError::Absent)?;
        let mut buffer = Zeroizing::new(entry.sealed);
        let nonce = aead::Nonce::assume_unique_for_key(entry.nonce);
        let plain = cipher(vsk).open_in_place(nonce, self.aad(vault, vsk.seal()), buffer.as_mut_slice());
        let share = plain.ok().and_then(|plain| plain.first_chunk()).ok_or(OpenError::Damaged)?;
        Ok(TpmShare::copied_from(share))
    }

    /// Writes down that the vault is made; the sealed bytes stay as they are. Says whether it has a share.
    pub fn mark_made(&mut self, vault: VaultId) -> bool {
        let places = Seal::ALL.map(|seal| (vault, seal));
        places.into_iter().fold(false, |any, place| match self.entries.get_mut(&place) {
            Some(entry) if entry.mark != Mark::Lost => {
                entry.mark = Mark::Made;
                true
            }
            _ => any,
        })
    }

    /// Whether the controller ordered it locked, when it last ordered anything of it.
    #[must_use]
    pub fn is_locked(&self, vault: VaultId) -> bool {
        Seal::ALL.into_iter().any(|seal| self.entry(vault, seal).is_some_and(|entry| entry.locked))
    }

    /// Writes down what the controller ordered of a vault that has a share. Says whether that is new.
    pub fn set_locked(&mut self, vault: VaultId, locked: bool) -> bool {
        let places = Seal::ALL.map(|seal| (vault, seal));
        places.into_iter().fold(false, |new, place| match self.entries.get_mut(&place) {
            Some(entry) => std::mem::replace(&mut entry.locked, locked) != locked || new,
            None => new,
        })
    }

    /// Drops a vault's entry under one TPM policy, and remembers that where it had a share. Says whether there was one.
    pub fn remove(&mut self, vault: VaultId, seal: Seal) -> bool {
        let removed = self.entries.remove(&(vault, seal));
        if removed.as_ref().is_some_and(|entry| entry.mark != Mark::Lost) {
            self.dropped.add(vault);
        }
        removed.is_some()
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
        ShareEntry { mark, locked: false, nonce: nonce.0, sealed }
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

impl Drops {
    fn add(&mut self, vault: VaultId) {
        if self.of.len() < MAX_DROPPED {
            self.of.insert(vault);
        } else {
            self.others = true
        }
    }
}

fn cipher(vsk: &Vsk) -> aead::LessSafeKey {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, vsk.key().expose_volume_key());
    aead::LessSafeKey::new(key.expect("a volume key is 32 bytes, as AES-256 wants"))
}
