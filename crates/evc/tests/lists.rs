//! What lists say of devices and vaults is as old as it is, and says so (seen-by-users 0b.12, 1.3, 1.4).

mod common;

use std::process::Command;

use common::{Device, Evc};
use evc::clock::now;
use evc::store::Scope;
use vault::ids::DeviceId;
use vault::report::State;
use wire::attest::{AttestRequest, AttestResponse, EvidenceAnswer};
use wire::info::{DeviceInfo, Info, NodeReport};

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

fn shown(evc: &Evc, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
    let told = command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]).output();
    let told = told.expect("ran");
    format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr))
}

/// The line of a table that names `which`.
fn line(evc: &Evc, args: &[&str], which: &str) -> String {
    let table = shown(evc, args);
    table
        .lines()
        .find(|line| line.contains(which))
        .unwrap_or_else(|| panic!("no {which}: {table}"))
        .to_owned()
}

fn device_with_vault(evc: &Evc) -> (Device, vault::section::Section) {
    let mut device = Device::onboarded(evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(evc);
    (device, section)
}

/// As a device that was last heard then.
fn last_heard(evc: &Evc, device: DeviceId, at: u64) {
    evc.wait(evc.app.write_heard(now() + 61)).expect("written");
    // The newest of both counts.
    common::sql(evc.dir.path(), &["DELETE FROM heard"]);
    evc.wait(evc.app.store.write(Scope::Device(device), |tx| tx.saw_device(device, at))).expect("written");
}

/// A report that came at another time.
fn reported_at(evc: &Evc, info: &DeviceInfo, at: u64) {
    evc.wait(evc.app.info(info.device, Info::Device(Box::new(info.clone())), at)).expect("taken");
}

/// seen-by-users 1.3: a poll that is answered 304 counts, and is kept over a restart.
#[test]
fn every_verified_request_counts_as_heard() {
    let evc = Evc::start();
    let (mut device, _) = device_with_vault(&evc);
    last_heard(&evc, device.id, now() - 3 * 3600);
    let listed = line(&evc, &["get", "devices"], "edge-1");
    assert!(listed.contains("silent since ") && listed.contains("Z (3h ago)"), "{listed}");
    let told = shown(&evc, &["describe", "device", "edge-1"]);
    assert!(!told.contains("see `evc describe device`") && !told.contains("\n\n\n"), "{told}");
    assert!(device.poll(&evc).is_none(), "unchanged");
    let listed = line(&evc, &["get", "devices"], "edge-1");
    assert!(listed.contains("s ago") && listed.contains("online"), "{listed}");
    assert!(shown(&evc, &["describe", "device", "edge-1"]).contains("Condition:     online\n"));
    evc.wait(evc.app.write_heard(now() + 122)).expect("written");
    let evc = evc.restart();
    let listed = line(&evc, &["get", "devices"], "edge-1");
    assert!(listed.contains("online"), "{listed}");
    // Attack F8: nor does a time that a clock which was ahead noted: a device that died since would be online until then.
    last_heard(&evc, device.id, now() + 86_400);
    assert!(!line(&evc, &["get", "devices"], "edge-1").contains("online"));
    // What is not signed by it does not count.
    last_heard(&evc, device.id, now() - 3 * 3600);
    let forged = Device { key: common::Key::new("EVE"), ..device };
    assert_eq!(evc.post(&forged.own("config"), &forged.seal(&forged.ask())).status, 401);
    assert!(line(&evc, &["get", "devices"], "edge-1").contains("silent since "));
}

/// Seen-by-users 2.evc.2: whoever looks twice finds each vault where it was, whichever list he asks for; its UUID, which is random, orders
/// nothing. And 5.new: lists of vaults take labels.
#[test]
fn lists_of_vaults_are_by_device_and_name() {
    let evc = Evc::start();
    for name in ["edge-1", "edge-2"] {
        Device::onboarded(&evc, name);
    }
    let names = ["v-f", "v-a", "v-e", "v-b", "v-d", "v-c"];
    let vault =
        |name: &str, device: &str| format!("---\nkind: Vault\nname: {name}\ndevice: {device}\npolicy: p\n");
    let vaults = names.iter().flat_map(|name| ["edge-2", "edge-1"].map(|device| vault(name, device)));
    evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: controller\n{}", vaults.collect::<String>()));
    let rows = |args: &[&str]| -> Vec<Vec<String>> {
        let table = shown(&evc, args);
        let cells = |line: &str| line.split_whitespace().take(2).map(ToOwned::to_owned).collect();
        table.lines().filter(|line| line.contains("v-")).map(cells).collect()
    };
    let all = rows(&["get", "vaults"]);
    assert!(all.len() == 12 && all.is_sorted(), "{all:?}");
    let of_one = rows(&["get", "vaults", "--device", "edge-2"]);
    assert!(of_one.len() == 6 && of_one.is_sorted(), "{of_one:?}");
    shown(&evc, &["label", "device", "edge-2", "site=berlin"]);
    assert_eq!(rows(&["get", "vaults", "-l", "site=berlin"]), of_one);
    let wrong = shown(&evc, &["get", "vaults", "-l", "site"]);
    assert!(wrong.contains("`-l site`: ") && wrong.contains("key=value"), "{wrong}");
}

/// Seen-by-users 2.evc.13, 2.evc.4: who looks for a device that may not come in is told where it is, and finds it there by its serial.
#[test]
fn a_device_that_knocks_is_found_from_an_empty_list() {
    let evc = Evc::start();
    let mut device = Device::new("edge-9");
    device.serial = "SN-9".into();
    assert_eq!(device.register(&evc), 403);
    let told = shown(&evc, &["get", "devices"]);
    assert!(told.contains("SN-9") && told.contains("`evc get pending`"), "{told}");
    assert!(line(&evc, &["get", "pending", "SN-9"], "SN-9").contains("127.0.0.1"));
    assert!(shown(&evc, &["get", "pending", "SN-8"]).contains("SN-8"));
    let told = shown(&evc, &["describe", "pending", "SN-9"]);
    assert!(told.contains("`evc onboard add`"), "{told}");
    let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert!(shown(&evc, &["describe", "onboarding", "SN-9"]).contains("none registered by it yet"));
    let none = shown(&evc, &["describe", "onboarding", "SN-8"]);
    assert!(none.contains("`SN-8` is known") && none.contains("`evc get onboarding`"), "{none}");
}

/// seen-by-users 0b.12: a vault of a node whose vaultmgr does not report is not open for ever, and default vaults do not vanish.
#[test]
fn a_state_is_told_with_its_age_and_unknown_where_nobody_tells_it() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    device.report(&evc, &section, 1);
    for args in [&["get", "vaults"][..], &["get", "vaults", "--device", "edge-1"]] {
        assert!(line(&evc, args, "payments").contains("unlocked"));
    }
    last_heard(&evc, device.id, now() - 3 * 3600);
    let old = line(&evc, &["get", "vaults"], "payments");
    assert!(old.contains("unlocked, "), "it is silent: {old}");
    let row = evc.act("GET", "/vaults", "")[0].clone();
    assert_eq!(
        (row["state"].as_str(), row["last_state"].as_str()),
        (Some("unknown"), Some("unlocked")),
        "{row}"
    );
    let silent = DeviceInfo { vaults: vec![], ..device.info(&section, 1) };
    reported_at(&evc, &silent, now() + 60);
    for args in [&["get", "vaults"][..], &["get", "vaults", "--device", "edge-1"]] {
        let unknown = line(&evc, args, "payments");
        assert!(unknown.contains("unknown since ") && unknown.contains("(was unlocked)"), "{unknown}");
    }
    assert_eq!(evc.act("GET", "/vaults", "")[0]["state"], "unknown");
    // One of which no row is kept: of a device that has not attested yet.
    let other = Device::onboarded(&evc, "edge-2");
    let info = DeviceInfo { device: other.id, node: None, ..device.info(&section, 1) };
    reported_at(&evc, &info, now());
    reported_at(&evc, &DeviceInfo { vaults: vec![], ..info }, now() + 60);
    let kept = shown(&evc, &["get", "vaults", "--device", "edge-2"]);
    assert!(kept.contains("config") && kept.contains("image") && kept.contains("unknown since "), "{kept}");
}

