//! A controller that is killed in the middle of its work keeps what it said was done, and goes on.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Device, Evc, serve, until_so};

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";
/// How often it is killed, each time a little later in its work.
const KILLS: u64 = 12;

/// VC-3, invariant 6: each rotation that was acknowledged is there after the kill, with the keys of its two epochs; a device that
/// comes back is challenged, and gets them.
#[test]
fn no_acknowledged_rotation_is_lost_by_a_kill() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let (token, agent) = (evc.token.clone(), evc.agent.clone());
    let dir = evc.stop();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let (mut serving, url) = serve(dir.path());
        let rotate = || {
            let path = format!("{url}/api/v1/devices/edge-1/vaults/payments/rotate");
            let request = agent.post(path).header("authorization", format!("Bearer {token}"));
            request
                .send(r#"{"force": true, "confirm": "payments"}"#)
                .is_ok_and(|answer| answer.status() == 200)
        };
        // In the background, so that the kill comes in the middle of one: some moment after the first.
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..10_000).take_while(|_| rotate()).for_each(|_| {
                    done.fetch_add(1, Ordering::SeqCst);
                });
            });
            until_so("a rotation", || done.load(Ordering::SeqCst) > 0);
            std::thread::sleep(Duration::from_millis(7 * kill));
            serving.0.kill().expect("killed");
        });
        acknowledged += done.into_inner();
        drop(serving);
    }
    assert!(acknowledged >= KILLS as usize, "it rotated in each of its lives");
    let evc = Evc::over(dir);
    let shown = evc.act("GET", "/devices/edge-1", "");
    let vault = shown["vaults"].as_array().expect("a list").iter().find(|v| v["name"] == "payments");
    let epoch = vault.expect("listed")["current_epoch"].as_u64().expect("a number");
    let most = acknowledged as u64 + 1 + KILLS;
    assert!((acknowledged as u64 + 1..=most).contains(&epoch), "epoch {epoch} after {acknowledged}");
    let section = device.attested(&evc);
    let (current, last) = device.keys(&section, "payments").expect("both keys open");
    assert_ne!(current, last);
}
