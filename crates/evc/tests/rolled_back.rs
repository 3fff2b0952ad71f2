//! seen-by-users 0.1, 0b.1: a database that was put back, rolled back under a running fleet, or lives twice from one copy. It notices that it
//! is older than its nodes, says so, numbers nothing on, and goes on only under a new incarnation. By the real service and its API.

mod common;

use common::{Device, Evc, couriered, end_graces, id_in, section};
use vault::ids::{DeviceId, VaultId};
use vault::report::State;
use vault::section::{Operation, Presence, Section};
use vault::wanted::Head;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 0s }\n---\n\
                     kind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// A copy of a stopped controller's folder.
fn copy_of(dir: &tempfile::TempDir) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    // Not by a program: a child that is being started holds the locks of other tests' folders for a moment.
    for entry in std::fs::read_dir(dir.path()).expect("lists").map(|entry| entry.expect("an entry")) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copies");
    }
    copy
}

/// A controller over its folder, and a copy of that.
fn copied(evc: Evc) -> (Evc, tempfile::TempDir) {
    let dir = evc.stop();
    let copy = copy_of(&dir);
    (Evc::over(dir), copy)
}

fn begin_anew(folder: &tempfile::TempDir) {
    let run = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    run.block_on(evc::service::begin_anew(folder.path())).expect("begins");
}

/// A device that accepted sections, and told so, after the copy was taken.
fn ahead_of_its_copy() -> (Evc, Device, tempfile::TempDir, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    device.poll(&evc);
    let (evc, copy) = copied(evc);
    evc.apply(VAULT);
    let newest = device.section(&evc);
    device.poll(&evc);
    (evc, device, copy, newest)
}

/// The controller over the copy, under the device that is ahead of it; and the folder of the right one.
fn over_its_copy() -> (Evc, Device, tempfile::TempDir, Section) {
    let (right, device, copy, newest) = ahead_of_its_copy();
    (Evc::over(copy), device, right.stop(), newest)
}

/// Another life of this device, which tells nothing, has it number past the first one's.
fn numbers_past(evc: &Evc, device: &mut Device) {
    let told = device.head.take();
    for n in 0..3 {
        evc.apply(&VAULT.replace("name: day", &format!("name: day{n}")));
        device.hash.clear();
        device.section(evc);
    }
    device.head = told;
}

fn conditions(evc: &Evc) -> String {
    evc.act("GET", "/devices", "").to_string()
}

fn is_not_ahead(evc: &Evc) {
    assert!(!conditions(evc).contains("ahead"), "{}", conditions(evc));
}

/// It is given a list as any other, and no list says that it was ahead.
fn has_its_list(evc: &Evc, device: &mut Device) {
    device.hash.clear();
    device.section(evc);
    is_not_ahead(evc);
}

/// Nothing goes out to the device, and every list says why.
fn withholds(evc: &Evc, device: &mut Device) {
    device.hash.clear();
    let answer = device.poll(evc).expect("an answer");
    assert_eq!(section(&answer), None, "no section");
    assert!(answer.control.expect("control").challenge.is_none(), "and nothing in its place");
    assert!(conditions(evc).contains("ahead of this database"), "{}", conditions(evc));
    assert!(device.poll(evc).is_none(), "said once");
}

/// 0.1: put back, the database does not number on, whatever its operator does to it; brought back, the right one goes on at once.
#[test]
fn a_copy_that_was_put_back_numbers_nothing_on() {
    let (evc, mut device, right, newest) = over_its_copy();
    withholds(&evc, &mut device);
    evc.apply(VAULT);
    (0..4).for_each(|n| drop(evc.apply(&VAULT.replace("name: day", &format!("name: day{n}")))));
    withholds(&evc, &mut device);
    drop(evc.stop());
    let evc = Evc::over(right);
    device.hash.clear();
    let again = device.section(&evc);
    assert_eq!(again.vaults.len(), newest.vaults.len());
    is_not_ahead(&evc);
}

/// 0.1: two that live from one copy. The one that numbered past the other is told apart by what it sent, not by its numbers.
#[test]
fn of_two_from_one_copy_only_the_one_that_the_node_follows_goes_on() {
    let (evc, mut device, ..) = over_its_copy();
    numbers_past(&evc, &mut device);
    withholds(&evc, &mut device);
}

