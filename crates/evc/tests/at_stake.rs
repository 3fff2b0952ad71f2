//! Decisions 92 and 112: what a node has open under a key that an older copy of the database does not have is closed for good by a lock. No act of an
//! operator's does that unsaid. Invariant 4: absence never destroys. By the real service, its API and its programs.

mod common;

use std::fs;
use std::path::Path;

use common::{Device, Evc};
use disk::Disk;
use tempfile::TempDir;
use vault::report::{State, VaultReport};
use vault::section::Section;
use wire::info::DeviceInfo;

const DAY: &str = "kind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

fn policy(more: &str) -> String {
    format!("kind: VaultPolicy\nname: p\ncustody: controller\n{more}")
}

fn both(more: &str) -> String {
    format!("{}---\n{DAY}", policy(more))
}

fn asks(evc: &Evc, args: &[&str]) -> (bool, String) {
    let data = evc.dir.path().to_str().expect("a path");
    says(&[args, &["--data", data, "--url", &evc.url]].concat())
}

fn says(args: &[&str]) -> (bool, String) {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_evc")).args(args).output().expect("ran");
    (ran.status.success(), String::from_utf8([ran.stdout, ran.stderr].concat()).expect("text"))
}

fn table(evc: &Evc) -> String {
    asks(evc, &["get", "vaults", "--device", "edge-1"]).1
}

fn file(evc: &Evc, text: &str) -> String {
    let path = evc.dir.path().join("file.yaml");
    fs::write(&path, text).expect("written");
    path.to_str().expect("a path").to_owned()
}

fn applies(evc: &Evc, text: &str) -> String {
    let file = file(evc, text);
    asks(evc, &["apply", "-f", &file]).1
}

/// Gone through, it is to begin anew; and whether it does.
fn begins_anew(evc: Evc) -> (bool, String, TempDir) {
    let folder = evc.stop();
    let run = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    run.block_on(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let (done, said) = says(&["begin-anew", "--data", folder.path().to_str().expect("a path"), "--confirm"]);
    (done, said, folder)
}

/// A node that took a list, and told so.
fn takes(evc: &Evc, device: &mut Device) -> Section {
    device.hash.clear();
    let section = device.section(evc);
    device.poll(evc);
    section
}

/// A copy of what `before` made; after that something is done; then the copy is put back.
fn put_back(
    before: impl FnOnce(&Evc, &mut Device),
    after: impl FnOnce(&Evc, &mut Device),
) -> (Evc, Device, Section) {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&both(""));
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    device.poll(&evc);
    before(&evc, &mut device);
    let copy = copies.path().join("copy");
    common::sql(evc.dir.path(), &[&format!("VACUUM INTO '{}'", copy.display())]);
    after(&evc, &mut device);
    let newest = takes(&evc, &mut device);
    let folder = evc.stop();
    lay(folder.path(), &copy);
    (Evc::over(folder), device, newest)
}

fn lay(folder: &Path, copy: &Path) {
    for beside in ["evc.db-wal", "evc.db-shm"] {
        let _ = fs::remove_file(folder.join(beside));
    }
    fs::copy(copy, folder.join("evc.db")).expect("put back");
}

