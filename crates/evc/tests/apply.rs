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

/// AC-5, DF-4: a policy that is changed by itself is held against the vaults that name it, as a vault against its policy.
#[test]
fn a_changed_policy_must_fit_the_vaults_that_name_it() {
    let (evc, _) = without_tpm();
    evc.apply(&(policy("p", "custody: controller") + VAULT));
    for fields in ["custody: tpm", "custody: controller\nattest: { require: [pcrs] }"] {
        let (status, text) = apply(&evc, &policy("p", fields));
        assert_eq!(status, 400, "{fields}: {text}");
        for says in ["line 2, column 7", "device `edge-1` has no TPM", "vault `payments`"] {
            assert!(text.contains(says), "{says}: {text}");
        }
    }
    assert_eq!(
        evc.act("GET", "/policies", "")[0]["policy"]["node"]["custody"],
        "controller",
        "nothing is kept"
    );
    assert_eq!(apply(&evc, &policy("p", "custody: controller\noperation: lock")).0, 200, "one that fits");
    let moved = format!(
        "{}---\n{}{}",
        policy("p", "custody: tpm"),
        policy("q", "custody: controller"),
        VAULT.replace("policy: p", "policy: q")
    );
    let (status, text) = apply(&evc, &moved);
    assert_eq!(status, 200, "the file itself gives its vault another policy: {text}");
}

/// AC-5, DF-4: a vault that is being removed keeps nobody from changing its policy; to be kept again, with the keys it had, it must fit it.
#[test]
fn a_changed_policy_need_not_fit_a_vault_that_is_being_removed() {
    let (evc, mut device) = without_tpm();
    let (changed, fitting) = (policy("p", "custody: tpm"), policy("p", "custody: controller") + VAULT);
    evc.apply(&fitting);
    let before = device.section(&evc);
    assert_eq!(apply(&evc, &changed).0, 400, "not while it is there");
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
    evc.act("DELETE", "/devices/edge-1/vaults/v7", "");
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
        evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
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