/// After `begin-anew` the device takes it for a new life: a lower number, and what it does not list is not among what is removed.
#[test]
fn a_new_incarnation_goes_on() {
    let (evc, mut device, _, newest) = over_its_copy();
    withholds(&evc, &mut device);
    let folder = evc.stop();
    begin_anew(&folder);
    let evc = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&evc);
    assert_ne!(section.version.incarnation, newest.version.incarnation);
    assert_eq!((section.version.version, section.removed.len()), (1, 0));
    is_not_ahead(&evc);
    let before = device.head;
    device.poll(&evc);
    evc.apply(VAULT);
    assert_eq!(device.section(&evc).follows, before.map(|head| head.digest), "and chained anew");
}

/// A vault whose grace is over is named as removed, until the node told that it is gone.
#[test]
fn what_is_removed_is_named() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let id = id_in(&section, "day");
    evc.act("DELETE", "/devices/edge-1/vaults/day?confirm=day", "");
    common::settle_graces(&evc);
    let removed = device.section(&evc);
    assert_eq!(removed.removed, [id]);
    assert!(removed.vaults.iter().all(|entry| entry.id != id));
    device.report(&evc, &removed, 1);
    assert_eq!(device.section(&evc).removed, [], "told as gone: forgotten");
}

/// What a copy does whose device is ahead of it, and shows nothing of that for once.
fn is_held(evc: &Evc, device: &Device, id: VaultId) {
    let rotated = evc.operator("POST", "/devices/edge-1/vaults/config/rotate", "{}", Some(&evc.token));
    assert_eq!(rotated.status, 409, "no rotation");
    let over = evc::clock::now() + 100 * 86_400;
    assert_eq!(end_graces(evc, over), 0, "no grace ends");
    let (of, first) = (device.id, vault::ids::Epoch(1));
    assert!(evc.stored(|tx| tx.epoch(of, id, first)).is_some(), "and its key is kept");
}

/// A node that has not looked into its record yet, and a poll that was taken on the way and is sent again, tell no head: that takes no
/// mark off.
#[test]
fn a_poll_that_tells_nothing_shows_nothing() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&VAULT.replace("0s", "10m"));
    let section = device.attested(&evc);
    let id = id_in(&section, "day");
    evc.act("DELETE", "/devices/edge-1/vaults/day?confirm=day", "");
    device.section(&evc);
    device.poll(&evc);
    let (right, copy) = copied(evc);
    right.apply(&VAULT.replace("0s", "10m"));
    device.section(&right);
    device.poll(&right);
    drop(right.stop());
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    is_held(&evc, &device, id);
    let head = device.head.take();
    withholds(&evc, &mut device);
    is_held(&evc, &device, id);
    device.head = head.map(|head| Head { device: DeviceId(uuid::Uuid::from_u128(1)), ..head });
    withholds(&evc, &mut device);
    is_held(&evc, &device, id);
}

/// Attack F1, 0b.9: polls of before are signed and not fresh. Sent again by whoever has them, they end nothing in a database that its node
/// showed to be older: not even those that tell what this database sent.
#[test]
fn an_old_poll_that_is_sent_again_ends_nothing() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&VAULT.replace("0s", "10m"));
    let section = device.attested(&evc);
    let id = id_in(&section, "day");
    device.poll(&evc);
    let first = device.seal(&device.ask());
    evc.act("DELETE", "/devices/edge-1/vaults/day?confirm=day", "");
    device.section(&evc);
    device.poll(&evc);
    let newest = device.seal(&device.ask());
    let (right, copy) = copied(evc);
    right.apply(&VAULT.replace("0s", "10m"));
    device.section(&right);
    device.poll(&right);
    drop(right.stop());
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    for old in [&first, &newest].repeat(3) {
        assert!([200, 304].contains(&evc.post(&device.own("config"), old).status));
        is_held(&evc, &device, id);
        assert!(conditions(&evc).contains("ahead of this database"), "{}", conditions(&evc));
    }
    withholds(&evc, &mut device);
}

/// Its operator says that it is the newest after all: then it is, until the device shows that it is not.
#[test]
fn an_operator_takes_off_that_a_device_was_ahead() {
    let (right, mut device, copy, _) = ahead_of_its_copy();
    drop(right);
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    let said = evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "").to_string();
    assert!(said.contains("it was: the device accepted"), "{said}");
    is_not_ahead(&evc);
    withholds(&evc, &mut device);
}

