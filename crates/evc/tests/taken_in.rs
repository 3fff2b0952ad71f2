//! Decision 92: what is open on a node under a key that an older copy of the database does not have. It is told wherever somebody looks, can be taken in
//! whatever else has its name, and is not said to be well where no key of this database is put on it. By the real service, its API and its programs.

mod common;

use std::fs;
use std::path::Path;

use common::{Device, Evc, end_graces};
use disk::Disk;
use tempfile::TempDir;
use vault::ids::{DeviceId, VaultId};
use vault::report::{State, VaultReport};
use vault::section::Section;
use wire::info::DeviceInfo;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 40s }\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn glance(evc: &Evc) -> String {
    evc.app.glances.count_anew();
    evc.act("GET", "/glance", "").to_string()
}

/// What the command line says, and whether it did it.
fn evc_says(args: &[&str]) -> (bool, String) {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_evc")).args(args).output().expect("ran");
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(said).expect("text"))
}

fn asks(evc: &Evc, args: &[&str]) -> (bool, String) {
    let data = evc.dir.path().to_str().expect("a path");
    evc_says(&[args, &["--data", data, "--url", &evc.url]].concat())
}

fn begin_anew(folder: &TempDir, more: &[&str]) -> (bool, String) {
    let data = folder.path().to_str().expect("a path");
    evc_says(&[&["begin-anew", "--data", data, "--confirm"], more].concat())
}

/// Gone through, and begun anew: nothing keeps it.
fn goes_on(evc: Evc) -> Evc {
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let (done, said) = begin_anew(&folder, &[]);
    assert!(done, "{said}");
    Evc::over(folder)
}

/// A controller and its device, and a copy of the database, after which something is done; then the copy is put back, and the node tells what it has.
fn put_back(after: impl FnOnce(&Evc, &mut Device)) -> (Evc, Device, Section) {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    device.attested(&evc);
    device.poll(&evc);
    let copy = copies.path().join("copy");
    common::sql(evc.dir.path(), &[&format!("VACUUM INTO '{}'", copy.display())]);
    after(&evc, &mut device);
    device.hash.clear();
    let newest = device.section(&evc);
    device.poll(&evc);
    let folder = evc.stop();
    lay(folder.path(), &copy);
    let evc = Evc::over(folder);
    (evc, device, newest)
}

/// As docs/operations.md says.
fn lay(folder: &Path, copy: &Path) {
    for beside in ["evc.db-wal", "evc.db-shm"] {
        let _ = fs::remove_file(folder.join(beside));
    }
    fs::copy(copy, folder.join("evc.db")).expect("put back");
}

fn id_in(section: &Section, name: &str) -> VaultId {
    common::id_in(section, name)
}

/// What a node tells, of one vault in another way.
fn but(mut info: DeviceInfo, vault: &str, change: impl Fn(&mut VaultReport)) -> DeviceInfo {
    let reports = info.vaults.iter_mut().filter_map(|line| line.report.as_mut());
    reports.filter(|report| report.name.as_str() == vault).for_each(change);
    info
}

/// Since `eve` was started anew over an open vault, nothing is known of what opened it.
fn restarted(report: &mut VaultReport) {
    report.opened = None;
}

/// Invariant 4: applied again by its document before it was taken in, a vault is not shut out by its name: who applies is told, and the vault that
/// its node has gets the name.
#[test]
fn a_name_keeps_no_open_vault_from_being_taken_in() {
    let later = VAULT.replace("name: day", "name: later");
    let (evc, mut device, newest) = put_back(|evc, _| drop(evc.apply(&later)));
    device.report(&evc, &newest, 1);
    let id = id_in(&newest, "later").to_string();
    let applied = evc.apply(&later).to_string();
    assert!(applied.contains(&format!("evc adopt vault {id} --device edge-1 --policy POLICY")), "{applied}");
    let (done, said) = asks(&evc, &["adopt", "vault", "later", "--device", "edge-1", "--policy", "p"]);
    assert!(done && said.contains("the vault that had the name `later` here is called"), "{said}");
    let again = evc.apply(&later).to_string();
    assert!(!again.contains("evc adopt vault"), "its document is of the one that was taken in: {again}");
    let evc = goes_on(evc);
    device.hash.clear();
    let section = device.section(&evc);
    let listed: Vec<_> = section.vaults.iter().filter(|entry| !entry.id.is_default()).collect();
    assert_eq!(listed.len(), 3, "{listed:?}");
    let entry = listed.iter().find(|entry| entry.name.as_str() == "later").expect("listed");
    assert!(entry.created && entry.id.to_string() == id, "{entry:?}");
    assert!(device.keys(&section, "later").is_some(), "its keys go out");
}

