//! Projects are tenants of one controller: what is of one is not there for an operator of another, whatever it is called (UC-C; threats, Controller: one who asks for another's).
//! No command makes one yet: here the token of a second one is written past the controller.

mod common;

use common::{Device, Evc, settle_graces};
use evc::service::token_hash;
use evc::store::TokenRow;
use serde_json::{Value, json};
use vault::section::{Encryption, Section};

const ELSEWHERE: &str = "a token of another project";

/// One file for both: the names are the same.
const FILE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 0s }\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

/// A controller whose operators are of two projects.
fn two_projects() -> Evc {
    let evc = Evc::start();
    let (hash, project) = (token_hash(ELSEWHERE), "elsewhere".parse().expect("a name"));
    let row = TokenRow { hash, project, name: "operator".into(), added_at: evc::clock::now() };
    evc.meddle(|tx| tx.add_token(&row));
    evc
}

fn said(evc: &Evc, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = evc.operator(method, path, body, Some(token));
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

fn listed(evc: &Evc, token: &str, path: &str, field: &str) -> Vec<String> {
    let (status, rows) = said(evc, token, "GET", path, "");
    assert_eq!(status, 200, "{rows}");
    rows.as_array().expect("a list").iter().map(|row| row[field].as_str().expect("text").to_owned()).collect()
}

/// A device called `edge-1`, let in by whoever has the token.
fn onboarded_by(evc: &Evc, token: &str) -> Device {
    let mut device = Device::new("edge-1");
    let allow = json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1" });
    assert_eq!(said(evc, token, "POST", "/onboarding", &allow.to_string()).0, 200);
    assert_eq!(device.register(evc), 201);
    device.id = device.uuid(evc).expect("known");
    device
}

/// Two tenants use the same names, and each device gets the keys of its own vault under the policy of its own project.
#[test]
fn two_projects_use_the_same_names_and_each_sees_its_own() {
    let evc = two_projects();
    let (mut ours, mut theirs) = (onboarded_by(&evc, &evc.token), onboarded_by(&evc, ELSEWHERE));
    let other = FILE.replace("custody: controller", "custody: controller\nencryption: adiantum");
    for (token, file) in [(evc.token.as_str(), FILE), (ELSEWHERE, &other)] {
        let (status, applied) = said(&evc, token, "POST", "/apply", file);
        assert_eq!((status, &applied[0]["outcome"]), (200, &json!("created")), "{applied}");
    }
    for (token, device) in [(evc.token.as_str(), &ours), (ELSEWHERE, &theirs)] {
        let id = device.id.to_string();
        assert_eq!(listed(&evc, token, "/devices", "id"), [id.as_str()]);
        assert!(listed(&evc, token, "/vaults", "device").iter().all(|of| *of == id));
        assert_eq!(listed(&evc, token, "/policies", "name"), ["p"]);
        assert_eq!(listed(&evc, token, "/onboarding", "serial"), ["serial-edge-1"]);
        assert_eq!(said(&evc, token, "GET", "/devices/edge-1", "").1["device"]["id"], id, "by name");
    }
    let (one, other) = (ours.attested(&evc), theirs.attested(&evc));
    let encryption = |section: &Section| {
        let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "payments");
        entry.expect("listed").policy.encryption
    };
    let expected = (Encryption::Aes256Xts, Encryption::Adiantum);
    assert_eq!((encryption(&one), encryption(&other)), expected, "each by its own project's policy");
    let keys = [ours.keys(&one, "payments"), theirs.keys(&other, "payments")];
    assert!(keys[0].is_some() && keys[1].is_some() && keys[0] != keys[1], "keys of their own");
    // What one tenant ends stays for the other.
    assert_eq!(
        said(&evc, ELSEWHERE, "DELETE", "/devices/edge-1/vaults/payments?confirm=payments", "").0,
        200
    );
    settle_graces(&evc);
    assert_eq!(said(&evc, ELSEWHERE, "DELETE", "/policies/p", "").0, 200);
    assert_eq!(listed(&evc, &evc.token, "/policies", "name"), ["p"]);
    ours.report(&evc, &one, 1);
    assert!(said(&evc, &evc.token, "GET", "/devices/edge-1", "").1.to_string().contains("payments"));
}