/// Deleted without a grace in a copy that is known to be older: the vault may be in use under the newer one.
#[test]
fn a_copy_deletes_no_keys_of_a_device_that_is_ahead_of_it() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    let id = id_in(&section, "day");
    device.poll(&evc);
    let (right, copy) = copied(evc);
    right.apply(&VAULT.replace("name: day", "name: more"));
    device.section(&right);
    device.poll(&right);
    drop(right.stop());
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    let told = evc.act("DELETE", "/devices/edge-1/vaults/day?confirm=day", "").to_string();
    assert!(told.contains("begin-anew"), "{told}");
    is_held(&evc, &device, id);
    let again = evc.act("DELETE", "/devices/edge-1/vaults/day?confirm=day", "").to_string();
    assert!(again.contains("begin-anew"), "{again}");
    is_held(&evc, &device, id);
}

/// The same backup, put back a second time: the device has been in a life of it that the backup knows nothing of.
#[test]
fn the_same_copy_can_be_put_back_twice() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    device.poll(&evc);
    let backup = evc.stop();
    let (first, second) = (copy_of(&backup), copy_of(&backup));
    begin_anew(&first);
    let evc = Evc::over(first);
    device.hash.clear();
    device.section(&evc);
    device.poll(&evc);
    drop(evc.stop());
    begin_anew(&second);
    let evc = Evc::over(second);
    withholds(&evc, &mut device);
    let second = evc.stop();
    begin_anew(&second);
    let evc = Evc::over(second);
    has_its_list(&evc, &mut device);
}

/// A device that accepted many sections; what it had long before, and what it asked then.
fn long_served() -> (Evc, Device, Option<Head>, Vec<Vec<u8>>) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    device.poll(&evc);
    let (old, mut asked) = (device.head, Vec::new());
    for n in 0..60 {
        asked.push(device.seal(&device.ask()));
        let operation = if n % 2 == 0 { "lock" } else { "unlock" };
        evc.apply(&VAULT.replace("controller\n", &format!("controller\noperation: {operation}\n")));
        device.hash.clear();
        device.section(&evc);
    }
    device.poll(&evc);
    (evc, device, old, asked)
}

/// Also a node whose disk is much older than the database is followed, and so after a restart of the controller.
#[test]
fn a_node_whose_disk_went_back_far_is_no_sign_of_an_older_database() {
    let (evc, mut device, old, _) = long_served();
    let evc = evc.restart();
    let newest = device.head.expect("accepted").version.version;
    device.head = old;
    device.hash.clear();
    let section = device.section(&evc);
    assert_eq!(section.follows, old.map(|head| head.digest), "it follows what the node has");
    assert!(section.version.version > newest);
    is_not_ahead(&evc);
    device.poll(&evc);
    device.hash.clear();
    assert_eq!(device.section(&evc).version.version, section.version.version, "and once");
}

/// Attack F2: however often, for each of them is one number. What the device has stays known: not one of thousands.
#[test]
fn old_polls_that_are_sent_again_are_numbered_once() {
    let (evc, mut device, _, asked) = long_served();
    let id = device.id;
    let number = |evc: &Evc| evc.stored(|tx| tx.device(id)).expect("there").section_version;
    let before = number(&evc);
    for old in asked.iter().take(40).collect::<Vec<_>>().repeat(4) {
        assert!([200, 304].contains(&evc.post(&device.own("config"), old).status));
    }
    assert!(number(&evc) <= before + 40, "{} of {before}", number(&evc));
    has_its_list(&evc, &mut device);
}

/// Attack B: a poll of an earlier session, for which all is ordered to be locked, and one of this session, sent again in turn: nothing is numbered
/// for the earlier one, and what the device truly has stays known.
#[test]
fn polls_of_a_session_that_is_over_are_numbered_for_nothing() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&VAULT.replace("controller\n", "controller\noperation: lock\n"));
    device.attested(&evc);
    device.poll(&evc);
    let old = device.seal(&device.ask());
    boots(&mut device);
    device.attested(&evc);
    device.poll(&evc);
    let id = device.id;
    let number = |evc: &Evc| evc.stored(|tx| tx.device(id)).expect("there").section_version;
    let (before, of_now) = (number(&evc), device.seal(&device.ask()));
    for poll in [&old, &of_now].repeat(20) {
        assert!([200, 304].contains(&evc.post(&device.own("config"), poll).status));
    }
    assert_eq!(number(&evc), before, "nothing was numbered");
    has_its_list(&evc, &mut device);
}

