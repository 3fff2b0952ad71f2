//! Envelopes in both directions: what we seal opens as EVE and Adam expect, and no altered one opens (TH-1).

use wire::envelope::{
    DeviceEnvelope, EnvelopeError, open_from_controller, seal_from_controller, seal_from_device,
    seal_registration,
};
use wire::{Certificate, FileSigner, MAX_MESSAGE};

use crate::common::{bytes_field, golden_trust, number_field, raw_fields, vector};

fn device() -> (Certificate, FileSigner) {
    let cert = Certificate::from_pem(&vector("keys/device.cert.pem")).unwrap();
    (cert, FileSigner::from_pem(&vector("keys/device.key.pem")).unwrap())
}

fn open(bytes: &[u8], sender: &Certificate) -> Result<Vec<u8>, EnvelopeError> {
    DeviceEnvelope::parse(bytes)?.verify(sender)
}

fn from_controller(payload: &[u8]) -> Vec<u8> {
    let signer = FileSigner::from_pem(&vector("keys/controller-signing.key.pem")).unwrap();
    seal_from_controller(payload, &vector("keys/controller-signing.cert.pem"), &signer).unwrap()
}

#[test]
fn a_device_s_envelope_has_the_bytes_that_go_emits() {
    let (cert, signer) = device();
    let envelope = seal_from_device(b"", &cert, &signer).unwrap();
    let golden = vector("authcontainer/device-uuid-request-empty-payload.bin");
    let before_signature = 2 + 2 + 34 + 2; // Payload, algorithm, sender, the signature's tag and length.
    assert_eq!(envelope.len(), golden.len());
    assert_eq!(envelope[..before_signature], golden[..before_signature]);
    assert_eq!(open(&envelope, &cert), Ok(Vec::new()));
}

#[test]
fn a_registration_carries_its_certificate_as_eve_does() {
    let signer = FileSigner::from_pem(&vector("keys/onboard.key.pem")).unwrap();
    let pem = vector("keys/onboard.cert.pem");
    let envelope = seal_registration(b"hello", &pem, &signer).unwrap();
    let golden = raw_fields(&vector("authcontainer/onboard-register.bin"));
    assert_eq!(raw_fields(&envelope)[4].whole, golden[4].whole);
    let (onboard, payload) = DeviceEnvelope::parse(&envelope).unwrap().verify_registration().unwrap();
    assert_eq!(
        (onboard.digest(), payload.as_slice()),
        (Certificate::from_pem(&pem).unwrap().digest(), b"hello".as_slice())
    );
}

/// The certificate that came along must be the one that is named, or another's name could be borrowed.
#[test]
fn a_registration_with_another_certificate_is_refused() {
    let signer = FileSigner::from_pem(&vector("keys/onboard.key.pem")).unwrap();
    let envelope = seal_registration(b"hello", &vector("keys/onboard.cert.pem"), &signer).unwrap();
    let (cert, signer) = device();
    let own = seal_from_device(b"hello", &cert, &signer).unwrap();
    let along = &raw_fields(&envelope)[4].whole;
    let mixed = [own.as_slice(), along].concat();
    let refused = DeviceEnvelope::parse(&mixed).unwrap().verify_registration().unwrap_err();
    assert_eq!(refused, EnvelopeError::UnknownSender);
    let without = DeviceEnvelope::parse(&own).unwrap().verify_registration().unwrap_err();
    assert!(matches!(without, EnvelopeError::SenderCert(_)), "{without:?}");
}

/// The device key signs evidence too, where there is no TPM: that signature must be no request's (TH-1).
#[test]
fn evidence_is_no_request() {
    let (cert, signer) = device();
    let evidence = attest::evidence_message(&[1; 32], &attest::SessionKey([2; 32]), b"claims");
    let envelope = seal_from_device(&evidence, &cert, &signer).unwrap();
    assert_eq!(open(&envelope, &cert), Err(EnvelopeError::Evidence));
}

