//! Attack G3: a copy of the database is put back as the documents say. What operators said since it was made (a device is lost, a token ended) is not
//! in it. So no key goes out until who has the folder says that it was gone through. By the real service, its API and its folder.

mod common;

use std::fs;

use common::copies::{copy_of, put_back, run};
use common::{Device, Evc, end_graces, section};
use disk::Disk;
use disk::faulty::{Fault, Faults, Faulty};
use tempfile::TempDir;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

const REMOVED_SLOWLY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 10m }\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// The device boots again: a session of its own, and nothing is known of what it had.
fn boots(device: &mut Device) {
    device.session = common::new_session();
    device.hash.clear();
}

fn glance(evc: &Evc) -> String {
    evc.act("GET", "/glance", "").to_string()
}

/// Nothing goes out to the device, nothing changes its keys, and each list says why and what to do.
fn withholds(evc: &Evc, device: &mut Device) {
    boots(device);
    let answer = device.poll(evc).expect("an answer");
    assert_eq!(section(&answer), None, "no section");
    assert!(answer.control.expect("control").challenge.is_none(), "and nothing in its place");
    let rotated = evc.operator("POST", "/devices/edge-1/vaults/day/rotate", "{}", Some(&evc.token));
    assert_eq!(rotated.status, 409, "no rotation");
    let listed = evc.act("GET", "/devices", "").to_string();
    assert!(listed.contains("the database was put back from a copy"), "{listed}");
    let shown = evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
    assert!(shown.contains("withheld: the database was put back") && !shown.contains("would be"), "{shown}");
    assert!(glance(evc).contains("evc put-back --checked"), "{}", glance(evc));
}

fn released(evc: &Evc, device: &mut Device) -> bool {
    boots(device);
    let given = device.attested(evc);
    device.keys(&given, "day").is_some()
}

/// One life of a controller: the copy is of its middle, and what was said after it is gone with it.
#[test]
fn a_copy_releases_nothing_until_it_was_gone_through() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    assert!(released(&evc, &mut device));
    let copy = copy_of(&evc, &copies);
    evc.act("POST", "/devices/edge-1/lost", "");
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    withholds(&evc, &mut device);
    // Neither another start nor a new incarnation is an operator's word.
    let folder = evc.restart().stop();
    run(evc::service::begin_anew(folder.path())).expect("begun");
    let evc = Evc::over(folder);
    withholds(&evc, &mut device);
    evc.act("POST", "/devices/edge-1/lost", "");
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let evc = Evc::over(folder);
    assert!(!glance(&evc).contains("put back"), "{}", glance(&evc));
    boots(&mut device);
    let answer = device.poll(&evc).expect("an answer");
    assert_eq!(section(&answer), None, "it is lost");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    assert!(released(&evc.restart(), &mut device), "and keys go out by what was said anew");
}

/// Also one that comes with no number of this folder's: with a log of its own, or on another machine.
#[test]
fn a_database_that_was_moved_into_the_folder_is_a_copy() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let folder = evc.stop();
    fs::remove_file(folder.path().join("evc.db-opened")).expect("removed");
    let evc = Evc::over(folder);
    withholds(&evc, &mut device);
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    assert!(released(&Evc::over(folder), &mut device));
}

/// A device that is registered while nothing goes out has shown nothing and is not marked. Of its keys the same is said.
#[test]
fn a_device_that_comes_while_nothing_goes_out_is_shown_so() {
    let evc = Evc::start();
    Device::onboarded(&evc, "edge-2");
    let folder = evc.stop();
    fs::remove_file(folder.path().join("evc.db-opened")).expect("removed");
    let evc = Evc::over(folder);
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let shown = || evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
    assert!(shown().contains("withheld: the database was put back from a copy"), "{}", shown());
    withholds(&evc, &mut device);
}

/// The twin: a copy of after the last word of an operator's has all of them; and however many there were, the next start knows its own.
#[test]
fn what_has_every_word_of_operators_releases_at_once() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    for n in 0..40 {
        evc.apply(
            &VAULT.replace("name: p", &format!("name: p{n}")).replace("policy: p", &format!("policy: p{n}")),
        );
    }
    let copy = copy_of(&evc, &copies);
    // What a device says is none of their words.
    boots(&mut device);
    device.poll(&evc);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    assert!(released(&evc, &mut device));
    assert!(released(&evc.restart(), &mut device));
}

/// Who reads for long keeps the log from being folded in, and no act from being counted: a copy from between them is known as one.
#[test]
fn acts_are_counted_while_somebody_reads() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let reader = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    reader.execute_batch("BEGIN").expect("begun");
    let seen: i64 = reader.query_row("SELECT count(*) FROM policies", (), |row| row.get(0)).expect("read");
    assert_eq!(seen, 0);
    let policy = |n: u32| format!("kind: VaultPolicy\nname: p-{n}\ncustody: controller\n");
    (0..25).for_each(|n| drop(evc.apply(&policy(n))));
    let copy = copy_of(&evc, &copies);
    (25..40).for_each(|n| drop(evc.apply(&policy(n))));
    drop(reader);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    assert!(glance(&evc).contains("evc put-back --checked"), "{}", glance(&evc));
}

