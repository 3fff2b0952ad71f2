//! What an operator does with a device that is lost, gone, or has become another one (seen-by-users 1.2, 0.11), and what the device gets then.

mod common;

use std::process::{Command, Output};

use common::{Device, Evc, end_graces};
use vault::section::{Operation, Release};
use wire::config::ConfigResponse;
use wire::control::Order;

const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n";

fn evc(evc: &Evc, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
    command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]);
    let Output { status, stdout, stderr } = command.output().expect("ran");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn says(controller: &Evc, good: bool, args: &[&str], words: &[&str]) {
    let (done, said) = evc(controller, args);
    assert!(done == good && words.iter().all(|word| said.contains(word)), "{args:?}: {said}");
}

fn vault(name: &str, device: &str) -> String {
    format!("{POLICY}---\nkind: Vault\nname: {name}\ndevice: {device}\npolicy: p\n")
}

fn column(controller: &Evc, device: &str) -> String {
    let all = controller.act("GET", "/devices", "");
    let found =
        all.as_array().expect("a list").iter().find(|row| row["name"] == device).expect("there").clone();
    found["condition"].as_str().expect("words").to_owned()
}

/// seen-by-users 1.2: after the word that a device is lost it gets no key, though its evidence is good, and is told to lock everything.
#[test]
fn a_lost_device_gets_nothing_and_is_told_to_lock_until_it_is_found() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    let section = device.attested(&controller);
    assert!(device.keys(&section, "payments").is_some());
    says(&controller, true, &["device", "lost", "edge-1"], &["is lost: no key goes out", "custody `tpm`"]);
    for _ in 0..2 {
        let section = device.section(&controller);
        for entry in &section.vaults {
            assert!(matches!(entry.release, Release::Withheld { .. }), "{}", entry.name);
            assert_eq!(entry.operation, Operation::Lock, "{}", entry.name);
        }
        // Another life of it, with new evidence.
        device.session = common::new_session();
        device.hash.clear();
        device.attested(&controller);
        device.hash.clear();
    }
    assert!(column(&controller, "edge-1").starts_with("lost since "), "{}", column(&controller, "edge-1"));
    says(&controller, true, &["describe", "device", "edge-1"], &["marked as lost", "evc device found"]);
    says(&controller, true, &["device", "found", "edge-1"], &["is not lost"]);
    let section = device.section(&controller);
    assert!(device.keys(&section, "payments").is_some());
}

/// Which vaults an answer orders to be locked.
fn ordered(answer: &ConfigResponse) -> Vec<u128> {
    let orders = answer.control.as_ref().map(|control| control.orders.clone()).unwrap_or_default();
    let locks = orders.into_iter().filter_map(|order| match order {
        Order::Lock(vault) => Some(vault.0.as_u128()),
        _ => None,
    });
    locks.collect()
}

/// seen-by-users 1.2: a device was deleted, and let in anew without its keys. Its node holds to the lists of before, and opens by those what no
/// list of now has. Once it is lost, that is ordered to be locked by name.
#[test]
fn what_a_lost_devices_node_has_by_the_lists_of_another_is_locked_too() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    let mut section = device.attested(&controller);
    let mut of_before = section.vaults[0].clone();
    of_before.id = vault::ids::VaultId(uuid::Uuid::from_u128(7));
    of_before.name = "ledger".parse().expect("a name");
    section.vaults.push(of_before);
    let mut info = device.info(&section, 1);
    let node = info.node.as_mut().expect("it is there");
    node.accepted_for = Some(vault::ids::DeviceId(uuid::Uuid::from_u128(5)));
    device.tell(&controller, &info);
    assert!(device.poll(&controller).is_none_or(|answer| ordered(&answer).is_empty()), "it is not lost");
    says(&controller, true, &["device", "lost", "edge-1"], &["is lost"]);
    // It reported a moment ago: what is open there is named, whoever's list it is on.
    let (_, said) = evc(&controller, &["status"]);
    let open = said.split("open on it by its last report: ").nth(1).and_then(|rest| rest.split(';').next());
    let open = open.unwrap_or_else(|| panic!("{said}"));
    assert!(["payments", "ledger"].iter().all(|name| open.contains(name)), "{said}");
    for _ in 0..2 {
        let answer = device.poll(&controller).expect("changed");
        assert_eq!(ordered(&answer), [7], "beside the section");
        assert!(answer.config.is_some_and(|config| config.section().is_ok_and(|section| section.is_some())));
        device.hash.clear();
    }
    // Another life, which is challenged: what stands in the list is ordered with it.
    device.session = common::new_session();
    let answer = device.poll(&controller).expect("a challenge");
    let locked = ordered(&answer);
    assert!(locked.contains(&7) && locked.len() > 2, "{locked:?}");
    let unique: std::collections::BTreeSet<_> = locked.iter().collect();
    assert_eq!(unique.len(), locked.len());
    let stays = ["is not lost", "stays locked there", "evc describe device edge-1"];
    says(&controller, true, &["device", "found", "edge-1"], &stays);
    assert!(ordered(&device.poll(&controller).expect("changed")).is_empty());
}

