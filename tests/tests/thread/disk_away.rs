//! The disk of persist is not mounted, and the folder that it is mounted on lies on a filesystem that could encrypt as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eve_vault_tests::{DEVICE, Scene};
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::wait;

use super::TPM;
use super::told::until_failure;

const AWAY: &str = "is not a mount point";

/// Invariant 4, absence never destroys: it is told once, to the controller too; nothing is made; no order makes anything anew; and with
/// the disk all is there again.
#[test]
fn nothing_is_made_in_the_place_of_a_disk_that_is_not_mounted() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.until_told("till", "that it is open", |report| report["state"] == "unlocked").unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.on_without_disk(Power::Clean).unwrap();
    scene.node.until_vault("config", "failed").unwrap();
    let told = until_failure(&scene, AWAY);
    assert!(told.contains("start eve again") && !told.contains("recreate"), "{told}");
    for vault in ["config", "image", "till"] {
        let refused = scene.node.run(&["vault", "recreate", vault, "--confirm", vault]).unwrap_err();
        assert!(refused.to_string().contains(AWAY), "{refused}");
    }
    wait::until("the controller to hear of it", || {
        let vault = scene.evc.vault(DEVICE, "config").ok()?;
        (vault["state"] == "failed" && vault.to_string().contains(AWAY)).then_some(())
    })
    .unwrap();
    let away = |till: &anyhow::Result<Value>| {
        let words = "the disk of persist is not there (was unlocked, ";
        till.as_ref().is_ok_and(|till| till.to_string().contains(words))
    };
    wait::until_is("the same of a user's vault", || scene.evc.vault(DEVICE, "till"), away).unwrap().unwrap();
    let anew = |vault| {
        let anew = ["recreate", "vault", vault, "--device", DEVICE, "--confirm", vault, "--new-disk"];
        scene.evc.run(&anew).expect_err("nothing is known to be lost").to_string()
    };
    assert!(anew("till").contains("is not mounted"), "{}", anew("till"));
    anew("config");
    let made: Vec<_> = fs::read_dir(scene.node.root().join("persist")).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
    scene.node.stop(Power::Clean).unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// Invariant 4: the same at the first boot. Nothing is made, on the system's own filesystem or in the TPM; it is told what is waited for; and with the disk the
/// node begins on that, with one set of roots.
#[test]
fn a_first_boot_without_its_disk_makes_nothing() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    let slots = |scene: &Scene| scene.node.tpm().unwrap().tool("tpm2_getcap", &["handles-nv-index"]).unwrap();
    let before = slots(&scene);
    scene.node.off(Power::Clean).unwrap();
    scene.node.on_without_disk(Power::Clean).unwrap();
    scene.node.until_vault("config", "failed").unwrap();
    let told = until_failure(&scene, AWAY);
    assert!(told.contains("start eve again") && told.contains("mkfs.ext4"), "{told}");
    assert_eq!(slots(&scene), before);
    let persist = scene.node.root().join("persist");
    for folder in ["vaults", ".fscrypt", "config", "img"] {
        assert!(!persist.join(folder).exists(), "{folder}");
    }
    scene.node.stop(Power::Clean).unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    for vault in ["config", "image"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    assert!(
        persist.join("vaults/.shares/shares.1").exists(),
        "they are the first generation's: {}",
        slots(&scene)
    );
}

/// A node may keep its vaults in a folder of the filesystem around it: no mount point, at its first boot with nothing in it.
#[test]
fn a_folder_that_is_no_mount_point_may_be_its_disk() {
    let mut scene = Scene::prepared(Parts { disk_around: true, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// Something mounted over a folder, with the folder of before at another place.
struct Over {
    folder: PathBuf,
    beside: PathBuf,
}

impl Over {
    fn mount(folder: &Path, beside: &Path) -> Self {
        fs::create_dir(beside).unwrap();
        let (folder, beside) = (folder.to_owned(), beside.to_owned());
        mount(&["--bind".as_ref(), &folder, &beside]);
        let over = Self { folder, beside };
        mount(&["-t".as_ref(), "tmpfs".as_ref(), "none".as_ref(), &over.folder]);
        over
    }

    /// Where a path under the folder is meanwhile.
    fn now(&self, path: &Path) -> PathBuf {
        self.beside.join(path.strip_prefix(&self.folder).unwrap())
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        for at in [&self.folder, &self.beside] {
            let _ = Command::new("umount").arg(at).status();
        }
    }
}

fn mount(args: &[&Path]) {
    assert!(Command::new("mount").args(args).status().unwrap().success(), "mount {args:?}");
}

/// Decision 71, invariant 4: while the disk is away a lease ends by itself, and root's order to lock is carried out; whoever orders something else is
/// told. Nothing is made on what lies there, and with the disk back eve goes on without a restart.
#[test]
fn while_the_disk_is_away_leases_end_and_root_locks() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("safe", TPM).unwrap();
    scene.vault_with_data("till", "custody: tpm\nlease: 10s").unwrap();
    scene.evc.stop().unwrap();
    let over = Over::mount(scene.node.disk().mount_point(), &scene.dir().join("beside"));
    let [safe, till] = ["safe", "till"].map(|vault| over.now(scene.data(vault)));
    scene.node.until_vault("till", "locked").unwrap();
    assert!(!till.exists() && safe.exists());
    scene.node.run(&["vault", "lock", "safe"]).unwrap();
    assert!(!safe.exists());
    let refused = scene.node.run(&["vault", "unlock", "safe"]).unwrap_err().to_string();
    assert!(refused.contains("went away while eve runs"), "{refused}");
    let told = until_failure(&scene, "went away while eve runs");
    assert!(told.contains("start eve again"), "{told}");
    assert_eq!(fs::read_dir(scene.node.disk().mount_point()).unwrap().count(), 0);
    drop(over);
    scene.node.run(&["vault", "unlock", "safe"]).unwrap();
    assert!(scene.has_data("safe"));
    scene.evc.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}
