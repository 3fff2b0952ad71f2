//! Policies as operators write them: what is taken, and what each refusal says and where.

use super::*;

const WHOLE: &str = "\
kind: VaultPolicy
name: berlin-lines
encryption: adiantum
custody: tpm+controller
seal: pcrs
attest: { every: 5m, require: [pcrs], on_failure: withhold }
on_removal: { delete_after: 2h }
operation: lock
---
kind: Vault
name: payments
device: edge-1
policy: berlin-lines
";

/// VC-7, UC-E: every field that is built arrives as written, and survives the stored form.
#[test]
fn a_whole_file_is_read_and_its_canonical_form_round_trips() {
    let documents = read(WHOLE).expect("a good file");
    let Document::Policy(policy) = &documents[0].document else { panic!("a policy first") };
    assert_eq!(policy.node.custody, Custody::TpmAndController);
    assert_eq!(policy.node.encryption, Encryption::Adiantum);
    assert_eq!(policy.node.seal, Seal::Pcrs);
    assert_eq!(policy.attest.every, Duration::from_secs(300));
    assert_eq!(policy.attest.require, BTreeSet::from([Check::Pcrs]));
    assert_eq!(policy.delete_after, Duration::from_secs(7200));
    assert_eq!(policy.operation, Wish::Lock);
    assert_eq!(VaultPolicy::from_canonical(&policy.to_canonical()).expect("own form"), *policy);
    let Document::Vault(vault) = &documents[1].document else { panic!("a vault next") };
    assert_eq!(
        (vault.name.as_str(), vault.device.as_str(), vault.policy.as_str()),
        ("payments", "edge-1", "berlin-lines")
    );
    assert_eq!((documents[1].line, documents[1].column), (11, 7));
}

#[test]
fn what_is_left_out_takes_the_documented_default() {
    let documents = read("kind: VaultPolicy\nname: p\ncustody: tpm\n").expect("a good file");
    let Document::Policy(policy) = &documents[0].document else { panic!("a policy") };
    let mut expected = VaultPolicy::of_default_vault(true);
    expected.name = "p".parse().expect("a name");
    assert_eq!(*policy, expected);
}

#[test]
fn delete_after_may_be_nothing() {
    for zero in ["0", "0s"] {
        let text =
            format!("kind: VaultPolicy\nname: p\ncustody: tpm\non_removal: {{ delete_after: {zero} }}\n");
        let documents = read(&text).unwrap_or_else(|e| panic!("{zero}: {e}"));
        let Document::Policy(policy) = &documents[0].document else { panic!("a policy") };
        assert_eq!(policy.delete_after, Duration::ZERO, "{zero}");
    }
}

/// DF-4: the two default vaults are reached by name.
#[test]
fn config_and_image_name_the_default_vaults() {
    for (name, id) in [("config", Some(CONFIG_VAULT)), ("image", Some(IMAGE_VAULT)), ("other", None)] {
        assert_eq!(default_vault(&name.parse().expect("a name")), id, "{name}");
    }
}

