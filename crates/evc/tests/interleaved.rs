//! Who writes between an operator's look and his act: on an engine that is not serialised, a name may be another device's by then. The act
//! is done to the device that he meant, and never to one that its scope does not cover.

mod common;
mod engines;

use common::{Device, Evc};
use engines::{Between, World};
use vault::ids::DeviceId;
use vault::report::State;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n---\nkind: Vault\nname: day\ndevice: edge-2\npolicy: p\n";

/// Each act on one device, by its name.
const ACTS: [(&str, &str, &str); 8] = [
    ("POST", "/devices/edge-1/lost", ""),
    ("DELETE", "/devices/edge-1/lost", ""),
    ("DELETE", "/devices/edge-1/alarm?confirm=edge-1", ""),
    ("POST", "/devices/edge-1/learn", ""),
    ("POST", "/devices/edge-1/labels", r#"{"set":{"site":"berlin"}}"#),
    ("POST", "/devices/edge-1/vaults/day/rotate", r#"{"force":true,"confirm":"day"}"#),
    ("POST", "/devices/edge-1/vaults/day/recreate?new_disk=true&confirm=day", ""),
    ("DELETE", "/devices/edge-1/vaults/day", ""),
];

struct Scene {
    evc: Evc,
    engine: Between,
    ids: [DeviceId; 2],
    before: World,
}

fn scene() -> Scene {
    let engine = Between::default();
    let evc = Evc::over_engine(engine.clone());
    let mut devices = ["edge-1", "edge-2"].map(|name| Device::onboarded(&evc, name));
    evc.apply(VAULT);
    for device in &mut devices {
        let section = device.attested(&evc);
        let report = device.reported(&section, 1, |_| State::Missing);
        assert_eq!(evc.post(&device.own("info"), &report).status, 201);
    }
    let before = engine.0.world();
    Scene { evc, engine, ids: devices.map(|device| device.id), before }
}

#[test]
fn an_act_is_done_to_the_device_that_the_name_meant() {
    let Scene { evc, engine, ids, before } = scene();
    for (method, path, body) in ACTS {
        engine.0.restore(&before);
        let exchanged = before.clone().with_names_exchanged(ids);
        engine.comes_before(exchanged.clone());
        let answer = evc.operator(method, path, body, Some(&evc.token));
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(engine.came(), "{method} {path}: nothing was written: {said}");
        assert_eq!(answer.status, 200, "{method} {path}: {said}");
        let world = engine.0.world();
        assert_eq!(world.of(ids[1]), exchanged.of(ids[1]), "{method} {path}: the other device was written");
    }
}
