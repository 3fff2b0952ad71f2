//! Policies as operators write them: what is taken, and what each refusal says and where.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Check, Document, read};
use super::*;

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
fn impossible_combinations_are_refused() {
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
    ] {
        let said = read(text).expect_err(text).to_string();
        assert!(said.contains(says), "{text}: {said}");
    }
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
}