/// The same where the copy has the vault that had the name before: it stays, under its identity.
#[test]
fn what_had_the_name_in_the_copy_stays_under_its_identity() {
    let (evc, mut device, newest) = put_back(|evc, device| {
        evc.act("DELETE", "/devices/edge-1/vaults/day?delete_after=0&confirm=day", "");
        common::settle_graces(evc);
        device.hash.clear();
        device.section(evc);
        evc.apply(VAULT);
    });
    device.report(&evc, &newest, 1);
    let (of, called) = (device.id, "day".parse().expect("a name"));
    let before = evc.stored(|tx| tx.vault_by_name(of, &called)).expect("there").id;
    assert_ne!(before, id_in(&newest, "day"));
    let (done, said) = asks(&evc, &["adopt", "vault", "day", "--device", "edge-1", "--policy", "p"]);
    assert!(done && said.contains(&format!("is called {before} now")), "{said}");
    let evc = goes_on(evc);
    device.hash.clear();
    let section = device.section(&evc);
    assert_eq!(id_in(&section, "day"), id_in(&newest, "day"));
    assert_eq!(id_in(&section, &before.to_string()), before);
}

/// A folder that was rolled back whole has a vault as being removed that was kept since; its grace ends before its node calls. Open there, it is told, and can be
/// taken in, and no new life closes it unasked.
#[test]
fn what_was_removed_by_a_copy_and_is_open_is_taken_in() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    device.attested(&evc);
    device.poll(&evc);
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    let folder = evc.stop();
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(folder.path()).expect("lists").map(|entry| entry.expect("an entry")) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copies");
    }
    let right = Evc::over(folder);
    right.apply(VAULT);
    device.hash.clear();
    let newest = device.section(&right);
    device.poll(&right);
    drop(right.stop());
    let evc = Evc::over(copy);
    assert_eq!(end_graces(&evc, evc::clock::now() + 41), 1, "nothing showed that it is older");
    device.report(&evc, &newest, 1);
    assert!(!glance(&evc).contains("vault day of edge-1"), "its node has not heard of it: {}", glance(&evc));
    device.hash.clear();
    device.poll(&evc);
    let told = glance(&evc);
    assert!(
        told.contains("vault day of edge-1: it was removed in this database, and its node has it open"),
        "{told}"
    );
    let lists: [&[&str]; 2] = [&["get", "vaults"], &["get", "vaults", "--device", "edge-1"]];
    for list in lists {
        let (_, table) = asks(&evc, list);
        let lines: Vec<_> =
            table.lines().filter(|line| line.split_whitespace().nth(1) == Some("day")).collect();
        assert!(
            lines.len() == 1 && lines[0].contains("unlocked") && !table.contains("its node is to erase it"),
            "{table}"
        );
    }
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(!done && said.contains("day of edge-1"), "{said}");
    let evc = Evc::over(folder);
    let (done, said) = asks(&evc, &["adopt", "vault", "day", "--device", "edge-1", "--policy", "p"]);
    assert!(done, "{said}");
    let evc = goes_on(evc);
    device.hash.clear();
    let section = device.section(&evc);
    assert!(section.removed.is_empty() && device.keys(&section, "day").is_some(), "{section:?}");
}

/// The twin: what is removed, and whose node has not heard of it yet, is nobody's to take in.
#[test]
fn what_its_node_is_still_to_erase_is_not_taken_in() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    evc.act("DELETE", "/devices/edge-1/vaults/day?delete_after=0&confirm=day", "");
    device.report(&evc, &section, 1);
    let (_, table) = asks(&evc, &["get", "vaults"]);
    assert!(table.contains("its node is to erase it") && !table.contains("evc adopt"), "{table}");
    let (done, said) = asks(&evc, &["adopt", "vault", "day", "--device", "edge-1", "--policy", "p"]);
    assert!(!done && said.contains("orphan `day` of device `edge-1` is not known"), "{said}");
}

