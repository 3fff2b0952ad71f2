//! What goes wrong around a node: a full disk, a TPM whose owner dies, a controller that is not the one.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use eve::bus::messages::{Health, TpmHealth, TpmRefusal};
use eve::bus::{Agent, Bus, BusError, CallError};
use eve_vault_tests::{DEVICE, Scene, vault_yaml};
use testkit::loopfs::LoopFs;
use testkit::node::{Parts, Power};
use testkit::{Evc, Node, wait};

use super::told::{has, until_told};
use super::{BOTH, TPM};

#[test]
fn a_full_disk_stops_what_needs_room_says_so_and_loses_nothing() {
    let mut scene = Scene::prepared(Parts { disk: 32 << 20, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let filler = scene.node.root().join("persist/filler");
    fs::write(&filler, vec![1; 64 << 20]).unwrap_err();
    scene.apply("new", TPM).unwrap();
    let full = |vault: &serde_json::Value| vault.to_string().contains("No space left");
    scene.node.until_vault_is("new", "told that the disk is full", full).unwrap();
    scene.order_rotation("till").unwrap();
    scene.node.until_vault_is("till", "told that the disk is full", full).unwrap();
    assert!(scene.has_data("till"), "open all the while");
    fs::remove_file(filler).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    scene.node.until_vault_is("till", "epoch 2", |vault| vault["epoch"] == 2).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// Seen by users: a disk that is full before the first write of a node is told by `eve status`, with what to do, and with room the node goes on by itself.
#[test]
fn a_disk_that_is_full_before_the_first_boot_is_told_and_waits_for_room() {
    let mut scene = Scene::prepared(Parts { disk: 32 << 20, ..Parts::default() }).unwrap();
    let filler = scene.node.root().join("persist/filler");
    fs::write(&filler, vec![1; 64 << 20]).unwrap_err();
    scene.node.start().unwrap();
    let told = |status: &anyhow::Result<serde_json::Value>| {
        status.as_ref().is_ok_and(|status| status["notes"].to_string().contains("make room on"))
    };
    wait::until_is("told that there is no room", || scene.node.status(), told).unwrap().unwrap();
    assert!(!scene.node.root().join("persist/vaults").exists());
    fs::remove_file(filler).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
}

/// KO-2: killed at any moment of its start and work, tpmmgr leaves no session, object or half-made key in the TPM's way.
#[test]
fn tpmmgr_killed_fifty_times_leaves_the_tpm_usable() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    let handles = |scene: &Scene, kind| scene.node.tpm().unwrap().tool("tpm2_getcap", &[kind]).unwrap();
    let before = handles(&scene, "handles-persistent");
    assert!(before.contains("0x8"), "its keys: {before:?}");
    let (mut asked, mut objects) = (0, 0);
    for round in 0..50 {
        asked += usize::from(killed_while_asked(&scene, round));
        objects += usize::from(handles(&scene, "handles-transient").contains("0x"));
    }
    assert!(asked > 0, "none was killed while it answered: nothing was shown");
    assert!(objects >= 25, "each that had begun leaves its objects in the TPM: only {objects} did");
    scene.node.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    scene.vault_with_data("another", BOTH).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    assert_eq!(handles(&scene, "handles-persistent"), before, "the same keys");
    for kind in ["handles-loaded-session", "handles-saved-session"] {
        assert_eq!(handles(&scene, kind).trim(), "", "{kind}");
    }
    // The endorsement key of the last life; the next one takes it away first.
    assert!(handles(&scene, "handles-transient").lines().count() <= 1, "objects do not pile up");
}

/// The rounds in which tpmmgr is killed while it starts; in the others it is at work.
const STARTING: u32 = 25;

/// Starts it as the supervisor does, and kills it: at some moment of its start, or, once it has answered, while it is asked
/// on and on. Says whether a question was open then.
fn killed_while_asked(scene: &Scene, round: u32) -> bool {
    let (root, log) = (scene.node.root(), scene.dir().join("tpmmgr.log"));
    let mut tpmmgr = tpmmgr(&root, &log);
    let at_work = round >= STARTING;
    if at_work {
        wait::until("an answer of tpmmgr", || ask(&root).ok()).unwrap();
    }
    thread::scope(|scope| {
        let asking = scope.spawn(|| at_work && broke_off(&root));
        // Somewhere else each time.
        thread::sleep(Duration::from_millis(u64::from(round % STARTING) * 8));
        let ended = tpmmgr.try_wait().unwrap();
        tpmmgr.kill().unwrap();
        tpmmgr.wait().unwrap();
        assert_eq!(ended, None, "round {round}: ended by itself: {}", fs::read_to_string(&log).unwrap());
        asking.join().unwrap()
    })
}

fn tpmmgr(root: &Path, log: &Path) -> Child {
    let supervisor = std::process::id().to_string();
    let mut command = Command::new(testkit::program("eve").unwrap());
    command.args(["agent", "tpmmgr", "--poll-interval", "1s", "--supervisor", &supervisor, "--root"]);
    command.arg(root).stderr(File::create(log).unwrap()).spawn().unwrap()
}

/// Has it speak with the TPM.
fn ask(root: &Path) -> Result<TpmHealth, CallError<TpmRefusal>> {
    Bus::visit(root, Agent::Operator).call(&Health, Duration::from_secs(30))
}

/// Asks until it is not answered; whether that was in the middle of a question.
fn broke_off(root: &Path) -> bool {
    let unanswered = (0..).find_map(|_| ask(root).err());
    matches!(unanswered, Some(CallError::Bus(BusError::Frame(_))))
}

#[test]
fn under_another_root_the_controller_is_not_believed_and_what_to_do_is_said() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let other = Evc::new(&scene.dir().join("other")).unwrap();
    fs::copy(
        other.data().join("root-certificate.pem"),
        scene.node.root().join("config/root-certificate.pem"),
    )
    .unwrap();
    scene.node.on(Power::Clean).unwrap();
    let words = wait::until("a word on the certificate", || {
        let words = scene.node.status().ok()?["onboarding"].as_str()?.to_owned();
        words.contains("certificate").then_some(words)
    });
    assert!(words.unwrap().contains("root-certificate.pem"), "names the file to look at");
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
    // Its checkpoint is under the other one.
    until_told(&scene, "notes", has("root"));
}

/// Invariant 6: what the controller can't write down it does not do, and it says why; nothing that it knew is lost.
#[test]
fn a_controller_on_a_full_disk_releases_nothing_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let disk = LoopFs::create(&dir.path().join("evc.img"), &dir.path().join("evc"), 16 << 20).unwrap();
    let evc = Evc::new(disk.mount_point()).unwrap();
    let mut node = Node::new(&dir.path().join("node"), DEVICE, &evc, Parts::default()).unwrap();
    evc.approve_references(DEVICE).unwrap();
    evc.apply(&vault_yaml("till", BOTH)).unwrap();
    node.until_vault("till", "unlocked").unwrap();
    let filler = disk.mount_point().join("filler");
    fs::write(&filler, vec![1; 32 << 20]).unwrap_err();
    let refusal = evc.run(&["rotate", "vault", "till", "--device", DEVICE]).unwrap_err().to_string();
    assert!(refusal.contains("disk"), "says what to look at: {refusal}");
    node.reboot(Power::Clean).unwrap();
    node.until_vault("config", "unlocked").unwrap();
    wait::until("a refusal told to the node", || {
        let controller = node.status().ok()?["controller"].clone();
        (controller["reachable"] == false && controller["server"] == evc.server()).then_some(())
    })
    .unwrap();
    assert_eq!(node.vault("till").unwrap()["state"], "locked");
    fs::remove_file(filler).unwrap();
    let vault = node.until_vault("till", "unlocked").unwrap();
    assert_eq!(vault["epoch"], 1, "the rotation that failed left nothing behind");
}
