//! Whatever our checked types can say is read as it was written; and what else reads bytes from outside never panics.

use std::collections::BTreeSet;

use attest::SessionKey;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use vault::escrow::BundleId;
use vault::escrow::drill::{DrillAnswer, DrillNonce, Proof};
use vault::ids::{Generation, Incarnation, SectionDigest, SectionVersion};
use vault::wanted::{Head, OrderedAt};
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EscrowKey, EvidenceAnswer, EvidenceBinding,
    PcrAlgorithm, PcrPolicy, PcrValue, Quote, QuoteAnswer, QuoteCode, StoreKeys, StoreKeysCode, Version,
    VersionKind,
};
use wire::config::{ConfigRequest, VaultAsk};
use wire::envelope::{DeviceEnvelope, open_from_controller, seal_from_controller, seal_from_device};
use wire::info::{AtRest, AttestationState, DeviceInfo, Info, NodeReport, PcrStatus, TpmPresence, VaultLine};
use wire::register::UuidResponse;
use wire::{Certificate, FileSigner, Signature};

use crate::common::{device, golden_trust, vector};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn any_request() -> impl Strategy<Value = AttestRequest> {
    prop_oneof![
        Just(AttestRequest::Nonce),
        vec(any_cert(), 0..4).prop_map(AttestRequest::Certs),
        any_quote().prop_map(|quote| AttestRequest::Quote(Box::new(quote))),
        (bytes(40), vec(any_escrow_key(), 0..4)).prop_map(
            |(integrity_token, keys)| AttestRequest::StoreKeys(StoreKeys {
                integrity_token,
                keys,
                bundle: None
            })
        ),
    ]
}

fn any_cert() -> impl Strategy<Value = DeviceCert> {
    use DeviceCertKind::{Attestation, Ecdh, Endorsement, Onboarding};
    let kind = prop_oneof![Just(Onboarding), Just(Attestation), Just(Endorsement), Just(Ecdh)];
    (kind, bytes(99), option::of(bytes(40)))
        .prop_map(|(kind, pem, public)| DeviceCert::new(kind, pem, public))
}

fn any_quote() -> impl Strategy<Value = Quote> {
    let index = btree_set(0..24_u8, 0..9);
    (bytes(99), bytes(72), index, vec(any_version(), 0..3), bytes(40), option::of(any_binding())).prop_map(
        |(attest_data, signature, indices, versions, event_log_gzip, binding)| {
            let pcr_values = indices.into_iter().map(pcr_value).collect();
            Quote { attest_data, signature, pcr_values, versions, event_log_gzip, binding }
        },
    )
}

fn pcr_value(index: u8) -> PcrValue {
    let (algorithm, length) = match index % 3 {
        0 => (PcrAlgorithm::Sha1, 20),
        1 => (PcrAlgorithm::Sha256, 32),
        2 => (PcrAlgorithm::Sha384, 48),
        _ => (PcrAlgorithm::Sha512, 64),
    };
    PcrValue { index, algorithm, value: vec![index; length] }
}

fn any_version() -> impl Strategy<Value = Version> {
    use VersionKind::{Eve, EveOrigin, Firmware, Other};
    let kind = prop_oneof![Just(Eve), Just(Firmware), Just(EveOrigin), (1000..i32::MAX).prop_map(Other)];
    (kind, "[ -~]{0,40}").prop_map(|(kind, text)| Version { kind, text })
}

fn any_binding() -> impl Strategy<Value = EvidenceBinding> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), bytes(99), option::of(any::<[[u8; 32]; 2]>())).prop_map(
        |(session, nonce, claims, signature)| EvidenceBinding {
            session: SessionKey(session),
            nonce,
            claims,
            device_signature: signature.map(|halves| Signature::try_from(halves.concat()).unwrap()),
        },
    )
}

fn any_escrow_key() -> impl Strategy<Value = EscrowKey> {
    let pcrs = btree_set(1..16_u8, 0..9);
    (bytes(99), option::of((pcrs, any::<u32>())))
        .prop_map(|(key, policy)| EscrowKey { key, pcr_policy: policy.map(pcr_policy) })
}

/// PCR 0 always, 5 never.
fn pcr_policy((mut pcrs, id): (BTreeSet<u8>, u32)) -> PcrPolicy {
    pcrs.remove(&5);
    pcrs.insert(0);
    PcrPolicy { pcrs: pcrs.into_iter().collect(), id }
}

fn any_response() -> impl Strategy<Value = AttestResponse> {
    use StoreKeysCode::{Invalid, Success, TokenMismatch};
    let stored = prop_oneof![Just(Invalid), Just(Success), Just(TokenMismatch)];
    prop_oneof![
        Just(AttestResponse::Certs),
        vec(any::<u8>(), 12..=32).prop_map(AttestResponse::Nonce),
        any_answer().prop_map(AttestResponse::Quote),
        stored.prop_map(AttestResponse::StoreKeys),
    ]
}

fn any_answer() -> impl Strategy<Value = QuoteAnswer> {
    use QuoteCode::{Invalid, NoCertFound, NonceMismatch, QuoteFailed, Success};
    let code =
        prop_oneof![Just(Invalid), Just(Success), Just(NonceMismatch), Just(NoCertFound), Just(QuoteFailed)];
    (code, bytes(40), vec(any_escrow_key(), 0..4), option::of("[ -~]{0,40}")).prop_map(
        |(code, integrity_token, keys, reason)| {
            let verdict = |reason| {
                if code == Success { EvidenceAnswer::Accepted } else { EvidenceAnswer::Refused(reason) }
            };
            QuoteAnswer { code, integrity_token, keys, verdict: reason.map(verdict) }
        },
    )
}