/// The copy has a vault as being removed that was kept since: erased by the copy's word, its key would be gone for good.
#[test]
fn what_was_kept_again_after_the_copy_is_not_ended_by_it() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(REMOVED_SLOWLY);
    assert!(released(&evc, &mut device));
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    let copy = copy_of(&evc, &copies);
    evc.apply(REMOVED_SLOWLY);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let folder = Evc::over(folder).stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let evc = Evc::over(folder);
    assert_eq!(end_graces(&evc, evc::clock::now() + 601), 0, "nothing ends");
    evc.apply(REMOVED_SLOWLY);
    assert!(released(&evc, &mut device), "and its key is there");
}

/// Grave: what the device shows (its head is of after the copy) does not hide that the database was put back, also once an operator has settled
/// that; nothing ends, is rotated or moved before it was gone through. And a lost device is told to lock all the same.
#[test]
fn what_a_device_shows_ends_nothing_in_a_copy_that_was_put_back() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(REMOVED_SLOWLY);
    assert!(released(&evc, &mut device));
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    device.section(&evc);
    device.poll(&evc);
    let copy = copy_of(&evc, &copies);
    evc.apply(REMOVED_SLOWLY);
    let newest = device.section(&evc);
    device.poll(&evc);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    device.hash.clear();
    assert_eq!(section(&device.poll(&evc).expect("an answer")), None, "it is ahead");
    let settled = evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "").to_string();
    assert!(
        settled.contains("evc put-back --checked") && !settled.contains("keys are released"),
        "{settled}"
    );
    assert!(glance(&evc).contains("evc put-back --checked"), "{}", glance(&evc));
    let listed = evc.act("GET", "/devices", "").to_string();
    assert!(listed.contains("the database was put back from a copy"), "{listed}");
    assert_eq!(end_graces(&evc, evc::clock::now() + 601), 0, "nothing ends");
    let at_once = evc.act("DELETE", "/devices/edge-1/vaults/day?delete_after=0&confirm=day", "").to_string();
    assert!(at_once.contains("kept until"), "{at_once}");
    evc.apply(REMOVED_SLOWLY);
    let rotated = evc.operator(
        "POST",
        "/devices/edge-1/vaults/day/rotate",
        r#"{"force":true,"confirm":"day"}"#,
        Some(&evc.token),
    );
    assert_eq!(rotated.status, 409, "no rotation");
    let lost = evc.act("POST", "/devices/edge-1/lost", "").to_string();
    assert!(lost.contains("ordered to lock"), "{lost}");
    let answer = device.poll(&evc).expect("an answer");
    let control = answer.control.expect("control");
    assert!(!control.orders.is_empty() && control.challenge.is_none(), "it is to lock");
    let as_of = control.as_of.expect("their place");
    assert!(as_of.version > newest.version.version && as_of.incarnation == newest.version.incarnation);
    assert!(device.poll(&evc).is_none(), "said once");
}

/// Invariant 6, at each write beside the database: what failed lets nothing go, also after starts; said again, it is done.
#[test]
fn what_could_not_be_said_whole_lets_no_key_go() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let copy = copy_of(&evc, &copies);
    evc.act("POST", "/devices/edge-1/lost", "");
    let mut folder = evc.stop();
    for fault in Fault::ALL {
        let operations = (0..50).find(|nth| {
            put_back(folder.path(), &copy);
            let faults = Faults::default();
            let disk = Disk::through(Faulty::linux(&faults));
            let says = || drop(run(evc::service::checked(&disk, folder.path())));
            if !faults.during(fault, *nth, says) {
                return true;
            }
            let evc = Evc::over(std::mem::replace(&mut folder, TempDir::new().expect("a folder"))).restart();
            assert!(glance(&evc).contains("evc put-back --checked"), "{fault:?} {nth}: {}", glance(&evc));
            withholds(&evc, &mut device);
            folder = evc.stop();
            false
        });
        assert!(operations.expect("it comes to an end") > 1, "{fault:?}: {operations:?}");
    }
    put_back(folder.path(), &copy);
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said again");
    assert!(released(&Evc::over(folder), &mut device));
}

/// What the command line says, and whether it did it.
fn evc_says(args: &[&str]) -> (bool, String) {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_evc")).args(args).output().expect("ran");
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(said).expect("text"))
}