/// Each line after a good head; what the operator reads.
#[test]
fn every_refusal_tells_where_what_and_what_to_do() {
    const HEAD: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n";
    for (line, place, says) in [
        (
            "rotate: { every: 30d }",
            "line 4, column 9",
            "`rotate` is not built yet; leave it out and rotate with `evc rotate",
        ),
        ("geofence: { radius: 5km }", "line 4, column 11", "`geofence` is not built yet"),
        ("ip: [192.0.2.0/24]", "line 4, column 5", "`ip` is not built yet"),
        ("lease: 6h", "line 4, column 8", "`lease` is not built yet"),
        ("storage_limit: 20GiB", "line 4, column 16", "`storage_limit` is not built yet"),
        ("on_removal: retain", "line 4, column 13", "`on_removal: retain` is not built yet"),
        ("on_removal: never", "line 4, column 13", "`never` is not a way of removal"),
        (
            "on_removal: { delete_after: soon }",
            "line 4, column 29",
            "`soon` is not a duration; write it like `15m`",
        ),
        ("on_removal: { delete_after: 400days }", "line 4, column 29", "is out of bounds; write 0s to 1year"),
        ("encryption: off", "line 4, column 13", "`encryption: off` is not built yet"),
        (
            "encryption: rot13",
            "line 4, column 13",
            "`rot13` is not an encryption; write `encryption: aes-256-xts`",
        ),
        ("seal: glue", "line 4, column 7", "`glue` is not a seal"),
        ("operation: explode", "line 4, column 12", "`explode` is not an operation"),
        ("operation: change-key", "line 4, column 12", "run `evc rotate vault"),
        ("attest: { every: 0s }", "line 4, column 18", "`attest.every: 0s` is out of bounds; write 1s to"),
        ("attest: { every: 1500ms }", "line 4, column 18", "not in whole seconds"),
        (
            "attest: { require: [geofence] }",
            "line 4, column 21",
            "`attest.require: [geofence]` is not built yet",
        ),
        ("attest: { require: [luck] }", "line 4, column 21", "`luck` is not a check"),
        ("attest: { require: [pcrs, pcrs] }", "line 4, column 27", "`pcrs` is required twice"),
        ("attest: { on_failure: erase }", "line 4, column 23", "`attest.on_failure: erase` is not built yet"),
        ("attest: { on_failure: pray }", "line 4, column 23", "`pray` is not an answer"),
        ("device: edge-1", "line 4, column 9", "`device` does not belong in a VaultPolicy"),
        ("colour: red", "line 4, column 1", "colour"),
        ("custody: tpm", "line 4, column 1", "custody"),
        ("seal: [", "line ", "mend the YAML there"),
    ] {
        let said = read(&format!("{HEAD}{line}\n")).expect_err(line).to_string();
        assert!(said.starts_with(place), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
}

#[test]
fn impossible_combinations_and_other_kinds_are_refused() {
    for (text, says) in [
        (
            "kind: VaultPolicy\nname: p\ncustody: controller\nseal: tpm\n",
            "line 4, column 7: `seal` has no meaning with `custody: controller`",
        ),
        (
            "kind: VaultPolicy\nname: p\ncustody: tpm\nattest: { require: [pcrs] }\n",
            "line 4, column 9: `attest.require` has no key to withhold",
        ),
        ("kind: VaultPolicy\nname: p\n", "line 2, column 7: `custody` is missing"),
        ("kind: VaultPolicy\nname: p\ncustody: cloud\n", "line 3, column 10: `cloud` is not a custody"),
        ("kind: Pod\nname: p\n", "line 1, column 7: `Pod` is not a kind"),
        ("kind: Vault\nname: v\npolicy: p\n", "line 2, column 7: `device` is missing"),
        ("kind: Vault\nname: v\ndevice: d\n", "line 2, column 7: `policy` is missing"),
        (
            "kind: Vault\nname: v\ndevice: d\npolicy: p\ncustody: tpm\n",
            "line 5, column 10: `custody` does not belong in a Vault",
        ),
        ("kind: Vault\nname: ../v\ndevice: d\npolicy: p\n", "line 2, column 7: `../v` is not a name"),
        (
            "kind: Vault\nname: v\ndevice: d\npolicy: p\n---\nkind: Vault\nname: v\ndevice: d\npolicy: q\n",
            "line 7, column 7: this name is used twice",
        ),
        ("", "no document"),
        ("- 1\n- 2\n", "line 1"),
    ] {
        let said = read(text).expect_err(text).to_string();
        assert!(said.contains(says), "{text}: {said}");
    }
}

/// As many documents as are taken at once, and one more.
#[test]
fn a_file_of_too_many_documents_is_to_be_split() {
    let file = |count| {
        let vault = |n: usize| format!("kind: Vault\nname: v\ndevice: d{n}\npolicy: p\n");
        (0..count).map(vault).collect::<Vec<_>>().join("---\n")
    };
    assert_eq!(read(&file(1024)).expect("taken").len(), 1024);
    let said = read(&file(1025)).expect_err("too many").to_string();
    assert!(said.contains("split the file"), "{said}");
}

/// Hostile files are refused, not followed.
#[test]
fn a_file_that_is_too_large_or_a_bomb_is_refused() {
    assert!(read(&"#".repeat(MAX_FILE_BYTES + 1)).expect_err("large").problem.contains("larger than 1 MiB"));
    let mut bomb = String::from("kind: VaultPolicy\nname: p\nip:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for depth in 1..12 {
        let one = format!("*a{}", depth - 1);
        bomb += &format!("  a{depth}: &a{depth} [{}]\n", [one.as_str(); 10].join(","));
    }
    read(&bomb).expect_err("bomb");
    read(&format!("kind: Vault\nname: {}x{}\n", "[".repeat(5000), "]".repeat(5000))).expect_err("deep");
}
