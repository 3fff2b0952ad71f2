//! What must not be appraised: each forgery is a good piece of evidence with one thing wrong, signed again by its key.

use attest::{CheckError, KeyError, NotAppraised, PcrBank, PcrDigest, Quote, QuoteError, SessionKey};
use proptest::prelude::*;

use crate::made::{Ak, Evidence, GOOD_ATTRIBUTES, SELECTION, composite};

/// What an attacker does to good evidence.
type Change = fn(&mut Evidence);

/// The twin of every refusal below: without the change, it is appraised.
#[test]
fn good_evidence_is_appraised() {
    let evidence = Evidence::good();
    assert_eq!(evidence.appraise().expect("good evidence").session(), evidence.session);
}

fn refusal(change: impl FnOnce(&mut Evidence)) -> NotAppraised {
    let mut evidence = Evidence::good();
    change(&mut evidence);
    evidence.appraise().expect_err("forged evidence")
}

#[test]
fn what_is_no_quote_is_refused() {
    let cases: [(&str, Change, QuoteError); 4] = [
        ("magic", |e| e.statement.magic = 0xFF54_4348, QuoteError::Magic),
        ("unknown type", |e| e.statement.kind = 0x8013, QuoteError::Type),
        ("trailing byte", |e| e.statement.tail = vec![0], QuoteError::TrailingBytes { count: 1 }),
        ("composite too long", |e| e.statement.composite = vec![0; 200], QuoteError::Malformed),
    ];
    for (name, change, why) in cases {
        assert_eq!(refusal(change), NotAppraised::Quote(why), "{name}");
    }
}

/// TPM_ST_ATTEST_TIME, a real structure of the TPM's own, is refused as no quote.
#[test]
fn another_attestation_is_refused() {
    let evidence = Evidence::good();
    let mut time = evidence.statement.bytes();
    let fixed = 4 + 2 + (2 + 34) + (2 + 32) + 17 + 8;
    time.truncate(fixed);
    time[4..6].copy_from_slice(&0x8019_u16.to_be_bytes());
    time.extend([0; 8]); // Time.
    time.extend([0; 8]); // Clock.
    time.extend([0; 8]); // Counts.
    time.push(1);
    time.extend([0; 8]); // Firmware.
    assert_eq!(
        evidence.appraise_as(&time, &evidence.ak.sign(&time)).unwrap_err(),
        NotAppraised::Quote(QuoteError::Type)
    );
}

/// AC-2: a stale, foreign or reused nonce, another session's or other claims' quote.
#[test]
fn an_answer_to_another_question_is_refused() {
    let cases: [(&str, Change); 4] = [
        ("nonce", |e| e.nonce = [8; 32]),
        ("session", |e| e.session = SessionKey([8; 32])),
        ("claims", |e| e.claims.push(0)),
        ("nonce alone, as EVE does", |e| e.statement.qualifying = e.nonce.to_vec()),
    ];
    for (name, change) in cases {
        assert_eq!(refusal(change), NotAppraised::Check(CheckError::QualifyingData), "{name}");
    }
}

#[test]
fn a_quote_over_other_pcrs_or_banks_is_refused() {
    let cases: [(&str, Vec<(u16, u32)>); 9] = [
        ("fewer", vec![(0x000B, SELECTION & !1)]),
        ("more", vec![(0x000B, SELECTION | 1 << 15)]),
        ("none", vec![]),
        ("other bank", vec![(0x0004, SELECTION)]),
        ("two banks", vec![(0x000B, SELECTION), (0x0004, SELECTION)]),
        ("both of ours", vec![(0x000B, SELECTION), (0x000C, SELECTION)]),
        ("some of each", vec![(0x000B, SELECTION & 0xFF), (0x000C, SELECTION & !0xFF)]),
        ("SHA-512", vec![(0x000D, SELECTION)]),
        ("split", vec![(0x000B, SELECTION & 0xFF), (0x000B, SELECTION & !0xFF)]),
    ];
    for (name, banks) in cases {
        let mut quoted = Evidence::good();
        quoted.statement.banks.clone_from(&banks);
        let bank = Quote::read(&quoted.statement.bytes()).unwrap().bank();
        assert_eq!(
            bank.is_some(),
            ["fewer", "more"].contains(&name),
            "{name}: of one bank that is appraised"
        );
        assert_eq!(
            refusal(|e| e.statement.banks = banks),
            NotAppraised::Check(CheckError::Selection),
            "{name}"
        );
    }
}

#[test]
fn values_that_were_not_quoted_are_refused() {
    let cases: [(&str, Change); 4] = [
        ("changed", |e| _ = e.pcrs.insert(4, [0xEE; 32].into())),
        ("missing", |e| _ = e.pcrs.remove(&4)),
        ("one more", |e| _ = e.pcrs.insert(15, [0; 32].into())),
        ("swapped", |e| {
            let (zero, one) = (e.pcrs[&0], e.pcrs[&1]);
            e.pcrs.extend([(0, one), (1, zero)]);
        }),
    ];
    for (name, change) in cases {
        assert_eq!(refusal(change), NotAppraised::Check(CheckError::Composite), "{name}");
    }
    // Hashing to the composite is not enough: they have to be the PCRs asked for.
    let renamed = refusal(|e| {
        let value = e.pcrs.remove(&14).unwrap();
        e.pcrs.insert(15, value);
        e.statement.composite = composite(&e.pcrs);
    });
    assert_eq!(renamed, NotAppraised::Check(CheckError::Composite));
}

