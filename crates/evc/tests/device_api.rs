//! The device API over real TLS, with a device in software: onboarding, challenge, release, and everything that must be refused.

mod common;

use attest::SessionKey;
use common::{Device, Evc, new_session, section};
use evc::clock::now;
use vault::section::{Operation, Presence, Release};
use wire::attest::{AttestRequest, AttestResponse, EvidenceAnswer, QuoteCode};

const POLICY: &str =
    "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 1h }\n---\n";

fn vault(device: &str, policy: &str) -> String {
    format!("{POLICY}kind: Vault\nname: payments\ndevice: {device}\npolicy: {policy}\n")
}

fn quoted(answer: AttestResponse) -> (QuoteCode, Option<EvidenceAnswer>) {
    let AttestResponse::Quote(answer) = answer else { panic!("not on evidence") };
    (answer.code, answer.verdict)
}

/// AC-1, AC-2, KO-1, KO-3, DF-3: a challenge stands in the section's place until the evidence is good; then keys, to this session alone.
#[test]
fn a_section_with_keys_follows_good_evidence_and_nothing_before() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&vault("edge-1", "p"));
    let first = device.poll(&evc).expect("an answer");
    assert_eq!(section(&first), None, "no section before evidence");
    assert!(first.control.expect("control").challenge.is_some());
    let section = device.attested(&evc);
    let names: Vec<_> = section.vaults.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.len(), 3, "default vaults of a node without TPM, and its own: {names:?}");
    for name in ["config", "image", "payments"] {
        let (current, last) = device.keys(&section, name).expect("keys");
        assert_eq!(current, last, "{name}: VC-3, the same without rotation");
        assert_ne!(current, [0; 32]);
    }
    assert!(device.poll(&evc).is_none(), "unchanged is 304");
}

/// IF-6: a section says for which key it is: that of the certificate that this device registered with, and no other's.
#[test]
fn if6_a_section_names_the_registered_key() {
    let evc = Evc::start();
    for name in ["edge-1", "edge-2"] {
        let mut device = Device::onboarded(&evc, name);
        let section = device.attested(&evc);
        let (_, x509) = x509_parser::parse_x509_certificate(device.key.cert.der()).expect("a certificate");
        let spki = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, x509.public_key().raw);
        assert_eq!(section.device_key.0, spki.as_ref(), "{name}");
    }
}

/// KO-1: a new session is challenged again, and what was sealed to the old one is sealed anew.
#[test]
fn another_session_gets_nothing_without_its_own_evidence() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let before = device.attested(&evc);
    device.session = new_session();
    let answer = device.poll(&evc).expect("an answer");
    assert_eq!(section(&answer), None);
    let after = device.attested(&evc);
    assert_ne!(before.session, after.session);
    assert_eq!(before.version, after.version, "the content did not change");
    let sealed = |s: &vault::section::Section| match &s.vaults[0].release {
        Release::Keys { current, .. } => current.ciphertext.clone(),
        other => panic!("{other:?}"),
    };
    assert_ne!(sealed(&before), sealed(&after));
}

/// AC-3, IF-4: evidence is renewed at `attest.every` beside the section, and does not outlive its grace.
#[test]
fn evidence_is_renewed_beside_an_unchanged_section_and_lapses_without() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    let session = device.session.session_key();
    let vault = Some(wire::config::VaultAsk {
        session,
        held: None,
        rescue: None,
        accepted: device.head,
        ordered: None,
        lease: None,
        drills: false,
        series: false,
    });
    let ask =
        wire::config::ConfigRequest { config_hash: device.hash.clone(), integrity_token: vec![], vault };
    let after = |s: u64| evc.config_at(device.id, &ask, now() + s).expect("an answer");
    assert!(after(890).is_none(), "not due");
    let due = after(900).expect("something to say");
    assert!(due.config.is_none() && due.config_hash == device.hash, "no config: unchanged");
    assert!(due.control.expect("control").challenge.is_some());
    let lapsed = after(900 + 301).expect("changed");
    assert_eq!(section(&lapsed), None, "not renewed: withheld");
    assert!(lapsed.config.is_some());
}

/// DF-4: a default vault's policy is changed by apply and returned by delete, and the vault never leaves the list by it.
#[test]
fn a_default_vault_takes_a_policy_and_gives_it_back() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    evc.apply("kind: VaultPolicy\nname: shut\ncustody: controller\noperation: lock\n---\nkind: Vault\nname: image\ndevice: edge-1\npolicy: shut\n");
    let image = |section: &vault::section::Section| {
        section.vaults.iter().find(|e| e.id == vault::ids::IMAGE_VAULT).cloned().expect("listed")
    };
    assert_eq!(image(&device.section(&evc)).operation, Operation::Lock);
    evc.act("DELETE", "/devices/edge-1/vaults/image", "");
    let back = image(&device.section(&evc));
    assert_eq!((back.operation, back.standing), (Operation::Unlock, Presence::Active));
}

