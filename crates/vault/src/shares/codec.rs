//! The share table's bytes. All integers big endian:
//! magic "EVESHR2\n" (8) || generation (4) || edition (8) || pinned (1: 0 or 1) || root pin (32) || count (2) || entries || HMAC-SHA-256 (32);
//! an entry: vault (16) || seal (1) || mark (1) || nonce (12) || sealed share (48), in rising order of vault and seal.
//! a mark's highest bit: the controller ordered the vault locked. "EVESHR1\n" had no edition; such a table is read as edition 0, and never written.
//! The MAC is checked before anything is read; every table has exactly one encoding.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;

use super::{MAX_SHARES, Mark, RootPin, SEALED_LEN, ShareEntry, Table};
use crate::ids::{Generation, VaultId};
use crate::secret::TableKey;
use crate::section::Seal;

const MAGIC: &[u8; 8] = b"EVESHR2\n";
const MAGIC_1: &[u8; 8] = b"EVESHR1\n";
const EDITION_LEN: usize = 8;
const HEAD_LEN: usize = 8 + 4 + EDITION_LEN + 1 + 32 + 2;
const ENTRY_LEN: usize = 16 + 1 + 1 + 12 + SEALED_LEN;
const MAC_LEN: usize = 32;
/// Of a mark's byte.
const LOCKED: u8 = 0x80;

/// No table is longer; read no more than one byte beyond it.
pub const MAX_TABLE_BYTES: usize = HEAD_LEN + MAX_SHARES * ENTRY_LEN + MAC_LEN;

/// Why bytes are no table of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Length or magic.
    #[error("this is no share table")]
    NotATable,
    /// Another TPM's or generation's table, or a damaged one.
    #[error("the share table does not authenticate under this TPM's root")]
    NotAuthentic,
    /// Authentic and not understood: made by a newer version, or by a fault of ours.
    #[error("the share table is authentic and not understood: {what}")]
    NotUnderstood {
        /// The part.
        what: &'static str,
    },
}

impl Table {
    /// Its bytes, authenticated under `key`.
    #[must_use]
    pub fn encode(&self, key: &TableKey) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN + self.entries.len() * ENTRY_LEN + MAC_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.generation.0.to_be_bytes());
        out.extend_from_slice(&self.edition.to_be_bytes());
        out.push(self.pin.is_some().into());
        out.extend_from_slice(&self.pin.map_or([0; 32], |pin| pin.0));
        let count = u16::try_from(self.entries.len()).expect("at most MAX_SHARES entries");
        out.extend_from_slice(&count.to_be_bytes());
        self.entries.iter().for_each(|((vault, seal), entry)| put(&mut out, *vault, *seal, entry));
        let mac = hmac::sign(&mac_key(key), &out);
        out.extend_from_slice(mac.as_ref());
        out
    }

    /// Authenticates and reads a table.
    ///
    /// # Errors
    /// [`TableError`]: nothing of it is used.
    pub fn decode(bytes: &[u8], key: &TableKey) -> Result<Self, TableError> {
        let edition_len = match bytes.first_chunk() {
            Some(MAGIC) => EDITION_LEN,
            Some(MAGIC_1) => 0,
            _ => return Err(TableError::NotATable),
        };
        let head_len = HEAD_LEN - EDITION_LEN + edition_len;
        if !(head_len + MAC_LEN..=MAX_TABLE_BYTES).contains(&bytes.len()) {
            return Err(TableError::NotATable);
        }
        let (body, mac) = bytes.split_at(bytes.len() - MAC_LEN);
        hmac::verify(&mac_key(key), body, mac).map_err(|_| TableError::NotAuthentic)?;
        let (head, entries) = body.split_at(head_len);
        let (named, rest) = head[MAGIC.len()..].split_at(4 + edition_len);
        let edition = if edition_len == 0 { 0 } else { u64::from_be_bytes(fixed(named, 4)) };
        let generation = Generation(u32::from_be_bytes(fixed(named, 0)));
        let pin = read_pin(rest, entries.len())?;
        let table = Self { generation, edition, pin, entries: BTreeMap::new() };
        Ok(Self { entries: read_entries(entries)?, ..table })
    }
}

fn mac_key(key: &TableKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose_table_key())
}

fn put(out: &mut Vec<u8>, vault: VaultId, seal: Seal, entry: &ShareEntry) {
    out.extend_from_slice(vault.0.as_bytes());
    out.push(seal_number(seal));
    out.push(mark_number(entry.mark) | if entry.locked { LOCKED } else { 0 });
    out.extend_from_slice(&entry.nonce);
    out.extend_from_slice(&entry.sealed);
}

/// The end of the head: the pin, and the count that the entries must have.
fn read_pin(head: &[u8], entries_len: usize) -> Result<Option<RootPin>, TableError> {
    let pin: [u8; 32] = fixed(head, 1);
    let pin = match (head[0], pin) {
        (0, [0, ..]) if pin == [0; 32] => None,
        (1, pin) => Some(RootPin(pin)),
        _ => return Err(TableError::NotUnderstood { what: "root pin" }),
    };
    let count = usize::from(u16::from_be_bytes(fixed(head, 33)));
    if entries_len != count * ENTRY_LEN {
        return Err(TableError::NotUnderstood { what: "count" });
    }
    Ok(pin)
}

type Entries = BTreeMap<(VaultId, Seal), ShareEntry>;

fn read_entries(bytes: &[u8]) -> Result<Entries, TableError> {
    let mut entries = Entries::new();
    for chunk in bytes.chunks_exact(ENTRY_LEN) {
        let (place, entry) = read_entry(chunk)?;
        if entries.last_key_value().is_some_and(|(last, _)| *last >= place) {
            return Err(TableError::NotUnderstood { what: "order of entries" });
        }
        entries.insert(place, entry);
    }
    Ok(entries)
}

fn read_entry(chunk: &[u8]) -> Result<((VaultId, Seal), ShareEntry), TableError> {
    let seal = match chunk[16] {
        1 => Seal::Tpm,
        2 => Seal::Pcrs,
        _ => return Err(TableError::NotUnderstood { what: "seal" }),
    };
    let locked = chunk[17] & LOCKED != 0;
    let mark = match chunk[17] & !LOCKED {
        1 => Mark::Begun,
        2 => Mark::Made,
        3 => Mark::Lost,
        _ => return Err(TableError::NotUnderstood { what: "mark" }),
    };
    let vault = VaultId(uuid::Uuid::from_bytes(fixed(chunk, 0)));
    Ok(((vault, seal), ShareEntry { mark, locked, nonce: fixed(chunk, 18), sealed: fixed(chunk, 30) }))
}

/// `N` bytes at `at`. Callers read inside lengths checked before.
fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("lengths were checked")
}

pub(super) fn seal_number(seal: Seal) -> u8 {
    match seal {
        Seal::Tpm => 1,
        Seal::Pcrs => 2,
    }
}

fn mark_number(mark: Mark) -> u8 {
    match mark {
        Mark::Begun => 1,
        Mark::Made => 2,
        Mark::Lost => 3,
    }
}
