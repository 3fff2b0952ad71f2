//! What a file is held against before it is applied: devices, other vaults, the bounds of a section.

mod common;

use common::{Answer, Device, Evc};
use evc::store::VaultStanding;

const VAULT: &str = "---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

fn policy(name: &str, fields: &str) -> String {
    format!("kind: VaultPolicy\nname: {name}\n{fields}\n")
}

fn apply(evc: &Evc, yaml: &str) -> (u16, String) {
    let Answer { status, body } = evc.operator("POST", "/apply", yaml, Some(&evc.token));
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// A device that is known to have no TPM.
fn without_tpm() -> (Evc, Device) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    (evc, device)
}

/// The notes of what was applied under a name.
fn notes(text: &str, name: &str) -> String {
    let applied: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let named = applied.as_array().expect("a list").iter().find(|it| it["name"] == name);
    named.expect(name)["notes"].to_string()
}

/// A vault's notes and what is said of its key.
fn shown(evc: &Evc, path: &str, name: &str) -> String {
    let shown = evc.act("GET", path, "");
    let all = shown.get("vaults").unwrap_or(&shown).as_array().expect("a list").clone();
    let vault = all.iter().find(|vault| vault["name"] == name).expect("there");
    format!("{} {}", vault["notes"], vault["key"])
}

/// AC-5, DF-4: a policy that is changed by itself is no device's to refuse. Where it can't be met is said, of the policy and of each vault,
/// which calls for somebody; no key goes out there.
#[test]
fn a_changed_policy_tells_of_the_vaults_that_it_can_not_be_met_for() {
    let (evc, mut device) = without_tpm();
    evc.apply(&(policy("p", "custody: controller") + VAULT));
    for (fields, why) in [
        ("custody: tpm", "its custody needs a TPM"),
        ("custody: controller\nattest: { require: [pcrs] }", "it requires measured PCRs"),
    ] {
        let (status, text) = apply(&evc, &policy("p", fields));
        assert_eq!(status, 200, "{fields}: {text}");
        let says =
            format!("impossible where a device has no TPM: {why}; vault `payments` of device `edge-1`");
        assert!(notes(&text, "p").contains(&says), "{text}");
        for path in ["/devices/edge-1", "/vaults"] {
            let shown = shown(&evc, path, "payments");
            assert!(shown.contains(&format!("impossible on this device: {why}")), "{shown}");
        }
        let section = device.section(&evc);
        assert_eq!(device.keys(&section, "payments"), None);
        let (status, text) = apply(&evc, &(policy("p", fields) + VAULT));
        assert_eq!(status, 200, "its document, said again: {text}");
        assert!(notes(&text, "payments on edge-1").contains("impossible on this device"), "{text}");
    }
    let (status, text) = apply(&evc, &policy("p", "custody: controller\noperation: lock"));
    assert!(status == 200 && !text.contains("impossible"), "one that fits: {text}");
    assert!(!shown(&evc, "/vaults", "payments").contains("impossible"));
}

/// Seen-by-users 2, evc: before a changed policy is applied, and when it is, its operator reads which vaults it opens and which it shuts, by what
/// their nodes showed last.
#[test]
fn a_changed_policy_tells_which_vaults_it_opens_and_shuts() {
    let (evc, _device) = without_tpm();
    evc.apply(&(policy("p", "custody: controller") + VAULT));
    let shut = policy("p", "custody: controller\nattest: { require: [pcrs] }");
    let rehearsed = evc.operator("POST", "/apply?dry_run=true", &shut, Some(&evc.token));
    let rehearsed = String::from_utf8_lossy(&rehearsed.body).into_owned();
    assert!(
        notes(&rehearsed, "p").contains("it withholds the key of 1 vault: `payments` on edge-1"),
        "{rehearsed}"
    );
    let told = |fields: &str| notes(&apply(&evc, &policy("p", fields)).1, "p");
    let same = told("custody: controller\non_removal: { delete_after: 1h }");
    assert!(same.contains("it opens and shuts none of its vaults"), "{same}");
    let locked = told("custody: controller\noperation: lock");
    assert!(locked.contains("it locks 1 vault: `payments` on edge-1"), "{locked}");
    let opened = told("custody: controller");
    assert!(opened.contains("it opens 1 vault: `payments` on edge-1"), "{opened}");
}

