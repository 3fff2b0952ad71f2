//! Invariant 4, attacks G3 and after: what stands in a database of before and destroys or bars is undone as soon as that is noticed, what is said from
//! then on holds, and nothing that a device or a node has is dropped by it. That it releases nothing: `gone_through`.

mod common;

use common::copies::{checked, copy_of, held_back, put_back};
use common::{Device, Evc, end_graces, new_session, section};

const ONE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

fn settled(evc: &Evc, device: &mut Device) -> vault::section::Section {
    let section = device.attested(evc);
    device.report(evc, &section, 1);
    common::until_unchanged(evc, device);
    section
}

fn standing(evc: &Evc, name: &str) -> String {
    let all = evc.act("GET", "/vaults", "");
    let row = all.as_array().expect("a list").iter().find(|row| row["name"] == name).expect("listed");
    row["standing"].as_str().expect("said").to_owned()
}

fn missing(evc: &Evc, device: &Device, section: &vault::section::Section) {
    use vault::report::State;
    device.tell(
        evc,
        &device.info_of(section, 1, |name| if name == "day" { State::Missing } else { State::Unlocked }),
    );
}

/// Invariant 4: an order to make a vault anew, empty, was withdrawn since the copy was made (the disk was found). `evc begin-anew` withdraws such
/// orders; a database that was put back and gone through gives them all the same.
#[test]
fn an_order_to_make_a_vault_anew_is_withdrawn_in_a_database_that_was_put_back() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(ONE);
    let given = device.attested(&evc);
    device.report(&evc, &given, 1);
    let given = (0..4).filter_map(|_| section(&device.poll(&evc)?)).last().unwrap_or(given);
    common::until_unchanged(&evc, &mut device);
    missing(&evc, &device, &given);
    common::until_unchanged(&evc, &mut device);
    evc.act("POST", "/devices/edge-1/vaults/day/recreate?confirm=day", "");
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copy_of(&evc, &copies);
    let withdrawn = evc.operator("DELETE", "/devices/edge-1/vaults/day/recreate", "", Some(&evc.token));
    assert_eq!(withdrawn.status, 200, "{}", String::from_utf8_lossy(&withdrawn.body));
    let folder = evc.stop();
    put_back(folder.path(), &copy);
    let evc = Evc::over(folder);
    assert_eq!(section(&device.poll(&evc).expect("an answer")), None, "it is noticed");
    let evc = checked(evc);
    device.hash.clear();
    let given = (0..4).find_map(|_| section(&device.poll(&evc)?)).expect("a section");
    let day = given.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed");
    assert!(!day.recreate, "its node is told to make it anew, empty");
}

/// What operators may have said since is named, also where nothing is left to be done about it.
#[test]
fn what_destroys_or_bars_is_told_by_the_put_back_list() {
    let list =
        std::process::Command::new(env!("CARGO_BIN_EXE_evc")).args(["put-back"]).output().expect("ran");
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    for what in ["anew, empty", "alarm", "marked as lost", "retained"] {
        assert!(text.contains(what), "{what}: {text}");
    }
}

/// The list of `evc put-back` says to delete anew what was deleted since the copy. What is told then (kept until a time) is not what becomes of it.
#[test]
fn a_vault_that_is_deleted_while_its_database_is_gone_through_goes_as_it_was_told() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(ONE);
    settled(&evc, &mut device);
    let evc = held_back(evc);
    let told = evc.act("DELETE", "/devices/edge-1/vaults/day", "").to_string();
    assert!(told.contains("kept until"), "{told}");
    let evc = checked(evc);
    assert_eq!(standing(&evc, "day"), "removing", "{told}");
    assert_eq!(end_graces(&evc, evc::clock::now() + 80 * 3600), 1, "{told}");
}

/// `evc put-back --checked` of a database that nobody put back.
#[test]
fn a_database_that_was_not_put_back_keeps_its_graces() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(ONE);
    settled(&evc, &mut device);
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    assert_eq!(standing(&checked(evc), "day"), "removing");
}

/// One whose log a build of before noticed is held by that build's note: what it has as being removed may be of the copy.
#[test]
fn what_a_build_of_before_noticed_ends_nothing_of_before() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(ONE);
    settled(&evc, &mut device);
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    let folder = evc.stop();
    common::sql(
        folder.path(),
        &[
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('put back', CAST('to be gone through' AS BLOB))",
        ],
    );
    assert_eq!(standing(&checked(Evc::over(folder)), "day"), "retained");
}

/// Decision 86: a database that was put back deletes nothing.
#[test]
fn a_database_that_was_put_back_drops_no_bundle() {
    use common::escrowed::{sealed, upload};
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    for n in 0..6_u8 {
        upload(&evc, &device, sealed(&evc, &device, 1, &[n; 9]));
    }
    common::sql(evc.dir.path(), &["UPDATE bundles SET received_at = received_at - 40 * 86400"]);
    let evc = held_back(evc);
    let before = common::count(evc.dir.path(), "bundles");
    upload(&evc, &device, sealed(&evc, &device, 1, b"another"));
    assert_eq!(common::count(evc.dir.path(), "bundles"), before + 1);
}

/// A database that was brought over by `sqlite3 .dump` or `.recover` (as one that was damaged is) has lost its number: in a folder of its own
/// nothing shows that it is a copy.
#[test]
fn a_database_without_its_number_is_a_copy() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(ONE);
    settled(&evc, &mut device);
    let folder = evc.stop();
    std::fs::remove_file(folder.path().join("evc.db-opened")).expect("removed");
    common::sql(folder.path(), &["PRAGMA application_id = 0"]);
    let evc = Evc::over(folder);
    device.session = new_session();
    device.hash.clear();
    let answer = device.poll(&evc).expect("an answer");
    assert!(answer.control.expect("control").challenge.is_none(), "it goes on as if it was not put back");
}
