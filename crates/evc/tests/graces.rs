//! Graces by clocks that are set, and graces that can't end: the time that a vault is kept is the time that passed, and no device's vault
//! keeps another's waiting. Times here are told, none is waited for.

mod common;

use std::time::Duration;

use common::{Device, Evc};
use evc::api::Deletion;
use evc::clock::now;
use evc::operator::operate::RemovalWish;
use evc::service::{Settings, Steady, start};
use evc::store::StoreError;
use vault::ids::{DeviceId, Epoch, Name};

const HOUR: u64 = 3600;
const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 72h }\n";

fn vault(device: &str, name: &str) -> String {
    format!("---\nkind: Vault\nname: {name}\ndevice: {device}\npolicy: p\n")
}

fn payments() -> Name {
    "payments".parse().expect("a name")
}

fn delete(evc: &Evc, device: &str, name: &Name, at: u64) {
    evc.wait(evc.as_operator().delete_vault(device, name, &RemovalWish::default(), at)).expect("deleted");
}

/// When the grace of a device's only vault of that name ends.
fn until(evc: &Evc, device: DeviceId) -> Option<u64> {
    let row = evc.stored(|tx| {
        Box::pin(async move { tx.vault_by_name(device, &"payments".parse().expect("a name")).await })
    });
    row.and_then(|row| row.delete_at)
}

/// A round of housekeeping. How many graces ended.
fn round(evc: &Evc, clock: &mut Steady, at: u64, passed_s: u64) -> usize {
    evc.wait(evc.app.keep_house(clock, at, Duration::from_secs(passed_s))).expect("kept")
}

/// A machine that booted three days behind: its vault is deleted by that clock, which is set right afterwards.
fn deleted_by_a_clock_that_was_behind() -> (Evc, Device, Steady, u64) {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + &vault("edge-1", "payments")));
    let (right, behind) = (now(), now() - 72 * HOUR);
    evc.meddle(|tx| Box::pin(async move { tx.put_meta("time seen", &behind.to_be_bytes()).await }));
    let mut clock = evc.wait(evc.app.clock(behind)).expect("read");
    assert_eq!(round(&evc, &mut clock, behind + 15, 15), 0);
    delete(&evc, "edge-1", &payments(), behind + 20);
    (evc, device, clock, right)
}

#[test]
fn a_grace_that_began_by_a_clock_that_was_behind_lasts_as_long_as_any() {
    let (evc, _, mut clock, right) = deleted_by_a_clock_that_was_behind();
    let passed = |evc: &Evc, clock: &mut Steady, from: u64, until: u64| {
        (from..until).step_by(15).map(|at| round(evc, clock, right + at, 15)).sum::<usize>()
    };
    assert_eq!(passed(&evc, &mut clock, 15, 2 * HOUR), 0, "the hour after the jump does not end it");
    assert_eq!(round(&evc, &mut clock, right + 71 * HOUR, 69 * HOUR), 0);
    assert_eq!(round(&evc, &mut clock, right + 73 * HOUR, 2 * HOUR), 1, "the time that passed does");
}

/// A controller that ends right after the jump finds that it was counted.
#[test]
fn a_jump_of_the_clock_is_counted_once() {
    let (evc, device, mut clock, right) = deleted_by_a_clock_that_was_behind();
    let before = until(&evc, device.id).expect("in its grace");
    assert_eq!(round(&evc, &mut clock, right + 15, 15), 0);
    let after = until(&evc, device.id).expect("in its grace");
    assert!(after.abs_diff(before + 72 * HOUR) < 60, "{before} {after}");
    let mut next = evc.wait(evc.app.clock(right + 60)).expect("read");
    assert_eq!(round(&evc, &mut next, right + 75, 15), 0);
    assert_eq!(until(&evc, device.id), Some(after), "not once more");
    evc.meddle(|tx| {
        Box::pin(async move {
            let row = tx.vault_by_name(device.id, &payments()).await?.expect("there");
            tx.begin_grace(device.id, row.id, right + 80).await
        })
    });
    assert_eq!(round(&evc, &mut next, right + 90, 15), 0, "nor is the clock believed the sooner for it");
}

