//! What a bundle gives, to whom, and from which bytes (KO-1, invariant 4).

use super::*;
use crate::ids::{CONFIG_VAULT, IMAGE_VAULT};
use crate::roots::TpmRoot;

fn key(byte: u8) -> EscrowKey {
    TpmRoot(RootSecret::copied_from(&[byte; 32])).escrow_key()
}

fn file(name: &str) -> KeyFile {
    KeyFile { name: name.to_owned(), bytes: name.repeat(3).into_bytes() }
}

fn files(name: &str) -> VaultFiles {
    VaultFiles { protector: file(name), policy: file(&name.repeat(2)) }
}

fn bundle(pcrs: bool) -> Bundle {
    let root = PcrsRoot(RootSecret::copied_from(&[9; 32])).vsk();
    let vaults = [(CONFIG_VAULT, files("0123456789abcdef")), (IMAGE_VAULT, files("fedcba9876543210"))];
    let of = (DeviceKey([3; 32]), Generation(7));
    Bundle::new(&key(1), pcrs.then_some(&root), of, b"a table".to_vec(), vaults.into_iter().collect())
}

/// The root comes out for the node that put it in, under its own T, device key and generation, and for no other.
#[test]
fn only_the_own_tpm_opens_the_root() {
    let whole = bundle(true);
    let root = whole.open_pcrs(&key(1)).expect("opens").expect("is there");
    assert_eq!(root.0.expose_root_secret(), &[9; 32]);
    assert!(matches!(whole.open_pcrs(&key(2)), Err(NotOurs)), "another TPM's");
    let other = Bundle { device: DeviceKey([4; 32]), ..whole.clone() };
    assert!(matches!(other.open_pcrs(&key(1)), Err(NotOurs)), "another device's");
    let later = Bundle { generation: Generation(8), ..whole.clone() };
    assert!(matches!(later.open_pcrs(&key(1)), Err(NotOurs)), "another generation's");
    assert!(bundle(false).open_pcrs(&key(2)).expect("nothing to open").is_none());
    let searched = whole.encode();
    assert!(!searched.windows(32).any(|part| part == [9; 32]), "it is ciphertext");
}

/// One encoding: what is read is written again as it was, and nothing else is read.
#[test]
fn bytes_read_back_and_no_others_do() {
    for whole in [bundle(true), bundle(false)] {
        let bytes = whole.encode();
        assert_eq!(bytes, bundle(whole.has_pcrs()).encode(), "the same parts, the same bytes");
        assert_eq!(Bundle::decode(&bytes), Ok(whole));
        for length in 0..bytes.len() {
            assert!(Bundle::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(Bundle::decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte more");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x80;
            let read = Bundle::decode(&flipped);
            assert!(read.is_err() || read.is_ok_and(|read| read.encode() == flipped), "flipped at {at}");
        }
    }
    assert_ne!(Bundle::id_of(Generation(1), b"a").digest, Bundle::id_of(Generation(1), b"b").digest);
}

#[test]
fn a_file_with_a_name_that_leads_elsewhere_is_none_of_ours() {
    for (name, taken) in [("0123", true), ("../0123", false), ("", false), ("ABCD", false), ("0/1", false)] {
        assert_eq!(file(name).fits(), taken, "{name:?}");
    }
    assert!(!KeyFile { name: "01".into(), bytes: vec![0; 16385] }.fits());
    let evil = Bundle {
        vaults: [(CONFIG_VAULT, VaultFiles { protector: file("../x"), policy: file("01") })].into(),
        ..bundle(true)
    };
    assert_eq!(Bundle::decode(&evil.encode()), Err(BadBundle { what: "a name" }));
}

/// W_g: a known answer, computed by an independent implementation.
#[test]
fn ko2_the_key_of_the_escrow() {
    let hex: String = key(7).expose_escrow_key().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, KNOWN);
}

const KNOWN: &str = "4d88180b78088dff2f8c5135501e61720ad60afc2c6b1f7ab4e3dcf491e70ce1";

/// Whatever others added, what there is room for is taken, the shortest first, and the bundle is no longer than one may be; the rest is named.
#[test]
fn what_there_is_no_room_for_is_named_and_no_other_is_left_out() {
    let of = |n: u128, bytes: usize| {
        let file = |name: &str| KeyFile { name: name.repeat(16), bytes: vec![1; bytes] };
        (VaultId(uuid::Uuid::from_u128(n)), VaultFiles { protector: file("01"), policy: file("02") })
    };
    let many: BTreeMap<_, _> = (0..1026).map(|n| of(n, 200)).chain([]).collect();
    assert_eq!(fitting(many.clone()), (many.clone(), BTreeMap::new()));
    let long: BTreeMap<_, _> = many.into_iter().take(900).chain((2000..2100).map(|n| of(n, 16384))).collect();
    let (fit, left) = fitting(long.clone());
    assert!(fit.len() > 920 && (0..900).all(|n| fit.contains_key(&of(n, 0).0)), "{}", fit.len());
    assert_eq!(fit.len() + left.len(), long.len());
    assert!(left.values().all(|length| *length == 2 * 16384));
    let whole = Bundle { vaults: fit, table: vec![0; crate::shares::MAX_TABLE_BYTES], ..bundle(true) };
    let bytes = whole.encode();
    assert!(bytes.len() <= MAX_BUNDLE_BYTES, "{} of {MAX_BUNDLE_BYTES}", bytes.len());
    assert_eq!(Bundle::decode(&bytes), Ok(whole));
}