/// IF-2: what a node repeats is written once, and is as young as its last report all the same; a vault that it does not speak of any
/// more ages from when it last did.
#[test]
fn what_is_repeated_is_not_written_and_stays_young() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&format!("{VAULT}---\nkind: Vault\nname: wages\ndevice: edge-1\npolicy: p\n"));
    let section = device.attested(&evc);
    let told = |counter: u64, at: u64, names: &[&str]| {
        let mut info = device.info(&section, 1);
        info.vaults.retain(|line| line.report.as_ref().is_none_or(|it| names.contains(&it.name.as_str())));
        info.node.as_mut().expect("ours").counter = 1000 + counter;
        reported_at(&evc, &info, at);
    };
    let written = || {
        let rows = evc.wait(evc.app.store.read(|tx| tx.vaults(device.id))).expect("read");
        rows.into_iter().map(|row| (row.name.to_string(), row.reported_at)).collect::<Vec<_>>()
    };
    let shown = |name: &str| {
        let told = evc.act("GET", "/vaults", "");
        let row = told.as_array().expect("a list").iter().find(|row| row["name"] == name).expect("there");
        row["reported"].clone()
    };
    let (first, both) = (now(), ["payments", "wages"]);
    told(1, first, &both);
    let once = written();
    told(2, first + 60, &both);
    assert_eq!(written(), once, "nothing of it changed");
    told(3, first + 120, &["payments"]);
    told(4, first + 180, &["payments"]);
    assert_eq!(shown("payments"), evc::clock::text(first + 180));
    assert_eq!(shown("wages"), evc::clock::text(first + 60));
    told(5, first + 240, &both);
    assert_eq!(both.map(shown), [first + 240; 2].map(evc::clock::text));
}

