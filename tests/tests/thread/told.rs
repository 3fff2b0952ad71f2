//! What the controller says reaches whoever looks at the node, and what it refuses keeps nothing else from going on (AC-2).

use std::fs;
use std::path::Path;
use std::process::Command;

use eve_vault_tests::Scene;
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::{program, wait};

use super::TPM;

/// What `eve status` says under a name, once it says something that is looked for.
pub(super) fn until_told(scene: &Scene, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let told = |status: &anyhow::Result<Value>| status.as_ref().is_ok_and(|status| holds(&status[name]));
    let status = wait::until_is(&format!("{name} of the status"), || scene.node.status(), told);
    status.unwrap().unwrap()[name].clone()
}

/// What `eve status` prints, once it is no failure and has these words. One who is silent just then is a failure.
pub(super) fn until_text(scene: &Scene, words: &str) -> String {
    let has = |text: &anyhow::Result<String>| text.as_ref().is_ok_and(|text| text.contains(words));
    let what = format!("a status that says {words:?}");
    wait::until_is(&what, || scene.node.run(&["status"]), has).unwrap().unwrap()
}

/// The same of one that is a failure, with what it prints of it.
pub(super) fn until_failure(scene: &Scene, words: &str) -> String {
    let failed = || scene.node.run(&["status"]).map_err(|error| error.to_string());
    let has = |text: &Result<String, String>| text.as_ref().is_err_and(|text| text.contains(words));
    wait::until_is(&format!("a status that fails with {words:?}"), failed, has).unwrap().unwrap_err()
}

/// A line of `eve status`.
fn has_row(text: &str, name: &str, words: &str) -> bool {
    text.lines().any(|line| line.starts_with(name) && line.contains(words))
}

pub(super) fn has(words: &str) -> impl Fn(&Value) -> bool {
    move |told| told.to_string().contains(words)
}

pub(super) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// A controller that was set back to before this device registered: the device registers again by itself.
#[test]
fn a_device_that_the_controller_forgot_registers_anew() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    let (data, backup) = (scene.evc.data(), scene.dir().join("backup"));
    scene.evc.stop().unwrap();
    copy(&data, &backup);
    scene.evc.start().unwrap();
    scene.node.start().unwrap();
    let first = until_told(&scene, "device", Value::is_string);
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.evc.stop().unwrap();
    copy(&backup, &data);
    scene.evc.start().unwrap();
    let second = until_told(&scene, "device", |device| device.is_string() && *device != first);
    let devices = scene.evc.json(&["get", "devices"]).unwrap().to_string();
    assert!(devices.contains(second.as_str().unwrap()), "{devices}");
    until_told(&scene, "controller", |controller| controller["reachable"] == true);
    assert_eq!(scene.node.vault("config").unwrap()["state"], "unlocked", "nothing was given up for it");
}

/// A device that may not register says it in the controller's words, with what to do there; then it is let in.
#[test]
fn a_refused_registration_is_told_in_the_controllers_words() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    let serial = scene.node.root().join("config/serial");
    let allowed = fs::read(&serial).unwrap();
    fs::write(&serial, "another-one").unwrap();
    scene.node.start().unwrap();
    let words = until_told(&scene, "onboarding", has("another-one"));
    assert!(has("may not onboard with this certificate; allow it with `evc onboard add")(&words), "{words}");
    assert!(has("tried again in")(&words), "{words}");
    scene.node.stop(Power::Clean).unwrap();
    fs::write(&serial, allowed).unwrap();
    scene.node.start().unwrap();
    until_told(&scene, "device", Value::is_string);
}

/// A controller that is not there: what to look at, and that it is tried again.
#[test]
fn an_absent_controller_is_told_with_what_to_do() {
    let mut scene = Scene::attested().unwrap();
    scene.evc.stop().unwrap();
    let told = until_told(&scene, "controller", |controller| {
        controller["reachable"] == false
            && controller["words"].as_str().is_some_and(|words| !words.is_empty())
    });
    assert!(has("config/server")(&told) && has("tried again in")(&told), "{told}");
}

/// TPM: how it is, that it fails, and that it is back.
#[test]
fn the_status_says_how_the_tpm_is() {
    let mut scene = Scene::attested().unwrap();
    let health = until_told(&scene, "tpm_health", Value::is_object);
    assert_eq!(health["in_lockout"], false, "{health}");
    assert!(health["sessions_free"].as_u64() > Some(0));
    let text = until_text(&scene, "no lockout");
    assert!(text.contains("room for"), "{text}");
    scene.node.tpm_mut().unwrap().stop();
    // Seen-by-users 1.12. What is not known yet as failing is already silent, and a shell is told either way.
    let told = until_failure(&scene, "this node's TPM does not answer");
    assert!(has_row(&told, "tpm health", "does not answer"), "{told}");
    let words = until_told(&scene, "tpm", has("failing"));
    assert!(has("config/tcti")(&words), "{words}");
    assert_eq!(
        scene.node.told().unwrap()["tpm_health"],
        Value::Null,
        "nothing is shown of one that is silent"
    );
    scene.node.tpm_mut().unwrap().start().unwrap();
    until_told(&scene, "tpm", has("ready"));
    until_told(&scene, "controller", |controller| controller["reachable"] == true);
}

