//! Devices with a TPM: quotes by an attestation key in software, reference values, and everything a quote may not be.

mod common;
#[path = "attested/deleted.rs"]
mod deleted;
#[path = "attested/drill.rs"]
mod drill;
#[path = "attested/escrow.rs"]
mod escrow;
#[path = "attested/leases.rs"]
mod leases;
#[path = "attested/planned.rs"]
mod planned;
#[path = "attested/repinned.rs"]
mod repinned;
#[path = "attested/withheld.rs"]
mod withheld;

use attest::PcrValues;
use common::quoting::{FakeTpm, pcrs, quote, with_tpm};
use common::{Device, Evc, Key, new_session, raced, section};
use vault::cause::Cause;
use vault::section::{Custody, Release, Section};
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EvidenceAnswer, Quote, QuoteCode,
    StoreKeysCode,
};

const STRICT: &str = "kind: VaultPolicy\nname: strict\ncustody: tpm+controller\nattest: { require: [pcrs] }\n---\n\
                      kind: Vault\nname: payments\ndevice: edge-1\npolicy: strict\n";

fn send(evc: &Evc, device: &Device, quote: Quote) -> QuoteCode {
    let AttestResponse::Quote(answer) = device.attest(evc, &AttestRequest::Quote(Box::new(quote))) else {
        panic!("not on evidence")
    };
    assert_eq!(answer.code == QuoteCode::Success, answer.verdict == Some(EvidenceAnswer::Accepted));
    answer.code
}

/// Challenged, quoted, polled: the section if there is one.
fn round(evc: &Evc, device: &mut Device, tpm: &FakeTpm, pcrs: &PcrValues) -> Option<Section> {
    let nonce = device.challenged(evc);
    assert_eq!(send(evc, device, quote(device, tpm, nonce, pcrs)), QuoteCode::Success);
    section(&device.poll(evc).expect("an answer"))
}

/// AC-2, AC-5, TH-5: `require: [pcrs]` passes with approved values only, learned once; a changed PCR withholds, and the operator reads which.
#[test]
fn measured_state_is_held_against_approved_values() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(1)), None, "nothing is approved yet");
    let learned = evc.act("GET", "/references", "");
    assert_eq!((learned.as_array().map(Vec::len), learned[0]["state"].as_str()), (Some(1), Some("pending")));
    assert_eq!(learned[0]["differs"], "nothing was approved before");
    let told = evc.act("GET", "/devices/edge-1", "")["device"]["attestation"].clone();
    assert_eq!(told["from"], "127.0.0.1", "seen-by-users 0b.15: from where, of which session, over what");
    assert_eq!(told["session"], hex::encode(&device.session.session_key().0[..4]));
    assert_eq!(told["pcrs"], "0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14 (SHA-256)");
    let approved = evc.act("POST", "/references/1/approve", "");
    let one = format!("PCR 0: {}", "01".repeat(32));
    let notes = approved["notes"].as_array().expect("notes");
    assert_eq!(notes.len(), 15, "what is approved is shown, and which vaults that is for: {notes:?}");
    assert_eq!(
        notes[14],
        "a boot with these values gets the keys of `payments`, and its bundle in escrow if it asks for it, from its next contact on"
    );
    assert_eq!(approved["notes"][0], one.as_str());
    let open = section(&device.poll(&evc).expect("an answer")).expect("approved: what stands is judged anew");
    assert!(device.keys(&open, "payments").is_some());
    assert!(
        open.vaults.iter().all(|entry| !entry.id.is_default()),
        "default vaults with a TPM are not listed"
    );
    device.session = new_session();
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(2)), None, "a changed PCR");
    let told = evc.act("GET", "/devices/edge-1", "");
    let key = told["vaults"][0]["key"].as_str().expect("text");
    assert!(
        key.contains("withheld: pcrs: PCR 4 differs") && key.contains("was 01010101 is 02020202"),
        "{key}"
    );
    assert_eq!(evc.act("GET", "/references", "").as_array().map(Vec::len), Some(1), "learned once");
    device.session = new_session();
    let again = round(&evc, &mut device, &tpm, &pcrs(1)).expect("good again");
    assert!(device.keys(&again, "payments").is_some());
    evc.act("POST", "/references/1/reject", "");
    assert_eq!(section(&device.poll(&evc).expect("an answer")), None, "rejected: withheld at once");
}