fn rotated(evc: &Evc, device: &mut Device) {
    let section = takes(evc, device);
    device.report(evc, &section, 1);
    evc.act("POST", "/devices/edge-1/vaults/day/rotate", r#"{"force":true,"confirm":"day"}"#);
}

fn but(mut info: DeviceInfo, vault: &str, change: impl Fn(&mut VaultReport)) -> DeviceInfo {
    let reports = info.vaults.iter_mut().filter_map(|line| line.report.as_mut());
    reports.filter(|report| report.name.as_str() == vault).for_each(change);
    info
}

/// By the copy a vault is removed, or its policy locks it; since then it was opened and rotated. A new life would lock it, under a key that nobody has: it is
/// not begun, and says of which. Said anew that it is wanted, it is.
#[test]
fn a_list_of_the_copy_that_locks_what_is_open_under_a_newer_key_stops_a_new_life() {
    let delete = |evc: &Evc, device: &mut Device| {
        evc.act("DELETE", "/devices/edge-1/vaults/day", "");
        takes(evc, device);
    };
    let lock = |evc: &Evc, device: &mut Device| {
        evc.apply(&policy("operation: lock\n"));
        takes(evc, device);
    };
    type Before = fn(&Evc, &mut Device);
    let befores: [(Before, &str); 2] =
        [(delete, "it is being removed here"), (lock, "`operation: lock` here")];
    for (before, why) in befores {
        let (evc, device, newest) = put_back(before, |evc, device| {
            evc.apply(&both(""));
            rotated(evc, device);
        });
        device.report(&evc, &newest, 2);
        let told = table(&evc);
        assert!(told.contains("until the newest database is back") && told.contains(why), "{told}");
        let (begun, said, folder) = begins_anew(evc);
        assert!(!begun && said.contains("day of edge-1. Begun anew, their nodes lock them"), "{said}");
        let evc = Evc::over(folder);
        applies(&evc, &both("operation: unlock\n"));
        let told = table(&evc);
        assert!(told.contains("it goes on after `evc begin-anew`"), "{told}");
        let (begun, said, _) = begins_anew(evc);
        assert!(begun, "{said}");
    }
}

/// While the database is held back no lease is renewed: that its end closes the vault is said, and when.
#[test]
fn a_lease_that_ends_while_the_database_is_held_back_is_said() {
    let leased = |evc: &Evc, device: &mut Device| {
        evc.apply(&policy("lease: 1h\n"));
        takes(evc, device);
    };
    let (evc, device, newest) = put_back(leased, rotated);
    device.report(&evc, &newest, 2);
    let told = table(&evc);
    assert!(
        told.contains("leased: no lease is renewed while this database is held back, and 3600 s after"),
        "{told}"
    );
}

/// A vault that was made after the copy, and is open.
fn unlisted() -> (Evc, Device, Section) {
    let (evc, device, newest) = put_back(
        |evc, _| drop(evc.apply("kind: VaultPolicy\nname: shut\ncustody: controller\noperation: lock\n")),
        |evc, _| drop(evc.apply(&DAY.replace("name: day", "name: later"))),
    );
    device.report(&evc, &newest, 1);
    (evc, device, newest)
}

fn adopts(evc: &Evc, policy: &str, more: &[&str]) -> (bool, String) {
    asks(evc, &[&["adopt", "vault", "later", "--device", "edge-1", "--policy", policy], more].concat())
}

/// Under a policy that locks, and on a device that is lost, it is not taken in: the first list would close it for good.
#[test]
fn what_is_open_is_not_taken_in_under_what_locks_it() {
    let (evc, ..) = unlisted();
    let (done, said) = adopts(&evc, "shut", &[]);
    assert!(!done && said.contains("would close it for good: the policy says `operation: lock`"), "{said}");
    let (done, said) = asks(&evc, &["device", "lost", "edge-1"]);
    assert!(done && said.contains("under keys that are not here: `later`"), "{said}");
    let (done, said) = adopts(&evc, "p", &[]);
    assert!(!done && said.contains("device `edge-1` is marked as lost"), "{said}");
    let (done, said) = adopts(&evc, "p", &["--remove"]);
    assert!(
        done && said.contains("is open, and is to be locked") && !said.contains("stays locked"),
        "{said}"
    );
    assert!(said.contains("no `evc apply` opens it"), "{said}");
}

/// Taken in, and before its node wrapped it anew: each place says so, and each act that would close it.
#[test]
fn what_was_taken_in_is_at_stake_until_its_node_wrapped_it_anew() {
    let (evc, device, newest) = unlisted();
    let (done, said) = adopts(&evc, "p", &[]);
    assert!(done && said.contains("until then a lock or a boot closes it"), "{said}");
    let is_told = |evc: &Evc| table(evc).contains("has not wrapped it anew yet, under epoch 2");
    assert!(is_told(&evc), "{}", table(&evc));
    device.report(&evc, &newest, 1);
    assert!(is_told(&evc), "its node has told again, and took no list: {}", table(&evc));
    let (done, said) = asks(&evc, &["delete", "vault", "later", "--device", "edge-1"]);
    assert!(done && said.contains("no `evc apply` opens it"), "{said}");
    let (begun, said, folder) = begins_anew(evc);
    assert!(!begun && said.contains("later of edge-1. Begun anew, their nodes lock them"), "{said}");
    let evc = Evc::over(folder);
    evc.apply(&DAY.replace("name: day", "name: later"));
    let said = applies(&evc, &policy("operation: lock\n"));
    assert!(
        said.contains("it closes for good, unless the newest database comes back") && said.contains("later"),
        "{said}"
    );
    evc.apply(&policy(""));
    let (begun, said, folder) = begins_anew(evc);
    assert!(begun, "{said}");
    let (evc, mut device) = (Evc::over(folder), device);
    let section = takes(&evc, &mut device);
    device
        .tell(&evc, &but(device.info(&section, 1), "later", |told| told.epoch = Some(vault::ids::Epoch(2))));
    assert!(!table(&evc).contains("wrapped it anew"), "{}", table(&evc));
}

/// Open for the last time, no act says the contrary.
#[test]
fn of_what_is_open_for_the_last_time_no_act_says_that_it_goes_on() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    Device::onboarded(&evc, "edge-2");
    evc.apply(&both(""));
    let section = device.attested(&evc);
    let last = |told: &mut VaultReport| (told.under_anothers_key, told.opened) = (true, None);
    device.tell(&evc, &but(device.info(&section, 1), "day", last));
    let (_, described) = asks(&evc, &["describe", "vault", "day", "--device", "edge-1"]);
    assert!(described.contains("not here: it is wrapped") && !described.contains("released"), "{described}");
    let wait = ["wait", "vault", "day", "--device", "edge-1", "--for", "epoch=1", "--timeout", "0s"];
    assert!(!asks(&evc, &wait).0, "that epoch is another's");
    let file = file(&evc, &policy("operation: lock\n"));
    for more in [&["--dry-run"][..], &[]] {
        let (_, said) = asks(&evc, &[&["apply", "-f", &file], more].concat());
        assert!(said.contains("it closes for good") && !said.contains("it locks 1 vault"), "{said}");
    }
    evc.apply(&policy(""));
    let (done, said) = asks(&evc, &["rotate", "vault", "day", "--device", "edge-1"]);
    assert!(
        done && said.contains("its node may not take it") && !said.contains("at its next contact"),
        "{said}"
    );
    let (done, said) = asks(&evc, &["delete", "vault", "day", "--device", "edge-1"]);
    assert!(done && said.contains("no `evc apply` opens it"), "{said}");
    evc.apply(DAY);
    let (done, said) = asks(&evc, &["device", "lost", "edge-1"]);
    assert!(done && said.contains("under keys that are not here: `day`"), "{said}");
    let rehome = ["rehome", "vault", "day", "--device", "edge-1", "--to", "edge-2", "--confirm", "day"];
    let (done, said) = asks(&evc, &rehome);
    assert!(done && said.contains("none of the keys that went over opens it"), "{said}");
}

