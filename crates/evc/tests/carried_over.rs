//! Databases of builds of before (`vectors/README.md`): what they sealed is sealed anew for the default project, once, whole or not at all, and
//! opens for no other (threats, Controller: who writes the database hands a vault's keys to another project).

mod common;
mod engines;
mod kept;

use std::path::Path;

use common::{Device, Evc, Key, settings, sql, until};
use engines::{Fault, Faults, Faulty};
use evc::clock::now;
use evc::custody::{Identity, Kek};
use evc::service::start_over;
use evc::store::sqlite::{Lock, SqliteStore};
use evc::store::{EpochRow, Store, StoreError, Tx};
use vault::ids::Project;
use vault::section::Release;

/// The last build with sections without a chain, and the last one without projects.
const BEFORE: [&str; 2] = ["de4fa5e", "b641c2c"];
/// The one of which a device's key is kept, and the keys that it was given.
const WITH_A_DEVICE: &str = "b641c2c";

fn folder(commit: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    kept::unpack(commit, dir.path());
    dir
}

fn elsewhere() -> Project {
    "elsewhere".parse().expect("a name")
}

/// A period's key seals as the key-encryption key does, and is read as that is: from a file of its owner's alone.
fn as_kek(key: &[u8]) -> Kek {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), key).expect("written");
    Kek::from_file(file.path(), false).expect("a key")
}

/// All epochs of all vaults, each with its period's key.
async fn epochs(tx: &mut dyn Tx, kek: &Kek) -> Result<Vec<(EpochRow, Kek)>, StoreError> {
    let mut all = tx.epochs_before_projects(None, 99).await?;
    for row in evc::store::all_whole(tx.all_vaults(&Project::default(), None, 99).await?)? {
        for epoch in (1..=row.current_epoch.0).map(vault::ids::Epoch) {
            all.extend(tx.epoch(row.device, row.id, epoch).await?.filter(|row| row.project.is_some()));
        }
    }
    let mut with_keys = Vec::new();
    for row in all {
        let period = tx.period(&row.period).await?.expect("there");
        let period = kek.open(Identity::Period(&row.period), &period).expect("the controller's own");
        with_keys.push((row, as_kek(&period)));
    }
    Ok(with_keys)
}