/// The same of a node that has more to say of such vaults than is kept of their words: each is named, also beside one that says more than all.
#[test]
fn however_much_a_lost_devices_node_says_each_of_its_vaults_is_ordered_to_be_locked() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    let section = device.attested(&controller);
    let mut info = device.info(&section, 1);
    let line = info.vaults[0].clone();
    for number in 100..400_u128 {
        let mut stray = line.clone();
        let report = stray.report.as_mut().expect("a report");
        report.id = vault::ids::VaultId(uuid::Uuid::from_u128(number));
        report.name = format!("v{number}").parse().expect("a name");
        report.detail = vec!["words \"of\" its node; ".repeat(40); 4];
        info.vaults.push(stray);
    }
    info.node.as_mut().expect("it is there").accepted_for =
        Some(vault::ids::DeviceId(uuid::Uuid::from_u128(5)));
    device.tell(&controller, &info);
    says(&controller, true, &["device", "lost", "edge-1"], &["is lost"]);
    device.hash.clear();
    let locked = ordered(&device.poll(&controller).expect("changed"));
    let lacking: Vec<_> = (100..400).filter(|number| !locked.contains(number)).collect();
    assert!(lacking.is_empty(), "{} of 300 are not: {lacking:?}", lacking.len());
}

/// TH-3: a lost device's node that takes no list of this controller erases nothing by it. What it was to erase is ordered to be locked.
#[test]
fn th3_what_a_lost_devices_node_was_to_erase_is_locked_too() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    let section = device.attested(&controller);
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    device.report(&controller, &section, 1);
    controller.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let section = device.section(&controller);
    assert_eq!(end_graces(&controller, evc::clock::now() + 100 * 24 * 3600), 1);
    let mut info = device.info(&section, 1);
    info.node.as_mut().expect("it is there").accepted_for =
        Some(vault::ids::DeviceId(uuid::Uuid::from_u128(5)));
    device.tell(&controller, &info);
    says(&controller, true, &["device", "lost", "edge-1"], &["is lost"]);
    device.hash.clear();
    let answer = device.poll(&controller).expect("changed");
    assert_eq!(ordered(&answer), [id.0.as_u128()]);
}