/// Replayed, foreign, stale and invented nonces; evidence of another session or key.
#[test]
fn evidence_that_is_not_of_this_moment_session_and_device_is_refused() {
    let evc = Evc::start();
    let mut one = Device::onboarded(&evc, "edge-1");
    let mut two = Device::onboarded(&evc, "edge-2");
    let session = one.session.session_key();
    let ask = |device: &Device, nonce, session| {
        let quote = device.evidence(nonce, session);
        quoted(device.attest(&evc, &AttestRequest::Quote(Box::new(quote)))).0
    };
    assert_eq!(ask(&one, [7; 32], session), QuoteCode::NonceMismatch, "invented");
    let foreign = two.challenged(&evc);
    assert_eq!(ask(&one, foreign, session), QuoteCode::NonceMismatch, "another device's");
    let nonce = one.challenged(&evc);
    let mut forged = one.evidence(nonce, session);
    forged.binding.as_mut().expect("bound").session = SessionKey([9; 32]);
    let told = quoted(one.attest(&evc, &AttestRequest::Quote(Box::new(forged))));
    assert_eq!(told.0, QuoteCode::QuoteFailed, "the signature is over another session");
    assert_eq!(ask(&one, nonce, session), QuoteCode::NonceMismatch, "spent on the forgery");
    let nonce = one.challenged(&evc);
    assert_eq!(ask(&one, nonce, session), QuoteCode::Success);
    assert_eq!(ask(&one, nonce, session), QuoteCode::NonceMismatch, "replayed");
    one.session = new_session();
    let nonce = one.challenged(&evc);
    let late = AttestRequest::Quote(Box::new(one.evidence(nonce, one.session.session_key())));
    let told = evc.wait(evc.app.attest(one.id, late, now() + 61)).expect("an answer");
    assert_eq!(quoted(told).0, QuoteCode::NonceMismatch, "stale");
}

/// VC-2, VC-3, VC-6: change key until the node reports the new epoch; the last key is the one before.
#[test]
fn rotation_gives_current_and_last_until_the_node_took_it() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&vault("edge-1", "p"));
    let section = device.attested(&evc);
    let (first, _) = device.keys(&section, "payments").expect("keys");
    device.report(&evc, &section, 1);
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "");
    let rotated = device.section(&evc);
    assert!(rotated.version.version > section.version.version);
    let (current, last) = device.keys(&rotated, "payments").expect("keys");
    assert_eq!(last, first);
    assert_ne!(current, first);
    assert_eq!(operation(&rotated), Operation::ChangeKey);
    device.report(&evc, &rotated, 2);
    let taken = device.section(&evc);
    assert_eq!(operation(&taken), Operation::Unlock, "taken: no change key any more");
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "");
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", r#"{"force": true, "confirm": "payments"}"#);
    let twice = device.section(&evc);
    let (now_current, now_last) = device.keys(&twice, "payments").expect("keys");
    assert!(
        now_current != current && now_last != current,
        "off during two rotations: the old key is sent no more"
    );
}

fn operation(section: &vault::section::Section) -> Operation {
    section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").operation
}

/// Lock goes out although no key does, and the vault's policy counts as met.
#[test]
fn a_lock_reaches_the_node_with_its_section() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&vault("edge-1", "p"));
    device.attested(&evc);
    evc.apply(
        &vault("edge-1", "p").replace("custody: controller\n", "custody: controller\noperation: lock\n"),
    );
    let locked = device.section(&evc);
    assert_eq!(operation(&locked), Operation::Lock);
    assert!(device.keys(&locked, "payments").is_none());
    assert!(device.keys(&locked, "config").is_some(), "another policy's vault is not touched");
}

/// Everything survives a restart: nothing of worth is in memory.
#[test]
fn a_restart_changes_nothing_for_a_device() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&vault("edge-1", "p"));
    let before = device.attested(&evc);
    let root = std::fs::read(evc.dir.path().join("root-certificate.pem")).expect("a root");
    let evc = evc.restart();
    assert_eq!(std::fs::read(evc.dir.path().join("root-certificate.pem")).expect("a root"), root);
    assert!(device.poll(&evc).is_none(), "still unchanged");
    device.hash.clear();
    let after = device.section(&evc);
    let same = vault::section::Section { follows: before.follows, ..after };
    assert_eq!(same, before, "the same section with the same sealed keys: nothing was sealed anew");
}
