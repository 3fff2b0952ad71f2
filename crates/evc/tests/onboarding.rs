//! Who may register, as what, and who the device is afterwards.

mod common;

use common::{Answer, Device, Evc, Key};
use serde_json::json;
use wire::envelope::seal_registration;
use wire::register::Register;

fn allow(evc: &Evc, device: &Device, serial: &str, name: Option<&str>) -> (u16, String) {
    let body = json!({ "cert_pem": device.onboard.pem, "serial": serial, "name": name });
    let Answer { status, body } = evc.operator("POST", "/onboarding", &body.to_string(), Some(&evc.token));
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The names and serials of all devices.
fn devices(evc: &Evc) -> Vec<(String, String)> {
    let listed = evc.act("GET", "/devices", "");
    let text = |device: &serde_json::Value, what: &str| device[what].as_str().expect("text").to_owned();
    listed.as_array().expect("a list").iter().map(|d| (text(d, "name"), text(d, "serial"))).collect()
}

/// A device that lost its certificate and has its key is the same device: same UUID, same vaults. By the certificate before it is known too, for
/// that is of the same key.
#[test]
fn a_device_that_made_its_certificate_anew_is_the_same_device() {
    for serial in ["serial-edge-1", "*"] {
        let evc = Evc::start();
        let [first, second] = Key::twice("EVE");
        let mut device = Device { key: first, ..Device::new("edge-1") };
        assert_eq!(allow(&evc, &device, serial, None).0, 200);
        assert_eq!(device.register(&evc), 201);
        let id = device.uuid(&evc).expect("known");
        let first = std::mem::replace(&mut device.key, second);
        assert_eq!(device.uuid(&evc), None, "not known by its new certificate yet");
        assert_eq!(device.register(&evc), 200, "again, under {serial}");
        assert_eq!(device.uuid(&evc), Some(id));
        device.id = id;
        assert_eq!(device.attested(&evc).vaults.len(), 2, "and its evidence holds");
        let before = Device { key: first, ..device };
        assert_eq!(before.uuid(&evc), Some(id));
        assert_eq!(devices(&evc).len(), 1);
    }
}

fn registration(device: &Device, serial: &str, soft: &str) -> Vec<u8> {
    let register = Register::new(device.key.pem.as_bytes(), serial, soft).expect("a registration");
    seal_registration(&register.encode(), device.onboard.pem.as_bytes(), &device.onboard.signer)
        .expect("sealed")
}

/// TH-2: a registration that was recorded on the way (a proxy that ends TLS), sent again without any key after the node made its certificate anew,
/// takes no certificate from it; and the node makes its certificate anew again.
#[test]
fn a_recorded_registration_sent_again_shuts_no_device_out() {
    let evc = Evc::start();
    let [first, second] = Key::twice("EVE");
    let mut device = Device { key: first, ..Device::new("edge-1") };
    assert_eq!(allow(&evc, &device, "*", None).0, 200);
    let recorded = registration(&device, &device.serial, "");
    assert_eq!(evc.post("/register", &recorded).status, 201);
    let first = std::mem::replace(&mut device.key, second);
    assert_eq!(device.register(&evc), 200, "its certificate was lost, and made anew");
    let id = device.uuid(&evc);
    assert!(id.is_some());
    let present = |evc: &Evc| evc.stored(|tx| tx.device(id.expect("known"))).expect("there").cert_digest;
    for _ in 0..3 {
        assert_eq!(evc.post("/register", &recorded).status, 200);
        assert_eq!(device.uuid(&evc), id, "the device polls on with its own");
        assert_eq!(present(&evc), device.key.cert.digest().0);
    }
    let second = std::mem::replace(&mut device.key, first);
    assert_eq!(device.uuid(&evc), id, "a disk of before, with its certificate");
    device.key = second.certified_anew();
    assert_eq!(device.register(&evc), 200);
    assert_eq!((device.uuid(&evc), present(&evc)), (id, device.key.cert.digest().0));
}

/// TH-7: who has a device's key makes the controller write for it so often in an hour, and is told; the device is there all the while.
#[test]
fn a_device_makes_its_certificate_anew_so_often_and_no_more() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let mut keys = vec![std::mem::replace(&mut device.key, Key::new("EVE"))];
    for n in 0..9 {
        device.key = keys[0].certified_anew();
        let Answer { status, body } = evc.post("/register", &registration(&device, &device.serial, ""));
        assert_eq!(status, if n < 8 { 200 } else { 503 }, "{n}");
        assert!(n < 8 || String::from_utf8_lossy(&body).contains("came too often within 60 minutes"));
        keys.push(std::mem::replace(&mut device.key, Key::new("EVE")));
    }
    let known = keys.into_iter().map(|key| {
        device.key = key;
        device.uuid(&evc)
    });
    let known: Vec<_> = known.collect();
    assert!(known[..9].iter().all(|id| *id == Some(device.id)) && known[9].is_none(), "{known:?}");
}

