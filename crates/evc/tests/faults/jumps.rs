//! A clock that jumps while the database fails.

use std::time::Duration;

use evc::clock::now;
use evc::service::Steady;

use super::common::settle_graces;
use super::engines::Fault;
use super::{Scene, scene};

/// A round by a clock that jumped ahead by 1000 days, with a fault; then one without, by the same watch or by a new one.
fn jumped(scene: &Scene, fault: Option<Fault>, restarted: bool) {
    let (evc, to) = (&scene.evc, now() + 1000 * 86_400);
    let keep = |clock: &mut Steady, at| evc.wait(evc.app.keep_house(clock, at, Duration::from_secs(15)));
    let mut clock = evc.wait(evc.app.clock(now())).expect("read");
    scene.faults.set(fault);
    let told = keep(&mut clock, to);
    assert_ne!(told.ok(), Some(1), "{fault:?}: nothing ends by a jump");
    scene.faults.set(None);
    if restarted {
        clock = evc.wait(evc.app.clock(to)).expect("read");
    }
    assert_eq!(keep(&mut clock, to + 15).expect("kept"), 0, "{fault:?}");
}

/// Whatever fails, graces are moved with the clock, and once, also over a restart.
#[test]
fn a_jump_of_the_clock_moves_graces_once_whatever_step_fails() {
    let (scene, _) = scene();
    let evc = &scene.evc;
    settle_graces(evc);
    let ends = || {
        let old = evc.act("GET", "/vaults?device=edge-1", "");
        let row = old.as_array().expect("a list").iter().find(|row| row["name"] == "old").cloned();
        row.expect("there")["delete_at"].as_str().expect("in its grace").to_owned()
    };
    let seconds = |text: &str| {
        let at = humantime::parse_rfc3339(text).expect("a time");
        at.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
    };
    let (before, given) = (scene.memory.world(), seconds(&ends()));
    for step in 1..=12 {
        for fault in [Fault::Full(step), Fault::Lost(step), Fault::Again(step)] {
            for restarted in [false, true] {
                scene.memory.restore(&before);
                evc.app.settled.forget();
                evc.app.recall.forget();
                jumped(&scene, Some(fault), restarted);
                let moved = seconds(&ends()) - given;
                assert!(moved.abs_diff(1000 * 86_400) < 120, "{fault:?}, {restarted}: {moved} s");
            }
        }
    }
}