/// AC-5: whatever is remembered of a device that polls without end, an operator's word on a reference value holds for its next poll.
#[test]
fn a_rejected_reference_value_holds_for_the_very_next_poll() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(1)), None);
    for _ in 0..5 {
        evc.act("POST", "/references/1/approve", "");
        device.session = new_session();
        assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "good");
        let rejected = raced(&evc, &mut device, || drop(evc.act("POST", "/references/1/reject", "")));
        assert_eq!(rejected, 200, "withheld");
        assert_eq!(section(&device.poll(&evc).expect("an answer")), None);
    }
}

/// seen-by-users 0.5, 1.6: what is learned after an update is shown beside what was approved before it, in the list and by the approval.
#[test]
fn a_reference_value_is_shown_beside_the_one_approved_before() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    let differs = |n: usize| evc.act("GET", "/references?device=edge-1", "")[n]["differs"].clone();
    round(&evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    for four in [2, 1] {
        evc.act("POST", "/devices/edge-1/learn", "");
        device.session = new_session();
        device.hash.clear();
        round(&evc, &mut device, &tpm, &pcrs(four));
        assert_eq!(differs(1), "PCR 4 differs from 1");
    }
    let all = evc.act("GET", "/references?device=edge-1", "");
    assert_eq!(all.as_array().map(Vec::len), Some(2), "what is there is not learned again: {all}");
    let approved = evc.act("POST", "/references/2/approve", "");
    let line = format!("PCR 4: {}, was {}", "02".repeat(32), "01".repeat(32));
    assert_eq!(approved["notes"][0], line.as_str());
    assert_eq!(approved["notes"].as_array().map(Vec::len), Some(2), "and which vaults that is for");
}

/// AC-5: an operator's word on values is on all rows of them: an earlier version learned the same ones more than once, and a boot that was
/// rejected by its newest row went on being good by an older one.
#[test]
fn a_rejected_boot_gets_no_key_by_another_row_of_the_same_values() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    round(&evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    let row = evc.stored(|tx| tx.references_of(device.id)).remove(0);
    evc.meddle(|tx| tx.add_reference(&row));
    device.session = new_session();
    device.hash.clear();
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert!(device.keys(&section, "payments").is_some(), "the boot is approved");
    let done = evc.act("POST", "/references/2/reject", "");
    assert_eq!(done["notes"][0], "so is 1, which has the same values");
    device.session = new_session();
    device.hash.clear();
    round(&evc, &mut device, &tpm, &pcrs(1));
    let shown = evc.act("GET", "/devices/edge-1", "").to_string();
    assert!(shown.contains("withheld"), "{shown}");
}

/// Another vault of the device with a lesser policy goes on, and reads why the strict one is withheld.
#[test]
fn each_vault_has_its_own_policy() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    evc.apply("kind: VaultPolicy\nname: plain\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: plain\n");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("one policy is met");
    assert!(device.keys(&section, "logs").is_some());
    let strict = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed");
    assert_eq!(strict.release, Release::Withheld { reason: Cause::Pcrs });
    // AC-2: beside a section, what is not met asks for new evidence after a minute, and not at each poll: the node would quote without end.
    assert!(device.poll(&evc).is_none(), "unchanged, and nothing to be said");
    let ask = wire::config::ConfigRequest::decode(&device.ask()).expect("a question");
    let later = evc.config_at(device.id, &ask, evc::clock::now() + 61).expect("answered");
    let later = later.expect("something to say");
    assert!(later.config.is_none() && later.control.expect("control").challenge.is_some(), "tried again");
}

/// DF-4, invariant 4: a default vault gets its policy back before its node has reported anything of it. A key of the controller's may be
/// in it by then: the row and the key stay, no number gets another key, and the node gets what it holds once it says so.
#[test]
fn a_default_vault_that_got_a_key_keeps_it_when_its_policy_is_taken_back() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let policy = "kind: VaultPolicy\nname: both\ncustody: tpm+controller\n---\nkind: Vault\nname: image\ndevice: edge-1\npolicy: both\n";
    evc.apply(policy);
    let released = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let before = device.keys(&released, "image").expect("released");
    evc.act("DELETE", "/devices/edge-1/vaults/image", "");
    let back = device.section(&evc);
    let image = back.vaults.iter().find(|entry| entry.name.as_str() == "image").expect("still listed");
    assert_eq!((image.policy.custody, &image.release), (Custody::Tpm, &Release::NotNeeded));
    device.report(&evc, &back, 1);
    let held = device.section(&evc);
    assert_eq!(device.keys(&held, "image"), Some(before), "it told what it is wrapped under");
    evc.apply(policy);
    device.session = new_session();
    let undone = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!(device.keys(&undone, "image"), Some(before), "the same epoch opens to the same key");
}