/// Closed so, and wanted again, it is not promised to open.
#[test]
fn what_no_key_here_opens_is_not_promised_to_open() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&both(""));
    let section = device.attested(&evc);
    let closed = |told: &mut VaultReport| {
        (told.under_anothers_key, told.opened, told.state) = (true, None, State::Locked);
    };
    device.tell(&evc, &but(device.info(&section, 1), "day", closed));
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    let said = applies(&evc, DAY);
    assert!(said.contains("no key here opens it"), "{said}");
}

fn orders(device: &mut Device, evc: &Evc) -> usize {
    device.hash.clear();
    device.poll(evc).and_then(|answer| answer.control).map_or(0, |control| control.orders.len())
}

/// TH-3, decision 112: a device that the copy has as lost, and that was found since, is not ordered to lock by the copy alone: it shows a newer list. Nothing is
/// released to it. Said once more, the order goes out, and stays over a restart; found, it does not come back.
#[test]
fn th3_a_mark_of_an_older_copy_locks_nothing_until_it_is_said_anew() {
    let lost = |evc: &Evc, device: &mut Device| {
        evc.act("POST", "/devices/edge-1/lost", "");
        device.hash.clear();
        device.poll(evc);
    };
    let (evc, mut device, newest) = put_back(lost, |evc, device| {
        evc.act("DELETE", "/devices/edge-1/lost", "");
        takes(evc, device);
    });
    assert_eq!(orders(&mut device, &evc), 0, "it was found since");
    device.report(&evc, &newest, 1);
    let told = evc.act("GET", "/devices", "").to_string();
    assert!(
        told.contains("it may have been found since") && told.contains("evc device lost edge-1"),
        "{told}"
    );
    evc.act("POST", "/devices/edge-1/lost", "");
    assert!(orders(&mut device, &evc) > 0, "said on this database");
    let evc = Evc::over(evc.stop());
    assert!(orders(&mut device, &evc) > 0, "and kept");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    assert_eq!(orders(&mut device, &evc), 0);
}

/// The twin: said before the device shows that the database is older than it, it is said on this one.
#[test]
fn th3_a_device_that_is_lost_on_a_copy_is_locked_at_its_first_contact() {
    let (evc, mut device, _) = put_back(|_, _| (), rotated);
    evc.act("POST", "/devices/edge-1/lost", "");
    assert!(orders(&mut device, &evc) > 0);
}