/// What its node can't wrap anew any more is not said to be well: its data is to be copied out. Not by the list, nor the glance, nor who takes it in or waits.
#[test]
fn what_is_open_for_the_last_time_is_not_said_to_be_well() {
    let later = VAULT.replace("name: day", "name: later");
    let (evc, mut device, newest) = put_back(|evc, _| drop(evc.apply(&later)));
    device.tell(&evc, &but(device.info(&newest, 1), "later", restarted));
    assert!(glance(&evc).contains("copy its data out first"), "{}", glance(&evc));
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(
        !done
            && said.contains(
                "later of edge-1. No key of this copy's is taken for them: copy their data out first"
            ),
        "{said}"
    );
    let evc = Evc::over(folder);
    let (done, said) = asks(&evc, &["adopt", "vault", "later", "--device", "edge-1", "--policy", "p"]);
    assert!(
        done && said.contains("may be open for the last time") && said.contains("--for epoch=2"),
        "{said}"
    );
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let (done, said) = begin_anew(&folder, &[]);
    assert!(!done && said.contains("later of edge-1"), "taken in, and still open for the last time: {said}");
    let (done, said) = begin_anew(&folder, &["--despite-open"]);
    assert!(done, "{said}");
    let evc = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&evc);
    let under_another = |report: &mut VaultReport| {
        (report.opened, report.epoch, report.change_due) = (None, None, true);
        report.under_anothers_key = true;
    };
    device.tell(&evc, &but(device.info(&section, 1), "later", under_another));
    assert!(
        glance(&evc).contains("vault later of edge-1: open under a key that is not here"),
        "{}",
        glance(&evc)
    );
    let (_, table) = asks(&evc, &["get", "vaults"]);
    assert!(table.contains("copy its data out before its node boots"), "{table}");
    let wait = ["wait", "vault", "later", "--device", "edge-1", "--for", "unlocked", "--timeout", "0s"];
    let (done, said) = asks(&evc, &wait);
    assert!(!done && said.contains("copy its data out"), "{said}");
    let locked = |report: &mut VaultReport| {
        under_another(report);
        report.state = State::Locked;
    };
    device.tell(&evc, &but(device.info(&section, 1), "later", locked));
    assert!(
        glance(&evc).contains("vault later of edge-1: locked, under a controller's key that is not here"),
        "{}",
        glance(&evc)
    );
}

