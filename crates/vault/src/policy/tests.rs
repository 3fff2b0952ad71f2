//! Policies as operators write them: what is taken, and what each refusal says and where.

use proptest::prelude::*;

use super::*;
use crate::ids::{CONFIG_VAULT, IMAGE_VAULT};
use crate::lease::Lease;
use crate::recovery::{Recipient, Recipients};
use crate::section::{Custody, Encryption, Seal};
use crate::space::StorageLimit;

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
        assert_eq!(policy.on_removal, Removal::DeleteAfter(Duration::ZERO), "{zero}");
    }
}

/// DF-4: the two default vaults are reached by name.
#[test]
fn config_and_image_name_the_default_vaults() {
    for (name, id) in [("config", Some(CONFIG_VAULT)), ("image", Some(IMAGE_VAULT)), ("other", None)] {
        assert_eq!(defaults::named(&name.parse().expect("a name")), id, "{name}");
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
        ("lease: 5s", "line 4, column 8", "`lease: 5s` is out of bounds"),
        ("recovery: { recipients: [] }", "line 4, column 25", "`recovery` has no recipient"),
        (
            "recovery: { recipients: [age1x] }",
            "line 4, column 26",
            "`age1x` is not an X25519 recipient of age",
        ),
        (
            "recovery: { recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p, age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p] }",
            "line 4, column 90",
            "is a recipient twice",
        ),
        ("lease: forever", "line 4, column 8", "`forever` is not a duration"),
        (
            "storage_limit: 20GB",
            "line 4, column 16",
            "`20GB` is not a storage limit; a storage limit is 1MiB to 1PiB",
        ),
        ("storage_limit: 20", "line 4, column 16", "`20` is not a storage limit"),
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
        ("seal:", "line 4, column 5", "this key has no value: write one, or leave the key out"),
        ("seal: ~", "line 4, column 7", "this key has no value: write one, or leave the key out"),
        ("operation: null", "line 4, column 12", "this key has no value: write one, or leave the key out"),
        ("attest:", "line 4, column 7", "this key has no value: write one, or leave the key out"),
        (
            "attest: { require: }",
            "line 4, column 18",
            "this key has no value: write one, or leave the key out",
        ),
        ("attest: { every: }", "line 4, column 16", "this key has no value: write one, or leave the key out"),
        ("attest: { require: [~] }", "line 4, column 21", "null"),
        ("on_removal:", "line 4, column 11", "this key has no value: write one, or leave the key out"),
        ("on_removal: { delete_after: }", "line 4, column 27", "null"),
        ("rotate: ~", "line 4, column 9", "this key has no value: write one, or leave the key out"),
        ("rotate:", "line 4, column 7", "this key has no value: write one, or leave the key out"),
        ("ip: null", "line 4, column 5", "this key has no value: write one, or leave the key out"),
        ("encryption: Null", "line 4, column 13", "this key has no value: write one, or leave the key out"),
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

fn policy() -> impl Strategy<Value = VaultPolicy> {
    let custody = prop_oneof![Just(Custody::Tpm), Just(Custody::Controller), Just(Custody::TpmAndController)];
    let seal = prop_oneof![Just(Seal::Tpm), Just(Seal::Pcrs)];
    let encryption = prop_oneof![Just(Encryption::Aes256Xts), Just(Encryption::Adiantum)];
    let operation = prop_oneof![Just(Door::Unlock), Just(Door::Lock)];
    let times = (
        1..=30 * 86_400u64,
        prop::option::weighted(0.9, 0..=366 * 86_400u64),
        0..=90 * 86_400u32,
        0..=4u64 << 20,
        prop::collection::vec(2..200u8, 0..9),
    );
    ("[a-z0-9][a-z0-9.-]{0,20}[a-z0-9]", encryption, custody, seal, any::<bool>(), times, operation).prop_map(
        |(name, encryption, custody, seal, pcrs, (every, delete_after, lease, limit, seed), operation)| {
            VaultPolicy {
                name: name.parse().expect("a name"),
                node: NodePolicy {
                    encryption,
                    custody,
                    seal: if custody.needs_tpm() { seal } else { Seal::Tpm },
                    lease: Lease::of_seconds(lease),
                    recovery: recovery(seed),
                    storage_limit: StorageLimit::of_bytes(limit << 10),
                },
                attest: Attest {
                    every: Duration::from_secs(every),
                    require: (pcrs && custody.needs_controller())
                        .then_some(Check::Pcrs)
                        .into_iter()
                        .collect(),
                },
                on_removal: delete_after
                    .map_or(Removal::Retain, |grace| Removal::DeleteAfter(Duration::from_secs(grace))),
                operation,
            }
        },
    )
}

/// Recipients, each once.
fn recovery(seeds: Vec<u8>) -> Recipients {
    let seeds: BTreeSet<u8> = seeds.into_iter().collect();
    let all: Vec<Recipient> = seeds.into_iter().filter_map(|seed| Recipient::of([seed; 32]).ok()).collect();
    all.try_into().expect("at most eight, each once")
}

/// A policy as an operator would write it.
fn written(policy: &VaultPolicy) -> String {
    let seal = if policy.node.custody.needs_tpm() {
        format!("seal: {}\n", word(policy.node.seal))
    } else {
        String::new()
    };
    let lease = policy.node.lease.map(|lease| format!("lease: {}s\n", lease.seconds())).unwrap_or_default();
    let recipients: Vec<String> = policy.node.recovery.all().iter().map(ToString::to_string).collect();
    let recovery = match recipients.is_empty() {
        true => String::new(),
        false => format!("recovery: {{ recipients: [{}] }}\n", recipients.join(", ")),
    };
    let limit =
        policy.node.storage_limit.map(|limit| format!("storage_limit: {limit}\n")).unwrap_or_default();
    let removal = match policy.on_removal {
        Removal::DeleteAfter(grace) => format!("{{ delete_after: {}s }}", grace.as_secs()),
        Removal::Retain => "retain".to_owned(),
    };
    format!(
        "kind: VaultPolicy\nname: \"{}\"\nencryption: {}\ncustody: {}\n{seal}{lease}{recovery}{limit}operation: {}\nattest: {{ every: {}s, require: [{}] }}\non_removal: {removal}\n",
        policy.name,
        word(policy.node.encryption),
        word(policy.node.custody),
        word(policy.operation),
        policy.attest.every.as_secs(),
        if policy.attest.require.is_empty() { "" } else { "pcrs" },
    )
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).expect("a word").as_str().expect("a word").to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// VC-7: every policy that can be written arrives as written, and so does its stored form.
    #[test]
    fn vc7_a_policy_arrives_as_written(policy in policy()) {
        let documents = read(&written(&policy)).expect("a good file");
        prop_assert_eq!(&documents[0].document, &Document::Policy(policy.clone()));
        prop_assert_eq!(VaultPolicy::from_canonical(&policy.to_canonical()).expect("own form"), policy);
    }

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