/// TH-1: what was verified is known again by all its bytes and its key, and nothing else is known by it.
#[test]
fn an_envelope_that_was_verified_is_known_again_and_no_other_is() {
    let (cert, signer) = device();
    let key = cert.public_key();
    let other = Certificate::from_pem(&vector("keys/device-tpm.cert.pem")).unwrap();
    let parsed = |bytes: &[u8]| DeviceEnvelope::parse(bytes).unwrap();
    let bytes = seal_from_device(b"hello", &cert, &signer).unwrap();
    let envelope = parsed(&bytes);
    let proof = envelope.verify_by(key).unwrap().proof();
    let again = parsed(&bytes);
    assert_eq!(again.known_by(key, &proof).map(|verified| verified.payload()), Some(&b"hello"[..]));
    assert!(again.known_by(other.public_key(), &proof).is_none(), "by another key");
    let signed_anew = parsed(&seal_from_device(b"hello", &cert, &signer).unwrap());
    assert!(signed_anew.known_by(key, &proof).is_none(), "another signature, though it is good");
    let says_other = seal_from_device(b"hellO", &cert, &signer).unwrap();
    assert!(parsed(&says_other).known_by(key, &proof).is_none(), "another payload");
    let place = bytes.windows(5).position(|part| part == b"hello").unwrap();
    for at in (place..place + 5).chain(bytes.len() - 64..bytes.len()) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(parsed(&altered).known_by(key, &proof).is_none(), "byte {at}");
    }
}

#[test]
fn another_device_s_envelope_is_refused() {
    let (cert, signer) = device();
    let other = Certificate::from_pem(&vector("keys/device-tpm.cert.pem")).unwrap();
    let envelope = seal_from_device(b"hello", &cert, &signer).unwrap();
    assert_eq!(open(&envelope, &other), Err(EnvelopeError::UnknownSender));
    let stolen_name = seal_from_device(b"hello", &other, &signer).unwrap();
    assert_eq!(open(&stolen_name, &other), Err(EnvelopeError::BadSignature));
}

#[test]
fn no_envelope_opens_with_a_bit_flipped_or_cut_short() {
    let (cert, signer) = device();
    let whole = seal_from_device(b"config, please", &cert, &signer).unwrap();
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&bytes, &cert).is_err(), "opened with bit {bit} flipped");
    }
    for length in 0..whole.len() {
        assert!(open(&whole[..length], &cert).is_err(), "opened with {length} bytes");
    }
}

#[test]
fn no_controller_s_envelope_opens_with_a_bit_flipped_or_cut_short() {
    let trusted = golden_trust();
    let whole = from_controller(b"a configuration");
    assert_eq!(open_from_controller(&whole, &trusted), Ok(b"a configuration".to_vec()));
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open_from_controller(&bytes, &trusted).is_err(), "opened with bit {bit} flipped");
    }
    for length in 0..whole.len() {
        assert!(open_from_controller(&whole[..length], &trusted).is_err(), "opened with {length} bytes");
    }
}

/// Two readers must never see two different payloads in one envelope.
#[test]
fn an_envelope_with_a_field_twice_is_refused() {
    let (cert, signer) = device();
    let whole = seal_from_device(b"hello", &cert, &signer).unwrap();
    for field in raw_fields(&whole) {
        let twice = [whole.as_slice(), &field.whole].concat();
        assert!(open(&twice, &cert).is_err(), "opened with field {} twice", field.number);
    }
    let inner = [bytes_field(1, b"hello"), bytes_field(1, b"hello")].concat();
    let rest: Vec<u8> = raw_fields(&whole)[1..].iter().flat_map(|field| field.whole.clone()).collect();
    let twice_inside = [bytes_field(1, &inner), rest].concat();
    assert!(open(&twice_inside, &cert).is_err(), "opened with two payloads");
}

#[test]
fn trailing_bytes_are_refused_and_unknown_fields_are_not() {
    let (cert, signer) = device();
    let whole = seal_from_device(b"hello", &cert, &signer).unwrap();
    for trailing in [[0].as_slice(), &[0x0a], &[0xff], &[0x0b], &[0x0a, 0x05, 1]] {
        assert!(
            open(&[whole.as_slice(), trailing].concat(), &cert).is_err(),
            "opened with {trailing:?} behind"
        );
    }
    let newer = [whole, number_field(9999, 1)].concat();
    assert_eq!(open(&newer, &cert), Ok(b"hello".to_vec()));
}

#[test]
fn a_device_that_names_another_algorithm_is_refused() {
    let (cert, signer) = device();
    let whole = seal_from_device(b"hello", &cert, &signer).unwrap();
    let mut fields = raw_fields(&whole);
    for algorithm in [0, 1, 3] {
        fields[1].whole = number_field(2, algorithm);
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.whole.clone()).collect();
        assert_eq!(open(&bytes, &cert), Err(EnvelopeError::Algorithm(algorithm as i32)));
    }
}

#[test]
fn an_envelope_over_four_mebibytes_is_not_read() {
    let bytes = vec![0; MAX_MESSAGE + 1];
    let refused = DeviceEnvelope::parse(&bytes).unwrap_err();
    assert_eq!(refused.to_string(), "not an envelope of EVE API v2");
    assert!(open_from_controller(&bytes, &golden_trust()).is_err());
}
