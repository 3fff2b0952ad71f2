//! A question with a session, evidence and verdict: our fields in EVE's attestation messages.

use vault::ids::{Generation, Incarnation, SectionDigest, SectionVersion};
use vault::wanted::Head;
use wire::attest::{
    AttestRequest, AttestResponse, EvidenceAnswer, EvidenceBinding, Quote, QuoteAnswer, QuoteCode,
};
use wire::config::{ConfigRequest, VaultAsk};
use wire::control::BundleId;

use crate::common::*;

#[test]
fn a_question_with_a_session_is_read_as_it_was_written() {
    let bundle = Some(BundleId { generation: Generation(1), digest: [6; 32] });
    let version = SectionVersion { incarnation: Incarnation([3; 16]), version: 9 };
    let accepted = Some(Head { device: device(), version, digest: SectionDigest([6; 32]) });
    for vault in [
        None,
        Some(VaultAsk {
            session: session(),
            held: bundle,
            rescue: None,
            accepted,
            ordered: None,
            lease: None,
            drills: false,
            series: false,
        }),
    ] {
        let request = ConfigRequest { config_hash: "h".to_owned(), integrity_token: vec![1], vault };
        assert_eq!(ConfigRequest::decode(&request.encode()), Ok(request));
    }
}

#[test]
fn evidence_and_verdict_are_read_as_they_were_written() {
    for signature in [None, Some(wire::Signature([8; 64]))] {
        let binding = EvidenceBinding {
            session: session(),
            nonce: [5; 32],
            claims: b"claims".to_vec(),
            device_signature: signature,
        };
        let quote = Quote { binding: Some(binding), attest_data: vec![1], ..Quote::default() };
        let request = AttestRequest::Quote(Box::new(quote));
        assert_eq!(AttestRequest::decode(&request.encode()), Ok(request));
    }
    for (code, verdict) in [
        (QuoteCode::Success, EvidenceAnswer::Accepted),
        (QuoteCode::QuoteFailed, EvidenceAnswer::Refused("ask the operator".to_owned())),
    ] {
        let answer = QuoteAnswer { code, integrity_token: vec![1], keys: Vec::new(), verdict: Some(verdict) };
        let answer = AttestResponse::Quote(answer);
        assert_eq!(AttestResponse::decode(&answer.encode()), Ok(answer));
    }
}

#[test]
fn a_verdict_that_contradicts_its_code_is_refused() {
    for (code, verdict) in [
        (QuoteCode::QuoteFailed, EvidenceAnswer::Accepted),
        (QuoteCode::Success, EvidenceAnswer::Refused(String::new())),
    ] {
        let answer =
            QuoteAnswer { code, integrity_token: Vec::new(), keys: Vec::new(), verdict: Some(verdict) };
        assert!(AttestResponse::decode(&AttestResponse::Quote(answer).encode()).is_err(), "{code:?}");
    }
}

#[test]
fn evidence_out_of_bounds_is_refused() {
    let read = |binding: &[u8]| {
        let quote = bytes_field(2, &bytes_field(50560, binding));
        AttestRequest::decode(&[number_field(1, 3), quote].concat()).map(|_| ())
    };
    let binding = |session: usize, nonce: usize, claims: usize, signature: usize| {
        let fields = [session, nonce, claims, signature].into_iter().zip(1..);
        fields.flat_map(|(length, number)| bytes_field(number, &vec![1; length])).collect::<Vec<_>>()
    };
    assert_eq!(read(&binding(32, 32, 1, 64)), Ok(()));
    for (what, binding) in [
        ("short session", binding(31, 32, 1, 64)),
        ("short nonce", binding(32, 31, 1, 64)),
        ("long nonce", binding(32, 33, 1, 64)),
        ("long claims", binding(32, 32, (64 << 10) + 1, 64)),
        ("signature in DER", binding(32, 32, 1, 70)),
    ] {
        assert!(read(&binding).is_err(), "{what}");
    }
}