#[test]
fn quotes_that_are_not_this_tpms_answer_are_refused() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let other = FakeTpm::new();
    let fewer: PcrValues = pcrs(1).into_iter().filter(|(pcr, _)| *pcr != 4).collect();
    let mut older = FakeTpm::new();
    older.reset_count = 0;
    type Spoil<'a> = Box<dyn Fn(&Device, [u8; 32]) -> Quote + 'a>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("another key", Box::new(|d, n| quote(d, &other, n, &pcrs(1)))),
        (
            "another nonce within",
            Box::new(|d, n| Quote {
                binding: quote(d, &tpm, n, &pcrs(1)).binding,
                ..quote(d, &tpm, [0; 32], &pcrs(1))
            }),
        ),
        ("fewer PCRs", Box::new(|d, n| quote(d, &tpm, n, &fewer))),
        (
            "values that were not quoted",
            Box::new(|d, n| Quote {
                pcr_values: quote(d, &tpm, n, &pcrs(2)).pcr_values,
                ..quote(d, &tpm, n, &pcrs(1))
            }),
        ),
        (
            "nothing quoted",
            Box::new(|d, n| Quote { attest_data: vec![], signature: vec![], ..quote(d, &tpm, n, &pcrs(1)) }),
        ),
        (
            "claims changed on the way",
            Box::new(|d, n| {
                let mut spoiled = quote(d, &tpm, n, &pcrs(1));
                spoiled.binding.as_mut().expect("bound").claims = b"elsewhere".to_vec();
                spoiled
            }),
        ),
    ];
    for (what, spoil) in cases {
        let nonce = device.challenged(&evc);
        assert_eq!(send(&evc, &device, spoil(&device, nonce)), QuoteCode::QuoteFailed, "{what}");
        assert_eq!(section(&device.poll(&evc).expect("an answer")), None, "{what}");
        device.hash.clear();
    }
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "the twin that is not spoiled");
}

/// What a device posts to pin an attestation key.
fn pin(evc: &Evc, device: &Device, ak: &Key, public: Option<Vec<u8>>) -> (u16, String) {
    let ak = DeviceCert::new(DeviceCertKind::Attestation, ak.pem.clone().into_bytes(), public);
    let answer = evc.post(&device.own("attest"), &device.seal(&AttestRequest::Certs(vec![ak]).encode()));
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

fn tpm_of(evc: &Evc) -> String {
    evc.act("GET", "/devices/edge-1", "")["device"]["tpm"].as_str().expect("text").to_owned()
}

/// AC-3: evidence of the SHA-384 bank is learned and approved like any, told with its bank, and meets no value of the SHA-256 bank,
/// though each byte of it is the same.
#[test]
fn evidence_of_the_sha384_bank_is_learned_and_approved_in_that_bank() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    let longer: PcrValues = pcrs(1).into_keys().map(|pcr| (pcr, [1; 48].into())).collect();
    round(&evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    device.session = new_session();
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "the twin");
    evc.act("POST", "/devices/edge-1/learn", "");
    device.session = new_session();
    device.hash.clear();
    assert_eq!(round(&evc, &mut device, &tpm, &longer), None, "another bank");
    let key = evc.act("GET", "/devices/edge-1", "")["vaults"][0]["key"].to_string();
    assert!(key.contains("withheld: pcrs: PCRs 0, 1, 2"), "{key}");
    let learned = evc.act("GET", "/references?device=edge-1", "");
    let told =
        |n: usize| ["bank", "differs"].map(|field| learned[n][field].as_str().expect("text").to_owned());
    assert_eq!(told(0), ["SHA-256", "the first that was approved"]);
    assert_eq!(told(1), ["SHA-384", "another bank than 1"]);
    evc.act("POST", "/references/2/approve", "");
    device.session = new_session();
    assert!(round(&evc, &mut device, &tpm, &longer).is_some(), "approved");
    let told = evc.act("GET", "/devices/edge-1", "")["device"]["attestation"]["pcrs"].to_string();
    assert!(told.contains("14 (SHA-384)"), "{told}");
}

