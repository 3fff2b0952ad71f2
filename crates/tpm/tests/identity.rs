//! Identity keys on a real swtpm, with tpm2-tools and another crypto library as second opinions.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use common::{bench, other, ready, root};
use tpm::{
    AK_HANDLE, DEVICE_HANDLE, Digest32, ECDH_HANDLE, EkName, Generation, Meaning, PinError, ReadRootError,
    RootKind, RootPolicy, SlotSet, Tpm, TpmError,
};

/// Where swtpm_setup keeps the P-384 EK.
const SWTPM_EK: u32 = 0x8101_0016;

/// KO-1: the same keys come back however often and after whatever reset.
#[test]
fn provisioning_is_safe_to_repeat() {
    let mut bench = bench();
    let (mut tpm, first) = bench.ready();
    assert_eq!(tpm.provision().unwrap(), first);
    drop(tpm);
    bench.swtpm.reset_clean().unwrap();
    assert_eq!(bench.ready().1, first);
    bench.swtpm.kill9_restart().unwrap();
    assert_eq!(bench.ready().1, first);
}

#[test]
fn keys_are_where_and_what_tpm2_tools_say() {
    let bench = bench();
    let (_, identity) = bench.ready();
    for (handle, name, attributes) in [
        (AK_HANDLE, &identity.ak.name[..], "0x50472"),
        (DEVICE_HANDLE, &identity.device.name, "0x40472"),
        (ECDH_HANDLE, &identity.ecdh.name, "0x20472"),
        (SWTPM_EK, identity.ek.name.as_bytes(), "0x300f2"),
    ] {
        let said = bench.swtpm.tool("tpm2_readpublic", &["-c", &format!("{handle:#x}")]).unwrap();
        let hex: String = name.iter().map(|b| format!("{b:02x}")).collect();
        assert!(said.contains(&hex), "{handle:#x}: name {hex} in\n{said}");
        assert!(said.contains(&format!("raw: {attributes}\n")), "{handle:#x}: {attributes} in\n{said}");
    }
}

/// The certificate that the manufacturer put into NV is of the very EK that sessions are salted to.
#[test]
fn the_ek_certificate_certifies_the_ek() {
    let bench = bench();
    let (_, identity) = bench.ready();
    let der = identity.ek_cert_der.unwrap();
    // TPMT_PUBLIC ends with x and y, each of 48 bytes with its size before it.
    let (_, point) = identity.ek.tpmt_public.split_at(identity.ek.tpmt_public.len() - 100);
    let sec1 = [&[4], &point[2..50], &point[52..]].concat();
    assert!(der.windows(97).any(|window| window == sec1), "EK point in its certificate");
    let (leaf, ca) = (bench.file("ek.der"), bench.dir.path().join("tpm-ca"));
    std::fs::write(&leaf, &der).unwrap();
    let verify = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile"])
        .arg(ca.join("swtpm-localca-rootca-cert.pem"))
        .arg("-untrusted")
        .arg(ca.join("issuercert.pem"))
        .arg(&leaf)
        .output()
        .unwrap();
    assert!(verify.status.success(), "{verify:?}");
}

#[test]
fn the_device_key_signs_in_both_forms() {
    let bench = bench();
    let (mut tpm, identity) = bench.ready();
    // Enough signatures that some number has a leading zero byte.
    for i in 0..300u32 {
        let message = i.to_be_bytes();
        let signature = tpm.sign(&Digest32::of(&message)).unwrap();
        let point = identity.device.sec1;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(&message, &signature.to_fixed())
            .unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&message, &signature.to_der()).unwrap();
        let other =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(b"other", &signature.to_fixed());
        assert!(other.is_err(), "a signature over something else");
    }
}

/// Nothing secret is said to a TPM that is not the pinned one (bus and TPM swapping).
#[test]
fn another_ek_than_the_pinned_one_is_refused() {
    let bench = bench();
    let (mut tpm, identity) = bench.ready();
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    drop(tpm);
    let read = |tpm: &mut Tpm| tpm.read_root(SlotSet::Odd, RootKind::Tpm).map(|(generation, _)| generation);
    let not_pinned = |tpm: &mut Tpm| matches!(read(tpm), Err(ReadRootError::Tpm(TpmError::NotPinned)));
    let other = other(&bench);
    let (_, foreign) = ready(&other.tcti().parse().unwrap());
    assert_ne!(foreign.ek.name, identity.ek.name);
    let mut tpm = bench.open();
    assert!(matches!(tpm.pin_ek(&foreign.ek.name), Err(PinError::OtherEk)));
    assert!(not_pinned(&mut tpm));
    tpm.pin_ek(&identity.ek.name).unwrap();
    assert_eq!(read(&mut tpm).unwrap(), Generation(1));
    // A pin that fails later takes the earlier one with it.
    assert!(tpm.pin_ek(&EkName::from_bytes(foreign.ek.name.as_bytes()).unwrap()).is_err());
    assert!(not_pinned(&mut tpm));
}

#[test]
fn signing_without_provisioning_says_so() {
    let bench = bench();
    let error = bench.open().sign(&Digest32::of(b"")).unwrap_err();
    assert_eq!(error.meaning(), Some(Meaning::NoSuchHandle), "{error}");
}