/// TH-2: a device has the serial that it is let in by, and the name of that. Whichever other one it says is another's.
#[test]
fn a_device_takes_no_name_and_serial_that_its_allowance_does_not_give() {
    let evc = Evc::start();
    let device = Device::new("x");
    assert_eq!(allow(&evc, &device, "soft-x", None).0, 200);
    let says = |serial: &str| evc.post("/register", &registration(&device, serial, "soft-x")).status;
    assert_eq!(says("edge-9"), 201);
    assert_eq!(devices(&evc), [("soft-x".into(), "soft-x".into())]);
    assert_eq!(says(""), 200, "and it is the same device when it says no other");
    // Whoever has that other serial is allowed by another certificate: that is not withdrawn with this one.
    let other = Device::new("other");
    assert_eq!(allow(&evc, &other, "edge-9", None).0, 200);
    assert_eq!(allow(&evc, &other, "soft-x", None).0, 200);
    evc.act("DELETE", "/devices/soft-x", "");
    assert_eq!(says("edge-9"), 403, "its own went with it");
    assert_eq!(evc.post("/register", &registration(&other, "edge-9", "")).status, 201);
    let listed = evc.act("GET", "/onboarding", "").to_string();
    assert!(listed.contains("soft-x"), "{listed}");
}

/// A device whose allowance was withdrawn and that lost its certificate is allowed anew, by its name or without one, and is the same device.
/// The allowance is for its serial alone and is used by that: it lets in no other serial of the key, and no other key after.
#[test]
fn a_device_that_was_withdrawn_is_allowed_anew_as_itself() {
    for name in [Some("edge-1"), None] {
        let evc = Evc::start();
        let [first, second] = Key::twice("EVE");
        let mut device = Device { key: first, ..Device::new("edge-1") };
        assert_eq!(allow(&evc, &device, &device.serial, Some("edge-1")).0, 200);
        assert_eq!(device.register(&evc), 201);
        let id = device.uuid(&evc);
        let digest = hex::encode(device.onboard.cert.digest().0);
        evc.act("DELETE", &format!("/onboarding/{digest}/{}", device.serial), "");
        let copy = Device { key: std::mem::replace(&mut device.key, second), ..Device::new("edge-2") };
        assert_eq!(device.register(&evc), 403, "withdrawn");
        let (status, text) = allow(&evc, &device, &device.serial, name);
        assert_eq!(status, 200, "allowed anew as {name:?}: {text}");
        assert_eq!(allow(&evc, &copy, &copy.serial, None).0, 200);
        assert_eq!(copy.register(&evc), 409, "its certificate with the serial of another");
        for _ in 0..2 {
            assert_eq!(device.register(&evc), 200, "the same device");
        }
        assert_eq!((device.uuid(&evc), devices(&evc).len()), (id, 1));
        let used = &evc.act("GET", &format!("/onboarding?after={digest}/"), "")[0]["device"];
        assert_eq!(used.as_str(), id.map(|id| id.to_string()).as_deref(), "and it used the allowance");
        let other = Device { key: Key::new("EVE"), ..device };
        assert_eq!(other.register(&evc), 409, "another key");
    }
}

