//! What a node asks with and what a controller says beside a configuration: bundles, challenge, orders (ConfigRequest 50521,
//! ConfigResponse 50520). Golden bytes of an encoder that shares no line with ours are in `vectors/extension`.

use aws_lc_rs::digest::{SHA256, digest};
use proptest::prelude::*;
use uuid::Uuid;
use vault::ids::{DeviceId, DeviceKey, Generation, Incarnation, SectionDigest, SectionVersion};
use vault::wanted::{Head, OrderedAt};
use wire::DecodeError;
use wire::config::{ConfigRequest, ConfigResponse, VaultAsk};
use wire::control::{BundleId, Challenge, Control, Order, PcrMask};

use crate::common::{bytes_field, device, number_field, raw_fields, session, vault_id, vector, vector_json};
use crate::extension::inside;

fn control() -> Control {
    Control {
        device: device(),
        session: session(),
        device_key: Some(DeviceKey([8; 32])),
        challenge: Some(Challenge {
            nonce: [5; 32],
            ttl_s: 60,
            pcrs: PcrMask(0b111_1101_1111),
            wants_quote: true,
            wants_location: true,
        }),
        orders: vec![Order::Lock(vault_id(1)), Order::Erase(vault_id(2))],
        as_of: None,
        lacks: String::new(),
        held_bundle: Some(BundleId { generation: Generation(2), digest: [6; 32] }),
        rescue: None,
        no_rescue: None,
        keeps_bundles: false,
        drill: None,
        send_again: false,
    }
}

fn place(version: u64) -> SectionVersion {
    SectionVersion { incarnation: Incarnation([3; 16]), version }
}

fn ask() -> ConfigRequest {
    let head = Head { device: device(), version: place(9), digest: SectionDigest([6; 32]) };
    let vault = VaultAsk {
        session: session(),
        held: control().held_bundle,
        rescue: None,
        accepted: Some(head),
        ordered: None,
        lease: None,
        drills: false,
        series: false,
    };
    ConfigRequest { config_hash: "hash".to_owned(), integrity_token: Vec::new(), vault: Some(vault) }
}

/// Of a node that holds orders to lock.
fn ordered_ask() -> ConfigRequest {
    let ordered = Some(OrderedAt { device: device(), version: place(12) });
    let vault = ask().vault.map(|ask| VaultAsk { ordered, ..ask });
    ConfigRequest { vault, ..ask() }
}

pub(crate) fn answer() -> ConfigResponse {
    ConfigResponse { config_hash: "hash".to_owned(), config: None, control: Some(control()) }
}

#[test]
fn what_is_said_beside_a_config_is_read_as_it_was_written() {
    assert_eq!(ConfigResponse::decode(&answer().encode()), Ok(answer()));
    let bare =
        Control { challenge: None, device_key: None, orders: Vec::new(), held_bundle: None, ..control() };
    let bare = ConfigResponse { control: Some(bare), ..answer() };
    assert_eq!(ConfigResponse::decode(&bare.encode()), Ok(bare));
    let placed = Control { as_of: Some(place(9)), lacks: "PCRs".to_owned(), ..control() };
    let placed = ConfigResponse { control: Some(placed), ..answer() };
    assert_eq!(ConfigResponse::decode(&placed.encode()), Ok(placed));
}

/// Orders are read although the section is withheld, also when it can't be read.
#[test]
fn an_unreadable_section_hides_no_order() {
    let config = bytes_field(50500, b"ext");
    let bytes = [bytes_field(1, &config), answer().encode()].concat();
    let read = ConfigResponse::decode(&bytes).unwrap();
    assert!(read.config.unwrap().section().is_err());
    assert_eq!(read.control, Some(control()));
}

#[test]
fn control_out_of_bounds_is_refused() {
    let read = |control: Control| {
        ConfigResponse::decode(&ConfigResponse { control: Some(control), ..answer() }.encode()).map(|_| ())
    };
    let challenge = |change: &dyn Fn(&mut Challenge)| {
        let mut control = control();
        control.challenge.as_mut().map(change);
        control
    };
    let bundle = BundleId { generation: Generation(0), digest: [6; 32] };
    for (what, control) in [
        ("ttl 0", challenge(&|c| c.ttl_s = 0)),
        ("ttl over an hour", challenge(&|c| c.ttl_s = 3601)),
        ("PCR 24", challenge(&|c| c.pcrs = PcrMask(1 << 24))),
        ("a quote of nothing", challenge(&|c| c.pcrs = PcrMask(0))),
        ("generation 0", Control { held_bundle: Some(bundle), ..control() }),
        ("orders to nobody's key", Control { device_key: None, ..control() }),
        ("too many orders", Control { orders: vec![Order::Lock(vault_id(1)); 1025], ..control() }),
        ("orders of no place", Control { as_of: Some(place(0)), ..control() }),
        ("too many words", Control { lacks: "x".repeat(1025), ..control() }),
        ("no device", Control { device: DeviceId(Uuid::nil()), ..control() }),
    ] {
        assert!(read(control).is_err(), "{what}");
    }
}

