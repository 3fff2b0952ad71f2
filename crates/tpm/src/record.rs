//! What the NV indices of a slot set hold, byte for byte. Each record is written at once and carries its own checksum,
//! so a torn write is told apart from a whole one; secrecy and authenticity are the TPM's.
//!
//! ```text
//! root      magic "EVEVROOT" | kind u8 | generation u32 | root 32 | SHA-256 of all that 32          77 bytes
//! branches  magic of the bank | generation u32 | bitmap 3 | count u8 | 8 digests of 32 | SHA-256    304 bytes
//! ```
//! Numbers are big-endian; unused digests are zero. The magic of branches is "EVEVPCRS" of the SHA-256 bank, as builds of before there
//! was another wrote it, and "EVEVP384" of the SHA-384 one, which those builds call damaged.

use zeroize::Zeroizing;

use crate::{
    Digest32, Generation, MAX_BRANCHES, PcrBank, PcrPolicy, PcrSelection, PolicyDigest, Root, RootKind,
};

const ROOT_MAGIC: &[u8; 8] = b"EVEVROOT";
const SUM: usize = 32;
const OTHER_MAGIC: &str = "its magic is wrong";

/// Size of a root's record.
pub(crate) const ROOT_SIZE: usize = 8 + 1 + 4 + 32 + SUM;
/// Size of a record of branches.
pub(crate) const BRANCHES_SIZE: usize = 8 + 4 + 3 + 1 + 32 * MAX_BRANCHES + SUM;

fn branches_magic(bank: PcrBank) -> &'static [u8; 8] {
    match bank {
        PcrBank::Sha256 => b"EVEVPCRS",
        PcrBank::Sha384 => b"EVEVP384",
    }
}

/// The record of a root.
pub(crate) fn encode_root(kind: RootKind, generation: Generation, root: &Root) -> Zeroizing<Vec<u8>> {
    // Reserved in full, so that growing leaves no copy behind.
    let mut record = Zeroizing::new(Vec::with_capacity(ROOT_SIZE));
    record.extend_from_slice(ROOT_MAGIC);
    record.push(kind.code());
    record.extend_from_slice(&generation.0.to_be_bytes());
    record.extend_from_slice(root.expose_root());
    seal(&mut record);
    record
}

/// Reads a root's record, which must be of `kind`.
pub(crate) fn decode_root(kind: RootKind, record: &[u8]) -> Result<(Generation, Root), &'static str> {
    let body = unseal(record, ROOT_SIZE)?.strip_prefix(ROOT_MAGIC).ok_or(OTHER_MAGIC)?;
    let ([code], body) = split(body);
    let (generation, body) = split(body);
    if *code != kind.code() {
        return Err("a root of the other kind");
    }
    let root = Root::init(|bytes| {
        bytes.copy_from_slice(body);
        Ok::<_, &'static str>(())
    })?;
    Ok((Generation(u32::from_be_bytes(*generation)), root))
}

/// The record of the PCR states that may read a root: public, but needed to read it.
pub(crate) fn encode_branches(generation: Generation, policy: &PcrPolicy) -> Vec<u8> {
    let mut record = Vec::with_capacity(BRANCHES_SIZE);
    record.extend_from_slice(branches_magic(policy.selection().bank()));
    record.extend_from_slice(&generation.0.to_be_bytes());
    record.extend_from_slice(&policy.selection().bitmap());
    record.push(policy.branches().len() as u8);
    policy.branches().iter().for_each(|branch| record.extend_from_slice(&branch.0));
    record.resize(BRANCHES_SIZE - SUM, 0);
    seal(&mut record);
    record
}

