//! Storage limits on a kernel that has project quotas: who fills a vault is stopped at its limit, and its keys go on changing.

use anyhow::Result;
use eve_vault_tests::{DEVICE, vault_yaml};
use serde_json::Value;
use testkit::wait;

use super::BOTH;
use super::scene::{PATIENCE, Scene};

const MIB: u64 = 1 << 20;

/// IF-1, VC-2, VC-7, invariant 5: an app is stopped at the limit, also by what it had written before there was one; a vault that is full takes a
/// new key; the limit is raised while the vault is open; operators see what it takes; and a boot changes nothing of that.
#[test]
fn a_vault_takes_no_more_than_its_limit_and_is_rekeyed_while_it_is_full() {
    let mut scene = Scene::attested().unwrap();
    limit(&scene, "till", "\nstorage_limit: 8MiB");
    bounded(&mut scene, "till", 8);
    assert!(!written(&mut scene, "till", "first", 12).unwrap(), "more than the limit is written");
    // A status is of a look a while ago.
    used(&mut scene, "till", |used| used > 6 * MIB && used <= 8 * MIB);
    scene.evc.run(&["rotate", "vault", "till", "--device", DEVICE]).unwrap();
    scene.node.until_vault_is("till", "the new epoch", |vault| vault["epoch"] == 2).unwrap();
    limit(&scene, "till", "\nstorage_limit: 16MiB");
    bounded(&mut scene, "till", 16);
    assert!(written(&mut scene, "till", "second", 4).unwrap(), "the limit was raised");
    counted_later(&mut scene);
    scene.node.off().unwrap();
    scene.node.on().unwrap();
    bounded(&mut scene, "till", 16);
    assert!(!written(&mut scene, "till", "third", 12).unwrap(), "after a boot");
    let told = scene.evc.run(&["get", "vaults", "-o", "wide"]).unwrap();
    assert!(told.contains("MiB of 16MiB"), "{told}");
}

/// A vault of no limit is counted from the first file on, also in its folders: so a limit that comes later bounds what is made in them.
fn counted_later(scene: &mut Scene) {
    limit(scene, "alone", "");
    scene.node.until_vault("alone", "unlocked").unwrap();
    let deep = "$(eve vault path alone)/a/b";
    scene.node.shell(&format!("mkdir -p {deep} && chown -R 1000 $(eve vault path alone)")).unwrap();
    assert!(written(scene, "alone", "a/b/old", 6).unwrap());
    limit(scene, "alone", "\nstorage_limit: 8MiB");
    bounded(scene, "alone", 8);
    used(scene, "alone", |used| used >= 6 * MIB);
    assert!(!written(scene, "alone", "a/b/new", 6).unwrap(), "in a folder of before");
}

/// Invariant 8: mounted without the option, the disk counts and bounds nothing: that is told, with what to do; with it all is as before.
#[test]
fn a_disk_that_does_not_bound_is_told_of() {
    let mut scene = Scene::attested().unwrap();
    limit(&scene, "till", "\nstorage_limit: 8MiB");
    bounded(&mut scene, "till", 8);
    scene.node.remounted("").unwrap();
    let told = |vault: &Value| {
        vault["detail"].to_string().contains("storage limit not enforced: the persist filesystem counts")
    };
    let vault = scene.node.until_vault_is("till", "that nothing bounds it", told).unwrap();
    assert_eq!((&vault["state"], &vault["storage"]["limit"]), (&"unlocked".into(), &Value::Null), "{vault}");
    scene.node.remounted("prjquota").unwrap();
    bounded(&mut scene, "till", 8);
}

fn limit(scene: &Scene, vault: &str, limit: &str) {
    scene.evc.apply(&vault_yaml(vault, &format!("{BOTH}{limit}"))).unwrap();
}

fn bounded(scene: &mut Scene, vault: &str, mib: u64) {
    let is = |vault: &Value| vault["storage"]["limit"] == mib * MIB && vault["state"] == "unlocked";
    scene.node.until_vault_is(vault, &format!("a limit of {mib} MiB"), is).unwrap();
    scene.node.shell(&format!("chown 1000 $(eve vault path {vault})")).unwrap();
}

/// As the controller tells it, which the node told.
fn used(scene: &mut Scene, vault: &str, holds: impl Fn(u64) -> bool) {
    let told =
        || scene.evc.vault(DEVICE, vault).ok()?["storage"]["used"].as_u64().filter(|used| holds(*used));
    wait::within(PATIENCE, "the controller to be told what the vault takes", told).unwrap();
}

/// Writes so many MiB as an app does, which is no root: the kernel bounds nobody who has CAP_SYS_RESOURCE. Whether all of them were taken.
fn written(scene: &mut Scene, vault: &str, file: &str, mib: u64) -> Result<bool> {
    let dd =
        format!("if=/dev/zero of=$(eve vault path {vault})/{file} bs=65536 count={} conv=fsync", mib * 16);
    let user = "grep -qs ^app /etc/passwd || echo app:x:1000:1000::/:/bin/sh >> /etc/passwd";
    let said = scene.node.ask(&format!("{user}; start-stop-daemon -S -c app -x /bin/dd -- {dd}"))?;
    assert_eq!(said.code != 0, said.printed.contains("quota exceeded"), "{}", said.printed);
    Ok(said.code == 0)
}
