//! A bundle's bytes. All integers big endian: magic "EVEESC1\n" (8) || generation (4) || device key's name (32) || whether the root is there
//! (0 or 1) || sealed root (48, zeros when it is not) || length (4) || share table || count (2) || vaults, rising;
//! a vault: its identity (16) || protector || policy; a file: length of name (1) || name || length (2) || bytes.
//! Every bundle has exactly one encoding.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use super::{Bundle, BundleId, KeyFile, SEALED_LEN, VaultFiles};
use crate::ids::{DeviceKey, Generation, VaultId};
use crate::section::MAX_VAULTS;
use crate::shares::MAX_TABLE_BYTES;

const MAGIC: &[u8; 8] = b"EVEESC1\n";
/// A vault of a section, and the two default ones.
const MAX_IN_IT: usize = MAX_VAULTS + 2;
/// The longest name that a descriptor has: a policy's, in hexadecimal.
const MAX_NAME: usize = 32;
/// Of a key file. Source: `fscrypt::MAX_FILE_LEN`, which no file that reads is longer than: a policy's has some 140 bytes for each protector.
const MAX_FILE: usize = 16384;
/// Room for the key files of a vault, on average: those with one protector take less than half of it.
const ROOM: usize = 16 + 2 * (1 + MAX_NAME + 2 + 600);
/// Room for all of them.
const MAX_FILES: usize = MAX_IN_IT * ROOM;

/// No bundle is longer.
pub const MAX_BUNDLE_BYTES: usize = 8 + 4 + 32 + 1 + SEALED_LEN + 4 + MAX_TABLE_BYTES + 2 + MAX_FILES;

/// Why bytes are no bundle of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no escrow bundle: {what}")]
pub struct BadBundle {
    /// The part.
    pub what: &'static str,
}

impl Bundle {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.generation.0.to_be_bytes());
        out.extend_from_slice(&self.device.0);
        out.push(u8::from(self.sealed_pcrs.is_some()));
        out.extend_from_slice(&self.sealed_pcrs.unwrap_or([0; SEALED_LEN]));
        let length = u32::try_from(self.table.len()).expect("a table is bounded");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.table);
        let count = u16::try_from(self.vaults.len()).expect("vaults are bounded");
        out.extend_from_slice(&count.to_be_bytes());
        for (id, VaultFiles { protector, policy }) in &self.vaults {
            out.extend_from_slice(id.0.as_bytes());
            [protector, policy].into_iter().for_each(|file| put(&mut out, file));
        }
        out
    }

    /// By what it is named.
    #[must_use]
    pub fn id_of(generation: Generation, bytes: &[u8]) -> BundleId {
        let mut id = BundleId { generation, digest: [0; 32] };
        id.digest.copy_from_slice(digest(&SHA256, bytes).as_ref());
        id
    }

    /// Reads one. What it holds is not proved by that.
    ///
    /// # Errors
    /// [`BadBundle`]: nothing of it is used.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBundle> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BadBundle { what: "its first bytes" })?;
        let generation = Generation(u32::from_be_bytes(take(&mut rest)?));
        let device = DeviceKey(take(&mut rest)?);
        let (there, sealed) = (take::<1>(&mut rest)?, take::<SEALED_LEN>(&mut rest)?);
        let sealed_pcrs = match (there, sealed) {
            ([0], sealed) if sealed == [0; SEALED_LEN] => None,
            ([1], sealed) => Some(sealed),
            _ => return Err(BadBundle { what: "the root" }),
        };
        let length = u32::from_be_bytes(take(&mut rest)?) as usize;
        let table = part(&mut rest, length, MAX_TABLE_BYTES)?.to_vec();
        let vaults = vaults(&mut rest)?;
        match rest {
            [] => Ok(Self { device, generation, sealed_pcrs, table, vaults }),
            _ => Err(BadBundle { what: "bytes behind its end" }),
        }
    }
}

fn put(out: &mut Vec<u8>, file: &KeyFile) {
    out.push(u8::try_from(file.name.len()).expect("names are bounded"));
    out.extend_from_slice(file.name.as_bytes());
    out.extend_from_slice(&u16::try_from(file.bytes.len()).expect("files are bounded").to_be_bytes());
    out.extend_from_slice(&file.bytes);
}

/// Those that there is room for; and of the longest ones, which there is none for, how many bytes their files have.
#[must_use]
pub fn fitting(
    all: BTreeMap<VaultId, VaultFiles>,
) -> (BTreeMap<VaultId, VaultFiles>, BTreeMap<VaultId, usize>) {
    let mut by_length: Vec<_> = all.into_iter().collect();
    by_length.sort_by_key(|(id, files)| (files.length(), *id));
    let (mut fit, mut long, mut room) = (BTreeMap::new(), BTreeMap::new(), MAX_FILES);
    for (id, files) in by_length {
        let (length, fits) =
            (files.length(), [&files.protector, &files.policy].iter().all(|file| file.fits()));
        match room.checked_sub(length).filter(|_| fits && fit.len() < MAX_IN_IT) {
            Some(less) => {
                room = less;
                fit.insert(id, files);
            }
            None => drop(long.insert(id, files.protector.bytes.len() + files.policy.bytes.len())),
        }
    }
    (fit, long)
}

impl VaultFiles {
    /// In a bundle, with its vault's identity.
    fn length(&self) -> usize {
        let file = |file: &KeyFile| 1 + file.name.len() + 2 + file.bytes.len();
        16 + file(&self.protector) + file(&self.policy)
    }
}

impl KeyFile {
    /// Whether a bundle takes it.
    #[must_use]
    pub fn fits(&self) -> bool {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        (1..=MAX_NAME).contains(&self.name.len())
            && self.name.bytes().all(hex)
            && self.bytes.len() <= MAX_FILE
    }
}

fn vaults(rest: &mut &[u8]) -> Result<BTreeMap<VaultId, VaultFiles>, BadBundle> {
    let count = u16::from_be_bytes(take(rest)?) as usize;
    let mut vaults = BTreeMap::new();
    for _ in 0..count.min(MAX_IN_IT + 1) {
        let id = VaultId(uuid::Uuid::from_bytes(take(rest)?));
        let files = VaultFiles { protector: file(rest)?, policy: file(rest)? };
        if vaults.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(BadBundle { what: "the order of vaults" });
        }
        vaults.insert(id, files);
    }
    if vaults.len() == count { Ok(vaults) } else { Err(BadBundle { what: "too many vaults" }) }
}

fn file(rest: &mut &[u8]) -> Result<KeyFile, BadBundle> {
    let [length] = take(rest)?;
    let name = part(rest, length.into(), MAX_NAME)?;
    let name = std::str::from_utf8(name).map_err(|_| BadBundle { what: "a name" })?.to_owned();
    let length = u16::from_be_bytes(take(rest)?) as usize;
    let file = KeyFile { name, bytes: part(rest, length, MAX_FILE)?.to_vec() };
    if file.fits() { Ok(file) } else { Err(BadBundle { what: "a name" }) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadBundle> {
    let (first, after) = rest.split_first_chunk::<N>().ok_or(BadBundle { what: "it ends too soon" })?;
    *rest = after;
    Ok(*first)
}

fn part<'a>(rest: &mut &'a [u8], length: usize, most: usize) -> Result<&'a [u8], BadBundle> {
    if length > most {
        return Err(BadBundle { what: "a part is too long" });
    }
    let (first, after) = rest.split_at_checked(length).ok_or(BadBundle { what: "it ends too soon" })?;
    *rest = after;
    Ok(first)
}
