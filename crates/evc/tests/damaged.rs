//! One damaged row, wherever it is damaged: every list shows the others and names it; other devices are served as if nothing was; the
//! device that it is of gets nothing, and can be marked as lost and deleted; of a vault that vault alone gets no key; of a policy the devices
//! that have vaults of it get no list (invariant 6). The rows are of a real file, whose columns are read from its schema.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Device, Evc, damages, new_session, sql};
use evc::clock::now;
use evc::service::{Steady, token_hash};
use serde_json::Value;
use vault::ids::{DeviceId, VaultId};
use vault::section::{Custody, Operation, Presence, Section};
use wire::control::Order;

const POLICIES: &str =
    "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: VaultPolicy\nname: q\ncustody: controller\n";

fn vault(device: &str, policy: &str) -> String {
    format!("---\nkind: Vault\nname: payments\ndevice: {device}\npolicy: {policy}\n")
}

fn list(evc: &Evc, path: &str) -> Vec<Value> {
    evc.act("GET", path, "").as_array().expect("a list").clone()
}

/// The rows of a list that are damaged; each says what is and what to do.
fn named(rows: &[Value]) -> Vec<&Value> {
    let damaged: Vec<_> = rows.iter().filter(|row| row.get("damaged").is_some()).collect();
    for row in &damaged {
        assert!(
            row["damaged"].is_string() && row["what_to_do"].as_str().is_some_and(|what| !what.is_empty()),
            "{row}"
        );
    }
    damaged
}

fn status(evc: &Evc, device: &Device) -> u16 {
    evc.post(&device.own("config"), &device.seal(&device.ask())).status
}