/// Every act on what is another project's is told that it is not known, and does nothing; the twin, of its own operator, is done.
#[test]
fn what_is_another_projects_is_not_known_by_its_identity_either() {
    let evc = two_projects();
    let mut device = onboarded_by(&evc, &evc.token);
    evc.apply(FILE);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let reference = evc.meddle(|tx| {
        let row = evc::store::ReferenceRow {
            id: 0,
            project: vault::ids::Project::default(),
            device: device.id,
            pcrs: evc::store::Pcrs([(0, [0xa5; 32].into()), (4, [0xa5; 32].into())].into()),
            state: evc::store::ReferenceState::Pending,
            learned_at: 1,
            decided_at: None,
        };
        Box::pin(async move { tx.add_reference(&row).await })
    });
    let (id, vault) = (device.id, section.vaults.iter().find(|entry| entry.name.as_str() == "payments"));
    let vault = vault.expect("listed").id;
    let of_vault = format!("/devices/{id}/vaults/{vault}");
    let acts = [
        ("GET", format!("/devices/{id}"), ""),
        ("GET", format!("/vaults?device={id}"), ""),
        ("GET", format!("/references?device={id}"), ""),
        ("POST", format!("/devices/{id}/learn"), ""),
        ("POST", format!("/references/{reference}/approve"), ""),
        ("POST", format!("/references/{reference}/reject"), ""),
        ("POST", format!("{of_vault}/rotate"), ""),
        ("POST", "/apply".into(), &FILE.replace("edge-1", &id.to_string())),
        ("POST", format!("/devices/{id}/lost"), ""),
        ("DELETE", format!("/devices/{id}/lost"), ""),
        ("DELETE", format!("/devices/{id}/alarm"), ""),
        ("DELETE", format!("/devices/{id}/attestation-key?confirm={id}"), ""),
        ("DELETE", format!("{of_vault}?confirm={vault}"), ""),
        ("DELETE", format!("/devices/{id}?force=true&confirm={id}"), ""),
    ];
    for (method, path, body) in &acts {
        let before = said(&evc, &evc.token, "GET", "/devices/edge-1", "").1;
        let (status, told) = said(&evc, ELSEWHERE, method, path, body);
        assert!(matches!(status, 400 | 404), "{method} {path}: {status} {told}");
        assert!(told["error"].as_str().expect("words").contains("is not known"), "{method} {path}: {told}");
        let after = said(&evc, &evc.token, "GET", "/devices/edge-1", "").1;
        assert_eq!(timeless(before), timeless(after), "{method} {path} changed something");
        let (status, told) = said(&evc, &evc.token, method, path, body);
        assert_eq!(status, 200, "{method} {path}: its twin: {told}");
    }
    assert_eq!(listed(&evc, ELSEWHERE, "/references", "state"), [""; 0]);
}

/// What is counted from now is of no worth in a comparison.
fn timeless(mut described: Value) -> Value {
    for counted in ["seen", "last_seen", "heard"] {
        described["device"][counted] = Value::Null;
    }
    described
}

/// The certificate and serial say into which project a device comes. It stays there: no allowance of another one moves it, withdraws its
/// own, or is given for what is allowed already.
#[test]
fn a_device_comes_into_the_project_of_its_allowance_and_stays() {
    let evc = two_projects();
    let device = onboarded_by(&evc, ELSEWHERE);
    assert_eq!(listed(&evc, &evc.token, "/devices", "id"), [""; 0]);
    assert_eq!(listed(&evc, ELSEWHERE, "/devices", "name"), ["edge-1"]);
    let allow = |onboard: &str| json!({ "cert_pem": onboard, "serial": device.serial }).to_string();
    let (status, told) = said(&evc, &evc.token, "POST", "/onboarding", &allow(&device.onboard.pem));
    assert_eq!((status, &told["code"]), (409, &"allowed-elsewhere".into()), "{told}");
    let digest = hex::encode(device.onboard.cert.digest().0);
    let allowance = format!("/onboarding/{digest}/{}", device.serial);
    assert_eq!(said(&evc, &evc.token, "DELETE", &allowance, "").0, 404, "of no allowance of ours");
    assert_eq!(listed(&evc, ELSEWHERE, "/onboarding", "serial"), [device.serial.as_str()], "not ours to end");
    assert_eq!(device.register(&evc), 200, "so it may still come again");

    let mut again = Device { onboard: common::Key::new("onboard"), ..device };
    for serial in [again.serial.as_str(), "*"] {
        let allow = json!({ "cert_pem": again.onboard.pem, "serial": serial });
        evc.act("POST", "/onboarding", &allow.to_string());
        assert_eq!(again.register(&evc), 409, "as {serial} of another project");
        let digest = hex::encode(again.onboard.cert.digest().0);
        evc.act("DELETE", &format!("/onboarding/{digest}/{serial}"), "");
    }
    assert_eq!(listed(&evc, &evc.token, "/devices", "id"), [""; 0]);
    assert_eq!(again.attested(&evc).vaults.len(), 2, "it is what it was, where it was");
}

/// A token lets in and ends tokens of its own project alone.
#[test]
fn a_token_is_of_one_project_and_so_are_those_that_it_lets_in() {
    let evc = two_projects();
    onboarded_by(&evc, ELSEWHERE);
    let hash = json!({ "sha256": hex::encode(token_hash("another")) }).to_string();
    assert_eq!(said(&evc, ELSEWHERE, "POST", "/tokens", &hash).0, 200);
    assert_eq!(listed(&evc, "another", "/devices", "name"), ["edge-1"], "of its project");
    assert_eq!(said(&evc, "another", "DELETE", "/tokens/others", "").0, 200);
    let good = |token: &str| said(&evc, token, "GET", "/devices", "").0;
    assert_eq!((good(ELSEWHERE), good("another"), good(&evc.token)), (401, 200, 200));
}