/// IF-1: both programs write what another encoder writes, and read it as it is described.
#[test]
fn if1_golden_messages_are_read_and_written() {
    for name in [
        "configrequest-bundle",
        "configrequest-ordered",
        "configrequest-newer",
        "configrequest-older",
        "configresponse-orders",
        "configresponse-newer",
        "configresponse-older",
    ] {
        let (bytes, about) = (golden(name), vector_json(&format!("extension/{name}.json")));
        assert_eq!(
            (&about["size"], &about["hex"]),
            (&bytes.len().into(), &hex::encode(&bytes).into()),
            "{name}"
        );
        assert_eq!(about["sha256"], hex::encode(digest(&SHA256, &bytes)), "{name}");
    }
    assert_eq!(ConfigRequest::decode(&golden("configrequest-bundle")), Ok(ask()));
    assert_eq!(hex::encode(ask().encode()), hex::encode(golden("configrequest-bundle")));
    let ordered = ordered_ask();
    assert_eq!(ConfigRequest::decode(&golden("configrequest-ordered")).as_ref(), Ok(&ordered));
    assert_eq!(hex::encode(ordered.encode()), hex::encode(golden("configrequest-ordered")));
    assert_eq!(ConfigResponse::decode(&golden("configresponse-orders")), Ok(answer()));
    assert_eq!(hex::encode(answer().encode()), hex::encode(golden("configresponse-orders")));
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    vector(&format!("extension/{name}.bin"))
}

/// IF-1: a node and a controller of different versions understand each other as far as the older one goes. What an older one did not
/// say is not there.
#[test]
fn if1_older_and_newer_peers_are_understood() {
    assert_eq!(ConfigRequest::decode(&golden("configrequest-newer")), Ok(ask()));
    let bare = VaultAsk {
        session: session(),
        held: None,
        rescue: None,
        accepted: None,
        ordered: None,
        lease: None,
        drills: false,
        series: false,
    };
    let older = ConfigRequest::decode(&golden("configrequest-older")).unwrap();
    assert_eq!(older.vault, Some(bare));
    let newer = ConfigResponse::decode(&golden("configresponse-newer")).unwrap().control.unwrap();
    let [lock, erase] = [control().orders[0], control().orders[1]];
    assert_eq!(newer, Control { orders: vec![lock, Order::NotUnderstood(77), erase], ..control() });
    let older = ConfigResponse::decode(&golden("configresponse-older")).unwrap().control.unwrap();
    assert_eq!(older, Control { device_key: None, orders: Vec::new(), held_bundle: None, ..control() });
}

/// AC-4, TH-5: an order that is not understood takes none of the others along, and hides no challenge; one without a kind, or that
/// names no vault where its kind needs one, is no order, and nothing of its answer is used.
#[test]
fn th5_an_order_of_an_unknown_kind_is_left_alone() {
    let vault = bytes_field(2, vault_id(1).0.as_bytes());
    let minus_one = u64::MAX;
    for (kind, expected) in [
        (Some(1), Ok(Order::Lock(vault_id(1)))),
        (Some(2), Ok(Order::Erase(vault_id(1)))),
        (Some(3), Ok(Order::NotUnderstood(3))),
        (Some(minus_one), Ok(Order::NotUnderstood(-1))),
        (None, Err(DecodeError::Missing { field: "order" })),
    ] {
        let order = [kind.map(|kind| number_field(1, kind)).unwrap_or_default(), vault.clone()].concat();
        let read = with_order(&order).map(|control| (control.orders, control.challenge));
        assert_eq!(read, expected.map(|order| (vec![order], control().challenge)), "{kind:?}");
    }
    for vault in [vec![], bytes_field(2, &[1; 15]), bytes_field(2, &[0; 16])] {
        let order = [number_field(1, 1), vault.clone()].concat();
        assert!(with_order(&order).is_err(), "{vault:?}");
        let order = [number_field(1, 3), vault.clone()].concat();
        assert!(with_order(&order).is_ok(), "nothing but its kind is read: {vault:?}");
    }
}

