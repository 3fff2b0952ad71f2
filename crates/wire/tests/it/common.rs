//! What the tests of this crate share: the golden files, a reader of raw fields, sample values.

use std::path::PathBuf;

use attest::SessionKey;
use uuid::Uuid;
use vault::cause::Cause;
use vault::ids::{DeviceId, DeviceKey, Epoch, Incarnation, SectionDigest, SectionVersion, VaultId};
use vault::section::{
    Custody, Encryption, Entry, NodePolicy, Operation, Presence, Release, Seal, SealedKey, Section,
};
use wire::certs::encode_list;
use wire::{ControllerCerts, TrustedCerts, Validity};

/// 2027-01-01, when all golden certificates are valid.
pub(crate) const IN_2027: u64 = 1_798_761_600;

/// Where a golden file or folder is.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(name)
}

pub(crate) fn vector(name: &str) -> Vec<u8> {
    let file = path(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn vector_json(path: &str) -> serde_json::Value {
    serde_json::from_slice(&vector(path)).expect("a golden description is JSON")
}

pub(crate) fn golden_trust() -> TrustedCerts {
    let list = encode_list(
        &vector("keys/controller-signing.cert.pem"),
        &[&vector("keys/intermediate-ca.cert.pem")],
        &[&vector("keys/controller-ecdh.cert.pem")],
    );
    let certs = ControllerCerts::decode(&list).unwrap();
    certs.verify(&vector("keys/root-ca.cert.pem"), Validity::At(IN_2027)).unwrap()
}

/// One field of a protocol buffer, whole: its number and its bytes with the tag.
pub(crate) struct RawField {
    pub(crate) number: u64,
    pub(crate) whole: Vec<u8>,
}

/// Splits a well-formed message into its top-level fields.
pub(crate) fn raw_fields(mut bytes: &[u8]) -> Vec<RawField> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let start = bytes;
        let tag = varint(&mut bytes);
        let skip = match tag & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        bytes = &bytes[skip..];
        let whole = start[..start.len() - bytes.len()].to_vec();
        fields.push(RawField { number: tag >> 3, whole });
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

pub(crate) fn put_varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Field `number` with a number in it.
pub(crate) fn number_field(number: u64, value: u64) -> Vec<u8> {
    [put_varint(number << 3), put_varint(value)].concat()
}

/// Field `number` with bytes in it.
pub(crate) fn bytes_field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [put_varint(number << 3 | 2), put_varint(bytes.len() as u64), bytes.to_vec()].concat()
}

pub(crate) fn device() -> DeviceId {
    DeviceId(Uuid::from_u128(0xd0d0_0000_0000_4000_8000_0000_0000_0001))
}

pub(crate) fn vault_id(n: u128) -> VaultId {
    VaultId(Uuid::from_u128(0x7a70_0000_0000_4000_8000_0000_0000_0000 + n))
}

pub(crate) fn session() -> SessionKey {
    SessionKey([7; 32])
}

pub(crate) fn sealed(epoch: u64) -> SealedKey {
    SealedKey { epoch: Epoch(epoch), enc: vec![1; 32], number: 0, ciphertext: vec![2; 48] }
}

pub(crate) fn entry(n: u128, release: Release) -> Entry {
    Entry {
        id: vault_id(n),
        name: format!("vault {n}").parse().unwrap(),
        policy: NodePolicy {
            encryption: Encryption::Adiantum,
            custody: Custody::TpmAndController,
            seal: Seal::Pcrs,
            lease: vault::lease::Lease::of_seconds(21_600),
            recovery: vec!["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".parse().unwrap()]
                .try_into()
                .unwrap(),
            storage_limit: vault::space::StorageLimit::of_bytes(20 << 30),
        },
        operation: Operation::ChangeKey,
        standing: Presence::Removing,
        created: true,
        recreate: true,
        release,
    }
}

pub(crate) fn section() -> Section {
    Section {
        device: device(),
        device_key: DeviceKey([4; 32]),
        session: session(),
        version: SectionVersion { incarnation: Incarnation([3; 16]), version: 9 },
        follows: Some(SectionDigest([6; 32])),
        vaults: vec![
            entry(1, Release::NotNeeded),
            entry(2, Release::Keys { current: sealed(8), last: sealed(7) }),
            entry(3, Release::Withheld { reason: Cause::Pcrs }),
        ],
        removed: vec![vault_id(4), vault_id(5)],
        lease: Some(vault::lease::LeaseNonce([0x1e; 16])),
    }
}
