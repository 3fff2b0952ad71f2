//! What an appraisal says beside existing: continuity and reference values, and the device-signed witness.

use attest::{
    Appraisal, ClockFell, DeviceSession, Discontinuity, Finding, PcrBank, SessionKey, Unchecked, Unmeasured,
    Verdict, at_reset, evidence_message, unmeasured,
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

/// The quote made here is of boot (4 resets, 1 restart) and stands at 5000 ms. Each row: the boot before, its clock, what is said of
/// continuity and of the clock. Seen-by-users 1.1, 0.7: nothing that a power cut can leave is more than a finding.
#[test]
fn boots_never_fall_and_within_one_the_clock_never_does() {
    use Discontinuity::{Clock, Resets, Restarts};
    assert_eq!(
        Evidence::good().appraise().unwrap().continuity(),
        &Verdict::NotChecked(Unchecked::First),
        "a first quote"
    );
    assert_eq!(
        Evidence::good().appraise().unwrap().clock(),
        &Verdict::NotChecked(Unchecked::First),
        "a first quote"
    );
    let month = 30 * 86_400_000;
    let fell = |was| Some(ClockFell { was, is: 5000 });
    for (boot, clock, refused, finding) in [
        ((4, 1), 5000, None, None),
        ((4, 1), 4999, None, None),
        ((4, 1), 5001, Some(Clock { was: 5001, is: 5000 }), fell(5001)),
        ((4, 0), 5000, None, None),
        ((4, 0), 5001, None, fell(5001)),
        ((4, 2), 1, Some(Restarts { was: 2, is: 1 }), None),
        ((3, 9), 5000, None, None),
        ((3, 9), 5001, None, fell(5001)),
        ((3, 1), 3 * month, None, fell(3 * month)),
        ((0, 0), u64::MAX, None, fell(u64::MAX)),
        ((5, 0), 1, Some(Resets { was: 5, is: 4 }), None),
        ((5, 1), month, Some(Resets { was: 5, is: 4 }), fell(month)),
    ] {
        for safe in [true, false] {
            let appraisal = after(|b, now| ((b.resets, b.restarts), b.clock, now.safe) = (boot, clock, safe));
            let why = format!("{boot:?} at {clock} ms, safe: {safe}");
            assert_eq!(appraisal.continuity(), &verdict(refused.clone()), "{why}");
            assert_eq!(appraisal.clock(), &verdict(finding), "{why}");
        }
    }
}

fn verdict(finding: Option<impl Into<Finding>>) -> Verdict {
    finding.map_or(Verdict::Passed, |why| Verdict::Failed(why.into()))
}

/// TH-5: other firmware of the TPM is a finding of its own, and says what was and what is.
#[test]
fn other_firmware_of_the_tpm_is_found() {
    assert_eq!(
        Evidence::good().appraise().unwrap().firmware(),
        &Verdict::NotChecked(Unchecked::First),
        "a first quote"
    );
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
    assert!(matches!(evidence.appraise(), Err(attest::NotAppraised::Before(_))));
}

/// TH-5: changed software shows as a changed PCR, and the operator is told which.
#[test]
fn changed_pcrs_fail_against_the_reference_values() {
    let mut evidence = Evidence::good();
    assert_eq!(
        evidence.appraise().unwrap().references(),
        &Verdict::NotChecked(Unchecked::NoneApproved),
        "none approved"
    );
    evidence.approved = vec![evidence.pcrs.clone()];
    assert_eq!(evidence.appraise().unwrap().references(), &Verdict::Passed);
    evidence.pcrs.insert(4, [0xEE; 32].into());
    evidence.statement.composite = composite(&evidence.pcrs);
    let appraisal = evidence.appraise().unwrap();
    let Verdict::Failed(one) = appraisal.references() else { panic!("{appraisal:?}") };
    assert!(one.to_string().starts_with("PCR 4 differs from every approved reference value; "), "{one}");
    evidence.pcrs.insert(9, [0xDD; 32].into());
    evidence.statement.composite = composite(&evidence.pcrs);
    let appraisal = evidence.appraise().unwrap();
    let Verdict::Failed(finding) = appraisal.references() else { panic!("{appraisal:?}") };
    assert_eq!(
        finding.to_string(),
        "PCRs 4, 9 differ from every approved reference value; nearest in the list: PCR 4 was 05050505 is eeeeeeee; PCR 9 was 0a0a0a0a is dddddddd"
    );
}

/// Seen-by-users 0.5, 1.6: a boot that nothing measured meets no reference value, though the very same zeros were approved; PCRs that
/// machines leave alone (8, 11 to 14 here) are no reproach.
#[test]
fn an_unmeasured_boot_never_passes() {
    let said = |untouched: &[u8]| {
        let mut evidence = Evidence::good();
        evidence.pcrs.extend(untouched.iter().map(|pcr| (*pcr, [0; 32].into())));
        evidence.statement.composite = composite(&evidence.pcrs);
        evidence.approved = vec![evidence.pcrs.clone()];
        evidence.appraise().unwrap().references().clone()
    };
    let not_measured =
        |pcrs: &[u8]| Verdict::NotChecked(Unchecked::NotMeasured(Unmeasured::Untouched(pcrs.to_vec())));
    let all = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14];
    for (untouched, expected) in [
        (&[][..], Verdict::Passed),
        (&[8, 11, 12, 13, 14], Verdict::Passed),
        (&[0, 8], not_measured(&[0])),
        (&[4], not_measured(&[4])),
        (&[0, 4, 14], not_measured(&[0, 4])),
        (&all, not_measured(&all)),
    ] {
        assert_eq!(said(untouched), expected, "{untouched:?}");
    }
    let words = said(&[0, 4]);
    let Verdict::NotChecked(why) = words else { panic!("{words:?}") };
    assert_eq!(why.to_string(), "boot not measured: PCRs 0, 4 at the reset value");
}

