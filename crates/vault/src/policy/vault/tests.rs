//! Vaults as operators write them: what is taken, and what each refusal says and where.

use super::super::read;
use super::*;
use crate::ids::{CONFIG_VAULT, IMAGE_VAULT};

/// DF-4: the two default vaults are reached by name.
#[test]
fn config_and_image_name_the_default_vaults() {
    for (name, id) in [("config", Some(CONFIG_VAULT)), ("image", Some(IMAGE_VAULT)), ("other", None)] {
        let file = format!("kind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n");
        let mut documents = read(&file).expect("a good file");
        let Document::Vault(spec) = documents.remove(0).document else { panic!("{name}") };
        assert_eq!(spec.default_vault(), id, "{name}");
    }
}

#[test]
fn a_vault_that_lacks_something_or_has_what_is_a_policys_is_refused() {
    for (text, says) in [
        ("kind: Vault\nname: v\npolicy: p\n", "line 2, column 7: `device` is missing"),
        ("kind: Vault\nname: v\ndevice: d\n", "line 2, column 7: `policy` is missing"),
        (
            "kind: Vault\nname: v\ndevice: d\npolicy: p\ncustody: tpm\n",
            "line 5, column 10: `custody` does not belong in a Vault",
        ),
        ("kind: Vault\nname: ../v\ndevice: d\npolicy: p\n", "line 2, column 7: `../v` is not a name"),
    ] {
        let said = read(text).expect_err(text).to_string();
        assert!(said.contains(says), "{text}: {said}");
    }
}

/// Seen-by-users 1.11: a vault of many devices is named by their labels; what is no selector is refused with its place.
#[test]
fn a_vault_names_one_device_or_those_with_labels() {
    let text = "kind: Vault\nname: v\npolicy: p\ndevices: { site: berlin, tier: \"1\" }\n";
    let Document::Rule(rule) = &read(text).expect("it reads")[0].document else { panic!("a rule") };
    assert_eq!((rule.devices.to_string(), rule.policy.as_str()), ("site=berlin,tier=1".to_owned(), "p"));
    for (lines, place, says) in [
        ("devices: {}", "line 4, column 10", "`devices` has no label"),
        ("devices: { site: a b }", "line 4, column 18", "a label's key and value are 1 to 63 letters"),
        ("devices: { a b: c }", "line 4, column 17", "a label's key and value are 1 to 63 letters"),
        ("devices: { site: }", "line 4, column 16", "a label's key and value are 1 to 63 letters"),
        ("devices: edge-1", "line 4, column 10", "map"),
        ("device: d\ndevices: { site: berlin }", "line 5, column 10", "`device` or `devices`, not both"),
        ("devices: { site: berlin, site: paris }", "line 4, column 26", "duplicate"),
    ] {
        let refused =
            read(&format!("kind: Vault\nname: v\npolicy: p\n{lines}\n")).expect_err(lines).to_string();
        assert!(refused.contains(place) && refused.contains(says), "{lines}: {refused}");
    }
    let policy = read("kind: VaultPolicy\nname: p\ncustody: tpm\ndevices: { site: berlin }\n");
    let refused = policy.expect_err("a policy names no device").to_string();
    assert!(refused.contains("line 4, column 10: `devices` does not belong in a VaultPolicy"), "{refused}");
    let twice = read(&format!("{text}---\n{text}")).expect_err("twice").to_string();
    assert!(twice.contains("used twice"), "{twice}");
}

/// DF-4, decision 50: a default vault is there on every node, and labels only make what is not there.
#[test]
fn df4_labels_name_no_default_vault() {
    for name in ["config", "image"] {
        let said = read(&format!("kind: Vault\nname: {name}\npolicy: p\ndevices: {{ site: berlin }}\n"));
        let said = said.expect_err(name).to_string();
        let says =
            format!("line 2, column 7: `{name}` is a default vault, which no labels change; name one device");
        assert!(said.starts_with(&says), "{said}");
        read(&format!("kind: Vault\nname: {name}\npolicy: p\ndevice: edge-1\n")).expect("a document may");
    }
}
