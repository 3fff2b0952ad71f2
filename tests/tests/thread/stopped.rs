//! An agent's process that is stopped says nothing: others notice it, tell it, and end it.

use std::path::Path;

use eve_vault_tests::{DEVICE, Scene, details};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::wait;

use super::told::{has, until_told};

fn stop(scene: &Scene, agent: &str) -> i32 {
    let pid = wait::until(agent, || scene.node.agent_pid(agent)).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    pid
}

/// TH-3: a vaultmgr that is stopped ends no lease. The node and the controller hear of it, it is ended and started anew, and the lease that
/// ran out meanwhile is ended at once.
#[test]
fn th3_a_stopped_vaultmgr_is_told_and_ended_and_so_is_the_lease() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", "custody: tpm\nlease: 10s").unwrap();
    let before = stop(&scene, "vaultmgr");
    let words = "vaultmgr does not answer since ";
    wait::until("the controller to hear of it", || {
        let device = scene.evc.json(&["describe", "device", DEVICE]).ok()?;
        has(words)(&device).then_some(())
    })
    .unwrap();
    scene.evc.stop().unwrap();
    until_told(&scene, "notes", has(words));
    // Looked at in this order: it may be ended any moment now, and the next one locks.
    let (open, stopped) = (scene.has_data("till"), Path::new(&format!("/proc/{before}")).exists());
    assert!(open || !stopped, "nobody else locks it");
    scene.until_anew("vaultmgr", before).unwrap();
    let told = scene.node.until_vault("till", "locked").unwrap();
    assert!(details(&told).contains("its lease ended"), "{told}");
    scene.assert_closed("till");
    until_told(&scene, "notes", |notes| !has(words)(notes));
    let log = std::fs::read_to_string(scene.node.log()).unwrap();
    assert!(log.contains("ended by force"), "{log}");
    scene.evc.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// The same of the agents that wait to be asked.
#[test]
fn whatever_agent_is_stopped_is_started_anew() {
    let scene = Scene::attested().unwrap();
    let agents = ["nim", "client", "zedagent", "tpmmgr"];
    let before = agents.map(|agent| (agent, stop(&scene, agent)));
    for (agent, before) in before {
        scene.until_anew(agent, before).unwrap();
    }
    let answers = |controller: &serde_json::Value| controller["reachable"] == true;
    until_told(&scene, "controller", answers);
}
