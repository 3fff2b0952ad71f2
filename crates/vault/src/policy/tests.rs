//! Files as operators write them: what is taken, and what each refusal says and where. The rows of each kind stand with the kind.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::section::{Custody, Encryption, Seal};

mod kinds;

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
    assert_eq!(policy.on_removal, Removal::DeleteAfter(Duration::from_secs(7200)));
    assert_eq!(policy.operation, Door::Lock);
    assert_eq!(VaultPolicy::from_canonical(&policy.to_canonical()).expect("own form"), *policy);
    let Document::Vault(vault) = &documents[1].document else { panic!("a vault next") };
    assert_eq!(
        (vault.name.as_str(), vault.device.as_str(), vault.policy.as_str()),
        ("payments", "edge-1", "berlin-lines")
    );
    assert_eq!((documents[1].line, documents[1].column), (11, 7));
}

#[test]
fn a_file_of_no_kind_or_of_one_name_twice_is_refused() {
    for (text, says) in [
        ("kind: Pod\nname: p\n", "line 1, column 7: `Pod` is not a kind"),
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

/// Seen by a new user: a forgotten `---` was answered with the name of an option of the parser's.
#[test]
fn what_is_no_yaml_is_told_in_words_of_who_writes_files() {
    for (text, says) in [
        ("kind: Vault\nname: v\n\nkind: Vault\nname: w\n", "write a line `---` before each document"),
        ("kind: Vault\nname: v\nname: w\n", "keep one of the two"),
        ("kind: Vault\n  name: v\n", "begin it where the field above it begins"),
        ("kind: Vault\n\tname: v\n", "write spaces"),
        (
            "kind: VaultPolicy\nname: p\ncustody: tpm\nattest: { require: pcrs }\n",
            "in brackets, like `[pcrs]`",
        ),
    ] {
        let said = read(text).expect_err(text);
        assert!(said.advice.contains(says), "{text}: {said}");
        assert!(!said.problem.contains("DuplicateKeyPolicy"), "{said}");
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

/// Hostile files are refused for what they are, not followed: the same document without the bomb is read on to its next fault.
#[test]
fn a_file_that_is_too_large_or_a_bomb_is_refused() {
    let problem = |text: &str| read(text).expect_err("hostile").problem;
    assert_eq!(problem(&"#".repeat(MAX_FILE_BYTES + 1)), "the file is larger than 1 MiB");
    let in_ip = |bomb: &str| format!("kind: VaultPolicy\nname: p\ncustody: tpm\nip:\n{bomb}\n");
    let mut bomb = String::from("  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    assert_eq!(problem(&in_ip(&bomb)), "`ip` is not built yet");
    for depth in 1..12 {
        let one = format!("*a{}", depth - 1);
        bomb += &format!("  a{depth}: &a{depth} [{}]\n", [one.as_str(); 10].join(","));
    }
    assert!(problem(&in_ip(&bomb)).starts_with("budget breached"), "{}", problem(&in_ip(&bomb)));
    let deep = |depth| in_ip(&format!("  {}x{}", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(problem(&deep(5)), "`ip` is not built yet");
    assert_eq!(problem(&deep(5000)), "recursion limit exceeded");
}

/// Pieces of what operators write, so that random files come past the parser.
fn yaml() -> impl Strategy<Value = String> {
    const PIECES: [&str; 41] = [
        "kind: VaultPolicy\n",
        "kind: Vault\n",
        "name: p\n",
        "name: ",
        "custody: tpm\n",
        "custody: tpm+controller\n",
        "seal:",
        "seal: pcrs\n",
        "attest: ",
        "{ every: 5m }",
        "{ require: [pcrs] }",
        "on_removal: ",
        "{ delete_after: 2h }",
        "retain",
        "operation: lock\n",
        "device: d\n",
        "policy: p\n",
        "encryption: ",
        "adiantum",
        "ip: ",
        "lease: ",
        "storage_limit: ",
        "---\n",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "~",
        "null",
        "!!str ",
        "| ",
        "> ",
        "#",
        "\n",
        "\t",
        ": ",
        "\"",
        "\u{0}",
    ];
    let piece =
        prop_oneof![9 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the file, it is taken or refused, with a place inside it; and what is taken survives the stored form.
    #[test]
    fn any_file_is_taken_or_refused(text in yaml()) {
        match read(&text) {
            Ok(documents) => for located in documents {
                if let Document::Policy(policy) = located.document {
                    prop_assert_eq!(VaultPolicy::from_canonical(&policy.to_canonical()).expect("own form"), policy);
                }
            },
            Err(refused) => prop_assert!(refused.line <= text.lines().count() as u64 + 1, "{}", refused),
        }
    }
}