/// `eve status` where the kernel's table of swap is this file: in mounts of its own, for swap is the whole machine's, and every other node on it
/// would be told of it too.
fn status_with_swap(scene: &Scene, table: &Path) -> Result<String, String> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.args([r#"mount --bind "$1" /proc/swaps; exec "$2" status --root "$3""#, "sh"]);
    let told = command.arg(table).arg(program("eve").unwrap()).arg(scene.node.root()).output().unwrap();
    let [out, err] = [told.stdout, told.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if told.status.success() { Ok(out) } else { Err(format!("{out}{err}")) }
}

/// Facts, fault 4: swap in a file of persist, and swap that nothing encrypts, are told in the status, with what to do; without any nothing is.
#[test]
fn swap_that_is_in_the_clear_is_told() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    let (table, file) = (scene.dir().join("swaps"), scene.node.root().join("persist/swapfile"));
    let [beside, none] = ["beside", "none"].map(|name| scene.dir().join(name));
    [&file, &beside].into_iter().for_each(|file| fs::write(file, "swap").unwrap());
    let note = |swap: &Path| {
        let line = format!("Filename Type Size Used Priority\n{} file 100 0 -2\n", swap.display());
        fs::write(&table, line).unwrap();
        let told = |told: &Result<String, String>| told.is_ok();
        let text = wait::until_is("a whole status", || status_with_swap(&scene, &table), told).unwrap();
        let text = text.unwrap();
        text.lines().find(|line| line.contains("swap")).map(str::to_owned)
    };
    let told = note(&file).unwrap();
    assert!(has_row(&told, "note", "swap lies in a file on the persist filesystem"), "{told}");
    assert!(told.contains("swapfile") && told.contains("swapoff it"), "{told}");
    for swap in [&beside, &none] {
        let told = note(swap).unwrap();
        assert!(
            has_row(&told, "note", "is not encrypted") && told.contains("use swap on dm-crypt"),
            "{told}"
        );
    }
    fs::write(&table, "Filename Type Size Used Priority\n").unwrap();
    let text = wait::until("a whole status", || status_with_swap(&scene, &table)).unwrap();
    assert!(!text.contains("swap"), "there is none: {text}");
}

/// AC-2: keys that the controller refuses are told, and the configuration and the status go on.
#[test]
fn refused_certificates_keep_nothing_else_from_going_on() {
    let mut scene = Scene::attested().unwrap();
    scene.node.off(Power::Clean).unwrap();
    // Of the same shape, from other unique data: another key.
    let (tpm, made) = (scene.node.tpm().unwrap(), scene.dir().join("made"));
    let (made, handle, unique) = (made.to_str().unwrap(), "0x81000005", scene.dir().join("unique"));
    fs::write(&unique, [&[32, 0][..], &[1; 32], &[32, 0], &[1; 32]].concat()).unwrap();
    tpm.tool("tpm2_evictcontrol", &["-C", "o", "-c", handle]).unwrap();
    let shape = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|decrypt";
    let unique = ["-u", unique.to_str().unwrap()];
    let like = ["-C", "o", "-g", "sha256", "-G", "ecc256", "-a", shape, "-c", made];
    tpm.tool("tpm2_createprimary", &[&like[..], &unique].concat()).unwrap();
    tpm.tool("tpm2_evictcontrol", &["-C", "o", "-c", made, handle]).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let notes = until_told(&scene, "notes", has("certificates"));
    assert!(has("is pinned for this device")(&notes), "{notes}");
    scene.vault_with_data("till", TPM).unwrap();
    let known =
        || scene.evc.vault(eve_vault_tests::DEVICE, "till").ok().filter(|till| till["state"] == "unlocked");
    wait::until("the report at the controller", known).unwrap();
}

/// Of a first boot at which nothing is wrong the log warns of nothing, and says nothing of the controller's list twice.
#[test]
fn a_good_first_boot_warns_of_nothing() {
    let scene = Scene::attested().unwrap();
    let log = fs::read_to_string(scene.node.log()).unwrap();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let awaited = log.lines().filter(|line| line.contains("sends no list of vaults")).count();
    assert!(awaited <= 1, "{log}");
}
