//! What lies in the controller's data folder, and what is made of it: nothing that is there is ever overwritten (seen-by-users 0.2).

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Evc, refused, serve};

/// What an earlier life leaves beside its database.
const LEFT: [&str; 4] = ["kek", "root-certificate.pem", "operator.token", "url"];

/// Every file but the lock, which has nothing in it, by what is in it.
fn files(data: &Path) -> BTreeMap<String, String> {
    let digest = |bytes: &[u8]| hex::encode(evc::service::token_hash(&String::from_utf8_lossy(bytes)));
    let entries = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("text"), entry.path()));
    let named = named.filter(|(name, _)| name != "lock");
    named.map(|(name, path)| (name, digest(&fs::read(path).expect("read")))).collect()
}

/// A database that no controller ever lived from.
fn tables_alone(file: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let claim = evc::store::StorePlace::Folder(file.with_file_name("")).claim().expect("nobody else's");
    runtime.block_on(async { claim.open().await.expect("made").close().await });
}

/// What is in the database's place.
type InItsPlace = (&'static str, fn(&Path));

/// seen-by-users 0.2: whatever of a controller is there without its database, a start refuses, says what to do and changes nothing.
#[test]
fn a_start_without_the_database_of_what_is_there_is_refused_and_changes_nothing() {
    let (live, places) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    drop(serve(live.path()));
    let databases: [InItsPlace; 3] = [
        ("absent", |_| {}),
        ("empty", |file| fs::write(file, []).expect("written")),
        ("tables alone", tables_alone),
    ];
    for (which, make) in databases {
        for chosen in 1..1_u8 << LEFT.len() {
            let there: Vec<_> = (0..LEFT.len()).filter(|i| chosen & (1 << i) != 0).map(|i| LEFT[i]).collect();
            let data = places.path().join(format!("{which}-{chosen}"));
            fs::create_dir(&data).expect("made");
            for name in &there {
                fs::copy(live.path().join(name), data.join(name)).expect("copied");
            }
            make(&data.join("evc.db"));
            let before = files(&data);
            let said = refused(&data);
            let named = there.iter().all(|name| said.contains(name));
            assert!(
                named && said.contains("put evc.db back") && said.contains("--data"),
                "{which}, {there:?}: {said}"
            );
            let mut after = files(&data);
            if which == "tables alone" {
                // Whoever looks into a database opens its logs.
                after.retain(|name, _| before.contains_key(name));
                after.insert("evc.db".into(), before["evc.db"].clone());
            }
            assert_eq!(after, before, "{which}, {there:?}");
        }
    }
}

/// The recipe of the row: moved away, started, moved back. The token, the root and what was stored are as before.
#[test]
fn a_database_that_was_moved_away_for_one_start_is_of_use_when_it_is_back() {
    let evc = Evc::start();
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n");
    let (token, dir) = (evc.token.clone(), evc.stop());
    let (file, away) = (dir.path().join("evc.db"), dir.path().join("away"));
    fs::rename(&file, &away).expect("moved");
    let before = files(dir.path());
    let said = refused(dir.path());
    assert!(said.contains("put evc.db back") && said.contains("nothing was changed"), "{said}");
    assert_eq!(files(dir.path()), before);
    fs::rename(&away, &file).expect("moved back");
    let evc = Evc::over(dir);
    assert_eq!(evc.token, token);
    assert_eq!(evc.act("GET", "/policies", "")[0]["name"], "p");
}

/// A log without its database is of one: opening a new one in its place would throw it away.
#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    for name in ["evc.db-wal", "evc.db-journal"] {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(name), b"the last transactions").expect("written");
        let before = files(dir.path());
        assert!(refused(dir.path()).contains(name));
        assert_eq!(files(dir.path()), before);
    }
}

/// A first start that was cut short served nobody: the next one makes everything anew, and needs no help.
#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("first-start", &b""[..]), ("kek", b""), ("operator.token", b"of no use")] {
        fs::write(dir.path().join(name), bytes).expect("written");
    }
    tables_alone(&dir.path().join("evc.db"));
    let evc = Evc::over(dir);
    assert_eq!(evc.act("GET", "/devices", ""), serde_json::json!([]));
    assert!(!evc.dir.path().join("first-start").exists(), "it is over");
    let dir = evc.stop();
    fs::remove_file(dir.path().join("evc.db")).expect("removed");
    refused(dir.path());
}

/// The file that nodes are installed with is never replaced by another root.
#[test]
fn another_controllers_root_beside_the_database_is_refused_and_stays() {
    let dir = Evc::start().stop();
    let (file, away) = (dir.path().join("root-certificate.pem"), dir.path().join("away"));
    fs::rename(&file, &away).expect("moved");
    fs::write(&file, "another").expect("written");
    assert!(refused(dir.path()).contains("is not the root certificate of the database beside it"));
    assert_eq!(fs::read(&file).expect("there"), b"another");
    fs::remove_file(&file).expect("removed");
    let evc = Evc::over(dir);
    assert_eq!(fs::read(&file).expect("written anew"), fs::read(&away).expect("there"));
    drop(evc);
}

/// Whoever removes the file `lock` under a running controller lets no second one in: that would be two of one database.
#[test]
fn a_second_controller_does_not_start_though_the_lock_was_removed() {
    let data = tempfile::tempdir().expect("a folder");
    let (running, _) = serve(data.path());
    fs::remove_file(data.path().join("lock")).expect("removed");
    let said = refused(data.path());
    assert!(said.contains("another evc works on") && said.contains("stop it"), "{said}");
    drop(running);
    drop(serve(data.path()));
}