/// seen-by-users 1.2: a device that has vaults stays, and one that may have put something under a key of its default ones; else it goes with all
/// that was kept for it.
#[test]
fn a_device_is_deleted_when_it_has_no_vaults_and_comes_back_by_a_new_allowance_alone() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    device.attested(&controller);
    let refused = ["has vaults: `config`, `image`, `payments`", "--force", "evc rehome vault"];
    says(&controller, false, &["delete", "device", "edge-1"], &refused);
    assert_eq!(device.uuid(&controller), Some(device.id), "still there");
    let done = ["is deleted", "the keys of its vault `payments`", "evc onboard add"];
    let asked = ["`payments` (", "--confirm edge-1"];
    for confirm in ["--confirm=", "--confirm=edge-2"] {
        says(&controller, false, &["delete", "device", "edge-1", "--force", confirm], &asked);
    }
    says(&controller, false, &["delete", "device", "edge-1", "--force"], &asked);
    says(&controller, true, &["delete", "device", "edge-1", "--force", "--confirm", "edge-1"], &done);
    assert_eq!(evc(&controller, &["get", "devices"]), (true, String::new()));
    assert_eq!(evc(&controller, &["get", "vaults"]), (true, String::new()));
    assert_eq!(evc(&controller, &["onboard", "list"]), (true, String::new()));
    let told = controller.post(&device.own("config"), &device.seal(&device.ask()));
    let words = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.status == 401 && words.contains("was removed at this controller"), "{words}");
    assert_eq!(device.register(&controller), 403, "its allowance went with it");
    let allow = |serial: &str, name: Option<&str>| {
        let give_back = name.is_some();
        let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": serial, "name": name, "give_back": give_back });
        controller.act("POST", "/onboarding", &allow.to_string());
    };
    allow("*", None);
    assert_eq!(device.register(&controller), 403, "one for everybody is not its own");
    allow(&device.serial, Some("edge-1"));
    assert_eq!(device.register(&controller), 201);
    assert_eq!(device.uuid(&controller), Some(device.id), "given back, it is the device that it was");
    says(&controller, true, &["get", "vaults"], &["payments"]);
    says(
        &controller,
        true,
        &["delete", "device", "edge-1", "--force", "--confirm", "edge-1"],
        &["is deleted"],
    );
    says(&controller, true, &["device", "deleted"], &["edge-1", "payments"]);
    says(
        &controller,
        false,
        &["device", "forget", "edge-1", "--confirm", "edge"],
        &["give the device twice"],
    );
    says(&controller, true, &["device", "forget", "edge-1", "--confirm", "edge-1"], &["is forgotten"]);
    assert_eq!(evc(&controller, &["device", "deleted"]), (true, String::new()));
    says(&controller, false, &["delete", "device", "edge-1"], &["device `edge-1` is not known"]);
    says(&controller, true, &["onboard", "list"], &["*"]);
}

/// seen-by-users 0.11: the whole key is here, so the data is not lost with the device's own key.
#[test]
fn a_vault_of_the_controllers_custody_goes_over_to_the_device_that_its_own_became() {
    let controller = Evc::start();
    let mut old = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    let section = old.attested(&controller);
    old.report(&controller, &section, 1);
    controller.act("POST", "/devices/edge-1/vaults/payments/rotate", "{}");
    let section = old.section(&controller);
    let keys = old.keys(&section, "payments").expect("two keys");
    let mut new = Device::onboarded(&controller, "edge-1b");
    new.attested(&controller);
    let rehome = |confirm: &str| {
        let args =
            ["rehome", "vault", "payments", "--device", "edge-1", "--to", "edge-1b", "--confirm", confirm];
        evc(&controller, &args)
    };
    assert!(rehome("payment").1.contains("give the vault twice: --confirm payments"));
    let (done, said) = rehome("payments");
    assert!(!done && said.contains("mark it as lost first"), "{said}");
    says(&controller, true, &["device", "lost", "edge-1"], &[]);
    let (done, said) = rehome("payments");
    assert!(done, "{said}");
    let section = new.section(&controller);
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed");
    assert!(entry.created, "it is opened, not made");
    assert_eq!(new.keys(&section, "payments"), Some(keys), "current and last");
    assert!(old.section(&controller).vaults.iter().all(|entry| entry.name.as_str() != "payments"));
    says(
        &controller,
        false,
        &["delete", "device", "edge-1"],
        &["has vaults: `config`, `image`\n", "move them"],
    );
    says(
        &controller,
        true,
        &["delete", "device", "edge-1", "--force", "--confirm", "edge-1"],
        &["is deleted"],
    );
    new.hash.clear();
    let section = new.section(&controller);
    assert_eq!(new.keys(&section, "payments"), Some(keys), "and stay, when the old device is gone");
}

