//! A device whose evidence is good and satisfies no policy: what it is ordered, what it is told, and what its operator sees.

use vault::ids::{IMAGE_VAULT, VaultId};
use vault::section::Operation;
use wire::config::ConfigResponse;
use wire::control::{Control, Order};

use super::*;

/// A device with a vault whose approved boot it is in.
fn approved(evc: &Evc) -> (Device, FakeTpm, Section) {
    let (mut device, tpm) = with_tpm(evc);
    evc.apply(STRICT);
    round(evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    let open = section(&device.poll(evc).expect("an answer")).expect("a section");
    (device, tpm, open)
}

/// It boots anew, in another state.
fn boots(evc: &Evc, device: &mut Device, tpm: &mut FakeTpm, pcrs: &PcrValues) -> Option<Section> {
    tpm.reset_count += 1;
    device.session = new_session();
    round(evc, device, tpm, pcrs)
}

fn polled(evc: &Evc, device: &mut Device) -> (ConfigResponse, Control) {
    let answer = device.poll(evc).expect("an answer");
    assert_eq!(section(&answer), None);
    let control = answer.control.clone().expect("control");
    assert!(control.challenge.is_some() && control.session == device.session.session_key());
    (answer, control)
}

fn listed(evc: &Evc, path: &str) -> serde_json::Value {
    evc.act("GET", path, "")[0].clone()
}

/// SECURITY TH-3: beside the challenge stands what is to be locked, for this session of this device's key, numbered among its sections; each
/// operator's word is in the very next answer, and the section after it is newer.
#[test]
fn orders_to_lock_reach_a_device_that_gets_no_section() {
    let evc = Evc::start();
    let (mut device, mut tpm, open) = approved(&evc);
    let vault: VaultId = open.vaults[0].id;
    assert_eq!(boots(&evc, &mut device, &mut tpm, &pcrs(2)), None);
    let (_, control) = polled(&evc, &mut device);
    assert_eq!((control.orders, control.as_of, control.lacks.as_str()), (vec![], None, "PCRs"));

    evc.act("POST", "/devices/edge-1/lost", "");
    let (answer, control) = polled(&evc, &mut device);
    assert_eq!(control.orders, [Order::Lock(vault), Order::Lock(IMAGE_VAULT)]);
    assert_eq!(control.device_key, Some(open.device_key));
    assert!(answer.config.is_some(), "its node takes it for news");
    let at = control.as_of.expect("a place");
    assert!(at.version > open.version.version && at.incarnation == open.version.incarnation);
    let (answer, again) = polled(&evc, &mut device);
    assert_eq!((again.as_of, answer.config), (Some(at), None), "the same order, and no news");

    evc.act("DELETE", "/devices/edge-1/lost", "");
    assert_eq!(polled(&evc, &mut device).1.orders, []);
    evc.apply(&STRICT.replace("---", "operation: lock\n---"));
    let (_, control) = polled(&evc, &mut device);
    assert_eq!(control.orders, [Order::Lock(vault)]);
    let newer = control.as_of.expect("a place");
    assert!(newer.version > at.version);
    evc.apply(STRICT);
    assert_eq!(polled(&evc, &mut device).1.orders, []);

    let good = boots(&evc, &mut device, &mut tpm, &pcrs(1)).expect("good again");
    assert!(good.version.version > newer.version, "what was ordered before is over, whoever sends it again");
    assert_eq!((good.vaults.len(), good.vaults[0].operation), (1, Operation::Unlock));
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(boots(&evc, &mut device, &mut tpm, &pcrs(2)), None);
    assert_eq!(polled(&evc, &mut device).1.orders, [Order::Lock(vault)], "while its grace runs");
}

/// A lost device that is in good order gets the section, in which `image` is locked too; found, it is as before.
#[test]
fn a_lost_devices_section_locks_image_too() {
    let evc = Evc::start();
    let (mut device, _, open) = approved(&evc);
    evc.act("POST", "/devices/edge-1/lost", "");
    let lost = device.section(&evc);
    let locked: Vec<_> = lost.vaults.iter().map(|entry| (entry.id, entry.operation)).collect();
    assert_eq!(locked, [(open.vaults[0].id, Operation::Lock), (IMAGE_VAULT, Operation::Lock)]);
    evc.act("DELETE", "/devices/edge-1/lost", "");
    assert_eq!(device.section(&evc).vaults.len(), 1);
}

/// Seen-by-users 1.4: keys that wait for the first approval are no less withheld than others.
#[test]
fn a_device_of_which_nothing_is_approved_is_not_told_as_well() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(STRICT);
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(1)), None, "nothing is approved yet");
    let told = listed(&evc, "/devices");
    assert_eq!(told["condition_kind"], "unapproved", "{told}");
    let words = told["condition"].as_str().expect("words");
    assert!(words.starts_with("no reference value approved"), "{told}");
    evc.act("POST", "/references/1/approve", "");
    assert!(section(&device.poll(&evc).expect("an answer")).is_some(), "approved");
    assert_eq!(listed(&evc, "/devices")["condition_kind"], "online");
}

