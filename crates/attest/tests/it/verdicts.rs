//! What an appraisal says beside existing: continuity and reference values, and the device-signed witness.

use attest::{
    Appraisal, CLOCK_STEP_MS, DeviceSession, Discontinuity, Finding, SessionKey, Verdict, evidence_message,
};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::made::{Evidence, Statement, composite};

/// The appraisal of a quote, and of what came before it: the same but for `change`, which gets both.
fn after(change: impl FnOnce(&mut Statement, &mut Statement)) -> Appraisal {
    let mut evidence = Evidence::good();
    let mut before = evidence.statement.clone();
    change(&mut before, &mut evidence.statement);
    evidence.before = Some(before.bytes());
    evidence.appraise().expect("an appraisal, whatever came before")
}

fn continuity(change: impl FnOnce(&mut Statement)) -> Verdict {
    after(|before, _| change(before)).continuity().clone()
}

fn clock_fell(was: u64) -> Verdict {
    Verdict::Failed(Finding::Discontinuity(Discontinuity::Clock { was, is: 5000 }))
}

/// The quote made here has 4 resets, 1 restart and stands at 5000 ms, safely.
#[test]
fn counters_and_clock_never_go_back() {
    assert_eq!(Evidence::good().appraise().unwrap().continuity(), &Verdict::NotChecked, "a first quote");
    assert_eq!(continuity(|_| {}), Verdict::Passed);
    assert_eq!(continuity(|b| (b.resets, b.restarts) = (3, 9)), Verdict::Passed);
    let failed = |why| Verdict::Failed(Finding::Discontinuity(why));
    assert_eq!(continuity(|b| b.resets = 5), failed(Discontinuity::Resets { was: 5, is: 4 }));
    assert_eq!(continuity(|b| b.restarts = 2), failed(Discontinuity::Restarts { was: 2, is: 1 }));
    assert_eq!(continuity(|b| b.clock = 5001), clock_fell(5001));
}

/// The clock may fall at a reset, so far and no further, and only while the TPM itself does not call it safe.
#[test]
fn a_clock_that_the_tpm_calls_safe_never_fell() {
    let reset = |clock, safe| {
        let appraisal = after(|before, now| (before.resets, before.clock, now.safe) = (3, clock, safe));
        appraisal.continuity().clone()
    };
    let (furthest, too_far) = (5000 + CLOCK_STEP_MS, 5001 + CLOCK_STEP_MS);
    assert_eq!(reset(furthest, false), Verdict::Passed);
    assert_eq!(reset(too_far, false), clock_fell(too_far));
    assert_eq!(reset(5000, true), Verdict::Passed);
    assert_eq!(reset(5001, true), clock_fell(5001));
    let without_reset = after(|before, now| (before.clock, now.safe) = (5001, false));
    assert_eq!(without_reset.continuity(), &clock_fell(5001));
}

/// TH-5: other firmware of the TPM is a finding of its own, and says what was and what is.
#[test]
fn other_firmware_of_the_tpm_is_found() {
    assert_eq!(Evidence::good().appraise().unwrap().firmware(), &Verdict::NotChecked, "a first quote");
    assert_eq!(after(|_, _| {}).firmware(), &Verdict::Passed);
    let updated = after(|before, now| (before.firmware, now.firmware) = (0x1234, 0x1235));
    assert_eq!(updated.continuity(), &Verdict::Passed, "it may come after");
    let Verdict::Failed(finding) = updated.firmware() else { panic!("{updated:?}") };
    assert_eq!(finding.to_string(), "the TPM's firmware was 0x1234 and is 0x1235");
}

/// A record that does not read is a refusal, never "no record".
#[test]
fn a_broken_record_of_the_last_quote_is_refused() {
    let mut evidence = Evidence::good();
    evidence.before = Some(vec![1, 2, 3]);
    assert!(matches!(evidence.appraise(), Err(attest::Refused::Before(_))));
}

/// TH-5: changed software shows as a changed PCR, and the operator is told which.
#[test]
fn changed_pcrs_fail_against_the_reference_values() {
    let mut evidence = Evidence::good();
    assert_eq!(evidence.appraise().unwrap().references(), &Verdict::NotChecked, "none approved");
    evidence.approved = vec![evidence.pcrs.clone()];
    assert_eq!(evidence.appraise().unwrap().references(), &Verdict::Passed);
    evidence.pcrs.insert(4, [0xEE; 32]);
    evidence.pcrs.insert(9, [0xDD; 32]);
    evidence.statement.composite = composite(&evidence.pcrs);
    let appraisal = evidence.appraise().unwrap();
    let Verdict::Failed(finding) = appraisal.references() else { panic!("{appraisal:?}") };
    assert_eq!(
        finding.to_string(),
        "PCR 4, 9 differ from every approved reference value; nearest in the list: PCR 4 was 04040404 is eeeeeeee; PCR 9 was 09090909 is dddddddd"
    );
}

/// A reference value over other PCRs than those quoted is no match.
#[test]
fn a_reference_value_of_fewer_pcrs_does_not_match() {
    let mut evidence = Evidence::good();
    let mut fewer = evidence.pcrs.clone();
    fewer.remove(&14);
    evidence.approved = vec![fewer];
    assert!(matches!(evidence.appraise().unwrap().references(), Verdict::Failed(_)));
}

#[test]
fn a_device_signature_holds_for_its_nonce_session_and_claims_only() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point: [u8; 65] = pair.public_key().as_ref().try_into().unwrap();
    let (nonce, session) = ([1; 32], SessionKey([2; 32]));
    let signed = pair.sign(&SystemRandom::new(), &evidence_message(&nonce, &session, b"claims")).unwrap();
    let signature: [u8; 64] = signed.as_ref().try_into().unwrap();
    let verify =
        |nonce, session, claims: &[u8]| DeviceSession::verify(&point, nonce, session, claims, &signature);
    assert_eq!(verify(&nonce, &session, b"claims").expect("good").session(), session);
    assert!(verify(&[3; 32], &session, b"claims").is_err(), "nonce");
    assert!(verify(&nonce, &SessionKey([3; 32]), b"claims").is_err(), "session");
    assert!(verify(&nonce, &session, b"claim").is_err(), "claims");
}