/// Rows are all of before, or all sealed for the default project: none opens as both, as neither, or as another project's. Their keys.
fn opened(rows: &[(EpochRow, Kek)]) -> (bool, Vec<Vec<u8>>) {
    let carried = rows.first().expect("there are some").0.project.is_some();
    let keys = rows.iter().map(|(row, period)| {
        assert_eq!(row.project, carried.then(Project::default), "all or none: {row:?}");
        let (here, other) = (Project::default(), elsewhere());
        let new = |project| Identity::Epoch(project, row.device, row.vault, row.epoch);
        let old = Identity::EpochBeforeProjects(row.device, row.vault, row.epoch);
        let (right, wrong) = if carried { (new(&here), old) } else { (old, new(&here)) };
        for wrong in [wrong, new(&other)] {
            assert!(period.open(wrong, &row.sealed).is_err(), "{right} opens as {wrong}");
        }
        period.open(right, &row.sealed).expect("its key opens").to_vec()
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    (carried, keys)
}

/// The folder's lock, which a child that another test starts holds for the moment before it is a program of its own.
fn lock(data: &Path) -> Lock {
    until("the lock, which is nobody else's", || Lock::of(data).map_err(|taken| taken.to_string()))
}

/// Opens the database, which brings its tables up to date, and tries to start with a fault in it. How that went, its steps, and what it left.
fn tried(data: &Path, fault: Option<Fault>) -> (bool, usize, (bool, Vec<Vec<u8>>)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (faults, kek) = (Faults::default(), Kek::from_file(&data.join("kek"), false).expect("a key"));
    let open = || async { SqliteStore::open(lock(data)).await.expect("opened") };
    let (started, steps) = runtime.block_on(async {
        let store = Store::over(Faulty(open().await, faults.clone()));
        faults.set(fault);
        let tried = start_over(&disk::Disk::linux(), store, &settings(data), now()).await;
        let steps = faults.asked().steps;
        faults.set(None);
        if let Ok(controller) = &tried {
            controller.store.close().await;
        }
        (tried.is_ok(), steps)
    });
    let left = runtime.block_on(async {
        let store = Store::over(open().await);
        let rows = store.read(|tx| Box::pin(epochs(tx, &kek))).await.expect("read");
        store.close().await;
        opened(&rows)
    });
    (started, steps, left)
}

/// Invariant 5: whatever step of the start is its last, keys are as before or as from now on, all of them; and the next start goes on.
#[test]
fn every_key_is_sealed_anew_once_and_a_cut_anywhere_leaves_all_or_none() {
    for commit in BEFORE {
        let dir = folder(commit);
        let (failed, _, (carried, before)) = tried(dir.path(), Some(Fault::Gone(1)));
        assert!(!failed && !carried, "tables are of today, and no key was touched");
        assert!(before.len() >= 3, "{commit}: {}", before.len());
        let (started, steps, (carried, after)) = tried(dir.path(), None);
        assert!(started && carried, "{commit}");
        assert_eq!(after, before, "{commit}: the same keys");
        assert!(steps > before.len(), "{commit}: each row is a step");
        let (_, again, (_, after)) = tried(dir.path(), None);
        assert_eq!(after, before);
        assert!(again < steps, "{commit}: done once");
        for step in 1..=steps {
            for fault in [Fault::Full(step), Fault::Gone(step), Fault::Lost(step)] {
                let dir = folder(commit);
                let (started, _, (carried, keys)) = tried(dir.path(), Some(fault));
                assert_eq!(keys, before, "{commit} {fault:?}");
                assert!(carried || !started, "{commit} {fault:?}: nobody serves over rows of before");
                let (started, _, (carried, keys)) = tried(dir.path(), None);
                assert!(started && carried && keys == before, "{commit} {fault:?}, and the next start");
            }
        }
    }
}

/// The device of before, as it comes back after a restart of its own.
fn device() -> (Device, serde_json::Value) {
    let told: serde_json::Value =
        serde_json::from_str(&kept::read(WITH_A_DEVICE, "edge-1.json")).expect("JSON");
    let text = |field: &str| told[field].as_str().expect("text").to_owned();
    let pem = text("certificate");
    let der = hex::decode(text("key_pkcs8")).expect("hexadecimal");
    let key = Key::read(pem, der);
    let id = text("device").parse().expect("a UUID");
    (Device { key, id, serial: text("serial"), ..Device::new("edge-1") }, told["keys"].clone())
}

/// What the device is given now, beside what it was given then.
fn assert_given_what_it_had(evc: &Evc) {
    let (mut device, had) = device();
    let section = device.attested(evc);
    for vault in ["payments", "archive", "config", "image"] {
        let (current, last) = device.keys(&section, vault).expect("released");
        let told = serde_json::json!({ "current": hex::encode(current), "last": hex::encode(last) });
        assert_eq!(told, had[vault], "{vault}");
    }
}

/// Of how many vaults a good session is given keys.
fn released(evc: &Evc) -> usize {
    let section = device().0.attested(evc);
    section.vaults.iter().filter(|entry| matches!(entry.release, Release::Keys { .. })).count()
}

#[test]
fn a_device_of_before_is_given_the_keys_that_it_had() {
    let evc = Evc::over(folder(WITH_A_DEVICE));
    assert_given_what_it_had(&evc);
    let evc = evc.restart();
    assert_given_what_it_had(&evc);
    let policies = evc.act("GET", "/policies", "");
    assert_eq!(
        policies[0]["name"], "p",
        "its operator's token is good, in the project that has it all: {policies}"
    );
}

/// Whoever can write the database, and has no key, moves a device with all that hangs on it into another project: its keys stay closed there.
#[test]
fn what_is_moved_into_another_project_does_not_open() {
    const MOVED: [&str; 6] = [
        "UPDATE devices SET project = 'elsewhere'",
        "UPDATE vaults SET project = 'elsewhere'",
        "UPDATE policies SET project = 'elsewhere'",
        "UPDATE refs SET project = 'elsewhere'",
        "UPDATE releases SET project = 'elsewhere'",
        "UPDATE epochs SET project = 'elsewhere'",
    ];
    let back = MOVED.map(|statement| statement.replace("elsewhere", "default"));
    let back = back.each_ref().map(String::as_str);
    // With and without what their rows say of themselves.
    for moved in [&MOVED[..], &MOVED[..5]] {
        let data = Evc::over(folder(WITH_A_DEVICE)).stop();
        sql(data.path(), moved);
        let evc = Evc::over(data);
        assert_eq!(released(&evc), 0);
        let data = evc.stop();
        sql(data.path(), &back);
        assert_given_what_it_had(&Evc::over(data));
    }
}

/// The same while its keys are not sealed for a project yet: there was one alone, and theirs is that.
#[test]
fn what_is_moved_before_it_was_carried_over_does_not_open_either() {
    let dir = folder(WITH_A_DEVICE);
    assert!(!tried(dir.path(), Some(Fault::Gone(1))).0, "its tables are of today, and its keys are not");
    const DEVICE: [&str; 3] =
        ["UPDATE devices SET project = ", "UPDATE vaults SET project = ", "UPDATE policies SET project = "];
    let to = |project: &str| DEVICE.map(|statement| format!("{statement}'{project}'"));
    sql(dir.path(), &to("elsewhere").each_ref().map(String::as_str));
    let evc = Evc::over(dir);
    assert_eq!(released(&evc), 0);
    let data = evc.stop();
    sql(data.path(), &to("default").each_ref().map(String::as_str));
    assert_given_what_it_had(&Evc::over(data));
}

/// One row that is damaged keeps no controller from starting, is not written over, and is carried over once it is mended.
#[test]
fn a_damaged_row_of_before_is_left_and_carried_over_once_it_is_mended() {
    let dir = folder(WITH_A_DEVICE);
    const FIRST: &str =
        "WHERE (device, vault, epoch) = (SELECT device, vault, epoch FROM epochs ORDER BY 1, 2, 3 LIMIT 1)";
    let damage = format!("UPDATE epochs SET sealed = zeroblob(60) {FIRST}");
    sql(dir.path(), &["CREATE TABLE aside AS SELECT * FROM epochs", &damage]);
    let evc = Evc::over(dir);
    let left = evc.stored(|tx| tx.epochs_before_projects(None, 99));
    assert_eq!(left.len(), 1, "{left:?}");
    let others = released(&evc);
    assert!(others >= 3, "what does not open is withheld of its vault alone: {others}");
    let data = evc.stop();
    let mend = "UPDATE epochs SET sealed = (SELECT sealed FROM aside
        WHERE (aside.device, aside.vault, aside.epoch) = (epochs.device, epochs.vault, epochs.epoch)) WHERE project IS NULL";
    sql(data.path(), &[mend]);
    let evc = Evc::over(data);
    assert_eq!(evc.stored(|tx| tx.epochs_before_projects(None, 99)), []);
    assert_given_what_it_had(&evc);
}

/// What nodes said to a build of before is shown as it was said: the columns are read, whichever fields they had then.
#[test]
fn what_was_said_to_a_build_of_before_is_shown() {
    let evc = Evc::over(folder("de4fa5e"));
    let told = evc.act("GET", "/devices/edge-1", "");
    let device = &told["device"];
    assert_eq!(
        (&device["report"]["tpm"], &device["attestation"]["outcome"]),
        (&"enabled".into(), &"quoted".into())
    );
    assert_eq!(device["report"]["accepted"]["version"], 5);
    assert_eq!(device["default_vaults"][0]["reported"], "2026-11-28T12:12:20Z", "with the rest, then");
    let till = told["vaults"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|vault| vault["name"] == "till")
        .expect("there");
    assert_eq!(
        (&till["report"]["last"]["operation"], &till["reported_epoch"]),
        (&"change-key".into(), &2.into())
    );
    let reference = &evc.act("GET", "/references", "")[0];
    assert!(reference["pcrs"]["0"].as_str().expect("text").starts_with("28e4e7c9"), "{reference}");
    assert_eq!(evc.act("GET", "/policies", "")[1]["policy"]["node"]["custody"], "tpm+controller");
}

/// What a build of before knew of a device goes on to count: its key, by which it is found; and its sessions that are over, in their order.
#[test]
fn keys_and_sessions_of_before_are_carried_over() {
    let dir = folder(WITH_A_DEVICE);
    let two = format!("UPDATE devices SET past_sessions = x'{}{}'", "03".repeat(32), "04".repeat(32));
    sql(dir.path(), &[&two]);
    let evc = Evc::over(dir);
    let page = evc::store::Page { after: String::new(), limit: 9 };
    let row = evc.stored(|tx| {
        let page = page.clone();
        Box::pin(async move { tx.devices(&Project::default(), &page).await?.pop().expect("there").whole() })
    });
    let key = wire::Certificate::from_der(&row.cert_der).expect("a certificate").public_key().name().0;
    assert_eq!(row.key, Some(key));
    assert_eq!(evc.stored(|tx| Box::pin(async move { tx.device_by_key(&key).await })), Some(row.clone()));
    let ended = |number: u8| {
        let past = evc.stored(|tx| Box::pin(async move { tx.past_session(row.id, &[number; 32]).await }));
        past.map(|past| past.ended_at)
    };
    assert_eq!([ended(3), ended(4), ended(5)], [Some(0), Some(1), None]);
}
