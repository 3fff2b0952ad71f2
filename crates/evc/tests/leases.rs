//! Leases at the controller: what renews one, what does not, and what it costs where none is.

mod common;

use common::{Device, Evc};
use vault::lease::LeaseNonce;
use vault::section::{Operation, Release};
use wire::config::ConfigResponse;

const LEASED: &str = "kind: VaultPolicy\nname: p\ncustody: controller\nlease: 1h\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n";
const FREE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n";

fn nonce(n: u8) -> Option<LeaseNonce> {
    Some(LeaseNonce([n; 16]))
}

fn device(evc: &Evc, policy: &str) -> Device {
    let mut device = Device::onboarded(evc, "edge-1");
    evc.apply(policy);
    device.lease = nonce(1);
    let section = device.attested(evc);
    device.report(evc, &section, 1);
    while device.poll(evc).is_some() {}
    device
}

fn section(answer: Option<ConfigResponse>) -> vault::section::Section {
    let config = answer.expect("an answer").config.expect("a configuration");
    config.section().expect("reads").cloned().expect("a section")
}

fn refusal(evc: &Evc, file: &str) -> String {
    let answer = evc.operator("POST", "/apply", file, Some(&evc.token));
    assert_eq!(answer.status / 100, 4);
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A poll with a new question is answered by a new section that names it; the same question again costs nothing, and is answered by nothing.
#[test]
fn a_question_is_answered_once() {
    let evc = Evc::start();
    let mut device = device(&evc, LEASED);
    let before = device.head.expect("accepted").version;
    assert!(device.poll(&evc).is_none(), "the same question");
    device.lease = nonce(2);
    let renewed = section(device.poll(&evc));
    let own = renewed.vaults.iter().find(|entry| entry.policy.lease.is_some()).expect("listed");
    assert_eq!((renewed.lease, own.policy.lease), (nonce(2), vault::lease::Lease::of_seconds(3600)));
    assert!(renewed.version.version > before.version && matches!(own.release, Release::Keys { .. }));
    while device.poll(&evc).is_some() {}
    assert_eq!(device.head.map(|head| head.version), Some(renewed.version), "one number for one question");
}

/// A node that asks, and has no vault with a lease, is told that nothing is new.
#[test]
fn without_leases_a_question_costs_nothing() {
    let evc = Evc::start();
    let mut device = device(&evc, FREE);
    for n in 2..5 {
        device.lease = nonce(n);
        assert!(device.poll(&evc).is_none(), "{n}");
    }
}

/// TH-3: a device that is marked lost gets no renewal, whatever it asks with.
#[test]
fn th3_a_lost_device_gets_no_renewal() {
    let evc = Evc::start();
    let mut device = device(&evc, LEASED);
    evc.act("POST", "/devices/edge-1/lost", "");
    device.lease = nonce(2);
    let told = section(device.poll(&evc));
    let own = told.vaults.iter().find(|entry| entry.policy.lease.is_some()).expect("listed");
    assert_eq!((told.lease, own.operation), (None, Operation::Lock));
    assert!(matches!(own.release, Release::Withheld { .. }));
    device.lease = nonce(3);
    assert!(device.poll(&evc).is_none(), "nothing is new");
}

/// A vault that its operator locks has no lease to be renewed.
#[test]
fn a_locked_vault_is_not_renewed() {
    let evc = Evc::start();
    let mut device = device(&evc, LEASED);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\nlease: 1h\noperation: lock\n");
    device.lease = nonce(2);
    assert_eq!(section(device.poll(&evc)).lease, None);
}

/// Decision 77, invariant 5: the Config Vault has no storage limit, by its own document or by a policy that gets one later; `image` may.
#[test]
fn the_config_vault_gets_no_storage_limit() {
    let evc = Evc::start();
    let _device = device(&evc, LEASED);
    let of = |vault: &str| format!("kind: Vault\nname: {vault}\ndevice: edge-1\npolicy: q\n");
    let policy = |limit: &str| format!("kind: VaultPolicy\nname: q\ncustody: controller\n{limit}");
    evc.apply(&format!("{}---\n{}", policy("storage_limit: 1GiB\n"), of("image")));
    let refused = refusal(&evc, &of("config"));
    assert!(refused.contains("has a storage limit, and `config` can't have one"), "{refused}");
    evc.apply(&format!("{}---\n{}", policy(""), of("config")));
    let refused = refusal(&evc, &policy("storage_limit: 1GiB\n"));
    assert!(refused.contains("without `storage_limit`"), "{refused}");
}

/// Design, section 6: no default vault has a lease, by its own document or by a policy that gets one later.
#[test]
fn no_default_vault_gets_a_lease() {
    let evc = Evc::start();
    let _device = device(&evc, LEASED);
    let of_default = "kind: Vault\nname: config\ndevice: edge-1\npolicy: p\n";
    let refused = refusal(&evc, of_default);
    assert!(refused.contains("default vault") && refused.contains("without `lease`"), "{refused}");
    evc.apply(&format!(
        "kind: VaultPolicy\nname: q\ncustody: controller\n---\n{}",
        of_default.replace("policy: p", "policy: q")
    ));
    let refused = refusal(&evc, "kind: VaultPolicy\nname: q\ncustody: controller\nlease: 1h\n");
    assert!(refused.contains("default vault"), "{refused}");
}