/// Reset values are those of the PC Client profile: zeros, ones for 17 to 22, the locality of startup in PCR 0.
#[test]
fn reset_values_are_told_by_pcr() {
    let ends_with = |last| std::array::from_fn(|i| if i == 31 { last } else { 0 });
    for (pcr, value, reset) in [
        (0, [0; 32], true),
        (0, ends_with(3), true),
        (0, ends_with(4), true),
        (0, ends_with(5), false),
        (4, ends_with(3), false),
        (16, [0; 32], true),
        (16, [0xff; 32], false),
        (17, [0xff; 32], true),
        (22, [0; 32], true),
        (23, [0xff; 32], false),
        (4, [0xff; 32], false),
    ] {
        assert_eq!(at_reset(pcr, &value), reset, "PCR {pcr} {value:?}");
    }
    let all = unmeasured(&[(17, [0xff; 32].into()), (18, [0xff; 32].into())].into());
    assert_eq!(all, Some(Unmeasured::Untouched(vec![17, 18])), "all that there are");
    assert_eq!(unmeasured(&[(17, [0xff; 32].into()), (18, [7; 32].into())].into()), None);
}

/// Seen-by-users 0.6: a TPM without the bank quotes no PCR; that is an appraisal, which passes nothing, whatever was approved. Values beside
/// such a quote, and a quote that only leaves some PCRs out, are worth nothing.
#[test]
fn a_quote_of_no_bank_is_not_measured() {
    let mut evidence = Evidence::good();
    evidence.statement.banks = vec![(0x000B, 0)];
    assert!(evidence.appraise().is_err(), "values that were not quoted");
    evidence.pcrs.clear();
    evidence.statement.composite = composite(&evidence.pcrs);
    evidence.approved = vec![evidence.pcrs.clone()];
    let appraisal = evidence.appraise().unwrap();
    let said = Verdict::NotChecked(Unchecked::NotMeasured(Unmeasured::NoBank));
    assert_eq!(appraisal.references(), &said);
    evidence.statement.banks = vec![(0x0004, 0)];
    assert!(evidence.appraise().is_err(), "another bank");
}

/// Issue 7: a quote over the SHA-384 bank is appraised as one over the SHA-256 bank, resets and all.
#[test]
fn a_sha384_bank_is_appraised() {
    let mut evidence = Evidence::of_sha384();
    assert_eq!(evidence.appraise().unwrap().quote().bank(), Some(PcrBank::Sha384));
    assert_eq!(evidence.appraise().unwrap().references(), &Verdict::NotChecked(Unchecked::NoneApproved));
    evidence.approved = vec![evidence.pcrs.clone()];
    assert_eq!(evidence.appraise().unwrap().references(), &Verdict::Passed);
    evidence.pcrs.insert(4, [0xEE; 48].into());
    evidence.statement.composite = composite(&evidence.pcrs);
    let Verdict::Failed(why) = evidence.appraise().unwrap().references().clone() else { panic!("passed") };
    assert!(why.to_string().ends_with("PCR 4 was 05050505 is eeeeeeee"), "{why}");
    // Beyond the length of a SHA-256 value it is compared too.
    evidence.pcrs.insert(4, std::array::from_fn::<u8, 48, _>(|at| if at < 47 { 5 } else { 6 }).into());
    evidence.statement.composite = composite(&evidence.pcrs);
    assert!(matches!(evidence.appraise().unwrap().references(), Verdict::Failed(_)));
    evidence.pcrs.insert(4, [0; 48].into());
    evidence.statement.composite = composite(&evidence.pcrs);
    let said = Verdict::NotChecked(Unchecked::NotMeasured(Unmeasured::Untouched(vec![4])));
    assert_eq!(evidence.appraise().unwrap().references(), &said);
}

/// Issue 7: what was approved in one bank never meets what is measured in another, though each byte of it is the same.
#[test]
fn a_reference_value_of_another_bank_does_not_match() {
    let (usual, other) = (Evidence::good(), Evidence::of_sha384());
    for (mut shown, approved) in [(Evidence::good(), other.pcrs), (Evidence::of_sha384(), usual.pcrs)] {
        shown.approved = vec![approved];
        let Verdict::Failed(Finding::Pcrs { differences, .. }) =
            shown.appraise().unwrap().references().clone()
        else {
            panic!("passed")
        };
        assert_eq!(differences.len(), shown.pcrs.len(), "every PCR");
    }
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