/// However many policies a file changes, what is looked at for its answer is bounded as a whole: nobody else writes meanwhile. Of the last ones it
/// says that it did not look.
#[test]
fn what_a_file_turns_is_looked_for_within_one_bound() {
    const POLICIES: usize = 60;
    let (evc, _device) = without_tpm();
    let named = |nth: usize, fields: &str| policy(&format!("p{nth}"), fields);
    let vault = |nth: usize| {
        VAULT.replace("payments", &format!("v{nth}")).replace("policy: p", &format!("policy: p{nth}"))
    };
    let all = |fields: &str| (0..POLICIES).map(|nth| named(nth, fields)).collect::<Vec<_>>().join("---\n");
    let vaults: String = (0..POLICIES).map(vault).collect();
    evc.apply(&(all("custody: controller") + &vaults));
    let (status, text) = apply(&evc, &all("custody: controller\noperation: lock"));
    assert_eq!(status, 200, "{text}");
    assert!(notes(&text, "p0").contains("it locks 1 vault"), "{text}");
    let last = format!("p{}", POLICIES - 1);
    assert!(notes(&text, &last).contains("none of its vaults was looked at"), "{}", notes(&text, &last));
    let alone = apply(&evc, &named(POLICIES - 1, "custody: controller")).1;
    assert!(notes(&alone, &last).contains("it opens 1 vault"), "{alone}");
}

/// TH-2: a device that came in by the fleet's allowance, and says that it has no TPM, keeps no operator from applying his files for all others:
/// neither where it has the vault already nor where the rule would give it newly.
#[test]
fn a_device_that_says_it_has_no_tpm_stops_nobodys_file() {
    const FILE: &str = "kind: VaultPolicy\nname: p\ncustody: tpm\n---\nkind: Vault\nname: payments\ndevices: { site: berlin }\npolicy: p\n";
    let evc = Evc::start();
    evc.apply(FILE);
    let enter = |name: &str| {
        let mut device = Device::new(name);
        let body = serde_json::json!({
            "cert_pem": device.onboard.pem, "serial": device.serial, "name": name, "labels": { "site": "berlin" }
        });
        evc.act("POST", "/onboarding", &body.to_string());
        assert_eq!(device.register(&evc), 201);
        device.id = device.uuid(&evc).expect("known");
        device
    };
    let mut rogue = enter("rogue");
    enter("good");
    rogue.attested(&evc);
    for (what, file) in [
        ("the same file", FILE.to_owned()),
        ("the policy alone", policy("p", "custody: tpm")),
        ("another grace", FILE.replace("custody: tpm", "custody: tpm\non_removal: { delete_after: 1h }")),
        ("locked in an emergency", FILE.replace("custody: tpm", "custody: tpm\noperation: lock")),
    ] {
        let (status, text) = apply(&evc, &file);
        assert_eq!(status, 200, "{what}: {text}");
        assert!(notes(&text, "p").contains("impossible where a device has no TPM"), "{what}: {text}");
    }
    assert!(shown(&evc, "/devices/rogue", "payments").contains("impossible on this device"));
    let (status, text) = apply(&evc, &FILE.replace("name: payments", "name: ledger"));
    assert_eq!(status, 200, "{text}");
    assert!(notes(&text, "ledger on rogue").contains("not given: its custody needs a TPM"), "{text}");
    assert!(notes(&text, "ledger on good").contains("not known yet"), "{text}");
    let own = VAULT.replace("edge-1", "rogue").replace("payments", "own");
    let (status, text) = apply(&evc, own.trim_start_matches("---\n"));
    assert!(status == 400 && text.contains("device `rogue` has no TPM"), "newly, by name: {status} {text}");
}

/// AC-5, DF-4: a vault that is being removed keeps nobody from changing its policy; to be kept again, with the keys it had, it must fit it.
#[test]
fn a_changed_policy_need_not_fit_a_vault_that_is_being_removed() {
    let (evc, mut device) = without_tpm();
    let (changed, fitting) = (policy("p", "custody: tpm"), policy("p", "custody: controller") + VAULT);
    evc.apply(&fitting);
    let before = device.section(&evc);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let (status, text) = apply(&evc, &changed);
    assert_eq!(status, 200, "{text}");
    device.section(&evc);
    for undo in [VAULT.trim_start_matches("---\n"), &(changed + VAULT)] {
        let (status, text) = apply(&evc, undo);
        assert!(status == 400 && text.contains("device `edge-1` has no TPM"), "{status} {text}");
    }
    assert_eq!(apply(&evc, &fitting).0, 200, "kept again");
    let after = device.section(&evc);
    assert!(device.keys(&after, "payments").is_some(), "released again");
    assert_eq!(device.keys(&after, "payments"), device.keys(&before, "payments"));
}