/// Issue 7: a bank swapped for another, values of both, and values cut to the other's length, each with a composite made over them anew.
#[test]
fn values_of_another_bank_than_the_quoted_are_refused() {
    let cut = |value: &PcrDigest| PcrDigest::in_bank(PcrBank::Sha256, &value.as_bytes()[..32]).unwrap();
    let cases: [(&str, Evidence, Change); 3] = [
        ("SHA-256 said, SHA-384 shown", Evidence::of_sha384(), |e| {
            e.statement.banks = vec![(0x000B, SELECTION)]
        }),
        ("SHA-384 said, SHA-256 shown", Evidence::good(), |e| e.statement.banks = vec![(0x000C, SELECTION)]),
        ("one of the other", Evidence::of_sha384(), |e| _ = e.pcrs.insert(4, [5; 32].into())),
    ];
    for (name, mut evidence, change) in cases {
        evidence.appraise().expect("good evidence");
        change(&mut evidence);
        evidence.statement.composite = composite(&evidence.pcrs);
        let refused = evidence.appraise().expect_err(name);
        assert_eq!(refused, NotAppraised::Check(CheckError::Composite), "{name}");
    }
    // The last byte of a long value is hashed like the first.
    for at in [0, 31, 32, 47] {
        let mut changed = Evidence::of_sha384();
        let mut value: [u8; 48] = changed.pcrs[&4].as_bytes().try_into().unwrap();
        value[at] ^= 1;
        changed.pcrs.insert(4, value.into());
        assert_eq!(changed.appraise().unwrap_err(), NotAppraised::Check(CheckError::Composite), "byte {at}");
    }
    let mut truncated = Evidence::of_sha384();
    truncated.pcrs.values_mut().for_each(|value| *value = cut(value));
    assert_eq!(truncated.appraise().unwrap_err(), NotAppraised::Check(CheckError::Composite), "as quoted");
    truncated.statement.composite = composite(&truncated.pcrs);
    assert_eq!(
        truncated.appraise().unwrap_err(),
        NotAppraised::Check(CheckError::Composite),
        "cut, and hashed so"
    );
    assert_eq!(PcrDigest::in_bank(PcrBank::Sha384, &[7; 32]), None);
    assert_eq!(PcrDigest::in_bank(PcrBank::Sha256, &[7; 48]), None);
}

#[test]
fn another_keys_signature_is_refused() {
    let evidence = Evidence::good();
    let bytes = evidence.statement.bytes();
    let good = evidence.ak.sign(&bytes);
    let cut = &good[..good.len() - 1];
    let longer = [&good[..], &[0]].concat();
    for (name, signature) in
        [("other key", Ak::new().sign(&bytes)), ("cut", cut.to_vec()), ("longer", longer), ("empty", vec![])]
    {
        assert_eq!(
            evidence.appraise_as(&bytes, &signature).unwrap_err(),
            NotAppraised::Check(CheckError::Signature),
            "{name}"
        );
    }
}

/// A software key, or one that signs whatever it is given, is no attestation key.
#[test]
fn a_key_without_the_attributes_is_refused() {
    let without = [0x1_0000, 0x4_0000, 0x2, 0x10, 0x20].map(|bit| GOOD_ATTRIBUTES & !bit);
    for attributes in without.into_iter().chain([GOOD_ATTRIBUTES | 0x2_0000]) {
        let refused = refusal(|e| e.ak.attributes = attributes);
        assert_eq!(refused, NotAppraised::Key(KeyError::Attributes { attributes }), "{attributes:#x}");
    }
    assert_eq!(refusal(|e| e.ak.scheme = 0x1C), NotAppraised::Key(KeyError::Algorithm), "ECSCHNORR");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No single changed byte of the statement or its signature is appraised, and no cut of it panics.
    #[test]
    fn any_changed_byte_is_refused(at in 0usize..400, with in 1u8..=255) {
        let evidence = Evidence::good();
        let (bytes, mut forged) = (evidence.statement.bytes(), evidence.statement.bytes());
        let signature = evidence.ak.sign(&bytes);
        let at = at % bytes.len();
        forged[at] ^= with;
        prop_assert!(evidence.appraise_as(&forged, &signature).is_err());
        // Signed again by the key: only what no check is for may pass (signer's name, clock, counts, firmware).
        let unjudged = (6..42).contains(&at) || (76..101).contains(&at);
        let resigned = evidence.appraise_as(&forged, &evidence.ak.sign(&forged));
        prop_assert!(unjudged || resigned.is_err(), "byte {at}");
        prop_assert!(evidence.appraise_as(&bytes[..at], &evidence.ak.sign(&bytes[..at])).is_err());
    }
}