/// seen-by-users 1.4: what was refused since counts more than what stood before it, and nothing is said to have gone out.
#[test]
fn a_key_is_not_said_to_be_released_when_the_evidence_was_refused_since() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    let key = || line(&evc, &["get", "vaults", "--device", "edge-1"], "payments");
    let session = hex::encode(&device.session.session_key().0[..4]);
    assert!(key().contains(&format!("would be released to session {session}")), "{}", key());
    let evidence = |signed_by: &Device| {
        let AttestResponse::Nonce(nonce) = device.attest(&evc, &AttestRequest::Nonce) else {
            panic!("no nonce")
        };
        let nonce = nonce.try_into().expect("32 bytes");
        let quote = signed_by.evidence(nonce, device.session.session_key());
        let AttestResponse::Quote(answer) = device.attest(&evc, &AttestRequest::Quote(Box::new(quote)))
        else {
            panic!("no verdict")
        };
        answer.verdict.expect("a verdict")
    };
    assert!(matches!(evidence(&Device::new("another")), EvidenceAnswer::Refused(_)));
    assert!(key().contains("withheld: evidence refused: "), "{}", key());
    assert_eq!(evidence(&device), EvidenceAnswer::Accepted);
    assert!(key().contains("would be released"), "{}", key());
    device.report(&evc, &section, 1);
    let released = format!("released: the vault is open at epoch 1; session {session} may have it again");
    assert!(key().contains(&released), "an open vault has its key: {}", key());
}

/// seen-by-users 0b.12: epochs that differ are said in words, either way.
#[test]
fn epochs_that_differ_are_said() {
    let evc = Evc::start();
    let (mut device, section) = device_with_vault(&evc);
    device.report(&evc, &section, 1);
    let vault = || line(&evc, &["get", "vaults"], "payments");
    assert!(!vault().contains("epoch"), "{}", vault());
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "{}");
    assert!(vault().contains("has not taken epoch 2 yet, and is at 1"), "{}", vault());
    let section = device.section(&evc);
    device.report(&evc, &section, 2);
    assert!(!vault().contains("epoch"), "{}", vault());
}

