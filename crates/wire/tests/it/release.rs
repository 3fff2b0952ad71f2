//! Keys sealed to a session (UC-K, KO-3, TH-1): held against a second implementation of RFC 9180, itself held against the RFC's
//! own vector, against rustls', and against what earlier builds sealed; and every way in which a sealed key must not open.

use crate::common::{device, vault_id, vector_json};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::hmac;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as RUSTLS;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePublicKey};
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::secret::ControllerKey;
use vault::section::{Custody, SealedKey};
use wire::release::{CIPHERTEXT_LEN, ENC_LEN, Opener, Purpose, Series, SessionSecret, open, seal};

const SECRET: [u8; 32] = [0x42; 32];
const KEY: [u8; 32] = [0xa5; 32];
const EPOCH: Epoch = Epoch(5);

fn secret(bytes: [u8; 32]) -> SessionSecret {
    SessionSecret::init(|secret| {
        secret.copy_from_slice(&bytes);
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap()
}

fn purpose() -> Purpose {
    Purpose { device: device(), vault: vault_id(1), custody: Custody::TpmAndController }
}

fn sealed() -> SealedKey {
    let key = ControllerKey::copied_from(&KEY);
    seal(&secret(SECRET).session_key(), &purpose(), EPOCH, &key).unwrap()
}

/// RFC 9180 by hand: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, the first message of a context.
mod rfc9180 {
    use super::*;

    fn extract(salt: &[u8], ikm: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), ikm).as_ref().to_vec()
    }

    fn expand(prk: &[u8], info: &[u8], length: usize) -> Vec<u8> {
        assert!(length <= 32, "one block is enough here");
        extract(prk, &[info, &[1]].concat())[..length].to_vec()
    }

    fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Vec<u8> {
        extract(salt, &[b"HPKE-v1", suite, label, ikm].concat())
    }

    fn labeled_expand(suite: &[u8], prk: &[u8], label: &[u8], info: &[u8], length: usize) -> Vec<u8> {
        let length_bytes = (length as u16).to_be_bytes();
        expand(prk, &[&length_bytes, b"HPKE-v1".as_slice(), suite, label, info].concat(), length)
    }

    fn shared_secret(secret: &[u8; 32], enc: &[u8]) -> Vec<u8> {
        let private = PrivateKey::from_private_key(&X25519, secret).unwrap();
        let public = private.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, enc);
        let dh = agreement::agree(&private, peer, (), |dh| Ok(dh.to_vec())).unwrap();
        let suite = [b"KEM".as_slice(), &0x20u16.to_be_bytes()].concat();
        let prk = labeled_extract(&suite, b"", b"eae_prk", &dh);
        labeled_expand(&suite, &prk, b"shared_secret", &[enc, public.as_ref()].concat(), 32)
    }

    pub(super) fn open(
        aead: (&'static Algorithm, u16),
        secret: &[u8; 32],
        (enc, number): (&[u8], u8),
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Vec<u8>> {
        let (algorithm, id) = aead;
        let suite = [b"HPKE".as_slice(), &[0, 0x20, 0, 1], &id.to_be_bytes()].concat();
        let psk_id = labeled_extract(&suite, b"", b"psk_id_hash", b"");
        let info = labeled_extract(&suite, b"", b"info_hash", info);
        let context = [&[0], psk_id.as_slice(), &info].concat();
        let prk = labeled_extract(&suite, &shared_secret(secret, enc), b"secret", b"");
        let key = labeled_expand(&suite, &prk, b"key", &context, algorithm.key_len());
        let mut nonce = labeled_expand(&suite, &prk, b"base_nonce", &context, 12);
        nonce[11] ^= number;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let mut buffer = ciphertext.to_vec();
        key.open_in_place(nonce, Aad::from(aad), &mut buffer).ok().map(|clear| clear.to_vec())
    }
}

/// RFC 9180, appendix A.1.1.1, the encryptions with sequence numbers 0 and 1.
#[test]
fn the_second_implementation_meets_the_rfc() {
    let hex = |text: &str| hex::decode(text).unwrap();
    let secret: [u8; 32] =
        hex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8").try_into().unwrap();
    let enc = hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
    let info = hex("4f6465206f6e2061204772656369616e2055726e");
    for (number, aad, ciphertext) in [
        (
            0,
            "Count-0",
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        ),
        (
            1,
            "Count-1",
            "af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84",
        ),
    ] {
        let clear = rfc9180::open(
            (&AES_128_GCM, 1),
            &secret,
            (&enc, number),
            &info,
            aad.as_bytes(),
            &hex(ciphertext),
        );
        assert_eq!(clear.as_deref(), Some(b"Beauty is truth, truth beauty".as_slice()), "{aad}");
    }
}

#[test]
fn what_we_seal_opens_by_the_second_implementation() {
    let (sealed, (info, aad)) = (sealed(), info_and_aad());
    let clear = rfc9180::open((&AES_256_GCM, 2), &SECRET, (&sealed.enc, 0), &info, &aad, &sealed.ciphertext);
    assert_eq!(clear.as_deref(), Some(KEY.as_slice()));
    assert_eq!((sealed.enc.len(), sealed.ciphertext.len()), (ENC_LEN, CIPHERTEXT_LEN));
}

/// The bytes that `release` documents, written out here once more; 3 is `tpm+controller`.
fn info_and_aad() -> (Vec<u8>, Vec<u8>) {
    let info = [b"eve-vault release v1".as_slice(), &secret(SECRET).session_key().0].concat();
    let (device, vault) = (device(), vault_id(1));
    (info, [device.0.as_bytes().as_slice(), vault.0.as_bytes(), &5u64.to_be_bytes(), &[3]].concat())
}

/// A third implementation, others' altogether: it opens what we seal, and we open what it seals.
#[test]
fn rustls_and_we_open_each_others() {
    let (info, aad) = info_and_aad();
    let ours = sealed();
    let clear =
        RUSTLS.open(&EncapsulatedSecret(ours.enc), &info, &aad, &ours.ciphertext, &SECRET.to_vec().into());
    assert_eq!(clear.unwrap(), KEY);
    let session = HpkePublicKey(secret(SECRET).session_key().0.to_vec());
    let (enc, ciphertext) = RUSTLS.seal(&info, &aad, &KEY, &session).unwrap();
    let theirs = SealedKey { epoch: EPOCH, enc: enc.0, number: 0, ciphertext };
    assert_eq!(open(&secret(SECRET), &purpose(), &theirs).unwrap().expose_controller_key(), &KEY);
}

/// A controller is newer than its nodes for a while, or older.
#[test]
fn what_earlier_builds_sealed_opens() {
    let stored = vector_json("release/sealed.json");
    let rows = stored["sealed"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let bytes = |name: &str| hex::decode(row[name].as_str().unwrap()).unwrap();
        let id = |name: &str| row[name].as_str().unwrap().parse().unwrap();
        let custody = match row["custody"].as_str().unwrap() {
            "controller" => Custody::Controller,
            _ => Custody::TpmAndController,
        };
        let session = secret(bytes("session_secret").try_into().unwrap());
        let purpose = Purpose { device: DeviceId(id("device")), vault: VaultId(id("vault")), custody };
        let epoch = Epoch(row["epoch"].as_u64().unwrap());
        let sealed = SealedKey { epoch, enc: bytes("enc"), number: 0, ciphertext: bytes("ciphertext") };
        assert_eq!(session.session_key().0.as_slice(), bytes("session_key"), "{row}");
        let key = open(&session, &purpose, &sealed).unwrap();
        assert_eq!(key.expose_controller_key().as_slice(), bytes("key"), "{row}");
    }
}

#[test]
fn a_key_opens_in_its_own_session() {
    let key = open(&secret(SECRET), &purpose(), &sealed()).unwrap();
    assert_eq!(key.expose_controller_key(), &KEY);
}

/// A recorded answer, or one for another place, opens nothing (TH-1, TH-2).
#[test]
fn a_key_opens_for_nothing_else() {
    let other_session = secret([0x43; 32]);
    let other_device = Purpose { device: DeviceId(vault_id(9).0), ..purpose() };
    let other_vault = Purpose { vault: vault_id(2), ..purpose() };
    let other_custody = Purpose { custody: Custody::Controller, ..purpose() };
    let other_epoch = SealedKey { epoch: Epoch(6), ..sealed() };
    for (what, session, purpose, sealed) in [
        ("session", other_session, purpose(), sealed()),
        ("device", secret(SECRET), other_device, sealed()),
        ("vault", secret(SECRET), other_vault, sealed()),
        ("custody", secret(SECRET), other_custody, sealed()),
        ("epoch", secret(SECRET), purpose(), other_epoch),
    ] {
        assert!(open(&session, &purpose, &sealed).is_err(), "opened for another {what}");
    }
}

#[test]
fn no_damaged_key_opens() {
    let whole = sealed();
    for bit in 0..8 * (ENC_LEN + CIPHERTEXT_LEN) {
        let mut sealed = whole.clone();
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        match byte {
            0..ENC_LEN => sealed.enc[byte] ^= mask,
            _ => sealed.ciphertext[byte - ENC_LEN] ^= mask,
        }
        assert!(open(&secret(SECRET), &purpose(), &sealed).is_err(), "opened with bit {bit} flipped");
    }
    for length in 0..CIPHERTEXT_LEN {
        let sealed = SealedKey { ciphertext: whole.ciphertext[..length].to_vec(), ..whole.clone() };
        assert!(open(&secret(SECRET), &purpose(), &sealed).is_err(), "opened with {length} bytes");
    }
    let longer = SealedKey { ciphertext: [whole.ciphertext.as_slice(), &[0]].concat(), ..whole.clone() };
    assert!(open(&secret(SECRET), &purpose(), &longer).is_err(), "opened with a byte too many");
}

#[test]
fn two_seals_of_one_key_share_nothing() {
    let (one, two) = (sealed(), sealed());
    assert_ne!(one.enc, two.enc);
    assert_ne!(one.ciphertext, two.ciphertext);
}

fn series(keys: u8) -> Vec<SealedKey> {
    let mut series = Series::to(&secret(SECRET).session_key()).unwrap();
    let seal = |number| series.seal(&purpose(), EPOCH, &ControllerKey::copied_from(&[number; 32])).unwrap();
    (0..keys).map(seal).collect()
}

/// One encapsulation, and no number twice: two messages under one number would give both keys away (KO-3).
#[test]
fn the_keys_of_a_series_share_what_is_encapsulated_and_no_number() {
    let sealed = series(200);
    assert!(sealed.iter().all(|one| one.enc == sealed[0].enc));
    assert!(sealed.iter().map(|one| one.number).eq(0..200));
    for one in sealed.iter().rev() {
        let key = open(&secret(SECRET), &purpose(), one).unwrap();
        assert_eq!(*key.expose_controller_key(), [one.number as u8; 32], "opened in any order");
    }
    assert_ne!(series(1)[0].enc, sealed[0].enc, "another series");
}

/// Whoever swaps two messages, or their numbers, opens nothing (TH-2).
#[test]
fn a_key_of_a_series_opens_under_its_own_number_alone() {
    let sealed = series(3);
    for (one, number) in [(0, 1), (1, 0), (1, 2), (2, 0x0100_0002), (2, u32::MAX)] {
        let moved = SealedKey { number, ..sealed[one].clone() };
        assert!(open(&secret(SECRET), &purpose(), &moved).is_err(), "{one} as {number}");
    }
}

/// What an opener keeps of one series opens nothing of another, and what is damaged spoils nothing that follows (KO-3).
#[test]
fn an_opener_keeps_two_series_apart() {
    let (one, two) = (series(2), series(2));
    let session = secret(SECRET);
    let mut opener = Opener::of(&session);
    let strange = SealedKey { enc: two[1].enc.clone(), ..one[1].clone() };
    let short = SealedKey { enc: one[0].enc[1..].to_vec(), ..one[0].clone() };
    let damaged = SealedKey { ciphertext: vec![0; CIPHERTEXT_LEN], ..one[1].clone() };
    for (what, sealed, key) in [
        ("the first", &one[0], Some(0)),
        ("another's encapsulation", &strange, None),
        ("its next, after that", &one[1], Some(1)),
        ("of the other series", &two[1], Some(1)),
        ("half of what is encapsulated", &short, None),
        ("no ciphertext of its", &damaged, None),
        ("the first again", &one[0], Some(0)),
    ] {
        let opened = opener.open(&purpose(), sealed).ok();
        assert_eq!(opened.map(|key| *key.expose_controller_key()), key.map(|byte| [byte; 32]), "{what}");
    }
}

/// What others' implementation opens and seals as one context, message by message, is a series.
#[test]
fn rustls_and_we_open_each_others_series() {
    let (info, aad) = info_and_aad();
    let sealed = series(3);
    let enc = EncapsulatedSecret(sealed[0].enc.clone());
    let mut opener = RUSTLS.setup_opener(&enc, &info, &SECRET.to_vec().into()).unwrap();
    for one in &sealed {
        assert_eq!(opener.open(&aad, &one.ciphertext).unwrap(), [one.number as u8; 32]);
    }
    let session = HpkePublicKey(secret(SECRET).session_key().0.to_vec());
    let (enc, mut sealer) = RUSTLS.setup_sealer(&info, &session).unwrap();
    for number in 0..3 {
        let ciphertext = sealer.seal(&aad, &KEY).unwrap();
        let theirs = SealedKey { epoch: EPOCH, enc: enc.0.clone(), number, ciphertext };
        assert_eq!(open(&secret(SECRET), &purpose(), &theirs).unwrap().expose_controller_key(), &KEY);
    }
}

#[test]
fn nothing_is_sealed_to_a_session_key_of_low_order() {
    let key = ControllerKey::copied_from(&KEY);
    for point in [0, 1] {
        let mut low = [0; 32];
        low[0] = point;
        assert!(seal(&attest::SessionKey(low), &purpose(), EPOCH, &key).is_err(), "sealed to point {point}");
    }
}

#[test]
fn a_session_secret_prints_nothing_of_itself() {
    assert_eq!(format!("{:?}", secret(SECRET)), "SessionSecret(redacted)");
}
