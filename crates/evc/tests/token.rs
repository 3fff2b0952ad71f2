//! `evc token new`: whoever reads the controller's key-encryption key on its machine makes an operator's token, so none is ever lost for
//! good, and a copy of database and key is all of a controller (seen-by-users 0.3, 1.7).

mod common;
mod kept;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use common::{Evc, serve};

const POLICY: &str = "kind: VaultPolicy\nname: berlin\ncustody: controller\n";

fn evc(data: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evc")).args(args).arg("--data").arg(data).output().expect("ran")
}

fn said(told: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr))
}

/// Whether the folder's token is let in by the controller that serves it.
fn works(data: &Path) -> bool {
    let told = evc(data, &["get", "policies"]);
    told.status.success() && said(&told).contains("berlin")
}

/// A stopped controller's folder, with a policy in it.
fn folder() -> (tempfile::TempDir, String) {
    let evc = Evc::start();
    evc.apply(POLICY);
    let token = evc.token.clone();
    (evc.stop(), token)
}

fn makes_one(data: &Path) {
    let made = evc(data, &["token", "new"]);
    assert!(made.status.success(), "{}", said(&made));
    let file = data.join("operator.token");
    let token = fs::read_to_string(&file).expect("a token");
    assert!(!said(&made).contains(&token), "it is never shown");
    assert!(said(&made).contains("still good: `evc token rotate` ends them"), "{}", said(&made));
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(!data.join("operator.token.new").exists());
}

/// seen-by-users 0.3.
#[test]
fn a_lost_token_is_replaced_while_the_controller_runs_and_while_it_does_not() {
    for running in [false, true] {
        let (dir, before) = folder();
        let data = dir.path();
        let lost = dir.path().join("operator.token");
        fs::remove_file(&lost).expect("lost");
        let serving = running.then(|| serve(data));
        makes_one(data);
        assert_ne!(fs::read_to_string(&lost).expect("a token"), before);
        let _serving = serving.unwrap_or_else(|| serve(data));
        assert!(works(data), "running: {running}");
        let old = data.join("found");
        fs::write(&old, &before).expect("written");
        let old = old.to_str().expect("text");
        assert!(evc(data, &["get", "policies", "--token-file", old]).status.success(), "as it was said");
        assert!(evc(data, &["token", "rotate"]).status.success());
        assert!(works(data) && !evc(data, &["get", "policies", "--token-file", old]).status.success());
    }
}

/// seen-by-users 1.7: the documented copy, of a running controller: database and kek. All is there, and an operator gets in.
#[test]
fn a_copy_of_database_and_kek_is_all_of_a_controller() {
    let evc = Evc::start();
    evc.apply(POLICY);
    let copy = tempfile::tempdir().expect("a folder");
    let (from, to) = (evc.dir.path().join("evc.db"), copy.path().join("evc.db"));
    // What `.backup` does, too: a copy of one moment.
    let live = rusqlite::Connection::open(&from).expect("open");
    live.execute("VACUUM INTO ?", [to.to_str().expect("text")]).expect("copied");
    fs::copy(evc.dir.path().join("kek"), copy.path().join("kek")).expect("copied");
    let (_serving, _) = serve(copy.path());
    assert!(!works(copy.path()), "there is no token yet");
    makes_one(copy.path());
    assert!(works(copy.path()));
    let root = |dir: &Path| fs::read(dir.join("root-certificate.pem")).expect("a root");
    assert_eq!(root(copy.path()), root(evc.dir.path()), "nodes know it");
}

/// Without the database's own key-encryption key there is no token, and nothing is written; one that is there is not overwritten.
#[test]
fn who_does_not_hold_the_kek_gets_no_token() {
    let (dir, before) = folder();
    let data = dir.path();
    let kek = data.join("kek");
    let refused = |advice: &str| {
        let told = evc(data, &["token", "new"]);
        assert!(!told.status.success() && said(&told).contains(advice), "{advice}: {}", said(&told));
        assert!(!data.join("operator.token.new").exists());
    };
    refused("is there already, and is not overwritten");
    assert_eq!(fs::read_to_string(data.join("operator.token")).expect("there"), before);
    fs::rename(data.join("operator.token"), data.join("kept")).expect("moved");
    let own = fs::read(&kek).expect("a key");
    fs::write(&kek, [7; 32]).expect("written");
    refused("`kek` is of another database");
    fs::remove_file(&kek).expect("removed");
    refused("give --data");
    fs::write(&kek, own).expect("written");
    fs::set_permissions(&kek, fs::Permissions::from_mode(0o600)).expect("set");
    fs::rename(data.join("evc.db"), data.join("away")).expect("moved");
    refused("put evc.db back");
    assert!(!data.join("evc.db").exists(), "and none is made");
    assert!(!data.join("operator.token").exists());
}

/// Invariant 4: a database of another build is carried over by `serve` alone, which has the folder to itself. Until then no token is written
/// into tables that are not understood, and it is said what to do.
#[test]
fn a_database_of_before_is_given_a_token_once_it_is_carried_over() {
    let dir = tempfile::tempdir().expect("a folder");
    kept::unpack("de4fa5e", dir.path());
    fs::remove_file(dir.path().join("operator.token")).expect("lost");
    let refused = evc(dir.path(), &["token", "new"]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("start `evc serve` of this version over it once"), "{}", said(&refused));
    assert!(!dir.path().join("operator.token").exists());
    let _serving = serve(dir.path());
    makes_one(dir.path());
    let told = evc(dir.path(), &["get", "policies"]);
    assert!(said(&told).contains("till-policy"), "{}", said(&told));
}