/// A key that went out may be in use, also where its node has not told yet what it made with it: it does not give way to another.
#[test]
fn a_default_vault_whose_key_went_out_does_not_give_way() {
    let controller = Evc::start();
    let mut old = Device::onboarded(&controller, "edge-1");
    let section = old.attested(&controller);
    old.report(&controller, &section, 1);
    let mut new = Device::onboarded(&controller, "edge-1b");
    let section = new.attested(&controller);
    let before = new.keys(&section, "image").expect("its key went out");
    says(&controller, true, &["device", "lost", "edge-1"], &[]);
    let args = ["rehome", "vault", "image", "--device", "edge-1", "--to", "edge-1b", "--confirm", "image"];
    says(&controller, false, &args, &["made a vault `image` of its own, or got the key for one"]);
    new.session = common::new_session();
    new.hash.clear();
    let section = new.attested(&controller);
    assert_eq!(new.keys(&section, "image"), Some(before));
    says(&controller, false, &["delete", "device", "edge-1b"], &["has vaults: `config`, `image`"]);
}

/// A new life of the database forgets which lists a node had: what was deleted before it, and is there yet, is an orphan, and no row stands
/// in its way.
#[test]
fn what_was_deleted_before_a_new_life_is_adopted_where_its_node_has_it_yet() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    let tpm = "kind: VaultPolicy\nname: tpm\ncustody: controller\non_removal: { delete_after: 10m }\n---\n";
    controller.apply(&format!("{tpm}kind: Vault\nname: payments\ndevice: edge-1\npolicy: tpm\n"));
    let section = device.attested(&controller);
    device.report(&controller, &section, 1);
    let is_it = |name: &vault::ids::Name| name.as_str() == "payments";
    let payments = section.vaults.iter().find(|entry| is_it(&entry.name)).expect("listed").clone();
    controller.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let over = evc::clock::now() + 601;
    assert_eq!(end_graces(&controller, over), 1);
    let told_orphan = |device: &mut Device, controller: &Evc, section: &vault::section::Section| {
        let mut with = section.clone();
        if with.vaults.iter().all(|entry| entry.id != payments.id) {
            with.vaults.push(payments.clone());
        }
        let mut info = device.info(&with, 1);
        for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
            if is_it(&report.name) {
                (report.state, report.epoch) = (vault::report::State::Orphan, None);
            }
        }
        device.tell(controller, &info);
    };
    let adopt = ["adopt", "vault", "payments", "--device", "edge-1", "--policy", "tpm"];
    told_orphan(&mut device, &controller, &section);
    says(&controller, false, &adopt, &["its node is told to erase it"]);
    let folder = controller.stop();
    let run = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    run.block_on(evc::service::begin_anew(folder.path())).expect("begins");
    let controller = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&controller);
    told_orphan(&mut device, &controller, &section);
    says(&controller, true, &["describe", "device", "edge-1"], &["orphan"]);
    says(&controller, true, &adopt, &["is under policy `tpm`"]);
    let section = device.section(&controller);
    assert!(section.vaults.iter().any(|entry| entry.id == payments.id) && section.removed.is_empty());
}

/// A share in a TPM does not move, and a vault that is there is not overwritten.
#[test]
fn what_would_not_open_elsewhere_or_stands_in_the_way_does_not_move() {
    let controller = Evc::start();
    let mut one = Device::onboarded(&controller, "edge-1");
    controller.apply("kind: VaultPolicy\nname: both\ncustody: tpm+controller\n---\nkind: Vault\nname: sealed\ndevice: edge-1\npolicy: both\n");
    let mut two = Device::onboarded(&controller, "edge-2");
    controller.apply(&vault("payments", "edge-1"));
    controller.apply(&vault("payments", "edge-2"));
    one.attested(&controller);
    let section = two.attested(&controller);
    two.report(&controller, &section, 1);
    says(&controller, true, &["device", "lost", "edge-1"], &[]);
    for (name, words) in [
        ("sealed", "is in part in the TPM"),
        ("payments", "has a vault `payments` of its own"),
        ("config", "made a vault `config` of its own"),
        ("nothing", "is not known"),
    ] {
        let args = ["rehome", "vault", name, "--device", "edge-1", "--to", "edge-2", "--confirm", name];
        says(&controller, false, &args, &[words]);
    }
    let shown = controller.act("GET", "/devices/edge-1", "");
    let names: Vec<_> =
        shown["vaults"].as_array().expect("a list").iter().map(|v| v["name"].clone()).collect();
    assert!(["payments", "sealed", "config"].iter().all(|name| names.contains(&(*name).into())), "{names:?}");
}