/// TH-2: a certificate proves that its maker has the key. Nobody takes a device's place, or its key's, with the onboarding key alone.
#[test]
fn a_certificate_of_a_key_that_its_maker_has_not_is_refused() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    let thief = Device { key: Key::claiming(&device.key), ..device };
    assert_eq!(thief.register(&evc), 401);
    let device = Device { key: Key::claiming(&Key::new("EVE")), ..Device::new("edge-2") };
    assert_eq!(allow(&evc, &device, "*", None).0, 200);
    assert_eq!(device.register(&evc), 401, "a first registration too");
    assert_eq!(devices(&evc).len(), 1);
}

/// Who is not allowed does not wait for the writer, and keeps nobody off it.
#[test]
fn who_is_not_allowed_is_refused_while_the_controller_writes() {
    let evc = Evc::start();
    let (stranger, known) = (Device::new("edge-1"), Device::onboarded(&evc, "edge-2"));
    let writing = evc.occupy(common::Occupies::Writer);
    assert_eq!(stranger.register(&evc), 403);
    drop(writing);
    assert_eq!(known.register(&evc), 200);
}

/// EVE itself signs device certificates with their own keys: its golden registration is taken.
#[test]
fn a_registration_by_eve_is_taken() {
    let evc = Evc::start();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/");
    let read = |file: &str| std::fs::read(format!("{golden}{file}")).expect("a vector");
    let cert_pem = String::from_utf8(read("keys/onboard.cert.pem")).expect("PEM");
    evc.act("POST", "/onboarding", &json!({ "cert_pem": cert_pem, "serial": "*" }).to_string());
    for status in [201, 200] {
        assert_eq!(evc.post("/register", &read("authcontainer/onboard-register.bin")).status, status);
    }
}

/// A name that the operator keeps for a device is no other's, whatever a device calls itself; one that is taken is refused.
#[test]
fn the_operators_names_are_kept_for_the_devices_they_are_for() {
    let evc = Evc::start();
    let (meant, stranger) = (Device::new("meant"), Device { serial: "edge-1".into(), ..Device::new("x") });
    assert_eq!(allow(&evc, &meant, &meant.serial, Some("edge-1")).0, 200);
    assert_eq!(allow(&evc, &stranger, "*", None).0, 200);
    assert_eq!(stranger.register(&evc), 201);
    assert_eq!(meant.register(&evc), 201);
    let named = devices(&evc);
    assert!(named.contains(&("edge-1".into(), meant.serial.clone())), "{named:?}");
    assert!(
        named.iter().any(|(name, serial)| serial == "edge-1" && name.starts_with("device-")),
        "{named:?}"
    );
    let own = Device { serial: "edge-2".into(), ..Device::new("y") };
    assert_eq!(allow(&evc, &own, "*", None).0, 200);
    assert_eq!(own.register(&evc), 201);
    assert!(devices(&evc).contains(&("edge-2".into(), "edge-2".into())), "a free one it may have");
    let next = Device::new("next");
    assert_eq!(allow(&evc, &next, "S3", Some("edge-3")).0, 200);
    for (what, name) in
        [("a device's", "edge-1"), ("a device's own", "edge-2"), ("kept for another", "edge-3")]
    {
        let (status, text) = allow(&evc, &Device::new("z"), "S4", Some(name));
        assert!(
            status == 409 && text.contains("is another device's, or kept for one"),
            "{what}: {status} {text}"
        );
    }
    assert_eq!(allow(&evc, &next, "S3", Some("edge-3")).0, 200, "the same again");
}

