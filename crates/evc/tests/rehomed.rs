//! A vault goes over to the device that its own became, and what is said of it is so: by which keys it opens there.

mod common;

use common::quoting::{pcrs, quote, with_tpm};
use common::{Device, Evc, section};
use serde_json::{Value, json};
use wire::attest::AttestRequest;

const BOTH: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: till\ndevice: edge-1\npolicy: p\n";

/// A vault whose keys went out under a TPM's custody, or not, and then under the controller's alone.
fn moved(before: &[&str]) -> (Evc, Value) {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    for custody in before.iter().chain(&["controller"]) {
        evc.apply(&BOTH.replace("tpm+controller", custody));
        device.session = common::new_session();
        device.hash.clear();
        let nonce = device.challenged(&evc);
        device.attest(&evc, &AttestRequest::Quote(Box::new(quote(&device, &tpm, nonce, &pcrs(1)))));
        let told = section(&device.poll(&evc).expect("an answer")).expect("a section");
        assert!(device.keys(&told, "till").is_some(), "{custody}: it went out");
        device.report(&evc, &told, 1);
    }
    Device::onboarded(&evc, "edge-2");
    evc.act("POST", "/devices/edge-1/lost", "");
    let how = json!({ "to": "edge-2", "confirm": "till" }).to_string();
    let told = evc.act("POST", "/devices/edge-1/vaults/till/rehome", &how);
    (evc, told)
}

/// KO-2: keys that went out under two custodies tell of neither which one the node has it under: nobody is told that it opens.
#[test]
fn what_went_out_under_two_custodies_is_said_to_open_by_one_alone() {
    for (before, in_doubt) in [(&["tpm+controller"][..], true), (&[], false), (&["controller"], false)] {
        let (evc, told) = moved(before);
        assert_eq!(told["done"], "vault `till` of device `edge-1` is device `edge-2`'s, with its keys");
        let notes = told["notes"].to_string();
        assert!(notes.contains("if its directory is on that device's disk"), "{before:?}: {notes}");
        let words = ["in the TPM of device `edge-1`", "no key of this controller's opens it", "recovery key"];
        assert_eq!(words.map(|word| notes.contains(word)), [in_doubt; 3], "{before:?}: {notes}");
        let rows = evc.act("GET", "/vaults?device=edge-2", "").to_string();
        assert!(rows.contains("till"), "{rows}");
    }
}

/// Decision 80, as of a vault's row: where the TPM has a part of the key, `evc rehome` goes on refusing. Two rotations by force forget under which
/// custody its keys went out.
#[test]
fn two_rotations_do_not_hide_that_the_tpm_has_a_part() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    Device::onboarded(&evc, "edge-2");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: VaultPolicy\nname: c\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n");
    let nonce = device.challenged(&evc);
    let first = quote(&device, &tpm, nonce, &pcrs(1));
    device.attest(&evc, &AttestRequest::Quote(Box::new(first)));
    let given = device.section(&evc);
    assert!(device.keys(&given, "day").is_some());
    device.report(&evc, &given, 1);
    evc.apply("kind: Vault\nname: day\ndevice: edge-1\npolicy: c\n");
    evc.act("POST", "/devices/edge-1/lost", "");
    let rehome = || {
        evc.operator(
            "POST",
            "/devices/edge-1/vaults/day/rehome",
            r#"{"to":"edge-2","confirm":"day"}"#,
            Some(&evc.token),
        )
    };
    assert_eq!(rehome().problem().code, evc::api::Code::KeyInTpm, "twin");
    for _ in 0..2 {
        evc.act("POST", "/devices/edge-1/vaults/day/rotate", r#"{"force":true,"confirm":"day"}"#);
    }
    let told = rehome();
    assert_ne!(told.status, 200, "{}", String::from_utf8_lossy(&told.body));
}

/// A key whose epoch is over goes out to no node: that it is damaged does not keep the vault from its new device. One that a node may need does.
#[test]
fn a_damaged_key_of_an_epoch_that_is_over_keeps_no_vault_back() {
    for (epoch, over) in [(1, true), (2, false), (3, false)] {
        let evc = Evc::start();
        let mut device = Device::onboarded(&evc, "edge-1");
        Device::onboarded(&evc, "edge-2");
        evc.apply(&BOTH.replace("tpm+controller", "controller"));
        let again = r#"{"force":true,"confirm":"till"}"#;
        (0..2).for_each(|_| drop(evc.act("POST", "/devices/edge-1/vaults/till/rotate", again)));
        let told = device.attested(&evc);
        device.report(&evc, &told, 3);
        let damage = format!("UPDATE epochs SET sealed = zeroblob(length(sealed)) WHERE epoch = {epoch}");
        common::sql(evc.dir.path(), &[&damage]);
        let keys = common::count(evc.dir.path(), "epochs");
        evc.act("POST", "/devices/edge-1/lost", "");
        let how = json!({ "to": "edge-2", "confirm": "till" }).to_string();
        let path = "/devices/edge-1/vaults/till/rehome";
        let answer = evc.operator("POST", path, &how, Some(&evc.token));
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status == 200, over, "{epoch}: {said}");
        let words = if over { "went over as they are" } else { "a key of vault `till`" };
        assert!(said.contains(words), "{epoch}: {said}");
        assert_eq!(common::count(evc.dir.path(), "epochs"), keys, "none is dropped");
    }
}