/// 2100-01-01: a clock that is far ahead.
const FAR: u64 = 4_102_444_800;

/// A grace of three days, and a clock that jumped ahead after it began, and ran there for so long.
fn ahead_for(evc: &Evc, at: u64, hours: u64) -> Steady {
    evc.apply(&(POLICY.to_owned() + &vault("edge-1", "payments") + &vault("edge-1", "later")));
    let mut clock = Steady::since(at);
    assert_eq!(round(evc, &mut clock, at, 0), 0);
    delete(evc, "edge-1", &payments(), at);
    for passed in (0..hours * HOUR).step_by(240) {
        assert_eq!(round(evc, &mut clock, FAR + passed, 240), 0, "nothing ends by the jump");
    }
    clock
}

/// Invariant 6: a clock that is set to 2100, believed there or not, and set right again, leaves a grace as long as it was given: it ends no sooner, and it
/// ends.
#[test]
fn a_clock_that_went_to_2100_and_back_leaves_graces_as_long_as_they_were() {
    for hours in [0, 1, 5] {
        let evc = Evc::start();
        let device = Device::onboarded(&evc, "edge-1");
        let at = now();
        let mut clock = ahead_for(&evc, at, hours);
        let right = at + hours * HOUR + 15;
        assert_eq!(round(&evc, &mut clock, right, 15), 0, "{hours}");
        let end = until(&evc, device.id).expect("in its grace");
        assert!((at + 72 * HOUR..at + 73 * HOUR).contains(&end), "{hours}: {}", end - at);
        assert_eq!(round(&evc, &mut clock, at + 71 * HOUR, at + 71 * HOUR - right), 0, "{hours}");
        delete(&evc, "edge-1", &"later".parse().expect("a name"), at + 71 * HOUR);
        assert_eq!(round(&evc, &mut clock, at + 73 * HOUR, 2 * HOUR), 1, "{hours}");
        let later = round(&evc, &mut clock, at + 144 * HOUR, 71 * HOUR);
        assert_eq!(later, 1, "{hours}: what began after it ends too");
    }
}

/// The same over a restart, for which the operator says that the clock is right.
#[test]
fn a_restart_by_a_clock_that_is_said_to_be_right_takes_graces_back() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1").id;
    let at = now();
    ahead_for(&evc, at, 5);
    let (dir, right) = (evc.stop(), at + 6 * HOUR);
    let settings = Settings { clock_is_right: true, ..common::settings(dir.path()) };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let end = runtime.block_on(async {
        let app = start(&settings, right).await.map_err(|e| e.to_string()).expect("started");
        let mut clock = app.clock(right).await.expect("read");
        for _ in 0..2 {
            assert_eq!(app.keep_house(&mut clock, right, Duration::ZERO).await.expect("kept"), 0);
        }
        let row = app.store.read(|tx| Box::pin(async move { tx.vault_by_name(device, &payments()).await }));
        let end: Result<_, StoreError> = row.await;
        app.store.close().await;
        end.expect("read").expect("there").delete_at.expect("in its grace")
    });
    assert!((at + 72 * HOUR..at + 79 * HOUR).contains(&end), "{}", end.abs_diff(at));
}

/// A clock that is behind what it showed last begins no grace before that.
#[test]
fn a_grace_does_not_begin_before_the_time_that_was_shown() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + &vault("edge-1", "payments")));
    let at = now() + HOUR;
    assert_eq!(round(&evc, &mut Steady::since(at), at, 0), 0);
    delete(&evc, "edge-1", &payments(), at - HOUR / 2);
    assert_eq!(until(&evc, device.id), Some(at + 72 * HOUR));
}