/// TH-2: a node known to have a TPM never gets by without a quote, and its key is pinned; a certificate without the key's public area
/// says nothing of a TPM, and the area may come later.
#[test]
fn a_node_with_a_tpm_cannot_pass_as_one_without() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let (tpm, other, ak) = (FakeTpm::new(), FakeTpm::new(), Key::new("AK"));
    assert_eq!((pin(&evc, &device, &ak, None).0, tpm_of(&evc)), (201, "unknown".into()));
    assert_eq!((pin(&evc, &device, &ak, Some(tpm.ak())).0, tpm_of(&evc)), (201, "present".into()));
    assert_eq!(pin(&evc, &device, &ak, Some(tpm.ak())).0, 201, "the same again");
    assert_eq!(pin(&evc, &device, &ak, Some(other.ak())).0, 403, "another key");
    assert_eq!(pin(&evc, &device, &Key::new("AK"), Some(tpm.ak())).0, 403, "another certificate's key");
    let nonce = device.challenged(&evc);
    let signed = device.evidence(nonce, device.session.session_key());
    let AttestResponse::Quote(told) = device.attest(&evc, &AttestRequest::Quote(Box::new(signed))) else {
        panic!("not on evidence")
    };
    assert_eq!(told.code, QuoteCode::QuoteFailed);
    assert_eq!(told.verdict, Some(EvidenceAnswer::Refused("this node has to quote".into())));
    assert_eq!(section(&device.poll(&evc).expect("an answer")), None);
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "the twin that quotes");
}

/// Bytes that are no key which can quote are not pinned: the device would have to quote for ever, and never could.
#[test]
fn what_is_no_attestation_key_is_not_pinned() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let mut unrestricted = FakeTpm::new().ak();
    unrestricted[7] &= !1; // Bit 16 of the attributes: restricted.
    for (what, public) in [("garbage", vec![1; 90]), ("nothing", vec![]), ("signs anything", unrestricted)] {
        let (status, text) = pin(&evc, &device, &Key::new("AK"), Some(public));
        assert!(status == 400 && text.contains("attestation key"), "{what}: {status} {text}");
        assert_eq!(tpm_of(&evc), "unknown", "{what}");
    }
    assert_eq!(device.attested(&evc).vaults.len(), 2, "it goes on as what it is");
}

/// A node whose vaults were made without a TPM does not lose them by an attestation key that comes up later.
#[test]
fn a_node_without_a_tpm_does_not_get_one_by_its_own_word() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    let (status, text) = pin(&evc, &device, &Key::new("AK"), Some(FakeTpm::new().ak()));
    assert!(status == 403 && text.contains("register it as a new device"), "{status} {text}");
    assert_eq!(tpm_of(&evc), "absent");
    device.session = new_session();
    let section = device.attested(&evc);
    assert!(device.keys(&section, "config").is_some(), "its vaults open as before");
}

/// A TPM whose counters fell is refused, and does not become what later quotes are held against.
#[test]
fn a_tpm_that_went_back_is_refused_for_good() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some());
    for _ in 0..2 {
        device.session = new_session();
        tpm.reset_count = 4;
        let nonce = device.challenged(&evc);
        assert_eq!(send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::QuoteFailed);
    }
    let told = evc.act("GET", "/devices/edge-1", "")["device"]["alarm"].to_string();
    assert!(told.contains("fell") && told.contains("evc device settle"), "seen-by-users 0.12: {told}");
    tpm.reset_count = 6;
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "a reset more is right");
    evc.apply(&STRICT.replace("attest: { require: [pcrs] }\n", ""));
    let mut keys = || {
        let told = device.poll(&evc).expect("an answer");
        device.keys(&section(&told).expect("a section"), "payments")
    };
    assert_eq!(keys(), None, "nothing is released before an operator looked");
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    assert!(keys().is_some());
}