/// Attack B: what pushed all that is remembered out pushes out nothing that the device truly has.
#[test]
fn what_a_device_has_is_known_though_all_else_is_forgotten() {
    let (evc, mut device, _, asked) = long_served();
    for old in asked.iter().take(40) {
        evc.post(&device.own("config"), old);
    }
    let folder = evc.stop();
    common::sql(folder.path(), &["DELETE FROM sent_before"]);
    let evc = Evc::over(folder);
    has_its_list(&evc, &mut device);
}

/// Polls that were taken on the way long ago, sent again and again, make no database an older one.
#[test]
fn old_polls_that_are_sent_again_make_no_database_older() {
    let (evc, mut device, _, asked) = long_served();
    for old in [&asked[0], &asked[20]].repeat(40) {
        assert_eq!(evc.post(&device.own("config"), old).status, 200);
        is_not_ahead(&evc);
    }
    evc.act("POST", "/devices/edge-1/vaults/day/rotate", r#"{"force":true,"confirm":"day"}"#);
    has_its_list(&evc, &mut device);
}

/// A device that this database remembers nothing of but the newest sections, and a poll of long before, which looks as if it were ahead.
fn marked_by_an_old_poll() -> (Evc, Device, Vec<u8>) {
    let (evc, device, _, asked) = long_served();
    let folder = evc.stop();
    common::sql(folder.path(), &["DELETE FROM sent_before"]);
    let evc = Evc::over(folder);
    let old = asked[0].clone();
    assert_eq!(evc.post(&device.own("config"), &old).status, 200);
    assert!(conditions(&evc).contains("ahead of this database"), "{}", conditions(&evc));
    (evc, device, old)
}

/// A life of its node that can't read its record yet: it tells nothing of what it accepted. What it had accepted.
fn boots(device: &mut Device) -> Option<Head> {
    device.session = common::new_session();
    device.hash.clear();
    device.head.take()
}

/// Once its record is open: a section that follows what it had is the next one.
fn opens_its_record(device: &mut Device, had: Option<Head>, section: &Section) {
    if section.follows != had.map(|head| head.digest) {
        device.head = had;
    }
}

/// Seen-by-users 0b.9: an old poll that is sent again makes a mark, and shuts no node out after its boot: fresh evidence of its new session,
/// and that it accepts what was sent to it since, take the mark off. The old poll, sent all the while, does not keep it on.
#[test]
fn a_mark_by_an_old_poll_comes_off_when_its_node_boots() {
    let (evc, mut device, old) = marked_by_an_old_poll();
    device.hash.clear();
    device.section(&evc);
    device.poll(&evc);
    assert!(conditions(&evc).contains("ahead of this database"), "the session that stood shows nothing");
    let had = boots(&mut device);
    evc.post(&device.own("config"), &old);
    let section = device.attested(&evc);
    assert!(device.keys(&section, "config").is_some(), "its record opens");
    opens_its_record(&mut device, had, &section);
    assert!(conditions(&evc).contains("ahead of this database"), "it has accepted nothing since");
    evc.post(&device.own("config"), &old);
    device.poll(&evc);
    is_not_ahead(&evc);
    evc.act("POST", "/devices/edge-1/vaults/config/rotate", "{}");
}

/// Its twin: of a node that truly went on elsewhere no evidence takes the mark off, for it does not follow what it is sent.
#[test]
fn a_node_that_went_on_elsewhere_stays_marked_whatever_it_proves() {
    let (evc, mut device, ..) = over_its_copy();
    numbers_past(&evc, &mut device);
    withholds(&evc, &mut device);
    for _ in 0..2 {
        let had = boots(&mut device);
        let section = device.attested(&evc);
        opens_its_record(&mut device, had, &section);
        assert_eq!(device.head, had, "it does not take that");
        assert!(conditions(&evc).contains("ahead of this database"), "{}", conditions(&evc));
        withholds(&evc, &mut device);
        let had = device.head.take();
        withholds(&evc, &mut device);
        device.head = had;
    }
}

/// Evidence that a courier brings answers a challenge of days ago: it takes no mark off.
#[test]
fn evidence_by_courier_takes_no_mark_off() {
    let (evc, mut device, _) = marked_by_an_old_poll();
    let had = boots(&mut device);
    let made = evc.act("POST", "/devices/edge-1/courier", "{}");
    let nonce = couriered::nonce(&couriered::read(&evc, &made));
    evc.act("POST", "/courier", &couriered::body(&couriered::parts(&device, nonce)));
    withholds(&evc, &mut device);
    device.head = had;
    device.hash.clear();
    device.section(&evc);
    device.poll(&evc);
    assert!(conditions(&evc).contains("ahead of this database"), "{}", conditions(&evc));
}

/// What was ordered before the copy was made may have been carried out since, and the vault be full again.
#[test]
fn a_new_life_has_no_orders_of_the_one_before() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    let lost = |device: &Device, section: &Section| {
        let state = |name: &str| if name == "day" { State::Missing } else { State::Unlocked };
        device.reported(section, 1, state)
    };
    assert_eq!(evc.post(&device.own("info"), &lost(&device, &section)).status, 201);
    evc.act("POST", "/devices/edge-1/vaults/day/recreate?confirm=day", "");
    let (right, copy) = copied(evc);
    assert!(device.section(&right).vaults.iter().any(|entry| entry.recreate), "ordered");
    device.poll(&right);
    drop(right.stop());
    begin_anew(&copy);
    let evc = Evc::over(copy);
    let order = || {
        evc.operator("POST", "/devices/edge-1/vaults/day/recreate?confirm=day", "", Some(&evc.token)).status
    };
    assert_eq!(order(), 409, "nor is one given by what the node said then");
    device.hash.clear();
    let section = device.section(&evc);
    assert!(section.vaults.iter().all(|entry| !entry.recreate), "an order of another life");
    assert_eq!(evc.post(&device.own("info"), &lost(&device, &section)).status, 201);
    assert_eq!(order(), 200, "but by what it says now");
}