/// The same of what is kept of a device that is deleted right after its clock was set back, before any round of housekeeping saw that.
#[test]
fn what_is_kept_of_a_device_does_not_end_by_a_clock_that_is_set_back() {
    let evc = Evc::start();
    Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + &vault("edge-1", "payments")));
    let (at, mut clock) = (now(), Steady::since(FAR));
    for passed in (0..2 * HOUR).step_by(240) {
        round(&evc, &mut clock, FAR + passed, 240);
    }
    let how = Deletion { force: true, confirm: Some("edge-1".into()) };
    evc.wait(evc.as_operator().delete_device("edge-1", &how, at)).expect("deleted");
    for passed in [15, 2 * HOUR] {
        round(&evc, &mut clock, at + passed, passed);
    }
    assert_eq!(evc.wait(evc.as_operator().deleted_devices()).expect("listed").len(), 1, "its keys are kept");
}

/// Decision 14: what one device shows is so of the database, and no grace ends by that. Deleting the device, whose word it is, is an operator's way on.
#[test]
fn no_grace_ends_while_a_device_is_ahead_and_others_do_once_it_is_deleted() {
    const MANY: usize = 200;
    let evc = Evc::start();
    let mut ahead = Device::onboarded(&evc, "ahead");
    Device::onboarded(&evc, "edge-1");
    ahead.attested(&evc);
    let names: Vec<Name> = (0..MANY).map(|n| format!("v{n}").parse().expect("a name")).collect();
    let vaults: String = names.iter().map(|name| vault("ahead", name.as_str())).collect();
    evc.apply(&(POLICY.to_owned() + &vaults + &vault("edge-1", "payments")));
    let at = now();
    names.iter().for_each(|name| delete(&evc, "ahead", name, at));
    delete(&evc, "edge-1", &payments(), at + 1);
    ahead.poll(&evc);
    ahead.head.as_mut().expect("accepted").version.version += 1_000_000;
    ahead.hash.clear();
    ahead.poll(&evc);
    let over = at + 73 * HOUR;
    assert_eq!(round(&evc, &mut Steady::since(over), over, 0), 0, "none");
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("only its deletion ends it for all others"), "{glance}");
    evc.act("POST", "/devices/ahead/lost", "");
    let told = evc.act("GET", "/devices/ahead", "").to_string();
    assert!(told.contains("evc delete device ahead --force --confirm ahead"), "{told}");
    evc.act("DELETE", "/devices/ahead?force=true&confirm=ahead", "");
    assert_eq!(round(&evc, &mut Steady::since(over), over, 0), 1, "the other's");
}

/// What is wrong in a row is said, and the others' ends and the time are written all the same.
#[test]
fn a_damaged_row_keeps_no_others_waiting() {
    let evc = Evc::start();
    let [one, two] = ["edge-1", "edge-2"].map(|name| Device::onboarded(&evc, name).id);
    evc.apply(&(POLICY.to_owned() + &vault("edge-1", "payments") + &vault("edge-2", "payments")));
    let at = now();
    delete(&evc, "edge-1", &payments(), at);
    delete(&evc, "edge-2", &payments(), at + 1);
    let id = evc.meddle(|tx| {
        Box::pin(async move {
            let row = tx.vault_by_name(one, &payments()).await?.expect("there");
            tx.put_epochs(one, row.id, Epoch(5), Epoch(1)).await?;
            Ok(row.id)
        })
    });
    let over = at + 73 * HOUR;
    let told = evc.wait(evc.app.keep_house(&mut Steady::since(over), over, Duration::ZERO));
    assert!(told.is_err(), "it is said: {told:?}");
    assert_eq!(until(&evc, two), None, "the other's is over");
    assert!(evc.stored(|tx| tx.epoch(one, id, Epoch(1))).is_some(), "and the damaged one's keys are kept");
    let seen = evc.stored(|tx| tx.meta("time seen")).expect("the time was remembered");
    assert_eq!(seen, over.to_be_bytes());
}