/// A TPM whose keys changed while the device key lives is another one, until an operator says that the next key is the device's; and then that one is
/// pinned, it must quote, by counters of its own, and the one before it is another.
#[test]
fn an_attestation_key_is_pinned_anew_by_an_operators_word_alone() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    tpm.reset_count += 3;
    evc.apply(&STRICT.replace("attest: { require: [pcrs] }\n", ""));
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some());
    let (other, key) = (FakeTpm::new(), Key::new("AK"));
    let (status, text) = pin(&evc, &device, &key, Some(other.ak()));
    assert!(
        status == 403 && text.contains("evc device repin edge-1") && text.contains("evc rehome vault"),
        "{text}"
    );
    evc.act("DELETE", "/devices/edge-1/attestation-key?confirm=edge-1", "");
    assert_eq!(tpm_of(&evc), "present", "a mere signature is not enough");
    device.session = new_session();
    device.hash.clear();
    let nonce = device.challenged(&evc);
    let unknown = send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1)));
    assert_eq!(unknown, QuoteCode::NoCertFound, "the key of before is forgotten");
    // Attack F6: whoever has what the node uploaded before can't have it pinned again.
    let (status, text) = pin(&evc, &device, &key, Some(tpm.ak()));
    assert!(status == 403 && text.contains("was taken off by an operator"), "{text}");
    assert_eq!(pin(&evc, &device, &key, Some(other.ak())).0, 201);
    let section = round(&evc, &mut device, &other, &pcrs(1)).expect("a section");
    assert!(device.keys(&section, "payments").is_some(), "the next one is pinned");
    assert_eq!(pin(&evc, &device, &Key::new("AK"), Some(tpm.ak())).0, 403, "and no other");
}

/// Attack F5: said of a device whose keys are as they were, it shuts nobody out: said once more, whichever key comes next is pinned.
#[test]
fn a_key_that_was_taken_off_by_mistake_comes_back() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let key = Key::new("AK");
    let repin = || evc.act("DELETE", "/devices/edge-1/attestation-key?confirm=edge-1", "").to_string();
    assert!(repin().contains("say this once more"));
    assert_eq!(pin(&evc, &device, &key, Some(tpm.ak())).0, 403);
    repin();
    assert_eq!(pin(&evc, &device, &key, Some(tpm.ak())).0, 201);
    device.session = new_session();
    device.hash.clear();
    let nonce = device.challenged(&evc);
    assert_eq!(send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::Success);
}

/// A machine whose TPM and disk were set back on purpose goes on once an operator says that it is one; and a copy that was further is told again.
#[test]
fn a_machine_that_was_set_back_goes_on_once_its_alarm_is_settled() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    evc.apply(&STRICT.replace("attest: { require: [pcrs] }\n", ""));
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some());
    let further = tpm.reset_count;
    tpm.reset_count -= 1;
    let refused = |device: &mut Device, tpm: &FakeTpm| {
        device.session = new_session();
        let nonce = device.challenged(&evc);
        assert_eq!(send(&evc, device, quote(device, tpm, nonce, &pcrs(1))), QuoteCode::QuoteFailed);
    };
    refused(&mut device, &tpm);
    let settled = evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "").to_string();
    assert!(settled.contains("begins a new history"), "{settled}");
    for _ in 0..2 {
        device.session = new_session();
        device.hash.clear();
        let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
        assert!(device.keys(&section, "payments").is_some(), "it goes on");
        tpm.reset_count += 1;
    }
    let shown = evc.act("GET", "/devices/edge-1", "")["device"].clone();
    assert!(shown["alarm"].is_null(), "{shown}");
    tpm.reset_count = further - 1;
    refused(&mut device, &tpm);
    assert!(
        evc.act("GET", "/devices/edge-1", "")["device"]["alarm"].is_string(),
        "the new history is held to"
    );
}

/// Seen-by-users 0.5, 1.6: of a boot that nothing measured nothing is learned and nothing passes; it is said, and the first measured boot
/// is learned without another order.
#[test]
fn an_unmeasured_boot_is_not_learned_and_opens_nothing() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    let mut zeros = pcrs(1);
    zeros.extend([0, 4].map(|pcr| (pcr, [0; 32].into())));
    assert_eq!(round(&evc, &mut device, &tpm, &zeros), None);
    assert_eq!(evc.act("GET", "/references", "").as_array().map(Vec::len), Some(0), "nothing to approve");
    let told = evc.act("GET", "/devices/edge-1", "")["device"]["attestation"]["words"].to_string();
    assert!(told.contains("not checked, boot not measured: PCRs 0, 4 at the reset value"), "{told}");
    let told = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(told.contains("see that the node's firmware measures its boot"), "what to do: {told}");
    device.session = new_session();
    assert_eq!(round(&evc, &mut device, &tpm, &PcrValues::new()), None);
    let told = evc.act("GET", "/devices/edge-1", "")["device"]["attestation"]["words"].to_string();
    assert!(told.contains("boot not measured: the TPM has no SHA-256 or SHA-384 bank of PCRs"), "{told}");
    device.session = new_session();
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(1)), None);
    assert_eq!(evc.act("GET", "/references", "").as_array().map(Vec::len), Some(1), "learned");
}

