//! What is said of a field by the kind of its document.

use super::{WHOLE, read};

/// Redesign, 6: a field that no kind has is told with those of the document's own kind, wherever the kind stands, and with no other's.
#[test]
fn an_unknown_field_is_told_with_the_fields_of_its_own_kind() {
    const POLICY: &[&str] = &["custody", "seal", "encryption", "attest", "on_removal", "operation", "lease"];
    const VAULT: &[&str] = &["device", "devices", "policy"];
    for (kind, head, own, others) in [
        ("VaultPolicy", "kind: VaultPolicy\nname: p\ncustody: tpm\n", POLICY, VAULT),
        ("Vault", "kind: Vault\nname: v\ndevice: d\npolicy: p\n", VAULT, POLICY),
    ] {
        for (text, line) in [
            (format!("{head}colour: red\n"), head.lines().count() + 1),
            (format!("colour: {{ red: 1 }}\n{head}"), 1),
            (format!("{WHOLE}---\n{head}colour: red\n"), WHOLE.lines().count() + head.lines().count() + 2),
        ] {
            let said = read(&text).expect_err("refused").to_string();
            let says = format!("line {line}, column 1: `colour` is not a field of a {kind}; ");
            assert!(said.starts_with(&says), "{text}: {said}");
            let told = |field: &&str| said.contains(&format!("`{field}`"));
            assert!(own.iter().chain(&["kind", "name"]).all(told), "{said}");
            assert!(!others.iter().chain(&["rotate", "geofence"]).any(told), "{said}");
        }
    }
    let kubernetes = read("apiVersion: v1\nkind: Vault\nmetadata: { name: v }\n").expect_err("refused");
    assert_eq!((kubernetes.line, kubernetes.column), (1, 1));
    assert!(kubernetes.advice.starts_with("this is no Kubernetes"), "{kubernetes}");
}

/// Without its kind or its name a document is told where it begins.
#[test]
fn a_document_without_a_kind_or_a_name_is_told() {
    for (text, says) in [
        ("name: p\ncustody: tpm\n", "line 1, column 1: `kind` is missing; write `kind: VaultPolicy` or"),
        ("kind: Vault\ndevice: d\n", "line 1, column 1: `name` is missing; name it"),
        ("kind: ~\nname: p\n", "line 1, column 7: this key has no value"),
    ] {
        let said = read(text).expect_err(text).to_string();
        assert!(said.starts_with(says), "{text}: {said}");
    }
}