/// Somebody else's device is polled, given a vault and taken it away, and gives evidence.
fn is_served(evc: &Evc, other: &mut Device, at: &str) {
    assert!([200, 304].contains(&status(evc, other)), "{at}: {}", status(evc, other));
    other.hash.clear();
    let section = other.section(evc);
    assert!(other.keys(&section, "payments").is_some(), "{at}: its key is released");
    evc.apply(&vault("other", "q"));
    evc.act("POST", "/devices/other/labels", r#"{"set":{"site":"berlin"}}"#);
    evc.apply("kind: Vault\nname: ruled\ndevices: { site: berlin }\npolicy: q\n");
}

fn what_needs_somebody(evc: &Evc) -> (Value, String) {
    evc.app.glances.count_anew();
    let glance = evc.act("GET", "/glance", "");
    (glance["counts"].clone(), glance["needs_somebody"].to_string())
}

fn with_other() -> (Evc, Device) {
    let evc = Evc::start();
    let mut other = Device::onboarded(&evc, "other");
    evc.apply(&(POLICIES.to_owned() + &vault("other", "q")));
    other.attested(&evc);
    (evc, other)
}

/// Invariant 6, each column of a device's row.
#[test]
fn a_damaged_device_is_named_barred_and_deleted_and_keeps_nobody_back() {
    let (evc, mut other) = with_other();
    let mut damaged_once = Vec::new();
    for (column, value) in damages(&evc, "devices") {
        let name = format!("edge-{}", column.replace('_', "-"));
        let device = Device::onboarded(&evc, &name);
        evc.apply(&vault(&name, "p"));
        let id = device.id;
        let hex = hex::encode(id.0.as_bytes());
        sql(evc.dir.path(), &[&format!("UPDATE devices SET {column} = {value} WHERE id = x'{hex}'")]);

        let rows = list(&evc, "/devices");
        let damaged = named(&rows);
        assert_eq!(rows.len(), 2, "{column}: {rows:?}");
        assert!(rows.iter().any(|row| row["name"] == "other" && row.get("damaged").is_none()), "{column}");
        for path in ["/vaults", "/policies", "/references", "/onboarding", "/rules", "/deleted-devices"] {
            list(&evc, path);
        }
        is_served(&evc, &mut other, &column);
        let (counts, needs) = what_needs_somebody(&evc);
        assert_eq!(counts["devices"], 2, "{column}");
        if let [row] = damaged[..] {
            damaged_once.push(column.clone());
            assert_ne!(status(&evc, &device), 200, "{column}: it is released nothing");
            assert!(
                needs.contains("damaged") && needs.contains(row["what_to_do"].as_str().expect("said")),
                "{column}: {needs}"
            );
            let known = [&row["id"], &row["name"]].map(|it| it.as_str().unwrap_or_default().to_owned());
            assert!(known.contains(&id.to_string()) || known.contains(&name), "{column}: {row}");
        }
        may_be_given_up(&evc, &device, (&name, &column));
    }
    for column in [
        "project",
        "name",
        "labels",
        "cert_digest",
        "tpm",
        "registered_at",
        "ledger",
        "older",
        "lost_at",
        "alarm",
    ] {
        assert!(damaged_once.iter().any(|it| it == column), "{column} is damaged: {damaged_once:?}");
    }
}

/// By its identity; by its name too, where that reads.
fn may_be_given_up(evc: &Evc, device: &Device, (name, column): (&str, &str)) {
    let (id, token) = (device.id.to_string(), Some(evc.token.as_str()));
    if column == "id" {
        // What there is of it can't be told from others': it stays, and is barred by being damaged.
        for call in [("POST", "lost"), ("DELETE", "")] {
            let path = format!("/devices/{name}/{}", call.1);
            let path = format!("{}?force=true&confirm={name}", path.trim_end_matches('/'));
            assert_eq!(
                evc.operator(call.0, &path, "", token).problem().code,
                evc::api::Code::DatabaseDamaged
            );
        }
        sql(
            evc.dir.path(),
            &[&format!(
                "DELETE FROM devices WHERE name = '{name}'; DELETE FROM vaults WHERE device NOT IN (SELECT id FROM devices)"
            )],
        );
        return;
    }
    evc.act("POST", &format!("/devices/{id}/lost"), "");
    if !["name", "project"].contains(&column) {
        evc.act("POST", &format!("/devices/{name}/lost"), "");
    }
    let kept = evc.operator("DELETE", &format!("/devices/{id}"), "", token);
    assert_eq!(
        kept.problem().code,
        evc::api::Code::DeviceHasVaults,
        "{column}: its keys are not thrown away unasked"
    );
    evc.act("DELETE", &format!("/devices/{id}?force=true&confirm={id}"), "");
    assert!(list(evc, "/devices").iter().all(|row| row["id"] != *id), "{column}");
    let was =
        list(evc, "/deleted-devices").into_iter().find(|row| row["id"] == *id).expect("what it had is kept");
    assert_eq!(was["vaults"][0], "payments", "{column}: {was}");
    assert_eq!(status(evc, device), 401, "{column}: its certificate is refused");
    evc.act("DELETE", &format!("/deleted-devices/{id}?confirm={id}"), "");
}

/// Two vaults of one name are of two policies: of one device, `payments` and `others`.
fn two_vaults(device: &str) -> String {
    vault(device, "p") + &vault(device, "q").replace("payments", "others")
}

/// The section says nothing of it that erases anything, and its key does not go out; the other vaults' do.
fn goes_on_without(evc: &Evc, device: &mut Device, at: &str) -> Section {
    device.hash.clear();
    let section = device.section(evc);
    assert!(device.keys(&section, "payments").is_none(), "{at}: its key does not go out");
    for other in ["others", "config"] {
        assert!(device.keys(&section, other).is_some(), "{at}: that of `{other}` does");
    }
    assert!(section.removed.is_empty(), "{at}: nothing is erased");
    section
}

/// Without these a vault's row can't be listed.
const TO_LIST: [&str; 5] = ["project", "id", "name", "policy", "standing"];

/// Invariant 6 and seen-by-users, a vault's row whose any column is damaged, in more ways than one. Where what a list says of it reads, it is
/// listed; else its device gets no list, for by one without it its node would lock what is open.
#[test]
fn a_damaged_vault_is_named_and_withheld_and_closes_nothing_that_is_open() {
    let (evc, mut other) = with_other();
    let damages = damages(&evc, "vaults").into_iter().map(|(column, value)| (column, value, ""));
    let more = [("standing", "'activ'", "-word"), ("name", "''", "-none"), ("policy", "NULL", "-none")];
    let more = more.map(|(column, value, way)| (column.to_owned(), value, way));
    for (column, value, way) in damages.chain(more) {
        let name = format!("edge-{}{way}", column.replace('_', "-"));
        let mut device = Device::onboarded(&evc, &name);
        evc.apply(&two_vaults(&name));
        let whole = device.attested(&evc);
        assert!(device.keys(&whole, "payments").is_some());
        let hex = hex::encode(device.id.0.as_bytes());
        sql(
            evc.dir.path(),
            &[&format!("UPDATE vaults SET {column} = {value} WHERE device = x'{hex}' AND name = 'payments'")],
        );
        let rows = list(&evc, "/vaults");
        assert!(rows.iter().any(|row| row["device_name"] == "other"), "{column}: {rows:?}");
        let damaged = named(&rows).len();
        assert!(
            damaged <= 1 && !rows.iter().any(|row| row.get("damaged").is_some() && row["id"].is_null()),
            "{column}: {rows:?}"
        );
        is_served(&evc, &mut other, &column);
        let (counts, needs) = what_needs_somebody(&evc);
        assert_eq!(counts["devices"], 2, "{column}");
        // A device of which nobody is: its keys say whose it is.
        if column == "device" {
            let section = goes_on_without(&evc, &mut device, &column);
            let listed = section.vaults.iter().find(|entry| entry.name.as_str() == "payments");
            assert_eq!(listed.map(|entry| entry.operation), Some(Operation::Unlock), "it stays open");
            assert!(needs.contains("column device"), "{needs}");
        } else if damaged == 1 {
            assert!(needs.contains("damaged"), "{column}: {needs}");
            if TO_LIST.contains(&&*column) {
                device.hash.clear();
                assert_eq!(status(&evc, &device), 500, "{column}: a list without it would lock it");
                assert!(needs.contains("gets no list"), "{column}: {needs}");
            } else {
                let section = goes_on_without(&evc, &mut device, &column);
                let listed = section.vaults.iter().find(|entry| entry.name.as_str() == "payments");
                let wanted = listed.map(|entry| (entry.operation, entry.recreate, entry.standing));
                assert_eq!(wanted, Some((Operation::Unlock, false, Presence::Active)), "{column}");
            }
            device.report(&evc, &whole, 1);
            let told = evc.act("GET", &format!("/devices/{name}"), "");
            assert_eq!(named(told["vaults"].as_array().expect("its vaults")).len(), 1, "{column}");
            assert!(!told["device"].to_string().contains("evc adopt"), "{column}: {told}");
        }
        evc.act("DELETE", &format!("/devices/{name}?force=true&confirm={name}"), "");
        let gone = list(&evc, "/deleted-devices");
        assert!(gone.iter().any(|row| row["name"] == *name), "{column}: {gone:?}");
        sql(evc.dir.path(), &["DELETE FROM vaults WHERE device = x'00'"]);
    }
}

/// Of a vault that is gone nothing is open, and on a lost device nothing is to be: neither waits for a row that does not read.
#[test]
fn a_damaged_vault_that_is_gone_or_of_a_lost_device_keeps_no_list_back() {
    let (evc, _) = with_other();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICIES.to_owned() + &two_vaults("edge-1")));
    device.attested(&evc);
    let of_device = format!("device = x'{}' AND name = 'payments'", hex::encode(device.id.0.as_bytes()));
    let mut damage = |what: &str| {
        sql(evc.dir.path(), &[&format!("UPDATE vaults SET {what} WHERE {of_device}")]);
        device_is_listed(&evc, &mut device)
    };
    assert!(!damage("standing = 'activ'"));
    assert!(damage("standing = 'gone', left_version = -7"), "it is gone");
    assert!(!damage("standing = 'activ'"));
    evc.act("POST", "/devices/edge-1/lost", "");
    assert!(damage("standing = 'activ'"), "all of it is to be locked");
}

