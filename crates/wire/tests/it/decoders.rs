//! What every decoder must hold to, whatever bytes it gets: one table of messages, the same trials for each.

use proptest::prelude::*;
use wire::ControllerCerts;
use wire::attest::{AttestRequest, AttestResponse, EvidenceBinding, Quote};
use wire::config::{ConfigParts, ConfigRequest, ConfigResponse, DeviceConfig, VaultAsk};
use wire::envelope::DeviceEnvelope;
use wire::info::Info;
use wire::register::{Register, UuidResponse};

use crate::common::{number_field, raw_fields, section, session, vector};

/// What a decoder makes of bytes, in words: to compare.
type Decoder = fn(&[u8]) -> Result<String, String>;

macro_rules! decoder {
    ($type:ty) => {
        |bytes| <$type>::decode(bytes).map(|m| format!("{m:?}")).map_err(|error| error.to_string())
    };
}

/// Each decoder with a message that it takes, and the fields that may occur more than once in it.
fn messages() -> Vec<(&'static str, Decoder, Vec<u8>, &'static [u64])> {
    vec![
        ("ConfigRequest", decoder!(ConfigRequest), config_request(), &[]),
        ("ConfigRequest, bundle", decoder!(ConfigRequest), vector("extension/configrequest-bundle.bin"), &[]),
        ("ConfigResponse", decoder!(ConfigResponse), config_response(), &[]),
        (
            "ConfigResponse, orders",
            decoder!(ConfigResponse),
            vector("extension/configresponse-orders.bin"),
            &[],
        ),
        ("AttestRequest", decoder!(AttestRequest), evidence(), &[3]),
        ("AttestRequest, certs", decoder!(AttestRequest), vector("messages/zattestreq-cert.bin"), &[3]),
        ("AttestRequest, keys", decoder!(AttestRequest), vector("messages/zattestreq-store-keys.bin"), &[3]),
        ("AttestResponse", decoder!(AttestResponse), success(), &[]),
        ("Info", decoder!(Info), vector("messages/zinfomsg-vault-error.bin"), &[]),
        ("Register", decoder!(Register), vector("messages/zregistermsg.bin"), &[]),
        ("UuidResponse", decoder!(UuidResponse), vector("messages/uuidresponse.bin"), &[]),
        ("ControllerCerts", certs, vector("messages/zcontrollercert.bin"), &[1]),
        ("DeviceEnvelope", envelope, vector("authcontainer/device-config-request.bin"), &[]),
    ]
}

fn envelope(bytes: &[u8]) -> Result<String, String> {
    DeviceEnvelope::parse(bytes).map(|m| format!("{m:?}")).map_err(|error| error.to_string())
}

/// Not the bytes that it keeps: those differ by every unknown field.
fn certs(bytes: &[u8]) -> Result<String, String> {
    let root = vector("keys/root-ca.cert.pem");
    let certs = ControllerCerts::decode(bytes).map_err(|error| error.to_string())?;
    let trusted = certs.verify(&root, wire::Validity::Ignored).map_err(|error| error.to_string())?;
    Ok(format!("{:?} {:?}", trusted.signing_hash(), trusted.ecdh()))
}

fn config_request() -> Vec<u8> {
    let vault = Some(VaultAsk {
        session: session(),
        held: None,
        rescue: None,
        accepted: None,
        ordered: None,
        lease: None,
        drills: false,
        series: false,
    });
    ConfigRequest { config_hash: "hash".to_owned(), integrity_token: vec![1], vault }.encode()
}

fn config_response() -> Vec<u8> {
    let parts =
        ConfigParts { section: Some(section()), device: Some(section().device), ..ConfigParts::default() };
    let config = Some(DeviceConfig::new(&parts).unwrap());
    ConfigResponse { config_hash: "hash".to_owned(), config, control: None }.encode()
}

fn evidence() -> Vec<u8> {
    let AttestRequest::Quote(quote) =
        AttestRequest::decode(&vector("messages/zattestreq-quote.bin")).unwrap()
    else {
        panic!("not a quote")
    };
    let binding =
        EvidenceBinding { session: session(), nonce: [5; 32], claims: vec![6; 9], device_signature: None };
    AttestRequest::Quote(Box::new(Quote { binding: Some(binding), ..*quote })).encode()
}

fn success() -> Vec<u8> {
    vector("messages/zattestresponse-quote-success-policy.bin")
}

#[test]
fn no_message_cut_short_is_taken_for_the_whole() {
    for (name, decode, whole, _) in messages() {
        let expected = decode(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        for length in 0..whole.len() {
            assert_ne!(decode(&whole[..length]).as_ref(), Ok(&expected), "{name}, {length} bytes");
        }
    }
}

#[test]
fn no_field_that_occurs_once_may_occur_twice() {
    for (name, decode, whole, repeated) in messages() {
        for field in raw_fields(&whole).iter().filter(|field| !repeated.contains(&field.number)) {
            let twice = [whole.as_slice(), &field.whole].concat();
            let refused = decode(&twice);
            assert!(refused.is_err(), "{name} with field {} twice: {refused:?}", field.number);
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for (name, decode, whole, _) in messages() {
        for trailing in [[0].as_slice(), &[0xff], &[0x0a], &[0x0a, 9, 1], &[0x0b], &[0x0c], &[7]] {
            let refused = decode(&[whole.as_slice(), trailing].concat());
            assert!(refused.is_err(), "{name} with {trailing:?} behind: {refused:?}");
        }
    }
}

/// A newer peer may say more than we know.
#[test]
fn unknown_fields_change_nothing() {
    for (name, decode, whole, _) in messages() {
        let newer = [whole.as_slice(), &number_field(9999, 7)].concat();
        assert_eq!(decode(&newer), decode(&whole), "{name}");
    }
}

#[test]
fn what_is_over_four_mebibytes_is_refused() {
    for (name, decode, whole, _) in messages() {
        let padding = crate::common::bytes_field(9999, &vec![0; wire::MAX_MESSAGE]);
        assert!(decode(&[whole, padding].concat()).is_err(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes are refused or taken; no decoder panics.
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, decode, _, _) in messages() {
            let _ = decode(&bytes);
        }
    }

    /// The same, starting from a good message: this reaches the inner parts.
    #[test]
    fn no_altered_message_makes_a_decoder_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for (_, decode, mut whole, _) in messages() {
            let place = place.index(whole.len());
            whole[place] = byte;
            let _ = decode(&whole);
        }
    }
}