/// Seen-by-users 1.1: a power cut that costs the TPM's clock costs the node nothing; the operator reads what is not established. The same
/// fall within one boot is refused, and the refusal says what to do.
#[test]
fn a_clock_that_a_power_cut_set_back_shuts_nobody_out() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    let words =
        |evc: &Evc| evc.act("GET", "/devices/edge-1", "")["device"]["attestation"]["words"].to_string();
    tpm.clock_ms = 100 * 86_400_000;
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some());
    (device.session, tpm.clock_ms) = (new_session(), 400);
    let nonce = device.challenged(&evc);
    assert_eq!(send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::QuoteFailed);
    let told = words(&evc);
    assert!(told.contains("from 8640000000 ms to 400 ms within one boot"), "{told}");
    assert!(told.contains("bring back the newest state"), "what to do: {told}");
    tpm.reset_count += 1;
    assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "after a reset it may");
    let told = words(&evc);
    assert!(told.contains("how long it ran since then is not established"), "{told}");
}

/// TH-5: other firmware of the TPM is shown to the operator, and withholds nothing: an update changes it too.
#[test]
fn changed_firmware_of_the_tpm_is_shown() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    for (firmware, words) in [
        (1, "TPM firmware: not checked, nothing to compare with"),
        (1, "TPM firmware: as before"),
        (2, "TPM firmware: changed: the TPM's firmware was 0x1 and is 0x2"),
    ] {
        (device.session, tpm.firmware) = (new_session(), firmware);
        assert!(round(&evc, &mut device, &tpm, &pcrs(1)).is_some(), "{words}");
        let told = evc.act("GET", "/devices/edge-1", "");
        let shown = told["device"]["attestation"]["words"].as_array().expect("words");
        assert!(shown.iter().any(|word| word == words), "{words}: {told}");
    }
}

/// Stock EVE is served its configuration, and never told of success without a key: it would wipe a locked vault.
#[test]
fn a_stock_device_is_configured_and_never_misled() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    let ask = wire::config::ConfigRequest::default();
    let answer = evc.post(&device.own("config"), &device.seal(&ask.encode()));
    let signed = wire::config::SignedConfig::verify(&answer.body, &evc.trusted()).expect("signed");
    let response = signed.response();
    assert!(response.control.is_none() && section(response).is_none() && response.config.is_some());
    let again = wire::config::ConfigRequest { config_hash: response.config_hash.clone(), ..ask };
    assert_eq!(evc.post(&device.own("config"), &device.seal(&again.encode())).status, 304);
    let AttestResponse::Nonce(nonce) = device.attest(&evc, &AttestRequest::Nonce) else { panic!("no nonce") };
    assert_eq!(nonce.len(), 32);
    assert_eq!(send(&evc, &device, Quote::default()), QuoteCode::QuoteFailed);
    let keys = wire::attest::StoreKeys { integrity_token: vec![], keys: vec![], bundle: None };
    let told = device.attest(&evc, &AttestRequest::StoreKeys(keys));
    assert_eq!(
        told,
        AttestResponse::StoreKeys(wire::attest::StoreKeysCode::Invalid),
        "not kept, not acknowledged"
    );
}

fn alarm(evc: &Evc) -> String {
    evc.act("GET", "/devices", "")[0]["alarm"].as_str().unwrap_or_default().to_owned()
}

/// A quote that was held back on the way is behind the next one by its TPM's clock: it is out of date, and no copy of the TPM.
#[test]
fn a_quote_that_comes_late_is_no_alarm() {
    let evc = Evc::start();
    let (device, mut tpm) = with_tpm(&evc);
    let (began, id) = (evc::clock::now(), device.id);
    let nonce_at = |at: u64| -> [u8; 32] {
        let asked = evc.wait(evc.app.attest(id, AttestRequest::Nonce, at));
        let Ok(AttestResponse::Nonce(nonce)) = asked else { panic!("no nonce") };
        nonce.try_into().expect("32 bytes")
    };
    let give = |quote: Quote, at: u64| {
        let told = evc.wait(evc.app.attest(id, AttestRequest::Quote(Box::new(quote)), at));
        let Ok(AttestResponse::Quote(answer)) = told else { panic!("no answer") };
        answer.code
    };
    tpm.clock_ms = 1_000_000;
    let held = quote(&device, &tpm, nonce_at(began), &pcrs(1));
    tpm.clock_ms += 32_000;
    let next = quote(&device, &tpm, nonce_at(began + 31), &pcrs(1));
    assert_eq!(give(next, began + 32), QuoteCode::Success);
    assert_eq!(give(held, began + 55), QuoteCode::NonceMismatch);
    assert_eq!(alarm(&evc), "");
}