/// Seen-by-users 1.2: a lost device is ordered to lock a vault whose row does not read, also where it shows no evidence and gets no list.
#[test]
fn a_damaged_vault_of_a_lost_device_is_ordered_to_lock() {
    let (evc, _) = with_other();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICIES.to_owned() + &two_vaults("edge-1")));
    device.attested(&evc);
    let of_name = |name: &str| {
        let rows = evc.act("GET", "/devices/edge-1", "")["vaults"].clone();
        let row = rows.as_array().expect("its vaults").iter().find(|row| row["name"] == name).cloned();
        row.expect("there")["id"].as_str().expect("text").parse::<VaultId>().expect("an identity")
    };
    let vault = of_name("payments");
    let of_device = format!("device = x'{}' AND name = 'payments'", hex::encode(device.id.0.as_bytes()));
    sql(evc.dir.path(), &[&format!("UPDATE vaults SET policy = NULL WHERE {of_device}")]);
    evc.act("POST", "/devices/edge-1/lost", "");
    device.session = new_session();
    let control = device.poll(&evc).expect("an answer").control.expect("control");
    assert!(control.challenge.is_some(), "it shows nothing");
    assert!(control.orders.contains(&Order::Lock(vault)), "{:?}", control.orders);
}

fn device_is_listed(evc: &Evc, device: &mut Device) -> bool {
    device.hash.clear();
    status(evc, device) == 200
}