/// seen-by-users 0b.12: where all of a node's vaults are missing its disk is, and nothing is made anew on what is there instead.
#[test]
fn no_vault_is_made_anew_on_a_disk_that_is_not_there() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    let missing = |which: &'static [&'static str]| {
        let state = move |name: &str| if which.contains(&name) { State::Missing } else { State::Unlocked };
        assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, state)).status, 201);
    };
    let recreate = |more: &[&str]| {
        let args = ["recreate", "vault", "payments", "--device", "edge-1", "--confirm", "payments"];
        shown(&evc, &[&args, more].concat())
    };
    missing(&["payments", "config", "image"]);
    let refused = recreate(&[]);
    assert!(refused.contains("its disk is not there") && refused.contains("--new-disk"), "{refused}");
    let recreates = || {
        let shown = evc.act("GET", "/devices/edge-1", "");
        let row = shown["vaults"].as_array().expect("a list").iter().find(|row| row["name"] == "payments");
        row.expect("there")["recreate"].as_bool()
    };
    assert_eq!(recreates(), Some(false));
    assert!(recreate(&["--new-disk"]).contains("will be made anew"));
    assert_eq!(recreates(), Some(true));
    missing(&["payments"]);
    assert!(recreate(&[]).contains("will be made anew"));
}

/// DF-4, invariant 4: what a node says of a vault changes its row as `vault::life` says, whatever the row was: made once it stays made, and
/// an order to make it anew stands until it is carried out.
#[test]
fn a_vault_stays_made_and_an_order_stands_until_it_is_carried_out() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    let tell = |state: State, created: bool| {
        let mut info = device.info(&section, 1);
        for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
            if report.name.as_str() == "payments" {
                (report.state, report.created) = (state, created);
            }
        }
        device.tell(&evc, &info);
        let rows = evc.stored(|tx| tx.vaults(device.id));
        let row = rows.into_iter().find(|row| row.name.as_str() == "payments").expect("there");
        (row.created, row.recreate)
    };
    assert_eq!(tell(State::Missing, true), (true, false));
    evc.act("POST", "/devices/edge-1/vaults/payments/recreate?confirm=payments", "");
    for (state, created) in
        [(State::Missing, true), (State::Waiting, false), (State::Creating, false), (State::Failed, true)]
    {
        assert_eq!(tell(state, created), (true, true), "{state:?}: not yet");
    }
    assert_eq!(tell(State::Unlocked, true), (true, false), "carried out");
    assert_eq!(tell(State::Waiting, false), (true, false), "made once");
}

/// Invariant 4: a vault that its node only began lost nothing, so there is nothing to make anew; what to do is said.
#[test]
fn a_vault_that_was_never_finished_is_not_made_anew_from_here() {
    let evc = Evc::start();
    let (mut device, _) = device_with_vault(&evc);
    evc.apply("kind: VaultPolicy\nname: q\ncustody: controller\n---\nkind: Vault\nname: new\ndevice: edge-1\npolicy: q\n");
    let section = device.section(&evc);
    let mut info = device.info(&section, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        if report.name.as_str() == "new" {
            (report.state, report.created) = (State::Waiting, false);
        }
    }
    device.tell(&evc, &info);
    let recreate = |name: &str| {
        let args = ["recreate", "vault", name, "--device", "edge-1", "--confirm", name];
        shown(&evc, &args)
    };
    let never = recreate("new");
    assert!(
        never.contains("has not finished vault `new`") && never.contains("`eve vault recreate`"),
        "{never}"
    );
    let there = recreate("payments");
    assert!(there.contains("does not report vault `payments` as missing"), "{there}");
}

