//! The share table's bytes. All integers big endian:
//! magic "EVESHR3\n" (8) || generation (4) || edition (8) || flags (1) || root pin (32) || count (2) || entries || dropped || HMAC-SHA-256 (32);
//! flags: 1 a root is pinned, 2 the table follows the one of the generation before, 4 shares of vaults that are not named may have been dropped,
//! 8 a bundle may be in escrow;
//! an entry: vault (16) || seal (1) || mark (1) || nonce (12) || sealed share (48), in rising order of vault and seal;
//! a mark's highest bit: the controller ordered the vault locked;
//! dropped: count (2) || the vaults (16 each) of which shares were dropped, rising.
//! Read, and never written: "EVESHR2\n" had pinned (0 or 1) for flags, and nothing of what was dropped, so something may have been; "EVESHR1\n" had no
//! edition either, and is read as edition 0.
//! The MAC is checked before anything is read; every table has exactly one encoding.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::hmac;

use super::{Drops, MAX_DROPPED, MAX_SHARES, Mark, RootPin, SEALED_LEN, ShareEntry, Table};
use crate::ids::{Generation, VaultId};
use crate::secret::TableKey;
use crate::section::Seal;

const MAGIC: &[u8; 8] = b"EVESHR3\n";
const MAGIC_2: &[u8; 8] = b"EVESHR2\n";
const MAGIC_1: &[u8; 8] = b"EVESHR1\n";
const EDITION_LEN: usize = 8;
const HEAD_LEN: usize = 8 + 4 + EDITION_LEN + 1 + 32 + 2;
const ENTRY_LEN: usize = 16 + 1 + 1 + 12 + SEALED_LEN;
const VAULT_LEN: usize = 16;
const MAC_LEN: usize = 32;
const PINNED: u8 = 1;
const FOLLOWS: u8 = 2;
const OTHERS_DROPPED: u8 = 4;
const ESCROWED: u8 = 8;
/// Of a mark's byte.
const LOCKED: u8 = 0x80;

/// No table is longer; read no more than one byte beyond it.
pub const MAX_TABLE_BYTES: usize = HEAD_LEN + MAX_SHARES * ENTRY_LEN + 2 + MAX_DROPPED * VAULT_LEN + MAC_LEN;

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
        out.push(self.flags());
        out.extend_from_slice(&self.pin.map_or([0; 32], |pin| pin.0));
        out.extend_from_slice(&count(self.entries.len()));
        self.entries.iter().for_each(|((vault, seal), entry)| put(&mut out, *vault, *seal, entry));
        out.extend_from_slice(&count(self.dropped.of.len()));
        self.dropped.of.iter().for_each(|vault| out.extend_from_slice(vault.0.as_bytes()));
        let mac = hmac::sign(&mac_key(key), &out);
        out.extend_from_slice(mac.as_ref());
        out
    }

    /// Authenticates and reads a table.
    ///
    /// # Errors
    /// [`TableError`]: nothing of it is used.
    pub fn decode(bytes: &[u8], key: &TableKey) -> Result<Self, TableError> {
        let (form, body, mac) = parts(bytes).ok_or(TableError::NotATable)?;
        hmac::verify(&mac_key(key), body, mac).map_err(|_| TableError::NotAuthentic)?;
        form.read(body)
    }

    fn flags(&self) -> u8 {
        let flag = |set, flag| if set { flag } else { 0 };
        flag(self.pin.is_some(), PINNED)
            | flag(self.follows, FOLLOWS)
            | flag(self.dropped.others, OTHERS_DROPPED)
            | flag(self.escrowed, ESCROWED)
    }
}

/// Whether these bytes have the form of a whole table, whoever's it is: nothing is authenticated.
#[must_use]
pub fn looks_whole(bytes: &[u8]) -> bool {
    parts(bytes).is_some_and(|(form, body, _)| form.read(body).is_ok())
}

/// What is authenticated, and by what.
fn parts(bytes: &[u8]) -> Option<(Form, &[u8], &[u8])> {
    let form = Form::of(bytes)?;
    let is_long = (form.head_len() + MAC_LEN..=MAX_TABLE_BYTES).contains(&bytes.len());
    let (body, mac) = is_long.then(|| bytes.split_at(bytes.len() - MAC_LEN))?;
    Some((form, body, mac))
}