/// A device that was removed comes back by the serial that it had, and by no other's allowance; what is said of it is said to whoever has its key.
#[test]
fn a_removed_device_comes_back_under_no_other_serial() {
    let evc = Evc::start();
    let mut stolen = Device::onboarded(&evc, "edge-1");
    let own = std::mem::replace(&mut stolen.serial, "SN-2".into());
    for serial in ["SN-2", "*"] {
        assert_eq!(allow(&evc, &stolen, serial, None).0, 200);
    }
    evc.act("DELETE", "/devices/edge-1", "");
    assert_eq!(stolen.register(&evc), 403, "another's serial");
    stolen.serial = own;
    assert_eq!(stolen.register(&evc), 403, "everybody's");
    assert_eq!(allow(&evc, &stolen, &stolen.serial, None).0, 200);
    assert_eq!(stolen.register(&evc), 201, "its own");
}

/// A key is one device, whatever serial it says it has: a mark on that device is on its key. Of rows of before too.
#[test]
fn one_key_is_one_device_with_any_serial() {
    for of_before in [false, true] {
        let evc = Evc::start();
        let [first, second] = Key::twice("EVE");
        let mut device = Device { key: first, ..Device::new("edge-1") };
        assert_eq!(allow(&evc, &device, &device.serial, Some("edge-1")).0, 200);
        assert_eq!(device.register(&evc), 201);
        let id = device.uuid(&evc);
        assert_eq!(allow(&evc, &device, "*", None).0, 200);
        evc.act("POST", "/devices/edge-1/lost", "");
        let folder = evc.stop();
        if of_before {
            common::sql(folder.path(), &["UPDATE devices SET key = NULL"]);
        }
        let evc = Evc::over(folder);
        (device.serial, device.key) = ("other".into(), second);
        assert_eq!(device.register(&evc), 200, "the same device");
        assert_eq!((device.uuid(&evc), devices(&evc).len()), (id, 1));
        assert!(evc.act("GET", "/devices", "")[0]["condition"].as_str().expect("words").starts_with("lost"));
    }
}

/// Two of one key, of before that was refused, stay as they are.
#[test]
fn devices_of_before_that_share_a_key_go_on() {
    let evc = Evc::start();
    let [first, second] = Key::twice("EVE");
    let device = Device { key: first, ..Device::new("edge-1") };
    assert_eq!(allow(&evc, &device, "*", None).0, 200);
    assert_eq!(device.register(&evc), 201);
    let twin = second.cert.clone();
    evc.meddle(|tx| {
        let twin = twin.clone();
        Box::pin(async move {
            let all = evc::store::Page { after: String::new(), limit: 1 };
            let mut row =
                tx.devices(&vault::ids::Project::default(), &all).await?.pop().expect("there").whole()?;
            row.id = vault::ids::DeviceId(uuid::Uuid::from_u128(7));
            row.name = "twin".parse().expect("a name");
            (row.cert_digest, row.cert_der, row.key) = (twin.digest().0, twin.der().to_vec(), None);
            tx.add_device(&row).await
        })
    });
    let evc = evc.restart();
    let twin = Device { key: second, ..Device::new("twin") };
    assert_eq!(
        (devices(&evc).len(), twin.uuid(&evc).is_some(), device.uuid(&evc).is_some()),
        (2, true, true)
    );
}