/// Seen-by-users 1.10, 2: a vault goes by its device's name, is a document that changes nothing when it is applied, and is waited for by its node's
/// word and not by what was ordered.
#[test]
fn a_vault_is_shown_by_names_is_a_document_and_is_waited_for() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    let wait = |until: &str| {
        let which = ["wait", "vault", "payments", "--device", "edge-1", "--timeout", "100ms", "--for", until];
        shown(&evc, &which)
    };
    assert!(wait("unlocked").contains("has not spoken of it"), "{}", wait("unlocked"));
    device.report(&evc, &section, 1);
    for (until, says) in [
        ("unlocked", "vault `payments`: unlocked, node at epoch 1"),
        ("epoch=1", "vault `payments`: unlocked"),
        ("epoch=2", "waited 100ms, in vain"),
        ("locked", "waited 100ms, in vain"),
        ("gone", "waited 100ms, in vain"),
    ] {
        assert!(wait(until).contains(says), "{until}: {}", wait(until));
    }
    last_heard(&evc, device.id, now() - 3 * 3600);
    for until in ["unlocked", "locked"] {
        let told = wait(until);
        assert!(
            told.contains("waited 100ms, in vain") && told.contains("unlocked, "),
            "a silent one: {told}"
        );
    }
    let attested = ["wait", "device", "edge-1", "--timeout", "100ms", "--for", "attested"];
    assert!(shown(&evc, &attested).contains("silent since"), "{}", shown(&evc, &attested));
    last_heard(&evc, device.id, now());
    assert!(wait("unlocked").contains("vault `payments`: unlocked"), "heard again");
    assert!(shown(&evc, &attested).contains("evidence accepted"));
    let id = device.id.to_string();
    let listed = shown(&evc, &["get", "vault", "payments"]);
    assert!(listed.contains("edge-1") && !listed.contains(&id), "{listed}");
    assert!(shown(&evc, &["get", "device", "edge-1", "-o", "wide"]).contains(&id));
    assert_eq!(shown(&evc, &["get", "vaults", "payments", "-o", "name"]), "vault/edge-1/payments\n");
    let document = shown(&evc, &["get", "vaults", "payments", "-o", "yaml"]);
    let applied = evc.act("POST", "/apply?dry_run=true", &document);
    assert_eq!(
        (&applied[0]["kind"], &applied[0]["outcome"]),
        (&"vault".into(), &"unchanged".into()),
        "{document}"
    );
    let described = shown(&evc, &["describe", "device", "edge-1"]);
    assert!(described.starts_with("Name:          edge-1\nCondition:"), "{described}");
    let unknown = shown(&evc, &["get", "vault", "none", "--device", "edge-1"]);
    assert!(unknown.contains("device `edge-1` has no vault `none`"), "{unknown}");
}

/// However large the fleet, `evc status` gets one small answer: how many there are, and of what needs somebody the first of each kind.
#[test]
fn a_fleet_is_counted_by_the_controller() {
    let evc = Evc::start();
    let mut vaults = String::from("kind: VaultPolicy\nname: p\ncustody: controller\n");
    for n in 0..25 {
        Device::onboarded(&evc, &format!("edge-{n:02}"));
        vaults += &format!("---\nkind: Vault\nname: payments\ndevice: edge-{n:02}\npolicy: p\n");
    }
    evc.apply(&vaults);
    let told = evc.act("GET", "/glance", "");
    assert_eq!(
        told["counts"],
        serde_json::json!({ "devices": 25, "drills_failed": 0, "policies": 1, "vaults": 25 })
    );
    let lines = told["needs_somebody"].as_array().expect("lines");
    assert_eq!(lines.len(), 21, "{told}");
    assert_eq!(lines[0], "vault payments of edge-00: not reported yet");
    assert_eq!(lines[20], "and 5 more like the last");
    assert!(told.to_string().len() < 4096, "{told}");
    let status = shown(&evc, &["status"]);
    assert!(status.contains("Devices:       25\nPolicies:      1\nVaults:        25\n"), "{status}");
    assert!(
        status.contains("vault payments of edge-19: not reported yet\n  and 5 more like the last"),
        "{status}"
    );
}

