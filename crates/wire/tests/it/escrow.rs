//! Bundles on their way (issue 9, 2): up to the controller's certificate, down to a session; held against another implementation, and every
//! way in which one must not open.

use crate::common::device;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_256 as RUSTLS;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePublicKey};
use vault::cause::Cause;
use vault::escrow::drill::DrillNonce;
use vault::escrow::{Bundle, BundleId};
use vault::ids::{DeviceId, Generation};
use wire::P256PublicKey;
use wire::attest::{AttestRequest, StoreKeys};
use wire::config::{ConfigRequest, ConfigResponse, VaultAsk};
use wire::control::{Control, Drill};
use wire::escrow::{SealedBundle, UploadPlace, open_down, open_up, seal_down, seal_up};
use wire::release::SessionSecret;

const BYTES: &[u8] = b"what a bundle is, is not looked at here";

fn id() -> BundleId {
    Bundle::id_of(Generation(3), BYTES)
}

/// A key of the controller's: PKCS #8, its public half, and its private number.
fn controller() -> (Vec<u8>, P256PublicKey) {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    (pkcs8.as_ref().to_vec(), P256PublicKey::from_point(pair.public_key().as_ref()).unwrap())
}

fn session(byte: u8) -> SessionSecret {
    SessionSecret::init(|secret| {
        secret.fill(byte);
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap()
}

fn at(number: u64) -> UploadPlace {
    UploadPlace { session: session(1).session_key(), number }
}

fn other() -> DeviceId {
    DeviceId(uuid::Uuid::from_u128(99))
}

#[test]
fn what_goes_up_opens_for_that_controller_and_device_alone() {
    let (key, public) = controller();
    let sealed = seal_up(&public, device(), at(7), id(), BYTES).unwrap();
    assert_eq!(open_up(&key, device(), &sealed).unwrap().as_slice(), BYTES);
    assert!(open_up(&controller().0, device(), &sealed).is_err(), "another controller's key");
    assert!(open_up(&key, other(), &sealed).is_err(), "another device");
    let later = SealedBundle { id: BundleId { generation: Generation(4), ..id() }, ..sealed.clone() };
    assert!(open_up(&key, device(), &later).is_err(), "another generation");
    for place in [None, Some(at(8)), Some(UploadPlace { session: session(2).session_key(), ..at(7) })] {
        let moved = SealedBundle { place, ..sealed.clone() };
        assert!(open_up(&key, device(), &moved).is_err(), "another place: {place:?}");
    }
    for at in [0, sealed.ciphertext.len() - 1] {
        let mut flipped = sealed.clone();
        flipped.ciphertext[at] ^= 1;
        assert!(open_up(&key, device(), &flipped).is_err(), "damaged at {at}");
    }
    let lies = seal_up(&public, device(), at(7), id(), b"another bundle").unwrap();
    assert!(open_up(&key, device(), &lies).is_err(), "inside is another than it says");
    assert!(!sealed.ciphertext.windows(8).any(|part| part == &BYTES[..8]), "it is ciphertext");
}

/// A second implementation, others' altogether, opens what we seal and seals what we open.
#[test]
fn rustls_and_we_open_each_others() {
    let (key, public) = controller();
    let number = PrivateKey::from_private_key_der(&ECDH_P256, &key).unwrap();
    let number = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&number).unwrap();
    let scalar = number.as_ref()[7..39].to_vec();
    let info = [b"eve-vault escrow v1".as_slice(), device().0.as_bytes()].concat();
    let (session, number) = (at(7).session.0, 7u64.to_be_bytes());
    let aad =
        [device().0.as_bytes().as_slice(), &3u32.to_be_bytes(), &id().digest, &session, &number].concat();
    let ours = seal_up(&public, device(), at(7), id(), BYTES).unwrap();
    let clear = RUSTLS.open(&EncapsulatedSecret(ours.enc), &info, &aad, &ours.ciphertext, &scalar.into());
    assert_eq!(clear.unwrap(), BYTES);
    let (enc, ciphertext) = RUSTLS.seal(&info, &aad, BYTES, &HpkePublicKey(public.point().to_vec())).unwrap();
    let theirs = SealedBundle { id: id(), place: Some(at(7)), enc: enc.0, ciphertext };
    assert_eq!(open_up(&key, device(), &theirs).unwrap().as_slice(), BYTES);
}

#[test]
fn what_comes_down_opens_in_its_session_alone() {
    let ours = session(1);
    let sealed = seal_down(&ours.session_key(), device(), id(), BYTES).unwrap();
    assert_eq!(open_down(&ours, device(), &sealed).unwrap().as_slice(), BYTES);
    assert!(open_down(&session(2), device(), &sealed).is_err(), "another session");
    assert!(open_down(&ours, other(), &sealed).is_err(), "another device");
    let (key, _) = controller();
    assert!(open_up(&key, device(), &sealed).is_err(), "what comes down never goes up");
}

/// In its message it reads back; of another suite, or with an encapsulated key of another length, it is refused.
#[test]
fn a_request_with_a_bundle_reads_back() {
    let (_, public) = controller();
    let bundle = Some(seal_up(&public, device(), at(7), id(), BYTES).unwrap());
    let request = AttestRequest::StoreKeys(StoreKeys { integrity_token: vec![], keys: vec![], bundle });
    assert_eq!(AttestRequest::decode(&request.encode()), Ok(request));
    let down = Some(seal_down(&session(1).session_key(), device(), id(), BYTES).unwrap());
    let wrong = AttestRequest::StoreKeys(StoreKeys { integrity_token: vec![], keys: vec![], bundle: down });
    let told = AttestRequest::decode(&wrong.encode()).unwrap_err().to_string();
    assert!(told.contains("enc"), "{told}");
}

/// What is asked and said of the bundle reads back: the question, what is held, the bundle that comes down, and why none does.
#[test]
fn question_and_answer_read_back() {
    let ours = session(1).session_key();
    let ask = VaultAsk {
        session: ours,
        held: Some(id()),
        rescue: Some(Generation(3)),
        accepted: None,
        ordered: None,
        lease: None,
        drills: true,
        series: true,
    };
    let request = ConfigRequest { vault: Some(ask), ..ConfigRequest::default() };
    assert_eq!(ConfigRequest::decode(&request.encode()), Ok(request));
    let sealed = seal_down(&ours, device(), id(), BYTES).unwrap();
    let drill = Drill { nonce: DrillNonce([9; 32]), bundle: sealed.clone() };
    for (rescue, no_rescue, drill) in [(Some(sealed), None, None), (None, Some(Cause::Pcrs), Some(drill))] {
        let control = Control {
            device: device(),
            session: ours,
            challenge: None,
            device_key: None,
            orders: vec![],
            as_of: None,
            lacks: String::new(),
            held_bundle: Some(id()),
            rescue,
            no_rescue,
            keeps_bundles: true,
            send_again: drill.is_some(),
            drill,
        };
        let answer = ConfigResponse { config_hash: "h".into(), config: None, control: Some(control) };
        assert_eq!(ConfigResponse::decode(&answer.encode()), Ok(answer));
    }
}
