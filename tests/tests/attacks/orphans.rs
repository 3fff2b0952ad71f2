//! seen-by-users 0.11, on the real programs: vaults that a node has and that its controller knows nothing of any more, since its
//! database is an older copy. They are kept locked. An operator takes one in, and it opens as it was; of another no key is left, and
//! he has it erased.

use std::path::{Path, PathBuf};

use eve_vault_tests::{DEVICE, Scene};
use serde_json::Value;
use testkit::wait;

use super::BOTH;
use super::copies::copy;

const POLICY: &str =
    "kind: VaultPolicy\nname: kept\ncustody: tpm\non_removal: { delete_after: 0s }\noperation: unlock\n";

fn adopt(scene: &Scene, vault: &str, more: &[&str]) -> Result<String, String> {
    let args = ["adopt", "vault", vault, "--device", DEVICE, "--policy", "kept"];
    scene.evc.run(&[&args, more].concat()).map_err(|refused| refused.to_string())
}

/// What the node says of the vault with this directory, whatever it is called now.
fn state(scene: &Scene, dir: &Path) -> Option<Value> {
    let id = dir.file_name()?.to_str()?.to_owned();
    let vaults = scene.node.status().ok()?["vaults"].as_array()?.clone();
    vaults.into_iter().find(|vault| vault["id"] == id.as_str()).map(|vault| vault["state"].clone())
}

fn until_orphans(scene: &Scene, dirs: &[&PathBuf]) {
    let orphan = |dir: &&PathBuf| state(scene, dir).is_some_and(|state| state == "orphan");
    wait::until("both to be told as orphans", || dirs.iter().all(orphan).then_some(())).unwrap();
    wait::until("the controller to hear of both", || {
        let shown = scene.evc.run(&["describe", "device", DEVICE]).ok()?;
        (shown.matches("orphan").count() >= dirs.len()).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}: {}", scene.evc.run(&["describe", "device", DEVICE]).unwrap()));
}

/// The controller as it was before it knew of either vault, begun anew.
fn take_back(scene: &mut Scene, backup: &Path) {
    scene.evc.stop().unwrap();
    let data = scene.evc.data();
    copy(backup, &data);
    scene.evc.run(&["begin-anew", "--data", data.to_str().unwrap(), "--confirm"]).unwrap();
    scene.evc.start().unwrap();
    scene.evc.apply(POLICY).unwrap();
}

#[test]
fn an_orphan_is_taken_in_and_opens_and_one_without_a_key_is_erased_by_an_operators_word() {
    let mut scene = Scene::attested().unwrap();
    let backup = scene.dir().join("backup");
    scene.evc.stop().unwrap();
    copy(&scene.evc.data(), &backup);
    scene.evc.start().unwrap();
    scene.vault_with_data("own", "custody: tpm").unwrap();
    scene.vault_with_data("day", BOTH).unwrap();
    let (own, day) = (scene.node.vault_dir("own").unwrap(), scene.node.vault_dir("day").unwrap());
    take_back(&mut scene, &backup);
    until_orphans(&scene, &[&own, &day]);
    scene.assert_closed("own");
    scene.assert_closed("day");
    let refused = adopt(&scene, "day", &[]).unwrap_err();
    assert!(refused.contains("--remove"), "{refused}");
    assert!(day.exists(), "kept, after a refusal");
    adopt(&scene, "own", &[]).unwrap();
    let refused = adopt(&scene, "day", &["--remove"]).unwrap_err();
    assert!(refused.contains("erased at once") && day.exists(), "{refused}");
    adopt(&scene, "day", &["--remove", "--confirm", "day"]).unwrap();
    wait::until("the one that was taken in to open", || scene.has_data("own").then_some(())).unwrap();
    wait::until("the other to be erased", || (!day.exists()).then_some(())).unwrap();
    wait::until("the controller to forget it", || {
        let list = scene.evc.run(&["get", "vaults", "--device", DEVICE]).ok()?;
        (!list.contains("day")).then_some(())
    })
    .unwrap();
    assert!(scene.has_data("own"), "and nothing else");
}