fn any_info() -> impl Strategy<Value = DeviceInfo> {
    let session = any::<[u8; 32]>().prop_map(|key| Some(SessionKey(key)));
    let node = (session, vec("[ -~]{0,40}", 0..3));
    let words = || option::of("[ -~]{1,40}");
    (any::<u32>(), "[ -~]{0,40}", words(), vec(("[ -~]{0,40}", words()), 0..4), option::of(node)).prop_map(
        |(at, tpm_info, attestation_error, lines, node)| DeviceInfo {
            device: device(),
            at_unix_s: at.into(),
            tpm: TpmPresence::Enabled,
            tpm_info,
            attestation: AttestationState::Complete,
            attestation_error,
            vaults: lines.into_iter().map(line).collect(),
            node: node.map(|(session, notes)| NodeReport {
                session,
                accepted: None,
                accepted_for: (notes.len() == 1).then(device),
                counter: notes.len() as u64,
                disk_away: notes.len() % 2 == 1,
                drill: drill(notes.len()),
                generation: (notes.len() % 2 == 1).then_some(Generation(3)),
                measured: [None, Some(true), Some(false)][notes.len() % 3],
                notes,
            }),
        },
    )
}

fn drill(of: usize) -> Option<DrillAnswer> {
    let outcome = [Ok(Proof([7; 32])), Err("the root".to_owned())].into_iter().nth(of)?;
    let bundle = BundleId { generation: Generation(2), digest: [6; 32] };
    Some(DrillAnswer { nonce: DrillNonce([5; 32]), bundle, outcome })
}

fn line((name, error): (String, Option<String>)) -> VaultLine {
    VaultLine { name, status: AtRest::Error, error, pcrs: PcrStatus::Enabled, report: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_of_attestation(request in any_request()) {
        prop_assert_eq!(AttestRequest::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn any_answer_of_attestation(answer in any_response()) {
        prop_assert_eq!(AttestResponse::decode(&answer.encode()), Ok(answer));
    }

    #[test]
    fn any_request_for_configuration(
        config_hash in "[ -~]{0,99}", integrity_token in bytes(99), session in option::of(any::<[u8; 32]>()),
        accepted in option::of((any::<[u8; 16]>(), 1..u64::MAX, any::<[u8; 32]>())),
        ordered in option::of((any::<[u8; 16]>(), 1..u64::MAX)),
    ) {
        let accepted = accepted.map(|(incarnation, version, digest)| {
            let version = SectionVersion { incarnation: Incarnation(incarnation), version };
            Head { device: device(), version, digest: SectionDigest(digest) }
        });
        let ordered = ordered.map(|(incarnation, version)| {
            OrderedAt { device: device(), version: SectionVersion { incarnation: Incarnation(incarnation), version } }
        });
        let vault = session.map(|key| VaultAsk { session: SessionKey(key), held: None, rescue: None, accepted, ordered, lease: None, drills: false, series: true });
        let request = ConfigRequest { config_hash, integrity_token, vault };
        prop_assert_eq!(ConfigRequest::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn any_answer_of_uuid(manufacturer in "[ -~]{0,99}", product_name in "[ -~]{0,99}") {
        let answer = UuidResponse { device: device(), manufacturer, product_name };
        prop_assert_eq!(UuidResponse::decode(&answer.encode()), Ok(answer));
    }

    #[test]
    fn any_report_of_a_device(info in any_info()) {
        prop_assert_eq!(Info::decode(&info.encode()), Ok(Info::Device(Box::new(info))));
    }

    /// What was signed comes out of an envelope, both ways; with any byte of it changed, nothing else does.
    #[test]
    fn any_payload_in_an_envelope(
        payload in bytes(300), at in any::<prop::sample::Index>(), with in 1..=u8::MAX,
    ) {
        let cert = |name: &str| vector(&format!("keys/{name}.cert.pem"));
        let key = |name: &str| FileSigner::from_pem(&vector(&format!("keys/{name}.key.pem"))).unwrap();
        let (sender, trusted) = (Certificate::from_pem(&cert("device")).unwrap(), golden_trust());
        let of_device = |bytes: &[u8]| DeviceEnvelope::parse(bytes).and_then(|sent| sent.verify(&sender));
        let mut sent = seal_from_device(&payload, &sender, &key("device")).unwrap();
        prop_assert_eq!(&of_device(&sent), &Ok(payload.clone()));
        let signing = cert("controller-signing");
        let mut answered = seal_from_controller(&payload, signing.trim_ascii(), &key("controller-signing")).unwrap();
        prop_assert_eq!(&open_from_controller(&answered, &trusted), &Ok(payload.clone()));
        for bytes in [&mut sent, &mut answered] {
            let place = at.index(bytes.len());
            bytes[place] ^= with;
        }
        for opened in [of_device(&sent), open_from_controller(&answered, &trusted)] {
            prop_assert!(opened.is_err() || opened == Ok(payload.clone()), "{:?}", opened);
        }
    }

    /// Certificates and key files, as they are and with a byte changed.
    #[test]
    fn no_bytes_make_a_reader_of_keys_panic(
        random in bytes(300), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        for mut file in [vector("keys/device.cert.pem"), vector("keys/device.key.pem"), random] {
            if !file.is_empty() {
                let place = at.index(file.len());
                file[place] = byte;
            }
            let _ = (Certificate::from_pem(&file), FileSigner::from_pem(&file));
            let _ = (Certificate::from_der(&file), FileSigner::from_der(&file));
        }
        let mut der = Certificate::from_pem(&vector("keys/device.cert.pem")).unwrap().der().to_vec();
        let place = at.index(der.len());
        der[place] = byte;
        let _ = Certificate::from_der(&der);
    }
}
