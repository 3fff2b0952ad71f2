//! Keys that share an encapsulation (KO-3, decision 110): for nodes that open such, and for no other.

mod common;

use common::{Device, Evc};
use vault::section::{Release, SealedKey, Section};

const VAULTS: [&str; 3] = ["one", "two", "three"];

fn apply(evc: &Evc, vaults: &[&str]) {
    let policy = "kind: VaultPolicy\nname: p\ncustody: controller\n".to_owned();
    let vault = |name: &&str| format!("---\nkind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n");
    evc.apply(&(policy + &vaults.iter().map(vault).collect::<String>()));
}

fn given(series: bool) -> (Evc, Device, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.series = series;
    apply(&evc, &VAULTS);
    let section = device.attested(&evc);
    (evc, device, section)
}

fn sealed(section: &Section, name: &str) -> SealedKey {
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == name).expect("listed");
    match &entry.release {
        Release::Keys { current, .. } => current.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Every key opens, and two messages of one encapsulation never have one number.
#[test]
fn a_node_gets_its_keys_in_a_series() {
    let (_evc, device, section) = given(true);
    let all = VAULTS.map(|name| sealed(&section, name));
    assert!(all.iter().all(|one| one.enc == all[0].enc));
    let mut numbers = all.map(|one| one.number);
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    for name in VAULTS {
        device.keys(&section, name).expect("opens");
    }
}

/// A node of before reads no number: each key is the first message of its own encapsulation.
#[test]
fn a_node_of_before_gets_each_key_by_itself() {
    let (_evc, device, section) = given(false);
    let all = VAULTS.map(|name| sealed(&section, name));
    assert!(all.iter().all(|one| one.number == 0));
    assert!(all[0].enc != all[1].enc && all[1].enc != all[2].enc && all[0].enc != all[2].enc);
    for name in VAULTS {
        device.keys(&section, name).expect("opens");
    }
}

/// What is sealed later is of another encapsulation, so no number is given twice; what went out before stays as it was.
#[test]
fn a_later_key_begins_another_series() {
    let (evc, mut device, before) = given(true);
    apply(&evc, &["later"]);
    let section = device.section(&evc);
    assert_ne!(sealed(&section, "later").enc, sealed(&before, "one").enc);
    for name in VAULTS {
        assert_eq!(sealed(&section, name), sealed(&before, name));
    }
    device.keys(&section, "later").expect("opens");
}