/// Reads a record of branches.
pub(crate) fn decode_branches(record: &[u8]) -> Result<(Generation, PcrPolicy), &'static str> {
    let whole = unseal(record, BRANCHES_SIZE)?;
    let of = |bank: PcrBank| Some((bank, whole.strip_prefix(branches_magic(bank))?));
    let (bank, body) = PcrBank::ALL.into_iter().find_map(of).ok_or(OTHER_MAGIC)?;
    let (generation, body) = split(body);
    let (bitmap, body) = split(body);
    let ([count], digests) = split(body);
    let selection = PcrSelection::from_bitmap(*bitmap).map_err(|_| "no PCR is selected")?;
    let selection = selection.in_bank(bank);
    let (all, _) = digests.as_chunks::<32>();
    let used = all.get(..usize::from(*count)).ok_or("too many PCR states")?;
    let branches = used.iter().map(|digest| PolicyDigest(*digest)).collect();
    let policy = PcrPolicy::of_branches(selection, branches).map_err(|_| "no PCR state")?;
    Ok((Generation(u32::from_be_bytes(*generation)), policy))
}

fn seal(record: &mut Vec<u8>) {
    let sum = Digest32::of(record);
    record.extend_from_slice(&sum.0);
}

/// What lies before the checksum, its magic too.
fn unseal(record: &[u8], size: usize) -> Result<&[u8], &'static str> {
    if record.len() != size {
        return Err("its size is wrong");
    }
    let (body, sum) = record.split_at(size - SUM);
    if Digest32::of(body).0 != sum {
        return Err("its checksum is wrong");
    }
    Ok(body)
}

/// Splits a field off; the sizes were checked as a whole.
fn split<const N: usize>(body: &[u8]) -> (&[u8; N], &[u8]) {
    body.split_first_chunk().expect("the size of the record was checked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(bytes: [u8; 32]) -> Root {
        Root::init(|place| {
            *place = bytes;
            Ok::<_, ()>(())
        })
        .unwrap()
    }

    fn policy(bank: PcrBank, bitmap: [u8; 3], branches: Vec<[u8; 32]>) -> PcrPolicy {
        let selection = PcrSelection::from_bitmap(bitmap).unwrap().in_bank(bank);
        PcrPolicy::of_branches(selection, branches.into_iter().map(PolicyDigest).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn a_root_reads_back_as_its_own_kind_only(bytes: [u8; 32], generation: u32) {
            for (kind, other) in [(RootKind::Tpm, RootKind::Pcrs), (RootKind::Pcrs, RootKind::Tpm)] {
                let record = encode_root(kind, Generation(generation), &root(bytes));
                prop_assert_eq!(record.len(), ROOT_SIZE);
                let (g, r) = decode_root(kind, &record).unwrap();
                prop_assert_eq!((g, r.expose_root()), (Generation(generation), &bytes));
                prop_assert!(decode_root(other, &record).is_err());
            }
        }

        #[test]
        fn any_flipped_bit_and_any_cut_is_damage(bytes: [u8; 32], bit in 0..ROOT_SIZE * 8) {
            let mut record = encode_root(RootKind::Tpm, Generation(1), &root(bytes)).to_vec();
            prop_assert!(decode_root(RootKind::Tpm, &record[..bit / 8]).is_err());
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode_root(RootKind::Tpm, &record).is_err());
            record.push(0);
            prop_assert!(decode_root(RootKind::Tpm, &record).is_err());
        }

        #[test]
        fn branches_read_back(
            bitmap in any::<[u8; 3]>().prop_filter("empty", |b| *b != [0; 3]),
            branches in proptest::collection::vec(any::<[u8; 32]>(), 1..=8),
            generation: u32,
        ) {
            for (bank, magic) in [(PcrBank::Sha256, b"EVEVPCRS"), (PcrBank::Sha384, b"EVEVP384")] {
                let policy = policy(bank, bitmap, branches.clone());
                let record = encode_branches(Generation(generation), &policy);
                prop_assert_eq!((record.len(), &record[..8]), (BRANCHES_SIZE, &magic[..]));
                prop_assert_eq!(decode_branches(&record), Ok((Generation(generation), policy)));
            }
        }

        #[test]
        fn no_record_panics(mut bytes in proptest::collection::vec(any::<u8>(), BRANCHES_SIZE - SUM)) {
            let _ = decode_branches(&bytes);
            bytes[..8].copy_from_slice(branches_magic(PcrBank::Sha384));
            seal(&mut bytes);
            let _ = decode_branches(&bytes);
        }
    }
}
