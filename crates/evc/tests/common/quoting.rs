//! Devices with a TPM in software, and their quotes.

use attest::{PcrDigest, PcrValues};
use evc::service::APPRAISED_PCRS;
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EvidenceBinding, PcrAlgorithm, PcrValue, Quote,
};

use super::{Device, Evc, Key};

// The same writer of quotes as the decision's own tests use.
#[path = "../../../vault/src/decide/tests/fake_tpm.rs"]
mod fake_tpm;

pub(crate) use fake_tpm::FakeTpm;

/// Values of a boot: `four` is what PCR 4 has.
pub(crate) fn pcrs(four: u8) -> PcrValues {
    let appraised = (0..24).filter(|pcr| APPRAISED_PCRS.0 & (1 << pcr) != 0);
    appraised.map(|pcr| (pcr, [if pcr == 4 { four } else { 1 }; 32].into())).collect()
}

/// `edge-1`, and its TPM.
pub(crate) fn with_tpm(evc: &Evc) -> (Device, FakeTpm) {
    named_with_tpm(evc, "edge-1")
}

/// A device, and its TPM, which is pinned.
pub(crate) fn named_with_tpm(evc: &Evc, name: &str) -> (Device, FakeTpm) {
    let device = Device::onboarded(evc, name);
    let tpm = FakeTpm::new();
    let ak = DeviceCert::new(DeviceCertKind::Attestation, Key::new("AK").pem.into_bytes(), Some(tpm.ak()));
    assert_eq!(device.attest(evc, &AttestRequest::Certs(vec![ak])), AttestResponse::Certs);
    (device, tpm)
}

/// Evidence over a nonce.
pub(crate) fn quote(device: &Device, tpm: &FakeTpm, nonce: [u8; 32], pcrs: &PcrValues) -> Quote {
    let session = device.session.session_key();
    let (attest_data, signature) = tpm.quote(&nonce, &session, b"claims", pcrs);
    let value = |(index, value): (&u8, &PcrDigest)| PcrValue {
        index: *index,
        algorithm: PcrAlgorithm::of(value.bank()),
        value: value.as_bytes().to_vec(),
    };
    let binding = EvidenceBinding { session, nonce, claims: b"claims".to_vec(), device_signature: None };
    Quote {
        attest_data,
        signature,
        pcr_values: pcrs.iter().map(value).collect(),
        binding: Some(binding),
        ..Quote::default()
    }
}
