//! A node whose wall clock is wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use testkit::wait;

use super::scene::{PATIENCE, Scene};

/// Long after the test.
const LEASED: &str = "custody: tpm\nlease: 6h";
const SHARED: &str = "custody: tpm+controller";

/// What a clock says at a boot, and what it is set to while the node is up. A clock of the machine keeps two digits of the year.
const WRONG: [(&str, &str); 2] =
    [("2000-01-01T00:00:00", "1970-01-02 00:00:00"), ("2069-01-01T00:00:00", "2100-01-01 00:00:00")];

/// Invariant 4, KO-2, VC-2: at a clock that is many years behind or ahead a vault opens by its TPM, is locked and unlocked, and nothing is lost; the controller
/// can't be reached, and the status names the clock. With the clock set, all goes on by itself; and a clock that steps ends no lease.
#[test]
fn no_wall_clock_closes_loses_or_ends_anything() {
    let mut scene = Scene::attested().unwrap();
    for (vault, fields) in [("alone", "custody: tpm"), ("leased", LEASED), ("shared", SHARED)] {
        scene.vault_with_data(vault, fields).unwrap();
    }
    for (clock, step) in WRONG {
        scene.node.off().unwrap();
        scene.node.boot.clock = Some(clock);
        scene.node.on().unwrap();
        without_contact(&mut scene, clock);
        set_clock(&mut scene, &now());
        for vault in ["shared", "leased"] {
            scene.node.until_vault(vault, "unlocked").unwrap();
            assert!(scene.has_data(vault).unwrap(), "{vault}, after {clock}");
        }
        set_clock(&mut scene, step);
        again(&mut scene, step);
        for vault in ["alone", "leased", "shared"] {
            assert!(scene.has_data(vault).unwrap(), "{vault}, when the clock stepped to {step}");
        }
    }
}

fn without_contact(scene: &mut Scene, clock: &str) {
    scene.node.until_vault("alone", "unlocked").unwrap();
    until_named(scene, clock);
    assert!(scene.has_data("alone").unwrap(), "{clock}");
    again(scene, clock);
    let no_lease = |leased: &Value| {
        leased["state"] == "locked" && leased.to_string().contains("no lease since this boot")
    };
    scene.node.until_vault_is("leased", "locked for want of a lease", no_lease).unwrap();
}

/// Locked by root on the node, and unlocked.
fn again(scene: &mut Scene, clock: &str) {
    scene.node.shell("eve vault lock alone").unwrap();
    assert!(!scene.has_data("alone").unwrap(), "locked at {clock}");
    scene.node.shell("eve vault unlock alone").unwrap();
    assert!(scene.has_data("alone").unwrap(), "{clock}");
}

/// `eve status` says what is wrong, and with what it is mended.
fn until_named(scene: &mut Scene, clock: &str) {
    let says = format!("by this node's clock, which says {}", &clock[..4]);
    let status = |scene: &mut Scene| scene.node.ask("eve status").map(|told| told.printed);
    let named = wait::within(PATIENCE, &says, || {
        status(scene).ok().filter(|told| told.contains(&says) && told.contains("set the clock"))
    });
    named.unwrap_or_else(|error| panic!("{error:#}: {:?}", status(scene)));
}

fn set_clock(scene: &mut Scene, to: &str) {
    scene.node.shell(&format!("date -u -s '{to}'")).unwrap();
}

fn now() -> String {
    format!("@{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}