/// A vault that an operator made and that has no policy is a damaged row, and none under the default policy: that may be the looser one.
#[test]
fn a_vault_that_lost_its_policy_is_under_no_other() {
    let (evc, _) = with_other();
    evc.apply(&(POLICIES.to_owned() + &vault("other", "p")));
    sql(evc.dir.path(), &["UPDATE vaults SET policy = NULL WHERE name = 'payments'"]);
    let rows = list(&evc, "/vaults");
    let [row] = named(&rows)[..] else { panic!("{rows:?}") };
    assert_eq!(
        (row["name"].as_str(), row["damaged"].as_str()),
        (Some("payments"), Some("column policy has an impossible value"))
    );
}

/// A policy whose row does not read is mended by its document, applied as a whole.
#[test]
fn a_damaged_policy_is_mended_by_its_document() {
    let (evc, _) = with_other();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&two_vaults("edge-1"));
    device.attested(&evc);
    for damage in ["canonical = 'x'", "changed_at = -7"] {
        sql(evc.dir.path(), &[&format!("UPDATE policies SET {damage} WHERE name = 'p'")]);
        assert!(!device_is_listed(&evc, &mut device));
        assert!(what_needs_somebody(&evc).1.contains("evc apply"), "{damage}: what mends it is told");
        let applied = evc.apply(POLICIES);
        assert_eq!(applied[0]["outcome"], "changed", "{damage}: {applied}");
        assert!(applied[0]["notes"].to_string().contains("damaged"), "{damage}: {applied}");
        assert!(named(&list(&evc, "/policies")).is_empty(), "{damage}");
        device.hash.clear();
        let section = device.section(&evc);
        assert!(device.keys(&section, "payments").is_some(), "{damage}: mended, it is served again");
    }
}