/// A list has room for so many: one that is over it could not be sent at all, and would shut every vault of the new device.
#[test]
fn a_device_that_is_full_or_lacks_what_a_policy_asks_for_gets_no_other_devices_vault() {
    let controller = Evc::start();
    let _old = Device::onboarded(&controller, "edge-1");
    controller.apply("kind: VaultPolicy\nname: measured\ncustody: controller\nattest: { require: [pcrs] }\n---\nkind: Vault\nname: measured\ndevice: edge-1\npolicy: measured\n");
    controller.apply(&vault("payments", "edge-1"));
    let mut new = Device::onboarded(&controller, "edge-2");
    new.attested(&controller);
    says(&controller, true, &["device", "lost", "edge-1"], &[]);
    let moved = |name: &str, words: &str| {
        let args = ["rehome", "vault", name, "--device", "edge-1", "--to", "edge-2", "--confirm", name];
        says(&controller, false, &args, &[words]);
    };
    moved("measured", "requires measured PCRs");
    let many: Vec<String> = (0..vault::life::MOST_BESIDE_DEFAULTS)
        .map(|n| format!("kind: Vault\nname: v{n}\ndevice: edge-2\npolicy: p\n"))
        .collect();
    controller.apply(&many.join("---\n"));
    moved("payments", "at most 1022");
    assert_eq!(new.section(&controller).vaults.len(), 1024, "its list goes out");
}

/// seen-by-users 0.11: a name that another device has is refused in words, where it was given and where it was to be used.
#[test]
fn a_taken_name_is_an_error_and_no_other_name_is_given_instead() {
    let controller = Evc::start();
    let first = Device::onboarded(&controller, "edge-1");
    let again = Device { serial: first.serial.clone(), ..Device::new("edge-1") };
    let pem = again.onboard.pem.clone();
    let allow = |serial: &str| {
        let ask = serde_json::json!({ "cert_pem": pem, "serial": serial, "name": "edge-1" }).to_string();
        controller.operator("POST", "/onboarding", &ask, Some(&controller.token))
    };
    assert_eq!(allow("another").status, 409);
    // The same box by its serial, which may be the same device coming again: it has a new key, so it is not.
    assert_eq!(allow(&first.serial).status, 200);
    assert_eq!(again.register(&controller), 409);
    says(&controller, true, &["delete", "device", "edge-1"], &[]);
    assert_eq!(allow(&first.serial).status, 200);
    assert_eq!(again.register(&controller), 201);
    says(&controller, true, &["get", "devices"], &["edge-1"]);
}

/// seen-by-users 0.11: an orphan is taken in by a command, listed as made, and removed like any other vault if it is not wanted.
#[test]
fn an_orphan_is_adopted_under_a_policy_and_may_then_be_deleted() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply("kind: VaultPolicy\nname: tpm\ncustody: controller\non_removal: { delete_after: 0s }\n");
    controller.apply(&vault("payments", "edge-1"));
    let mut section = device.attested(&controller);
    // Of another controller: this one never listed them.
    for (name, id) in [("ledger", 7), ("foreign", 8), ("payments", 9)] {
        let mut other = section.vaults[0].clone();
        (other.id, other.name) =
            (vault::ids::VaultId(uuid::Uuid::from_u128(id)), name.parse().expect("a name"));
        section.vaults.push(other);
    }
    let mut info = device.info(&section, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        let number = report.id.0.as_u128();
        if (7..10).contains(&number) {
            (report.state, report.epoch) =
                (vault::report::State::Orphan, (number == 8).then_some(vault::ids::Epoch(3)));
        }
    }
    device.tell(&controller, &info);
    let adopt = |name: &str, good: bool, words: &[&str]| {
        let args = ["adopt", "vault", name, "--device", "edge-1", "--policy", "tpm"];
        says(&controller, good, &args, words);
    };
    adopt("foreign", false, &["needs a controller's key, of epoch 3", "evc rehome vault", "--remove"]);
    adopt("payments", false, &["has another vault of the name `payments`"]);
    adopt("nothing", false, &["orphan `nothing` of device `edge-1` is not known"]);
    adopt("ledger", true, &["is under policy `tpm`"]);
    adopt("ledger", false, &["is this controller's already"]);
    let section = device.section(&controller);
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "ledger").expect("listed");
    assert!(entry.created && entry.id.0.as_u128() == 7, "opened as it is, not made");
    says(
        &controller,
        true,
        &["delete", "vault", "ledger", "--device", "edge-1", "--confirm", "ledger"],
        &["is removed"],
    );
    assert!(device.section(&controller).vaults.iter().all(|entry| entry.name.as_str() != "ledger"));
}