/// What keeps a key back is the first thing that is seen of the device, and calls for somebody at the vault.
#[test]
fn a_withheld_key_shows_in_lists() {
    let evc = Evc::start();
    let (mut device, mut tpm, _) = approved(&evc);
    assert_eq!(listed(&evc, "/devices")["condition"], "online");
    assert_eq!(listed(&evc, "/vaults")["key"], serde_json::Value::Null, "of all devices no key is judged");
    let unmeasured: PcrValues = pcrs(0).into_keys().map(|pcr| (pcr, [0; 32].into())).collect();
    for (pcrs, condition, key) in [
        (pcrs(2), "PCRs differ", "withheld: pcrs: PCR 4 differs"),
        (unmeasured, "boot not measured", "withheld: pcrs:"),
    ] {
        assert_eq!(boots(&evc, &mut device, &mut tpm, &pcrs), None);
        let told = [listed(&evc, "/devices"), evc.act("GET", "/devices/edge-1", "")["device"].clone()];
        for told in told {
            assert!(told["condition"].as_str().expect("words").starts_with(condition), "{told}");
        }
        let vault = listed(&evc, "/vaults");
        assert!(vault["key"].as_str().expect("words").starts_with(key), "{vault}");
        assert_eq!(vault["withheld"], true);
    }
    evc.apply(&STRICT.replace("require: [pcrs]", "require: []"));
    assert_eq!(listed(&evc, "/devices")["condition"], "online", "no policy asks for it any more");
    assert_eq!(listed(&evc, "/vaults")["withheld"], false);
}

/// A report that says of a boot that it is not measured is answered with a challenge, though the evidence that stands is young.
#[test]
fn a_report_that_turns_unmeasured_is_challenged_at_once() {
    let evc = Evc::start();
    let (mut device, tpm, open) = approved(&evc);
    let report = |device: &common::Device, measured: bool| {
        let mut info = device.info(&open, 1);
        info.node.as_mut().expect("told").measured = Some(measured);
        device.tell(&evc, &info);
    };
    report(&device, true);
    let nonce = device.challenged(&evc);
    assert_eq!(send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::Success);
    common::until_unchanged(&evc, &mut device);
    report(&device, false);
    let told = device.poll(&evc).expect("something to say");
    assert!(told.control.expect("control").challenge.is_some());
}

/// Power that comes and goes makes sessions as fast as a machine boots: the TPM's reset count says that they are boots, and no alarm is given.
/// Restarts within one boot are counted as before.
#[test]
fn boots_of_one_tpm_are_no_flood_of_sessions() {
    let evc = Evc::start();
    let (mut device, mut tpm, _) = approved(&evc);
    for boot in 0..40 {
        assert!(boots(&evc, &mut device, &mut tpm, &pcrs(1)).is_some(), "boot {boot}");
    }
    assert_eq!(alarm(&evc), "");
    for _ in 0..17 {
        tpm.reset_count -= 1;
        boots(&evc, &mut device, &mut tpm, &pcrs(1));
    }
    assert!(alarm(&evc).contains("17 sessions gave way"), "{}", alarm(&evc));
    device.session = new_session();
    tpm.reset_count -= 1;
    let nonce = device.challenged(&evc);
    assert_eq!(send(&evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::QuoteFailed);
}

/// A default vault that its node alone keeps is known, and it is said what to do about it.
#[test]
fn a_default_vault_under_its_default_policy_takes_no_orders_and_says_so() {
    let evc = Evc::start();
    let (device, _, _) = approved(&evc);
    drop(device);
    for path in
        ["/devices/edge-1/vaults/image/recreate?confirm=image", "/devices/edge-1/vaults/config/rotate"]
    {
        let told = evc.operator("POST", path, "", Some(&evc.token));
        let words = String::from_utf8_lossy(&told.body).into_owned();
        assert_eq!(told.status, 404, "{words}");
        assert!(words.contains("default policy") && words.contains("eve vault recreate"), "{words}");
    }
}
