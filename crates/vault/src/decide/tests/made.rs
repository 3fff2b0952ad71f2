//! Appraisals and device sessions for tests, made as in earnest: `attest` alone can make them.

use attest::{Appraisal, DeviceSession, Input, PcrValues, SessionKey, appraise, evidence_message};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::fake_tpm::FakeTpm;

/// What the reference values say of the quote.
pub(crate) enum References {
    Passed,
    Failed,
    NotChecked,
    /// Approved, and of a boot that nothing measured.
    NotMeasured,
}

pub(crate) fn appraisal(session: SessionKey, references: References) -> Appraisal {
    made(&FakeTpm::new(), session, references, None)
}

/// A quote whose TPM counted fewer resets than at the quote before it.
pub(crate) fn rolled_back(session: SessionKey) -> Appraisal {
    let mut tpm = FakeTpm::new();
    let before = tpm.quote(&[0; 32], &session, b"", &pcrs(1)).0;
    tpm.reset_count -= 1;
    made(&tpm, session, References::Passed, Some(&before))
}

/// A quote whose TPM lost a hundred days of its clock in a power cut.
pub(crate) fn after_a_power_cut(session: SessionKey) -> Appraisal {
    let mut tpm = FakeTpm::new();
    tpm.clock_ms = 100 * 86_400_000;
    let before = tpm.quote(&[0; 32], &session, b"", &pcrs(1)).0;
    (tpm.reset_count, tpm.clock_ms) = (tpm.reset_count + 1, 400);
    made(&tpm, session, References::Passed, Some(&before))
}

fn made(tpm: &FakeTpm, session: SessionKey, references: References, before: Option<&[u8]>) -> Appraisal {
    let quoted = match references {
        References::NotMeasured => pcrs(0),
        _ => pcrs(1),
    };
    let (attest_data, signature) = tpm.quote(&[7; 32], &session, b"", &quoted);
    let approved = match references {
        References::Passed => vec![pcrs(1)],
        References::Failed => vec![pcrs(2)],
        References::NotChecked => vec![],
        References::NotMeasured => vec![pcrs(0)],
    };
    let input = Input {
        ak: &tpm.ak(),
        attest_data: &attest_data,
        signature: &signature,
        pcrs: &quoted,
        nonce: &[7; 32],
        session: &session,
        claims: b"",
        selection: 0b11,
        before,
        approved: &approved,
    };
    appraise(&input).expect("a good quote")
}

fn pcrs(value: u8) -> PcrValues {
    PcrValues::from([(0, [value; 32].into()), (1, [9; 32].into())])
}

pub(crate) fn device_session(session: SessionKey) -> DeviceSession {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let signature =
        key.sign(&SystemRandom::new(), &evidence_message(&[7; 32], &session, b"")).expect("signed");
    let point = key.public_key().as_ref().try_into().expect("65 bytes");
    let signature = signature.as_ref().try_into().expect("64 bytes");
    DeviceSession::verify(&point, &[7; 32], &session, b"", &signature).expect("verifies")
}