/// A default vault is there before any policy of an operator's: its encryption is not changed by the first one either.
#[test]
fn a_default_vault_keeps_its_encryption() {
    let unmade = Evc::start();
    let _device = Device::onboarded(&unmade, "edge-1");
    for evc in [unmade, without_tpm().0] {
        let image = |fields: &str| policy("p", fields) + &VAULT.replace("payments", "image");
        let (status, text) = apply(&evc, &image("custody: controller\nencryption: adiantum"));
        assert!(
            status == 400 && text.contains("the encryption of a vault can't be changed"),
            "{status} {text}"
        );
        assert_eq!(apply(&evc, &image("custody: controller")).0, 200);
    }
}

/// A section has 1024 vaults at most, the two default ones among them; what left the list takes no room in it.
#[test]
fn a_device_has_as_many_vaults_as_its_section_can_say() {
    let (evc, mut device) = without_tpm();
    evc.apply(&policy("p", "custody: controller\non_removal: { delete_after: 0s }"));
    let vaults = |numbers: std::ops::Range<u32>| -> String {
        numbers
            .map(|n| VAULT.replace("payments", &format!("v{n}")))
            .collect::<String>()
            .replacen("---\n", "", 1)
    };
    for from in (0..1022).step_by(146) {
        let (status, text) = apply(&evc, &vaults(from..from + 146));
        assert_eq!(status, 200, "{text}");
    }
    let (status, text) = apply(&evc, &vaults(1022..1023));
    assert!(status == 400 && text.contains("at most 1022 vaults beside its default ones"), "{status} {text}");
    assert_eq!(device.section(&evc).vaults.len(), 1024, "and a full section reads");
    evc.act("DELETE", "/devices/edge-1/vaults/v7?confirm=v7", "");
    assert_eq!(apply(&evc, &vaults(1022..1023)).0, 200, "one left the list");
}

/// Of two vaults of one name the operator is shown the one that is there, whichever has the smaller UUID.
#[test]
fn a_vault_that_is_gone_hides_none_of_its_name() {
    let (evc, device) = without_tpm();
    let file = policy("p", "custody: controller\non_removal: { delete_after: 0s }") + VAULT;
    for _ in 0..8 {
        evc.apply(&file);
        let described = evc.act("GET", "/devices/edge-1", "")["vaults"].clone();
        let first = described.as_array().expect("a list").iter().find(|vault| vault["name"] == "payments");
        assert_eq!(first.expect("listed")["standing"], "active", "{described}");
        evc.act("DELETE", "/devices/edge-1/vaults/payments?confirm=payments", "");
    }
    let rows = evc.stored(|tx| tx.vaults(device.id));
    assert_eq!(rows.iter().filter(|row| row.standing == VaultStanding::Gone).count(), 8);
}

/// Invariant 6: a section of the controller's own that nobody could read is a failure of its, not an answer that says "withheld".
#[test]
fn a_section_that_does_not_read_back_is_not_sent() {
    let (evc, mut device) = without_tpm();
    evc.apply(&(policy("p", "custody: controller\noperation: lock") + VAULT));
    device.section(&evc);
    let id = device.id;
    evc.meddle(|tx| {
        Box::pin(async move {
            let rows = tx.vaults(id).await?;
            let row = rows.into_iter().find(|row| row.name.as_str() == "payments").expect("there");
            for n in 0..1022_u128 {
                let id = vault::ids::VaultId(uuid::Uuid::from_u128(1 << 100 | n));
                let name = format!("more-{n}").parse().expect("a name");
                tx.add_vault(&evc::store::VaultRow { id, name, ..row.clone() }).await?;
            }
            Ok(())
        })
    });
    let answer = evc.post(&device.own("config"), &device.seal(&device.ask()));
    assert_eq!(answer.status, 500, "1025 vaults");
}

/// One vault under two spellings of its device is refused with both lines, and nothing of the file is applied.
#[test]
fn a_vault_that_a_file_names_by_name_and_by_identity_is_refused_with_both_lines() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    let again = VAULT.replace("edge-1", &device.id.to_string()).replace("policy: p", "policy: q");
    let file =
        policy("p", "custody: controller") + "---\n" + &policy("q", "custody: controller") + VAULT + &again;
    let (status, told) = apply(&evc, &file);
    assert!(
        status == 400 && told.contains("line 15, column 7") && told.contains("at line 10 first"),
        "{told}"
    );
    assert!(told.contains("keep one of the two documents") && told.contains("file-invalid"), "{told}");
    assert_eq!(evc.act("GET", "/policies", "").as_array().map(Vec::len), Some(0), "nothing of it is applied");
}