fn begin_anew(folder: &TempDir, more: &[&str]) -> (bool, String) {
    let data = folder.path().to_str().expect("a path");
    evc_says(&[&["begin-anew", "--data", data, "--confirm"], more].concat())
}

/// Invariant 4: a vault that was made after the copy is told wherever somebody looks, a new life that would close it for good does not begin
/// unasked, and taken in while it is open it gets keys of this database, above the number that it is under.
#[test]
fn what_was_made_after_the_copy_is_told_and_taken_in_while_it_is_open() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    device.attested(&evc);
    device.poll(&evc);
    let copy = copy_of(&evc, &copies);
    evc.apply(&VAULT.replace("name: day", "name: later"));
    let newest = device.section(&evc);
    device.poll(&evc);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    device.report(&evc, &newest, 1);
    let adopt = "evc adopt vault later --device edge-1 --policy POLICY";
    assert!(
        glance(&evc).contains("vault later of edge-1: ") && glance(&evc).contains(adopt),
        "{}",
        glance(&evc)
    );
    let (_, table) =
        evc_says(&["get", "vaults", "--data", evc.dir.path().to_str().expect("a path"), "--url", &evc.url]);
    let line = table.lines().find(|line| line.contains("later")).unwrap_or_else(|| panic!("{table}"));
    assert!(
        line.contains("by a list that this database does not have") && !line.contains("(default)"),
        "{line}"
    );
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(!done && said.contains("later of edge-1") && said.contains("nothing was changed"), "{said}");
    let evc = Evc::over(folder);
    evc.act("POST", "/devices/edge-1/vaults/later/adopt", r#"{"policy":"p"}"#);
    assert!(!glance(&evc).contains("evc adopt vault later"), "{}", glance(&evc));
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    let (done, said) = begin_anew(&folder, &[]);
    assert!(done && !said.contains("later of"), "{said}");
    let evc = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&evc);
    let (current, last) = device.keys(&section, "later").expect("its keys go out");
    assert_ne!(current, last);
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "later").expect("listed");
    let vault::section::Release::Keys { current, .. } = &entry.release else { panic!("{entry:?}") };
    assert!(entry.created && current.epoch == vault::ids::Epoch(2), "above its node's number: {entry:?}");
}

/// Given up by a word of its own, the new life begins; and one that is not open is no reason to wait, and is named.
#[test]
fn what_was_made_after_the_copy_is_given_up_by_a_word_of_its_own() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    device.attested(&evc);
    let copy = copy_of(&evc, &copies);
    evc.apply(&VAULT.replace("name: day", "name: later"));
    let newest = device.section(&evc);
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    device.report(&evc, &newest, 1);
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &["--despite-open"]);
    assert!(done && said.contains("vault later of edge-1 is open, by what its node told last"), "{said}");
    let evc = Evc::over(folder);
    let locked = |name: &str| {
        if name == "later" { vault::report::State::Locked } else { vault::report::State::Unlocked }
    };
    assert_eq!(evc.post(&device.own("info"), &device.reported(&newest, 1, locked)).status, 201);
    let refused =
        evc.operator("POST", "/devices/edge-1/vaults/later/adopt", r#"{"policy":"p"}"#, Some(&evc.token));
    assert_eq!(refused.status, 409, "it opens by no key of this database");
    let folder = evc.stop();
    let (done, said) = begin_anew(&folder, &[]);
    assert!(
        done && said.contains("vault later of edge-1 is under a key that this copy does not have"),
        "{said}"
    );
}

/// KO-1: a default vault that got a policy after the copy is under a key that is not here, and not well under its default policy.
#[test]
fn a_default_vault_under_a_key_that_is_not_here_is_told() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    // As of a node with a TPM, of which no row of a default vault is kept.
    let keys = "DELETE FROM epochs WHERE vault = (SELECT id FROM vaults WHERE name = 'config')";
    common::sql(evc.dir.path(), &[keys, "DELETE FROM vaults WHERE name = 'config'"]);
    let config = |state, epoch| {
        let mut info = device.info(&section, 1);
        for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
            if report.name.as_str() == "config" {
                (report.state, report.epoch) = (state, epoch);
            }
        }
        device.tell(&evc, &info);
        evc.app.glances.count_anew();
        let told = glance(&evc);
        if told.contains("vault config of edge-1") { told } else { String::new() }
    };
    let one = Some(vault::ids::Epoch(1));
    let locked = config(vault::report::State::Locked, one);
    assert!(locked.contains("eve vault recreate config --confirm config --despite-other-key"), "{locked}");
    let described = evc.act("GET", "/devices/edge-1", "").to_string();
    assert!(described.contains("not here: it is wrapped under a controller's key"), "{described}");
    let open = config(vault::report::State::Unlocked, one);
    assert!(open.contains("evc apply"), "{open}");
    assert_eq!(config(vault::report::State::Unlocked, None), "", "under its default policy it is well");
}