/// A listed vault that was rotated after the copy: open, it goes on with a new life, unless its node was started since.
#[test]
fn what_was_rotated_after_the_copy_and_is_open_for_the_last_time_stops_a_new_life() {
    let rotate = |evc: &Evc, device: &mut Device| {
        let section = device.section(evc);
        device.report(evc, &section, 1);
        evc.act("POST", "/devices/edge-1/vaults/day/rotate", r#"{"force":true,"confirm":"day"}"#);
    };
    let (evc, device, newest) = put_back(|evc, device| {
        device.hash.clear();
        rotate(evc, device);
    });
    device.report(&evc, &newest, 2);
    assert!(
        glance(&evc).contains("a boot before that closes it until the newest database is back"),
        "{}",
        glance(&evc)
    );
    device.tell(&evc, &but(device.info(&newest, 2), "day", restarted));
    assert!(
        glance(&evc).contains("vault day of edge-1: ") && glance(&evc).contains("copy its data out"),
        "{}",
        glance(&evc)
    );
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(!done && said.contains("day of edge-1"), "{said}");
    let evc = Evc::over(folder);
    device.report(&evc, &newest, 2);
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(done, "{said}");
}

/// A device that was registered after the copy registers anew, and holds to the lists of the one that it was. What is open on it is told as that, and neither
/// taken in nor passed over by a new life.
#[test]
fn what_a_device_has_by_the_lists_of_another_is_told() {
    let (evc, device, newest) =
        put_back(|evc, _| drop(evc.apply(&VAULT.replace("name: day", "name: later"))));
    let mut info = device.info(&newest, 1);
    info.node.as_mut().expect("there").accepted_for = Some(DeviceId(uuid::Uuid::from_u128(5)));
    device.tell(&evc, &info);
    let told = glance(&evc);
    for vault in ["later", "config"] {
        let line = told.split("\",\"").find(|line| line.contains(&format!("vault {vault} of edge-1")));
        let line = line.unwrap_or_else(|| panic!("{vault}: {told}"));
        assert!(line.contains("by a list of device 00000000-0000-0000-0000-000000000005"), "{line}");
        assert!(line.contains("copy its data out before its node boots"), "{line}");
    }
    let (_, described) = asks(&evc, &["describe", "device", "edge-1"]);
    assert!(
        described.contains("copy out first what is open there"),
        "before its record is removed: {described}"
    );
    let (done, said) = asks(&evc, &["adopt", "vault", "later", "--device", "edge-1", "--policy", "p"]);
    assert!(
        !done && said.contains("holds to the lists of device") && said.contains("copy the data out"),
        "{said}"
    );
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(!done && said.contains("later of edge-1") && said.contains("config of edge-1"), "{said}");
    let (done, said) = begin_anew(&folder, &["--despite-open"]);
    assert!(done && said.contains("vault later of edge-1 is open"), "{said}");
}

/// A deletion that its node has not heard of is carried out by no list of a new life. Who begins one is told; and what its node has then is told as removed.
#[test]
fn what_a_new_life_erases_no_more_is_named() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    device.poll(&evc);
    evc.act("DELETE", "/devices/edge-1/vaults/day?delete_after=0&confirm=day", "");
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(done && said.contains("vault day of edge-1 was removed") && said.contains("--remove"), "{said}");
    let evc = Evc::over(folder);
    let orphan = |report: &mut VaultReport| (report.state, report.epoch) = (State::Orphan, None);
    device.tell(&evc, &but(device.info(&section, 1), "day", orphan));
    let (_, table) = asks(&evc, &["get", "vaults"]);
    assert!(
        table.contains("it was removed in this database") && !table.contains("its node is to erase it"),
        "{table}"
    );
}

/// M6: who asks for a vault that is on no list here is told where it is and what can be done, and not that there is none; nobody waits for it to be well
/// meanwhile.
#[test]
fn a_vault_that_is_on_no_list_here_is_found_by_its_name() {
    let (evc, device, newest) =
        put_back(|evc, _| drop(evc.apply(&VAULT.replace("name: day", "name: later"))));
    device.report(&evc, &newest, 1);
    let adopt = "evc adopt vault later --device edge-1 --policy POLICY";
    let (done, said) = asks(&evc, &["describe", "vault", "later", "--device", "edge-1"]);
    assert!(done && said.contains(adopt) && said.contains("none"), "{said}");
    for what in ["unlocked", "epoch=2"] {
        let args = ["wait", "vault", "later", "--device", "edge-1", "--for", what, "--timeout", "0s"];
        let (done, said) = asks(&evc, &args);
        assert!(!done && said.contains(adopt) && !said.contains("is not there"), "{what}: {said}");
    }
    let (done, said) = asks(&evc, &["describe", "vault", "never", "--device", "edge-1"]);
    assert!(!done && said.contains("has no vault `never`"), "the twin: {said}");
}

/// The same of one that another device here has: whose it is, by name, and how it goes over.
#[test]
fn a_vault_that_another_device_here_has_is_told_as_that_ones() {
    let evc = Evc::start();
    let [mut device, mut other] = ["edge-1", "edge-2"].map(|name| Device::onboarded(&evc, name));
    evc.apply(&VAULT.replace("edge-1", "edge-2"));
    let (section, others) = (device.attested(&evc), other.attested(&evc));
    let far = others.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed");
    let mut with_it = section.clone();
    with_it.vaults.push(far.clone());
    for state in [State::Locked, State::Orphan] {
        let told =
            but(device.info(&with_it, 1), "day", |report| (report.state, report.opened) = (state, None));
        device.tell(&evc, &told);
        let how = "`evc rehome vault day --device edge-2 --to edge-1 --confirm day`";
        for args in [&["get", "vaults"][..], &["describe", "vault", "day", "--device", "edge-1"]] {
            let (_, said) = asks(&evc, args);
            let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(line.contains("it is device `edge-2`'s here") && line.contains(how), "{state}: {said}");
        }
    }
    other.poll(&evc);
}
