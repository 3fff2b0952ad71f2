//! Key and certificate files: every form that EVE writes is read, nothing else is taken for one.

use wire::sign::KeyFileError;
use wire::{Certificate, FileSigner, Signature, Signer as _};

use crate::common::vector;

#[test]
fn key_files_of_eve_and_of_everybody_sign() {
    for name in ["device", "onboard", "controller-signing", "root-ca", "device-ecdh"] {
        let signer = FileSigner::from_pem(&vector(&format!("keys/{name}.key.pem"))).unwrap();
        let cert = Certificate::from_pem(&vector(&format!("keys/{name}.cert.pem"))).unwrap();
        assert_eq!(&signer.public_key(), cert.public_key(), "{name}");
        let signature = signer.sign(b"payload").unwrap();
        assert_eq!(cert.public_key().verify(b"payload", &signature), Ok(()), "{name}");
        assert!(cert.public_key().verify(b"other", &signature).is_err(), "{name}");
    }
}

#[test]
fn sec1_under_its_own_label_is_read() {
    let pem = String::from_utf8(vector("keys/device.key.pem")).unwrap();
    assert!(pem.contains("BEGIN PRIVATE KEY"), "EVE's label around SEC1");
    let relabeled = pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let (one, two) = (FileSigner::from_pem(pem.as_bytes()), FileSigner::from_pem(relabeled.as_bytes()));
    assert_eq!(one.unwrap().public_key(), two.unwrap().public_key());
}

#[test]
fn what_is_no_p256_key_is_refused() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let refused = |pem: &[u8]| FileSigner::from_pem(pem).map(|_| ()).unwrap_err();
    assert_eq!(refused(p384.serialize_pem().as_bytes()), KeyFileError::NotP256);
    assert_eq!(refused(&vector("keys/device.cert.pem")), KeyFileError::NoKey);
    assert_eq!(refused(b""), KeyFileError::NoKey);
    let damaged = String::from_utf8(vector("keys/device.key.pem")).unwrap().replacen("MHc", "MHd", 1);
    assert_eq!(refused(damaged.as_bytes()), KeyFileError::NotP256);
}

/// IF-6: a device's key is named alike by controller and node. Known answer: `openssl x509 -in device.cert.pem -pubkey -noout |
/// openssl pkey -pubin -outform DER | sha256sum`.
#[test]
fn if6_a_key_has_one_name_wherever_it_is_read() {
    let cert = Certificate::from_pem(&vector("keys/device.cert.pem")).unwrap();
    let signer = FileSigner::from_pem(&vector("keys/device.key.pem")).unwrap();
    assert_eq!(
        hex(&cert.public_key().name().0),
        "54101cd9b48f328b8f362ec83d7f8cd62b2db251b8634c90e531addec31468dc"
    );
    assert_eq!(signer.public_key().name(), cert.public_key().name());
    let other = FileSigner::from_pem(&vector("keys/onboard.key.pem")).unwrap();
    assert_ne!(other.public_key().name(), cert.public_key().name());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signer_prints_nothing_of_its_key() {
    let signer = FileSigner::from_pem(&vector("keys/device.key.pem")).unwrap();
    assert_eq!(format!("{signer:?}"), "FileSigner(redacted)");
}

#[test]
fn certificates_with_another_key_are_refused() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let cert = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        assert!(Certificate::from_der(cert.der()).is_err());
    }
    assert!(Certificate::from_pem(&vector("keys/device-tpm-ek.cert.pem")).is_err(), "the EK is RSA");
}

#[test]
fn no_cut_or_padded_certificate_is_read() {
    let cert = Certificate::from_pem(&vector("keys/device.cert.pem")).unwrap();
    for length in 0..cert.der().len() {
        assert!(Certificate::from_der(&cert.der()[..length]).is_err(), "read {length} bytes");
    }
    assert!(Certificate::from_der(&[cert.der(), &[0]].concat()).is_err(), "read with a byte behind");
}

#[test]
fn a_signature_is_64_bytes() {
    for length in [0, 31, 63, 65, 70, 72, 96] {
        assert!(Signature::try_from(vec![1; length]).is_err(), "{length} bytes");
    }
}