/// What was being removed is neither erased nor opened by a copy: its key waits for an operator's word, and so does its end.
#[test]
fn a_new_life_opens_nothing_that_was_being_removed() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&VAULT.replace("0s", "10m"));
    let section = device.attested(&evc);
    let id = id_in(&section, "day");
    device.report(&evc, &section, 1);
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    let folder = evc.stop();
    begin_anew(&folder);
    let evc = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&evc);
    let day = section.vaults.iter().find(|entry| entry.id == id).expect("listed");
    assert_eq!((day.standing, day.operation), (Presence::Retained, Operation::Lock));
    assert_eq!(device.keys(&section, "day"), None, "no key goes out");
    assert!(section.removed.is_empty());
    let late = evc::clock::now() + 100 * 86_400;
    assert_eq!(end_graces(&evc, late), 0, "and no time ends it");
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    assert_eq!(end_graces(&evc, late + 601), 1, "deleted anew, it goes");
}

/// Nothing is released to a device that is ahead, and no list says otherwise.
#[test]
fn no_list_says_that_a_key_would_go_to_a_device_that_is_ahead() {
    let (evc, mut device, ..) = over_its_copy();
    let keys = |evc: &Evc| evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
    assert!(keys(&evc).contains("would be released"), "{}", keys(&evc));
    withholds(&evc, &mut device);
    assert!(!keys(&evc).contains("would be released"), "{}", keys(&evc));
    assert!(keys(&evc).contains("withheld: the device accepted version"), "{}", keys(&evc));
}

/// 0b.1: a database that was put back comes to the number and the words of a section that went out before, and that its node did not take
/// for the next one. What the node tells that it has is not this one, and it is answered in full, or it would wait for ever.
#[test]
fn a_copy_says_anew_what_its_node_did_not_take() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    device.poll(&evc);
    evc.apply(VAULT);
    let (evc, copy) = copied(evc);
    let head = device.head;
    let not_taken = device.section(&evc);
    device.head = head;
    drop(evc);
    let older = Evc::over(copy);
    let answer = device.poll(&older).expect("an answer");
    let anew = section(&answer).expect("not unchanged");
    assert_eq!((anew.version, anew.follows), (not_taken.version, head.map(|head| head.digest)));
    device.poll(&older);
    assert!(device.poll(&older).is_none(), "and then it is unchanged");
}