/// A rule is shown with what it gave, and to whom it gave nothing.
#[test]
fn a_rule_is_described_with_its_devices_and_vaults() {
    let evc = Evc::start();
    for name in ["edge-1", "edge-2", "edge-3"] {
        Device::onboarded(&evc, name);
        evc.act("POST", &format!("/devices/{name}/labels"), r#"{"set":{"site":"berlin"}}"#);
    }
    evc.act("POST", "/devices/edge-3/labels", r#"{"set":{"site":"paris"}}"#);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevices: { site: berlin }\npolicy: p\n");
    let told = shown(&evc, &["describe", "rule", "payments"]);
    assert!(told.contains("Devices:       site=berlin\nPolicy:        p\n"), "{told}");
    assert!(told.contains("edge-1") && told.contains("edge-2") && !told.contains("edge-3"), "{told}");
    let document = shown(&evc, &["describe", "rule", "payments", "-o", "yaml"]);
    assert!(document.contains(r#"devices: { "site": "berlin" }"#), "{document}");
    let unknown = shown(&evc, &["describe", "rule", "none"]);
    assert!(unknown.contains("rule `none` is not known") && unknown.contains("`evc get rules`"), "{unknown}");
}

/// Requirement IF-2, invariant 4: a disk that is not mounted is told of every vault on it, and none is made anew meanwhile.
#[test]
fn a_disk_that_is_not_mounted_is_told_of_user_vaults_and_none_is_made_anew() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    device.report(&evc, &section, 1);
    let whole = device.info(&section, 1);
    let node = whole.node.clone().expect("told");
    let away = DeviceInfo {
        vaults: vec![],
        node: Some(NodeReport { counter: node.counter + 1000, disk_away: true, ..node.clone() }),
        ..whole.clone()
    };
    reported_at(&evc, &away, now());
    for args in [&["get", "vaults"][..], &["get", "vaults", "--device", "edge-1"], &["status"]] {
        let told = line(&evc, args, "payments");
        assert!(told.contains("the disk of persist is not there (was unlocked, "), "{args:?}: {told}");
    }
    let described = shown(&evc, &["describe", "vault", "payments", "--device", "edge-1"]);
    assert!(described.contains("the disk of persist is not there"), "{described}");
    let device_line = line(&evc, &["get", "devices"], "edge-1");
    assert!(device_line.contains("the disk of persist is not there"), "{device_line}");
    for new_disk in [&[][..], &["--new-disk"]] {
        let recreate = ["recreate", "vault", "payments", "--device", "edge-1", "--confirm", "payments"];
        let refused = shown(&evc, &[&recreate, new_disk].concat());
        assert!(
            refused.contains("is not mounted") && refused.contains("mount the disk on persist"),
            "{refused}"
        );
    }
    let back = DeviceInfo { node: Some(NodeReport { counter: node.counter + 2000, ..node }), ..whole };
    reported_at(&evc, &back, now());
    assert!(!shown(&evc, &["get", "vaults"]).contains("not there"), "it is mounted again");
}

/// Seen-by-users 0.6, decision 25: a node that says that its boot is measured no more gives new evidence, for what it showed is of another state of its TPM.
/// Its words for people decide nothing, and a node that says neither is asked for nothing.
#[test]
fn a_node_that_turns_unmeasured_gives_new_evidence() {
    let evc = Evc::start();
    let (device, section) = device_with_vault(&evc);
    let said = |measured: Option<bool>, words: &str| {
        let mut info = device.info(&section, 1);
        info.node.as_mut().expect("told").measured = measured;
        for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
            report.detail = vec![words.to_owned()];
        }
        device.tell(&evc, &info);
        let id = device.id;
        evc.wait(evc.app.store.read(|tx| Box::pin(async move { tx.standing(id).await })))
            .expect("read")
            .expect("it gave evidence")
            .renew
    };
    let words = vault::plan::Note::NotMeasured.to_string();
    assert!(!said(None, ""), "a node of before this was told");
    assert!(!said(Some(true), ""));
    assert!(!said(Some(true), &words), "words for people");
    assert!(!said(None, &words), "its TPM does not answer now");
    assert!(said(Some(false), ""), "it turned");
}