/// A copy of a running machine with its TPM speaks in turn with it, and between its turns makes the controller forget: that is the alarm.
#[test]
fn a_copy_with_the_tpm_hides_behind_no_flood_of_sessions() {
    let evc = Evc::start();
    let (mut device, mut tpm) = with_tpm(&evc);
    let mut speak = |device: &mut Device| {
        tpm.clock_ms += 10;
        let AttestResponse::Nonce(nonce) = device.attest(&evc, &AttestRequest::Nonce) else { panic!("none") };
        let quote = quote(device, &tpm, nonce.try_into().expect("32 bytes"), &pcrs(1));
        device.attest(&evc, &AttestRequest::Quote(Box::new(quote)));
    };
    speak(&mut device);
    for _ in 0..65 {
        device.session = new_session();
        speak(&mut device);
    }
    assert!(alarm(&evc).contains("17 sessions gave way to new ones within an hour"), "{}", alarm(&evc));
}

/// KO-1: what a policy says is not what a node has its vault under. While that may be a key of ours the device stays, whatever an operator wrote
/// since; it goes once its node says that it is under none, by a list that asks for none.
#[test]
fn a_device_stays_while_its_image_vault_may_be_under_a_key_of_ours() {
    const IMAGE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: image\ndevice: edge-1\npolicy: p\n";
    for undo in ["apply", "delete"] {
        let evc = Evc::start();
        let (mut device, tpm) = with_tpm(&evc);
        let deleted = || evc.operator("DELETE", "/devices/edge-1", "", Some(&evc.token));
        let stays = |when: &str| {
            let common::Answer { status, body } = deleted();
            let words = String::from_utf8_lossy(&body).into_owned();
            assert!(
                status == 409 && words.contains("has vaults: `image`"),
                "{undo}, {when}: {status} {words}"
            );
        };
        evc.apply(IMAGE);
        let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
        stays("its key went out");
        device.report(&evc, &section, 1);
        stays("it is under that");
        let _ = match undo {
            "apply" => evc.act("POST", "/apply", &IMAGE.replace("custody: controller", "custody: tpm")),
            _ => evc.act("DELETE", "/devices/edge-1/vaults/image", ""),
        };
        stays("and still is");
        let under_none = |device: &Device, section: &Section| {
            let mut info = device.info(section, 1);
            info.vaults.iter_mut().filter_map(|line| line.report.as_mut()).for_each(|it| it.epoch = None);
            device.tell(&evc, &info);
        };
        let (before, section) = (section, device.section(&evc));
        under_none(&device, &before);
        stays("it says otherwise by the list of before");
        under_none(&device, &section);
        stays("this list had the key in it, to get off it");
        let section = device.section(&evc);
        under_none(&device, &section);
        let common::Answer { status, body } = deleted();
        assert_eq!(status, 200, "{undo}: {}", String::from_utf8_lossy(&body));
    }
}

/// The same where the list that the node has is not the one that it would get now: an operator gave the key back to the controller meanwhile.
#[test]
fn a_word_by_a_list_that_is_over_lets_no_key_go() {
    let policy = |custody: &str| format!("kind: VaultPolicy\nname: p\ncustody: {custody}\n");
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(&(policy("controller") + "---\nkind: Vault\nname: image\ndevice: edge-1\npolicy: p\n"));
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    evc.apply(&policy("tpm"));
    let mut info = device.info(&section, 1);
    info.vaults.iter_mut().filter_map(|line| line.report.as_mut()).for_each(|it| it.epoch = None);
    device.tell(&evc, &info);
    assert_eq!(
        evc.operator("DELETE", "/devices/edge-1", "", Some(&evc.token)).status,
        409,
        "it is about to take it"
    );
}