/// The golden control with this one order.
fn with_order(order: &[u8]) -> Result<Control, DecodeError> {
    let bare = Control { orders: Vec::new(), ..control() };
    let bytes = ConfigResponse { control: Some(bare), ..answer() }.encode();
    let field = raw_fields(&bytes).pop().unwrap();
    let control = [inside(&field.whole), bytes_field(4, order)].concat();
    let bytes = [bytes_field(2, b"hash"), bytes_field(50520, &control)].concat();
    ConfigResponse::decode(&bytes).map(|read| read.control.unwrap())
}

/// Each field that occurs once, in each message of these two, is refused when it is there twice.
#[test]
fn no_inner_field_may_occur_twice() {
    let read = |name: &str, bytes: &[u8]| match name.starts_with("configrequest") {
        true => ConfigRequest::decode(bytes).map(drop),
        false => ConfigResponse::decode(bytes).map(drop),
    };
    let mut tried = 0;
    for (name, repeated) in [("configrequest-bundle", None), ("configresponse-orders", Some(4))] {
        let fields = raw_fields(&golden(name));
        let (head, outer) = (&fields[0].whole, &fields[1]);
        let whole = inside(&outer.whole);
        let inner = raw_fields(&whole);
        for (at, field) in inner.iter().enumerate() {
            let twice = [whole.clone(), field.whole.clone()].concat();
            let message = [head.clone(), bytes_field(outer.number, &twice)].concat();
            assert_eq!(
                read(name, &message).is_err(),
                Some(field.number) != repeated,
                "{name}: {}",
                field.number
            );
            // And in what is inside of that.
            for deeper in inside_of(&field.whole) {
                let twice = [inside(&field.whole), deeper].concat();
                let replaced = inner.iter().enumerate().map(|(other, field)| match other == at {
                    true => bytes_field(field.number, &twice),
                    false => field.whole.clone(),
                });
                let message =
                    [head.clone(), bytes_field(outer.number, &replaced.collect::<Vec<_>>().concat())]
                        .concat();
                assert!(read(name, &message).is_err(), "{name}: in {}", field.number);
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 2 + 3 + 5 + 2 + 2 + 2, "fields of bundles, head, challenge and orders");
}

/// The fields of a message in a field: those of our messages that hold one, told by their length.
fn inside_of(field: &[u8]) -> Vec<Vec<u8>> {
    let content = if field[0] & 7 == 2 { inside(field) } else { Vec::new() };
    let is_message = ![0, 16, 32].contains(&content.len());
    if is_message { raw_fields(&content).into_iter().map(|field| field.whole).collect() } else { Vec::new() }
}

fn any_order() -> impl Strategy<Value = Order> {
    let vault = (1..u128::MAX).prop_map(|n| vault::ids::VaultId(Uuid::from_u128(n)));
    let later = prop_oneof![3..=i32::MAX, i32::MIN..=-1];
    prop_oneof![
        vault.clone().prop_map(Order::Lock),
        vault.prop_map(Order::Erase),
        later.prop_map(Order::NotUnderstood)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever orders and bundles are said, they are read as they were written.
    #[test]
    fn any_orders_and_bundles_are_read_as_they_were_written(
        orders in prop::collection::vec(any_order(), 0..9),
        bundle in prop::option::of((1..=u32::MAX, any::<[u8; 32]>())),
        key: [u8; 32],
    ) {
        let held_bundle = bundle.map(|(generation, digest)| BundleId { generation: Generation(generation), digest });
        let control = Control { device_key: Some(DeviceKey(key)), orders, held_bundle, ..control() };
        let answer = ConfigResponse { control: Some(control), ..answer() };
        prop_assert_eq!(ConfigResponse::decode(&answer.encode()), Ok(answer));
        let mut asked = ask();
        asked.vault.as_mut().unwrap().held = held_bundle;
        prop_assert_eq!(ConfigRequest::decode(&asked.encode()), Ok(asked));
    }

    /// Whatever stands in these two, nothing panics.
    #[test]
    fn any_bytes_in_these_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ConfigRequest::decode(&bytes_field(50521, &bytes));
        let _ = ConfigResponse::decode(&[bytes_field(2, b"hash"), bytes_field(50520, &bytes)].concat());
    }
}
