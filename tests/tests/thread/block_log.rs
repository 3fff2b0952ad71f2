//! Invariant 5 on the writes of a real ext4 as they reached its disk: whatever a power cut leaves of them, each vault opens, whole.

use std::path::Path;
use std::process::Command;

use eve_vault_tests::{DEVICE, Scene};
use testkit::Power;
use testkit::block_log::{BlockLog, Written};
use testkit::node::Parts;

use super::{BOTH, TPM};

/// How many cuts; `EVE_VAULT_BLOCK_CUTS` says otherwise.
const CUTS: usize = 6;
/// Small: it is copied for each cut.
const DISK: u64 = 48 << 20;
/// The policy of `till`, with a recovery key beside.
const RECIPIENT: &str =
    "recovery: { recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p] }";

/// A vault is made, one is re-keyed, and one gets a recovery key, on a disk that logs what is written to it. Each cut is at a flush, and
/// every other write of those after it arrived too.
#[test]
fn if2_vaults_open_whole_from_what_any_flush_left_on_the_disk() {
    let (mut scene, written, told) = worked();
    let cuts = std::env::var("EVE_VAULT_BLOCK_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let (flushes, dir) = (written.flushes(), scene.dir().to_owned());
    assert!(flushes > cuts.min(30), "only {flushes} flushes: the log is not whole");
    let apart = flushes.div_ceil(cuts);
    for flush in (0..flushes).step_by(apart) {
        let round = format!("flush {flush} of {flushes}");
        let mut turn = false;
        let every_other = || {
            turn = !turn;
            turn
        };
        cut(&mut scene, &written, flush, every_other, &dir.join("cut.img"));
        judge(&mut scene, &round);
        scene.node.off(Power::Cut).unwrap();
        println!("{round}: opened, whole");
    }
    cut(&mut scene, &written, written.flush_of(told).unwrap(), || false, &dir.join("cut.img"));
    scene
        .node
        .until_vault("new", "unlocked")
        .expect("what was told to be made had been on the disk for certain");
}

/// A scene with its node off, the image of its disk of before as `before.img`, what was written since, and how much of that was on the
/// disk for certain when the node had just told that `new` is made.
fn worked() -> (Scene, Written, u64) {
    let mut scene = Scene::prepared(Parts { disk: DISK, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.vault_with_data("alone", TPM).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let dir = scene.dir().to_owned();
    let image = scene.node.disk().image().to_owned();
    copy(&image, &dir.join("before.img"));
    let log = BlockLog::over(&image, &dir.join("block-log")).unwrap();
    scene.node.exchange_disk(log.disk()).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let told = work(&mut scene, &log);
    scene.node.off(Power::Clean).unwrap();
    scene.node.exchange_disk(&image).unwrap();
    (scene, log.end().unwrap(), told)
}

fn work(scene: &mut Scene, log: &BlockLog) -> u64 {
    scene.node.until_vault("till", "unlocked").unwrap();
    scene.apply("new", TPM).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    let told = log.flushed().unwrap();
    scene.evc.run(&["rotate", "vault", "till", "--device", DEVICE]).unwrap();
    scene.node.until_vault_is("till", "re-keyed", |vault| vault["epoch"] == 2).unwrap();
    scene.apply("alone", &format!("{TPM}\n{RECIPIENT}")).unwrap();
    let kept = |vault: &serde_json::Value| vault.to_string().contains("recovery: 1 recipient, ready");
    scene.node.until_vault_is("alone", "with a recovery key", kept).unwrap();
    told
}

/// The node boots from what the disk may hold after a cut at this flush.
fn cut(scene: &mut Scene, written: &Written, flush: usize, arrived: impl FnMut() -> bool, image: &Path) {
    copy(&image.with_file_name("before.img"), image);
    written.replay(image, flush, arrived).unwrap();
    scene.node.exchange_disk(image).unwrap();
    scene.node.on(Power::Cut).unwrap();
}

fn judge(scene: &mut Scene, round: &str) {
    for vault in ["till", "alone"] {
        scene
            .node
            .until_vault(vault, "unlocked")
            .unwrap_or_else(|error| panic!("{vault}, {round}: {error:#}"));
        assert!(scene.has_data(vault), "{vault}, {round}");
    }
    scene.node.until_vault_is("till", round, |vault| vault["epoch"] == 2).unwrap();
    let kept = |vault: &serde_json::Value| vault.to_string().contains("recovery: 1 recipient, ready");
    scene.node.until_vault_is("alone", round, kept).unwrap();
    // The controller has heard that it was made: where the cut was before that, nothing is made anew in its place.
    let new =
        |vault: &serde_json::Value| ["unlocked", "missing"].iter().any(|state| vault["state"] == *state);
    scene.node.until_vault_is("new", round, new).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("--sparse=always").args([from, to]).status().unwrap().success());
}
