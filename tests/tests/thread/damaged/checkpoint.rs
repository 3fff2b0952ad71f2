//! zedagent's checkpoint, in the Config Vault: two files that are damaged while that is open and nobody runs.

use std::fs;
use std::path::PathBuf;

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::wait;

use super::table::{Expected, ONE_BY_ONE, Opens, expected};
use super::{Files, TPM, done_to, files, is, scene};

fn checkpoint(scene: &Scene) -> PathBuf {
    scene.node.root().join("persist/config/zedagent")
}

/// Both files of it, once this vault stands in it.
fn checkpointed(scene: &Scene, vault: &str) -> Files {
    let names = |files: &Files| {
        let list = files.get("lastconfig").filter(|_| files.contains_key("controllercerts"));
        list.is_some_and(|text| String::from_utf8_lossy(text).contains(vault))
    };
    let kept = || Some(files(&checkpoint(scene))).filter(names);
    wait::until(&format!("{vault} in the checkpoint"), kept).unwrap()
}

/// Invariant 4: the checkpoint is zedagent's, and what vaultmgr goes by is its own record. Whatever is done to either file, or to both, and with
/// no controller in reach: every vault opens, also one that an older list has not, and nobody else's list counts.
#[test]
fn no_damage_to_the_checkpoint_closes_a_vault() {
    let mut other = scene(true, TPM);
    let foreign = checkpointed(&other, "till");
    other.node.off(Power::Clean).unwrap();
    let mut scene = scene(true, TPM);
    let older = checkpointed(&scene, "till");
    scene.vault_with_data("later", TPM).unwrap();
    let whole = checkpointed(&scene, "later");
    scene.evc.stop().unwrap();
    for what in ONE_BY_ONE {
        for damaged in [&["lastconfig"][..], &["controllercerts"], &["lastconfig", "controllercerts"]] {
            scene.node.stop(Power::Clean).unwrap();
            for (file, bytes) in &whole {
                let path = checkpoint(&scene).join(file);
                fs::write(&path, bytes).unwrap();
                if !damaged.contains(&file.as_str()) {
                    continue;
                }
                match done_to(bytes, what, &older[file], &foreign[file]) {
                    None => fs::remove_file(path).unwrap(),
                    Some(bytes) => fs::write(path, bytes).unwrap(),
                }
            }
            scene.node.reboot(Power::Clean).unwrap();
            is(
                &mut scene,
                &format!("{damaged:?} {what:?}"),
                &Expected { opens: Opens::All, says: Vec::new() },
            );
            scene.node.until_vault("later", "unlocked").unwrap();
            assert!(scene.has_data("later"), "{damaged:?} {what:?}");
        }
    }
    scene.evc.start().unwrap();
    is(&mut scene, "with its controller", &expected(&[]));
    let anew = checkpointed(&scene, "later");
    assert!(anew.keys().eq(whole.keys()), "both are written anew, and nothing else stays: {:?}", anew.keys());
}