/// Of which vaults a share lies in these bytes, and under which seal, by their own word: nothing is authenticated. Of what is no table, none.
#[must_use]
pub fn named(bytes: &[u8]) -> Vec<(VaultId, Seal)> {
    let entries = (|| {
        let (head, rest) = bytes.split_at_checked(Form::of(bytes)?.head_len())?;
        let entries_len = usize::from(u16::from_be_bytes(fixed(head, head.len() - 2))) * ENTRY_LEN;
        read_entries(rest.get(..entries_len)?).ok()
    })();
    let there = entries.unwrap_or_default().into_iter().filter(|(_, entry)| entry.mark != Mark::Lost);
    there.map(|(place, _)| place).collect()
}

const NOT_COUNTED: TableError = TableError::NotUnderstood { what: "count" };

fn count(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("at most MAX_SHARES of each").to_be_bytes()
}

/// What a table of this or an earlier build looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    WithoutEdition,
    WithoutDrops,
    Whole,
}

impl Form {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first_chunk()? {
            MAGIC => Some(Self::Whole),
            MAGIC_2 => Some(Self::WithoutDrops),
            MAGIC_1 => Some(Self::WithoutEdition),
            _ => None,
        }
    }

    fn edition_len(self) -> usize {
        if self == Self::WithoutEdition { 0 } else { EDITION_LEN }
    }

    fn head_len(self) -> usize {
        HEAD_LEN - EDITION_LEN + self.edition_len()
    }

    fn read(self, body: &[u8]) -> Result<Table, TableError> {
        let (head, rest) = body.split_at(self.head_len());
        let table = self.read_head(head)?;
        let entries_len = usize::from(u16::from_be_bytes(fixed(head, head.len() - 2))) * ENTRY_LEN;
        let (entries, drops) = rest.split_at_checked(entries_len).ok_or(NOT_COUNTED)?;
        self.read_drops(drops, table.dropped.others)
            .and_then(|dropped| Ok(Table { dropped, entries: read_entries(entries)?, ..table }))
    }

    /// All but the entries, and the vaults that shares were dropped of.
    fn read_head(self, head: &[u8]) -> Result<Table, TableError> {
        let (named, rest) = head[MAGIC.len()..].split_at(4 + self.edition_len());
        let edition = if self == Self::WithoutEdition { 0 } else { u64::from_be_bytes(fixed(named, 4)) };
        let known = if self == Self::Whole { PINNED | FOLLOWS | OTHERS_DROPPED | ESCROWED } else { PINNED };
        let flags = rest[0];
        let pin = read_pin(flags & PINNED != 0, fixed(rest, 1)).filter(|_| flags & !known == 0);
        let pin = pin.ok_or(TableError::NotUnderstood { what: "root pin" })?;
        let others = self != Self::Whole || flags & OTHERS_DROPPED != 0;
        let dropped = Drops { others, ..Drops::default() };
        let generation = Generation(u32::from_be_bytes(fixed(named, 0)));
        let (follows, escrowed) = (flags & FOLLOWS != 0, flags & ESCROWED != 0);
        Ok(Table { generation, edition, pin, follows, escrowed, dropped, entries: BTreeMap::new() })
    }

    fn read_drops(self, bytes: &[u8], others: bool) -> Result<Drops, TableError> {
        if self != Self::Whole {
            let none = Drops { others, of: BTreeSet::new() };
            return bytes.is_empty().then_some(none).ok_or(NOT_COUNTED);
        }
        let (said, vaults) = bytes.split_first_chunk().ok_or(NOT_COUNTED)?;
        if vaults.len() != usize::from(u16::from_be_bytes(*said)) * VAULT_LEN {
            return Err(NOT_COUNTED);
        }
        let vaults = vaults.chunks_exact(VAULT_LEN).map(|vault| read_vault(vault, 0));
        let vaults: Vec<VaultId> = vaults.collect();
        if vaults.is_sorted_by(|one, next| one < next) {
            Ok(Drops { others, of: vaults.into_iter().collect() })
        } else {
            Err(TableError::NotUnderstood { what: "order of what was dropped" })
        }
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

/// Nothing: the bytes are none of either kind.
fn read_pin(pinned: bool, pin: [u8; 32]) -> Option<Option<RootPin>> {
    if pinned { Some(Some(RootPin(pin))) } else { (pin == [0; 32]).then_some(None) }
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
    let vault = read_vault(chunk, 0);
    Ok(((vault, seal), ShareEntry { mark, locked, nonce: fixed(chunk, 18), sealed: fixed(chunk, 30) }))
}

fn read_vault(bytes: &[u8], at: usize) -> VaultId {
    VaultId(uuid::Uuid::from_bytes(fixed(bytes, at)))
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
