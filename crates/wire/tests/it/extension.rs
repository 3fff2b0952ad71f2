//! The vault extension: round trips of everything it can say, and every bound that its reader holds to (IF-1, IF-2, IF-5).

use proptest::prelude::*;
use uuid::Uuid;
use vault::cause::Cause;
use vault::ids::{DeviceId, DeviceKey, Epoch, Incarnation, SectionDigest, SectionVersion, VaultId};
use vault::section::{
    Custody, Encryption, Entry, MAX_VAULTS, NodePolicy, Operation, Presence, Release, Seal, SealedKey,
    Section,
};
use wire::DecodeError;
use wire::config::{ConfigParts, ConfigResponse, DeviceConfig};

use crate::beside::answer;
use crate::common::{bytes_field, device, entry, number_field, raw_fields, sealed, section, vault_id};

/// Reads a section from its bytes, as it stands in a configuration of `device()`.
pub(crate) fn read(section: &[u8]) -> Result<Section, DecodeError> {
    let id = bytes_field(1, device().to_string().as_bytes());
    let config = [bytes_field(1, &id), bytes_field(50500, section)].concat();
    let answer = [bytes_field(1, &config), bytes_field(2, b"hash")].concat();
    let config = ConfigResponse::decode(&answer)?.config.expect("it is there");
    config.section().map(|section| section.expect("it is there").clone()).map_err(Clone::clone)
}

/// The bytes of a section, taken out of a configuration that we wrote.
fn written(section: Section) -> Vec<u8> {
    let parts = ConfigParts { section: Some(section), ..ConfigParts::default() };
    let config = DeviceConfig::new(&parts).unwrap();
    let field = raw_fields(config.bytes()).into_iter().find(|field| field.number == 50500).unwrap();
    inside(&field.whole)
}