/// An orphan whose key is another controller's can't be opened, but erased: its node lists it, locked, and is then told to remove it. Another
/// vault has its name: that is not touched.
#[test]
fn an_orphan_under_another_key_is_removed_by_a_command() {
    let controller = Evc::start();
    let mut device = Device::onboarded(&controller, "edge-1");
    controller.apply(&vault("payments", "edge-1"));
    let mut section = device.attested(&controller);
    let mut other = section.vaults[0].clone();
    other.id = vault::ids::VaultId(uuid::Uuid::from_u128(8));
    other.name = "payments".parse().expect("a name");
    let foreign = other.id;
    section.vaults.push(other);
    let mut info = device.info(&section, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        if report.id == foreign {
            (report.state, report.epoch) = (vault::report::State::Orphan, Some(vault::ids::Epoch(3)));
        }
    }
    device.tell(&controller, &info);
    let adopt = ["adopt", "vault", "payments", "--device", "edge-1", "--policy", "p"];
    says(&controller, false, &adopt, &["needs a controller's key, of epoch 3"]);
    says(&controller, true, &[&adopt[..], &["--remove"]].concat(), &["stays locked", "its node has to call"]);
    let section = device.section(&controller);
    let entry = section.vaults.iter().find(|entry| entry.id == foreign).expect("listed");
    assert_eq!((entry.standing, entry.operation), (vault::section::Presence::Removing, Operation::Lock));
    assert!(matches!(entry.release, Release::Withheld { .. }));
    device.poll(&controller);
    let over = evc::clock::now() + 40 * 86_400;
    assert_eq!(end_graces(&controller, over), 1);
    let section = device.section(&controller);
    assert_eq!(section.removed, [foreign]);
    assert!(section.vaults.iter().any(|entry| entry.name.as_str() == "payments"), "the other one stays");
}

/// KO-2: what moves goes by what the vault is under, not by what its policy became since: a vault that was made under the TPM alone stays with its device,
/// though an operator wrote `custody: controller` once that was lost.
#[test]
fn a_vault_under_a_tpm_is_not_moved_since_its_policy_says_otherwise_by_now() {
    let evc = Evc::start();
    let (old, _new) = (Device::onboarded(&evc, "old"), Device::onboarded(&evc, "new"));
    let id = old.id;
    evc.meddle(|tx| Box::pin(async move { tx.pin_tpm(id, vault::decide::TpmPin::Present).await }));
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm\n---\nkind: Vault\nname: payments\ndevice: old\npolicy: p\n");
    common::sql(evc.dir.path(), &["UPDATE vaults SET created = 1 WHERE name = 'payments'"]);
    evc.act("POST", "/devices/old/lost", "");
    let move_it = || {
        evc.operator(
            "POST",
            "/devices/old/vaults/payments/rehome",
            r#"{"to":"new","confirm":"payments"}"#,
            Some(&evc.token),
        )
    };
    let common::Answer { status, body } = move_it();
    assert_eq!(status, 409, "{}", String::from_utf8_lossy(&body));
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n");
    let common::Answer { status, body } = move_it();
    assert_eq!(status, 409, "{}", String::from_utf8_lossy(&body));
}
