//! Labels of devices, and rules that give a vault to each device with some labels (seen-by-users 1.11): now, when it is labelled, and when it
//! registers. A rule takes nothing away.

mod common;

use common::{Answer, Device, Evc, raced, until_unchanged};

const RULE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevices: { site: berlin }\npolicy: p\n";

fn label(evc: &Evc, device: &str, how: &str) -> (u16, String) {
    let path = format!("/devices/{device}/labels");
    let Answer { status, body } = evc.operator("POST", &path, how, Some(&evc.token));
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn labelled(evc: &Evc, device: &str, key: &str, value: &str) -> String {
    let (status, text) = label(evc, device, &format!(r#"{{"set":{{"{key}":"{value}"}}}}"#));
    assert_eq!(status, 200, "{text}");
    text
}

/// The devices of each vault of this name that is not gone.
fn holders(evc: &Evc, name: &str) -> Vec<String> {
    let vaults = evc.act("GET", "/vaults", "");
    let named = vaults.as_array().expect("a list").iter().filter(|vault| vault["name"] == name);
    let mut holders: Vec<String> =
        named.map(|vault| vault["device_name"].as_str().expect("a name").to_owned()).collect();
    holders.sort();
    holders
}

#[test]
fn each_device_with_the_labels_gets_the_vault_now_and_when_it_is_labelled() {
    let evc = Evc::start();
    for name in ["edge-1", "edge-2", "edge-3"] {
        Device::onboarded(&evc, name);
    }
    labelled(&evc, "edge-1", "site", "berlin");
    labelled(&evc, "edge-2", "site", "paris");
    let told = evc.act("POST", "/apply", RULE).to_string();
    assert!(told.contains("payments on edge-1") && told.contains("1 device has these labels"), "{told}");
    assert_eq!(holders(&evc, "payments"), ["edge-1"]);
    let told = evc.act("POST", "/apply", RULE);
    assert!(told.as_array().expect("a list").iter().all(|it| it["outcome"] == "unchanged"), "{told}");
    let told = labelled(&evc, "edge-2", "site", "berlin");
    assert!(told.contains("it gets vault `payments`"), "{told}");
    assert_eq!(holders(&evc, "payments"), ["edge-1", "edge-2"]);
    let selected = evc.act("GET", "/devices?selector=site%3Dberlin", "");
    assert_eq!(selected.as_array().expect("a list").len(), 2, "{selected}");
    assert_eq!(evc.act("GET", "/rules", "")[0]["devices"]["site"], "berlin");
}

/// A rule file that is applied again, for other devices or with another policy, keeps no vault that was removed from one device, and lets none of
/// its keys out: only a document of its own does.
#[test]
fn a_rule_that_is_applied_again_keeps_no_vault_that_is_being_removed() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    labelled(&evc, "edge-1", "site", "berlin");
    evc.apply(RULE);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let other = RULE.replace("name: p\n", "name: q\n").replace("policy: p", "policy: q");
    for file in [RULE, &other] {
        let told = evc.act("POST", "/apply", file).to_string();
        assert!(told.contains("a rule leaves it so"), "{told}");
        device.hash.clear();
        let section = device.section(&evc);
        assert_eq!(device.keys(&section, "payments"), None, "no key goes out");
        let standing = evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
        assert!(standing.contains("removing"), "{standing}");
    }
    evc.apply("kind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n");
    let section = device.section(&evc);
    assert!(device.keys(&section, "payments").is_some(), "its own document keeps it");
}

/// Absence destroys nothing: neither that of a label nor that of a rule. What an operator removes is not put back by another label.
#[test]
fn a_lost_label_and_a_deleted_rule_leave_the_vault() {
    let evc = Evc::start();
    Device::onboarded(&evc, "edge-1");
    labelled(&evc, "edge-1", "site", "berlin");
    evc.apply(RULE);
    let (status, told) = label(&evc, "edge-1", r#"{"take":["site"]}"#);
    assert!(status == 200 && told.contains("stay: `evc delete vault` removes one"), "{told}");
    assert_eq!(holders(&evc, "payments"), ["edge-1"]);
    let in_use = evc.operator("DELETE", "/policies/p", "", Some(&evc.token));
    let words = String::from_utf8_lossy(&in_use.body).into_owned();
    assert!(in_use.status == 409 && words.contains("rule `payments` names policy `p`"), "{words}");
    evc.act("DELETE", "/rules/payments", "");
    assert_eq!(evc.operator("DELETE", "/rules/payments", "", Some(&evc.token)).status, 404);
    assert_eq!(holders(&evc, "payments"), ["edge-1"]);
    evc.apply(RULE);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let told = labelled(&evc, "edge-1", "site", "berlin");
    assert!(told.contains("was there, and stays as it is"), "{told}");
    let standing = evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
    assert!(standing.contains("removing"), "{standing}");
}

/// An allowance carries labels: who registers by it has its vaults from the first section on. Another's are not touched.
#[test]
fn a_device_that_registers_with_labels_has_the_vaults_of_their_rules() {
    let evc = Evc::start();
    evc.apply(RULE);
    let mut device = Device::new("edge-1");
    let allow = serde_json::json!({
        "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1", "labels": { "site": "berlin" }
    });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
    device.id = device.uuid(&evc).expect("known");
    let section = device.attested(&evc);
    assert!(device.keys(&section, "payments").is_some(), "made, and its key released");
    assert_eq!(evc.act("GET", "/devices/edge-1", "")["device"]["labels"]["site"], "berlin");
    Device::onboarded(&evc, "edge-2");
    assert_eq!(holders(&evc, "payments"), ["edge-1"]);
}

/// A rule whose vault can't be on a device is refused where an operator asks, and nothing of the request is kept.
#[test]
fn what_does_not_fit_is_refused_whole() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    evc.apply(&RULE.replace("custody: controller", "custody: tpm"));
    let (status, told) = label(&evc, "edge-1", r#"{"set":{"site":"berlin"}}"#);
    assert!(told.contains("device `edge-1` has no TPM"), "{status} {told}");
    assert!(evc.act("GET", "/devices/edge-1", "")["device"]["labels"].is_null(), "no label is kept");
    assert!(holders(&evc, "payments").is_empty());
    for how in [r#"{"set":{"a b":"c"}}"#, r#"{"set":{"a":"b"},"take":["a"]}"#, "{"] {
        assert_eq!(label(&evc, "edge-1", how).0, 400, "{how}");
    }
}

/// IF-1: a label and a rule hold for the very next poll.
#[test]
fn labels_and_rules_hold_for_the_very_next_poll() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    evc.apply(RULE);
    let set = || drop(labelled(&evc, "edge-1", "site", "berlin"));
    assert_eq!(raced(&evc, &mut device, set), 200, "labelled");
    let rule = RULE.replace("name: payments", "name: ledger");
    assert_eq!(raced(&evc, &mut device, || drop(evc.act("POST", "/apply", &rule))), 200, "another rule");
}

/// Decision 50: a label only makes what is not there, and the default vaults are there. A rule for one is refused at the door; one of before gives
/// nothing, whether its device is labelled or registers with the label.
#[test]
fn labels_change_no_default_vault() {
    for name in ["image", "config"] {
        let evc = Evc::start();
        evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\noperation: lock\n");
        let rule = RULE.replace("name: payments", &format!("name: {name}"));
        let Answer { status, body } = evc.operator("POST", "/apply", &rule, Some(&evc.token));
        let told = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 400 && told.contains("is a default vault, which no labels change"), "{told}");
        let of_before = vault::policy::VaultRule {
            name: name.parse().expect("a name"),
            devices: serde_json::from_str(r#"{"site":"berlin"}"#).expect("labels"),
            policy: "p".parse().expect("a name"),
        };
        evc.meddle(move |tx| {
            let rule = of_before.clone();
            Box::pin(async move { tx.put_rule(&vault::ids::Project::default(), &rule, 1).await })
        });
        let mut device = Device::onboarded(&evc, "edge-1");
        let before = device.attested(&evc);
        device.report(&evc, &before, 1);
        until_unchanged(&evc, &mut device);
        labelled(&evc, "edge-1", "site", "berlin");
        until_unchanged(&evc, &mut device);
        let mut new = Device::new("edge-2");
        let allow = serde_json::json!({
            "cert_pem": new.onboard.pem, "serial": new.serial, "name": "edge-2", "labels": { "site": "berlin" }
        });
        evc.act("POST", "/onboarding", &allow.to_string());
        assert_eq!(new.register(&evc), 201);
        new.id = new.uuid(&evc).expect("known");
        let entries = new.attested(&evc).vaults;
        assert!(
            entries.iter().all(|entry| entry.operation != vault::section::Operation::Lock),
            "{entries:?}"
        );
        let policies = [device.id, new.id].map(|id| evc.stored(move |tx| tx.vaults(id)));
        assert!(policies.iter().flatten().all(|row| row.policy.is_none()), "{policies:?}");
    }
}

/// A row that does not read of one device keeps its vault from that device, and from no other one. It is named.
#[test]
fn a_damaged_vault_of_one_device_keeps_no_other_from_its_own() {
    let evc = Evc::start();
    for name in ["edge-1", "edge-2"] {
        Device::onboarded(&evc, name);
        labelled(&evc, name, "site", "berlin");
    }
    evc.apply(&RULE.replace("devices: { site: berlin }", "device: edge-1"));
    common::sql(evc.dir.path(), &["UPDATE vaults SET standing = 'activ' WHERE name = 'payments'"]);
    let told = evc.act("POST", "/apply", RULE);
    let is_named = |it: &&serde_json::Value| {
        it["name"] == "payments on edge-1" && it["notes"].to_string().contains("not given: ")
    };
    assert!(told.as_array().expect("a list").iter().any(|it| is_named(&it)), "{told}");
    let given = |it: &serde_json::Value| it["name"] == "payments on edge-2" && it["outcome"] == "created";
    assert!(told.as_array().expect("a list").iter().any(given), "{told}");
}