/// The content of a length-delimited field.
pub(crate) fn inside(field: &[u8]) -> Vec<u8> {
    let end_of_varint =
        |from: usize| from + field[from..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    field[end_of_varint(end_of_varint(0))..].to_vec()
}

/// A section with one vault, some of whose fields are replaced.
pub(crate) fn with_vault(replace: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let one = Section { vaults: vec![entry(1, Release::NotNeeded)], ..section() };
    let fields = raw_fields(&written(one));
    let head = fields[..3].iter().flat_map(|field| field.whole.clone()).collect();
    let replaced = |number| replace.iter().any(|(other, _)| *other == number);
    let kept = raw_fields(&inside(&fields[3].whole)).into_iter().filter(|field| !replaced(field.number));
    let vault: Vec<u8> = kept
        .map(|field| field.whole)
        .chain(replace.iter().map(|(_, field)| field.clone()))
        .flatten()
        .collect();
    [head, bytes_field(4, &vault), fields[4].whole.clone()].concat()
}

#[test]
fn a_section_is_read_as_it_was_written() {
    assert_eq!(read(&written(section())), Ok(section()));
    let empty = Section { vaults: Vec::new(), ..section() };
    assert_eq!(read(&written(empty.clone())), Ok(empty), "present and empty is the list of nothing");
    assert_eq!(read(&with_vault(&[])).unwrap().vaults, [entry(1, Release::NotNeeded)]);
}

/// A newer controller's word is never taken for one of ours, nor for a default.
#[test]
fn what_is_not_understood_refuses_the_section() {
    for (number, what) in [(3, "encryption"), (4, "custody"), (5, "seal"), (6, "operation"), (7, "standing")]
    {
        for value in [0, 4, 99] {
            let refused = read(&with_vault(&[(number, number_field(number, value))])).unwrap_err();
            let expected = DecodeError::NotUnderstood { field: what, value: value as i32 };
            assert_eq!(refused, expected, "{what} {value}");
        }
    }
}

/// KO-7: a node that knows nothing of it takes a retained vault for one that is being removed, and locks and keeps it.
#[test]
fn ko7_a_retained_vault_is_one_whose_removal_has_no_end() {
    let retained = vault::section::Entry { standing: Presence::Retained, ..entry(1, Release::NotNeeded) };
    let fields = raw_fields(&written(Section { vaults: vec![retained], ..section() }));
    let of = |number| {
        let fields = raw_fields(&inside(&fields[3].whole)).into_iter();
        fields.filter(move |field| field.number == number).map(|field| field.whole).collect::<Vec<_>>()
    };
    assert_eq!((of(7), of(20)), (vec![number_field(7, 2)], vec![number_field(20, 1)]));
    let odd = read(&with_vault(&[(7, number_field(7, 1)), (20, number_field(20, 1))]));
    assert_eq!(odd, Err(DecodeError::Invalid { field: "standing", why: "is active, and retained" }));
}

#[test]
fn a_vault_out_of_bounds_refuses_the_section() {
    let key = |epoch: u64, enc: usize, ciphertext: usize| {
        let (enc, ciphertext) = (vec![1; enc], vec![2; ciphertext]);
        [number_field(1, epoch), bytes_field(2, &enc), bytes_field(3, &ciphertext)].concat()
    };
    let keys = |current: &[u8], last: &[u8]| {
        let keys = [bytes_field(1, current), bytes_field(2, last)].concat();
        vec![(10, Vec::new()), (11, bytes_field(11, &keys))]
    };
    let good = key(3, 32, 48);
    assert!(read(&with_vault(&keys(&good, &good))).is_ok());
    let eight = (9..17).flat_map(|byte| bytes_field(16, &[byte; 32])).collect();
    assert_eq!(read(&with_vault(&[(16, eight)])).unwrap().vaults[0].policy.recovery.all().len(), 8);
    for (what, replace) in [
        ("short id", vec![(1, bytes_field(1, &[1; 15]))]),
        ("long id", vec![(1, bytes_field(1, &[1; 17]))]),
        ("nil id", vec![(1, bytes_field(1, &[0; 16]))]),
        ("no id", vec![(1, Vec::new())]),
        ("no name", vec![(2, Vec::new())]),
        ("name with a slash", vec![(2, bytes_field(2, b"../etc"))]),
        ("name of 65 bytes", vec![(2, bytes_field(2, &[b'a'; 65]))]),
        ("name that is no text", vec![(2, bytes_field(2, &[0xff]))]),
        ("no release", vec![(10, Vec::new())]),
        ("two releases", vec![(10, bytes_field(10, b"")), (12, bytes_field(12, b""))]),
        ("epoch 0", keys(&key(0, 32, 48), &key(0, 32, 48))),
        ("short enc", keys(&key(3, 31, 48), &good)),
        ("long enc", keys(&key(3, 33, 48), &good)),
        ("short ciphertext", keys(&good, &key(3, 32, 47))),
        ("long ciphertext", keys(&good, &key(3, 32, 49))),
        ("last newer than current", keys(&good, &key(4, 32, 48))),
        ("no last key", vec![(10, Vec::new()), (11, bytes_field(11, &bytes_field(1, &good)))]),
        ("reason over its limit", {
            let reason = bytes_field(1, &[b'x'; 1025]);
            vec![(10, Vec::new()), (12, bytes_field(12, &reason))]
        }),
        ("short recipient", vec![(16, bytes_field(16, &[9; 31]))]),
        ("recipient of low order", vec![(16, bytes_field(16, &[0; 32]))]),
        ("recipient twice", vec![(16, bytes_field(16, &[9; 32]).repeat(2))]),
        ("nine recipients", { vec![(16, (9..18).flat_map(|byte| bytes_field(16, &[byte; 32])).collect())] }),
        ("reason with an escape", {
            vec![(10, Vec::new()), (12, bytes_field(12, &bytes_field(1, b"\x1b[2J")))]
        }),
    ] {
        assert!(read(&with_vault(&replace)).is_err(), "{what}");
    }
}

#[test]
fn a_section_out_of_bounds_is_refused() {
    let good = written(section());
    let replace = |number: u64, with: Vec<u8>| -> Vec<u8> {
        let whole = |field: crate::common::RawField| {
            if field.number == number { with.clone() } else { field.whole }
        };
        raw_fields(&good).into_iter().flat_map(whole).collect()
    };
    let version = |incarnation: &[u8], version| {
        bytes_field(3, &[bytes_field(1, incarnation), number_field(2, version)].concat())
    };
    assert!(read(&replace(3, version(&[3; 16], 1))).is_ok());
    for (what, bytes) in [
        ("no device", replace(1, Vec::new())),
        ("another device", replace(1, bytes_field(1, &[9; 16]))),
        ("no device key", replace(5, Vec::new())),
        ("short device key", replace(5, bytes_field(5, &[4; 31]))),
        ("long device key", replace(5, bytes_field(5, &[4; 33]))),
        ("no session", replace(2, Vec::new())),
        ("short session", replace(2, bytes_field(2, &[7; 31]))),
        ("no version", replace(3, Vec::new())),
        ("version 0", replace(3, version(&[3; 16], 0))),
        ("short incarnation", replace(3, version(&[3; 15], 1))),
        ("nothing at all", Vec::new()),
    ] {
        assert!(read(&bytes).is_err(), "{what}");
    }
}

#[test]
fn a_vault_listed_twice_refuses_the_section() {
    let twice = Section { vaults: vec![entry(1, Release::NotNeeded); 2], ..section() };
    let parts = ConfigParts { section: Some(twice), ..ConfigParts::default() };
    assert!(DeviceConfig::new(&parts).unwrap().section().is_err());
}

#[test]
fn as_many_vaults_as_allowed_are_read_and_one_more_is_not() {
    let of = |count: usize| {
        let vaults =
            (1..=count as u128).map(|n| entry(n, Release::Keys { current: sealed(2), last: sealed(1) }));
        Section { vaults: vaults.collect(), removed: vec![], ..section() }
    };
    assert_eq!(read(&written(of(MAX_VAULTS))).unwrap().vaults.len(), MAX_VAULTS);
    assert!(matches!(read(&written(of(MAX_VAULTS + 1))), Err(DecodeError::TooLarge { .. })));
}

/// A key of a kind that we do not speak is refused, in each place where one is told; none told is the first kind.
#[test]
fn a_suite_that_is_not_known_is_refused() {
    let refused = DecodeError::NotUnderstood { field: "suite", value: 2 };
    for (what, suite, expected) in [
        ("as it was before suites were told", None, Ok(())),
        ("the first", Some(1), Ok(())),
        ("another", Some(2), Err(refused)),
    ] {
        let told = |number| suite.map_or(vec![], |suite| number_field(number, suite));
        assert_eq!(asked(&told(4)), expected, "{what}: the session that asks");
        assert_eq!(released(&told(4)), expected, "{what}: the session that a key is sealed to");
        assert_eq!(bound(&told(5)), expected, "{what}: the session of evidence");
    }
}

fn asked(suite: &[u8]) -> Result<(), DecodeError> {
    let ask = [&bytes_field(1, &[7; 32]), suite].concat();
    wire::config::ConfigRequest::decode(&bytes_field(50521, &ask)).map(drop)
}

/// A section whose vault has keys, the current of which says its suite.
fn released(suite: &[u8]) -> Result<(), DecodeError> {
    let key = |suite: &[u8]| {
        let whole = [bytes_field(2, &[1; 32]), bytes_field(3, &[2; 48]), suite.to_vec()].concat();
        [number_field(1, 1), whole].concat()
    };
    let keys = [bytes_field(1, &key(suite)), bytes_field(2, &key(&[]))].concat();
    read(&with_vault(&[(10, Vec::new()), (11, bytes_field(11, &keys))])).map(drop)
}

fn bound(suite: &[u8]) -> Result<(), DecodeError> {
    let parts = [bytes_field(1, &[7; 32]), bytes_field(2, &[9; 32]), bytes_field(3, &[1])].concat();
    let quote = bytes_field(50560, &[&parts, suite].concat());
    let request = [number_field(1, 3), bytes_field(2, &quote)].concat();
    wire::attest::AttestRequest::decode(&request).map(drop)
}

fn any_section() -> impl Strategy<Value = Section> {
    let head = (any::<u128>(), any::<[[u8; 32]; 2]>(), any::<[u8; 16]>(), 1..u64::MAX);
    let chain = (prop::option::of(any::<[u8; 32]>()), 100..105_u128, prop::option::of(any::<[u8; 16]>()));
    (head, chain, prop::collection::vec(any_entry(), 0..5)).prop_map(
        |((device, [device_key, session], incarnation, version), (follows, removed, lease), vaults)| {
            let vaults = vaults.into_iter().enumerate();
            Section {
                device: DeviceId(Uuid::from_u128(device | 1)),
                device_key: DeviceKey(device_key),
                session: attest::SessionKey(session),
                version: SectionVersion { incarnation: Incarnation(incarnation), version },
                follows: follows.map(SectionDigest),
                removed: (100..removed).map(vault_id).collect(),
                lease: lease.map(vault::lease::LeaseNonce),
                vaults: vaults.map(|(n, vault)| Entry { id: vault_id(n as u128), ..vault }).collect(),
            }
        },
    )
}

fn any_entry() -> impl Strategy<Value = Entry> {
    use prop::sample::select;
    let policy = (
        select(vec![Encryption::Aes256Xts, Encryption::Adiantum]),
        select(vec![Custody::Tpm, Custody::Controller, Custody::TpmAndController]),
        select(vec![Seal::Tpm, Seal::Pcrs]),
        select(vec![0, 10, 21_600, 7_776_000]),
    );
    let wanted = (
        select(vec![Operation::Unlock, Operation::Lock, Operation::ChangeKey]),
        select(vec![Presence::Active, Presence::Removing, Presence::Retained]),
    );
    (policy, wanted, any::<[bool; 2]>(), "[a-z][a-z .]{0,20}[a-z]", any_release()).prop_map(
        |((encryption, custody, seal, lease), (operation, standing), [created, recreate], name, release)| {
            Entry {
                id: VaultId(Uuid::nil()),
                name: name.parse().unwrap(),
                policy: NodePolicy {
                    encryption,
                    custody,
                    seal,
                    lease: vault::lease::Lease::of_seconds(lease),
                    recovery: vault::recovery::Recipients::NONE,
                    storage_limit: None,
                },
                operation,
                standing,
                created,
                recreate,
                release,
            }
        },
    )
}

fn any_cause() -> impl Strategy<Value = Cause> {
    let other = (prop_oneof![Just(0), 100.., ..0], "[ -~]{0,80}");
    prop_oneof![
        prop::sample::select(&Cause::KNOWN[..]),
        other.prop_map(|(code, words)| Cause::Other { code, words })
    ]
}

fn any_release() -> impl Strategy<Value = Release> {
    let key = |epoch, enc: [u8; 32], half: [u8; 24]| SealedKey {
        epoch: Epoch(epoch),
        enc: enc.to_vec(),
        number: u32::from(enc[0]),
        ciphertext: half.repeat(2),
    };
    prop_oneof![
        Just(Release::NotNeeded),
        any_cause().prop_map(|reason| Release::Withheld { reason }),
        (1..u64::MAX, any::<[u8; 32]>(), any::<[u8; 24]>()).prop_map(move |(epoch, enc, half)| {
            Release::Keys { current: key(epoch, enc, half), last: key(1 + epoch / 2, enc, half) }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_section_is_read_as_it_was_written(section in any_section()) {
        let parts = ConfigParts { section: Some(section.clone()), ..ConfigParts::default() };
        let answer = ConfigResponse { config: Some(DeviceConfig::new(&parts).unwrap()), ..answer() };
        let read = ConfigResponse::decode(&answer.encode()).unwrap();
        let config = read.config.unwrap();
        prop_assert_eq!(config.section(), Ok(Some(&section)));
    }
}