/// Who has the key of an allowance for any serial does not fill the controller with devices.
#[test]
fn an_allowance_for_any_serial_lets_in_so_many_and_no_more() {
    let evc = Evc::start();
    let device = Device::new("edge-1");
    assert_eq!(allow(&evc, &device, "*", None).0, 200);
    assert_eq!(device.register(&evc), 201);
    let fill = |from: u128, to: u128| {
        evc.meddle(|tx| {
            Box::pin(async move {
                let all = evc::store::Page { after: String::new(), limit: 1 };
                let like =
                    tx.devices(&vault::ids::Project::default(), &all).await?.pop().expect("there").whole()?;
                for number in from..to {
                    let id = uuid::Uuid::from_u128(number);
                    let mut cert_digest = [0; 32];
                    cert_digest[..16].copy_from_slice(id.as_bytes());
                    let name = format!("one-{number}").parse().expect("a name");
                    let row = like.clone();
                    let id = vault::ids::DeviceId(id);
                    tx.add_device(&evc::store::DeviceRow { id, name, cert_digest, key: None, ..row }).await?;
                }
                Ok(())
            })
        });
    };
    fill(1, 4095);
    let last = Device { onboard: device.onboard, ..Device::new("edge-2") };
    assert_eq!(last.register(&evc), 201);
    let more = Device { onboard: last.onboard, ..Device::new("edge-3") };
    assert_eq!(more.register(&evc), 403);
    assert_eq!(allow(&evc, &more, &more.serial, None).0, 200);
    assert_eq!(more.register(&evc), 201, "by its own serial");
}

/// Where a command takes a name or a UUID, a device that calls itself as another's UUID is not taken for that one.
#[test]
fn a_serial_that_reads_as_a_uuid_is_no_name() {
    let evc = Evc::start();
    let victim = Device::onboarded(&evc, "edge-1");
    for serial in [victim.id.to_string(), victim.id.0.simple().to_string()] {
        let other = Device { serial: serial.clone(), ..Device::new("x") };
        assert_eq!(allow(&evc, &other, "*", None).0, 200);
        assert_eq!(other.register(&evc), 201);
        assert!(devices(&evc).iter().all(|(name, _)| *name != serial), "{:?}", devices(&evc));
    }
}

/// Who approves a reference value by its number approves no other one, whatever became of the first.
#[test]
fn numbers_of_reference_values_are_given_once() {
    let evc = Evc::start();
    let row = |device| evc::store::ReferenceRow {
        id: 0,
        project: vault::ids::Project::default(),
        device,
        pcrs: evc::store::Pcrs(Default::default()),
        state: evc::store::ReferenceState::Pending,
        learned_at: 1,
        decided_at: None,
    };
    let learned = |name: &str| {
        let id = Device::onboarded(&evc, name).id;
        evc.meddle(|tx| Box::pin(async move { tx.add_reference(&row(id)).await }))
    };
    let first = learned("edge-1");
    evc.act("DELETE", "/devices/edge-1", "");
    assert!(learned("edge-2") > first);
}

/// A device that an allowance for any serial lets in has its serial as its name. What is advised of it is a command for another one.
#[test]
fn a_name_that_a_device_gave_itself_is_no_other_command() {
    let evc = Evc::start();
    Device::onboarded(&evc, "edge-1");
    let hostile = Device { serial: "edge-1 -o name".to_owned(), ..Device::new("x") };
    let allow = serde_json::json!({ "cert_pem": hostile.onboard.pem, "serial": "*", "name": null });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(hostile.register(&evc), 201);
    let id = hostile.uuid(&evc).expect("known");
    evc.act("POST", "/devices/edge-1/lost", "");
    evc.act("POST", &format!("/devices/{id}/lost"), "");
    let status = evc.act("GET", "/glance", "").to_string();
    assert!(
        !status.contains("evc device found edge-1 -o name"),
        "advised of the stranger, and done to edge-1: {status}"
    );
    assert!(status.contains(&format!("device-{}", id.0.simple())), "it goes by its identity: {status}");
    evc.act(
        "POST",
        "/onboarding",
        &serde_json::json!({ "cert_pem": hostile.onboard.pem, "serial": "SN-7", "name": "edge 7" })
            .to_string(),
    );
    let named = Device { serial: "SN-7".to_owned(), onboard: hostile.onboard, ..Device::new("y") };
    assert_eq!(named.register(&evc), 201);
    evc.act("POST", "/devices/edge%207/lost", "");
    let status = evc.act("GET", "/glance", "").to_string();
    assert!(status.contains("`evc device found 'edge 7'`"), "as it is typed: {status}");
}