/// KO-1: a node that is not told of a default vault takes it for one under its default policy, which may be the looser one. So where a default
/// vault can't be listed, its device gets nothing.
#[test]
fn a_damaged_default_vault_is_listed_or_its_device_gets_nothing() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICIES.to_owned() + &two_vaults("edge-1")));
    evc.apply("kind: Vault\nname: image\ndevice: edge-1\npolicy: q\n");
    device.attested(&evc);
    sql(evc.dir.path(), &["CREATE TABLE as_it_was AS SELECT * FROM vaults WHERE name = 'image'"]);
    let mend = [
        "DELETE FROM vaults WHERE name NOT IN ('config', 'payments', 'others')",
        "INSERT INTO vaults SELECT * FROM as_it_was",
    ];
    for (column, listed) in [
        ("added_at = -7", true),
        ("current_epoch = -7", true),
        ("policy = CAST(x'ff21' AS TEXT)", false),
        ("standing = 'x'", false),
        ("id = x'00'", false),
    ] {
        sql(evc.dir.path(), &[&format!("UPDATE vaults SET {column} WHERE name = 'image'")]);
        device.hash.clear();
        assert_eq!(status(&evc, &device), if listed { 200 } else { 500 }, "{column}");
        if listed {
            let section = device.section(&evc);
            let image = section.vaults.iter().find(|entry| entry.name.as_str() == "image").expect("listed");
            assert_eq!(image.policy.custody, Custody::Controller, "{column}");
            assert!(
                device.keys(&section, "image").is_none() && device.keys(&section, "config").is_some(),
                "{column}"
            );
        }
        sql(evc.dir.path(), &mend);
    }
    sql(evc.dir.path(), &["DELETE FROM vaults WHERE name = 'image'"]);
    device.hash.clear();
    assert_eq!(status(&evc, &device), 500, "its row is gone, and its keys are not");
    sql(evc.dir.path(), &mend);
    sql(evc.dir.path(), &["UPDATE policies SET canonical = 'x' WHERE name = 'q'"]);
    device.hash.clear();
    assert_eq!(status(&evc, &device), 500, "its policy");
}

/// Invariant 6, each column of a policy's row.
#[test]
fn a_damaged_policy_is_named_and_takes_no_vault_off_a_list() {
    let (evc, mut other) = with_other();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&two_vaults("edge-1"));
    device.attested(&evc);
    let whole = "SELECT project, name, canonical, changed_at FROM policies WHERE name = 'p'";
    sql(evc.dir.path(), &[&format!("CREATE TABLE as_it_was AS {whole}")]);
    for (column, value) in damages(&evc, "policies") {
        sql(evc.dir.path(), &[&format!("UPDATE policies SET {column} = {value} WHERE name = 'p'")]);
        let rows = list(&evc, "/policies");
        assert_eq!((rows.len(), named(&rows).len()), (2, 1), "{column}: {rows:?}");
        is_served(&evc, &mut other, &column);
        list(&evc, "/vaults");
        assert!(what_needs_somebody(&evc).1.contains("damaged"), "{column}");
        device.hash.clear();
        assert_eq!(
            status(&evc, &device),
            500,
            "{column}: no list, so its node keeps open what is open, and no key"
        );
        sql(
            evc.dir.path(),
            &["DELETE FROM policies WHERE name <> 'q'", "INSERT INTO policies SELECT * FROM as_it_was"],
        );
        device.hash.clear();
        let section = device.section(&evc);
        assert!(device.keys(&section, "payments").is_some(), "{column}: mended, it is served again");
    }
}

/// IF-2: whatever stands in a damaged row, and however long it is, what is said of the row is on one line and read to its end.
#[test]
fn a_damaged_row_is_told_in_few_words_whatever_stands_in_it() {
    let evc = Evc::start();
    evc.apply(POLICIES);
    for name in ["hex(zeroblob(50000))", "'p' || char(10) || char(27) || '[2J'"] {
        sql(evc.dir.path(), &[&format!("UPDATE policies SET name = {name} WHERE name <> 'q'")]);
        let rows = list(&evc, "/policies");
        let [row] = named(&rows)[..] else { panic!("{name}: {} rows", rows.len()) };
        for told in [&row["damaged"], &row["name"]].map(|told| told.as_str().unwrap_or_default()) {
            assert!(
                told.len() < 500 && !told.contains(char::is_control),
                "{name}: {} bytes: {told:?}",
                told.len()
            );
        }
        assert!(what_needs_somebody(&evc).1.len() < 5000, "{name}");
    }
}

/// A token whose row does not read lets nobody in; the others do.
#[test]
fn a_damaged_token_is_refused_and_the_others_are_good() {
    let (evc, _) = with_other();
    for (column, value) in damages(&evc, "tokens") {
        let token = format!("another token for {column}");
        let hash = hex::encode(token_hash(&token));
        evc.act("POST", "/tokens", &format!(r#"{{"sha256":"{hash}"}}"#));
        assert_eq!(evc.operator("GET", "/status", "", Some(&token)).status, 200);
        sql(evc.dir.path(), &[&format!("UPDATE tokens SET {column} = {value} WHERE hash = x'{hash}'")]);
        let answer = evc.operator("GET", "/devices", "", Some(&token));
        assert!([401, 500].contains(&answer.status), "{column}: {}", answer.status);
        assert_eq!(list(&evc, "/devices").len(), 1, "{column}");
        evc.act("DELETE", "/tokens/others", "");
    }
}

/// Who has no token is not told which row it is.
#[test]
fn a_device_is_not_told_which_row_is_damaged() {
    let (evc, other) = with_other();
    sql(evc.dir.path(), &["UPDATE devices SET registered_at = -7"]);
    let told = evc.post(&other.own("config"), &other.seal(&other.ask())).problem();
    assert!(told.error.contains("damaged") && !told.error.contains("other"), "{told:?}");
    let answer = evc.operator("GET", "/devices/other", "", Some(&evc.token)).problem();
    assert!(answer.error.contains("device `other`") && answer.error.contains("registered_at"), "{answer:?}");
}

/// The command line prints what reads, names what does not, and exits by it.
#[test]
fn a_list_with_a_damaged_row_has_an_exit_code_of_its_own() {
    let (evc, _) = with_other();
    let device = Device::onboarded(&evc, "edge-1");
    sql(evc.dir.path(), &["UPDATE devices SET ledger = x'00' WHERE name = 'edge-1'"]);
    let evc_says = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
        let told = command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]).output();
        let told = told.expect("ran");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (told.status.code(), text(&told.stdout), text(&told.stderr))
    };
    let (code, table, said) = evc_says(&["get", "devices"]);
    assert_eq!(code, Some(7), "{table}{said}");
    assert!(table.contains("damaged: column ledger") && table.contains("\nother"), "{table}");
    assert!(said.contains(&device.id.to_string()) && said.contains("what to do"), "{said}");
    let (code, json, _) = evc_says(&["get", "devices", "-o", "json"]);
    let rows: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, named(rows.as_array().expect("a list")).len()), (Some(7), 1), "{json}");
    assert_eq!(evc_says(&["get", "vaults"]).0, Some(7), "its default vaults are in no list");
    assert_eq!(evc_says(&["get", "policies"]).0, Some(0));
    assert_eq!(evc_says(&["get", "devices", "other"]).0, Some(0));
    let (_, lines, _) = evc_says(&["status"]);
    assert!(lines.contains("device `edge-1`") && lines.contains("is damaged"), "{lines}");
    assert_eq!(evc_says(&["device", "lost", "edge-1"]).0, Some(0));
    let (code, _, said) = evc_says(&["delete", "device", "edge-1", "--force", "--confirm", "edge-1"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(evc_says(&["get", "devices"]).0, Some(0));
}

/// Invariant 6: what is kept of a device whose end does not read stays; what else is due is done, and the failure is told until it is mended.
#[test]
fn a_damaged_row_of_a_deleted_device_keeps_no_other_part_of_the_housekeeping_back() {
    let (evc, _) = with_other();
    let delete = |name: &str| -> DeviceId {
        let device = Device::onboarded(&evc, name);
        evc.apply(&vault(name, "p"));
        evc.act("DELETE", &format!("/devices/{name}?force=true&confirm={name}"), "");
        device.id
    };
    let [damaged, whole] = ["edge-1", "edge-2"].map(delete);
    for (column, value) in
        [("until", "-7"), ("labels", "'no'"), ("name", "''"), ("key", "x'00'"), ("ledger", "x'00'")]
    {
        sql(
            evc.dir.path(),
            &[
                "CREATE TABLE IF NOT EXISTS as_it_was AS SELECT * FROM deleted_devices",
                &format!(
                    "UPDATE deleted_devices SET {column} = {value} WHERE serial = (SELECT min(serial) FROM deleted_devices)"
                ),
            ],
        );
        let rows = list(&evc, "/deleted-devices");
        assert_eq!(rows.len(), 2, "{column}: {rows:?}");
        assert!(rows.iter().any(|row| row["id"] == whole.to_string()), "{column}");
        list(&evc, "/devices");
        let (_, needs) = what_needs_somebody(&evc);
        assert_eq!(needs.contains("damaged"), column != "ledger", "{column}: {needs}");
        sql(
            evc.dir.path(),
            &["DELETE FROM deleted_devices", "INSERT INTO deleted_devices SELECT * FROM as_it_was"],
        );
    }
    sql(
        evc.dir.path(),
        &["UPDATE deleted_devices SET until = -7 WHERE serial = (SELECT min(serial) FROM deleted_devices)"],
    );
    let over = now() + 40 * 24 * 3600;
    let round = |at| evc.wait(evc.app.keep_house(&mut Steady::since(at), at, Duration::ZERO));
    assert!(round(over).is_err());
    let kept = list(&evc, "/deleted-devices");
    assert_eq!((kept.len(), named(&kept).len()), (1, 1), "the other one is forgotten: {kept:?}");
    assert_eq!(
        evc.stored(|tx| tx.meta("time seen")),
        Some(over.to_be_bytes().to_vec()),
        "the time is remembered"
    );
    let (_, needs) = what_needs_somebody(&evc);
    assert!(needs.contains("housekeeping") && needs.contains("deleted device"), "{needs}");
    evc.act("DELETE", &format!("/deleted-devices/{damaged}?confirm={damaged}"), "");
    round(over + 15).expect("all of it is done");
    assert!(!what_needs_somebody(&evc).1.contains("housekeeping"), "and told no more");
}

/// Seen-by-users: a policy that no vault names is deleted, whatever of a deleted device does not read beside the vaults that are kept of it. One that such a vault
/// names, or may name, is not.
#[test]
fn a_damaged_row_of_a_deleted_device_keeps_only_the_policies_of_its_vaults() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICIES.to_owned() + &vault("edge-1", "p")));
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    let delete =
        |policy: &str| evc.operator("DELETE", &format!("/policies/{policy}"), "", Some(&evc.token)).status;
    for column in ["name = CAST(x'ff21' AS TEXT)", "labels = 'no'", "until = -7"] {
        sql(
            evc.dir.path(),
            &["UPDATE deleted_devices SET name = 'edge-1', labels = '{}', until = deleted_at"],
        );
        sql(evc.dir.path(), &[&format!("UPDATE deleted_devices SET {column}")]);
        assert_eq!(delete("p"), 409, "{column}: it would come back under it");
        assert_eq!(delete("q"), 200, "{column}");
        evc.apply(POLICIES);
    }
    sql(evc.dir.path(), &["UPDATE deleted_vaults SET policy = CAST(x'ff21' AS TEXT)"]);
    assert_eq!((delete("p"), delete("q")), (500, 500), "it may be under either");
    drop(device);
}
