//! The database's files are exchanged, or removed, under a running controller: by a restore, a cleaner, a tool that copies folders. What would
//! be committed then nobody would find, keys of vaults among it. So nothing is, and it is said.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Answer, Device, Evc, section, serve, terminate};
use evc::api::Code;
use evc::store::StoreError;
use wire::attest::AttestRequest;

const FILES: [&str; 3] = ["evc.db", "evc.db-wal", "evc.db-shm"];

fn policy(name: &str) -> String {
    format!("kind: VaultPolicy\nname: {name}\ncustody: controller\n")
}

fn vault(name: &str) -> String {
    format!("kind: Vault\nname: {name}\ndevice: edge-1\npolicy: p-0\n")
}

fn applied(evc: &Evc, yaml: &str) -> Answer {
    evc.operator("POST", "/apply", yaml, Some(&evc.token))
}

/// Refused, by a code and words of its own, to operators and devices; and told to whoever watches.
fn refuses(evc: &Evc, device: &Device, evidence: &[u8], words: [&str; 2]) {
    for yaml in [policy("p-1"), vault("late")] {
        let refused = applied(evc, &yaml);
        let told = refused.problem();
        assert_eq!((refused.status, told.code), (500, Code::DatabaseMoved), "{told:?}");
        assert!(told.error.contains(words[0]) && told.advice.contains(words[1]), "{told:?}");
    }
    let rotated = evc.operator("POST", "/devices/edge-1/vaults/early/rotate", "{}", Some(&evc.token));
    assert_eq!((rotated.status, rotated.problem().code), (500, Code::DatabaseMoved));
    assert_eq!(
        evc.post(&device.own("attest"), evidence).status,
        500,
        "evidence that is not kept is not taken"
    );
    assert_eq!(evc.call("GET", "/readyz", "", None).status, 503);
    let glance = evc.operator("GET", "/glance", "", Some(&evc.token));
    assert!(String::from_utf8_lossy(&glance.body).contains(words[0]), "{}", glance.status);
}

fn names(evc: &Evc) -> Vec<String> {
    let all = evc.act("GET", "/policies", "");
    all.as_array().expect("a list").iter().map(|it| it["policy"]["name"].to_string()).collect()
}

struct Scene {
    evc: Evc,
    device: Device,
    evidence: Vec<u8>,
}

impl Scene {
    /// With evidence on its way that is good.
    fn new() -> Self {
        let evc = Evc::start();
        let mut device = Device::onboarded(&evc, "edge-1");
        evc.apply(&policy("p-0"));
        evc.apply(&vault("early"));
        let nonce = device.challenged(&evc);
        let quote = device.evidence(nonce, device.session.session_key());
        let evidence = device.seal(&AttestRequest::Quote(Box::new(quote)).encode());
        Self { evc, device, evidence }
    }

    /// With a database of which no more than a part is read.
    fn large() -> Self {
        let scene = Self::new();
        let filler = "INSERT INTO removed_devices (cert_digest, key, name, removed_at)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 20)
            SELECT randomblob(32), randomblob(32), hex(randomblob(500000)), 1 FROM n";
        common::sql(scene.folder(), &[filler, "PRAGMA wal_checkpoint(TRUNCATE)"]);
        assert!(fs::metadata(scene.folder().join("evc.db")).expect("there").len() > 16 << 20);
        scene
    }

    fn folder(&self) -> &Path {
        self.evc.dir.path()
    }
}

fn moved(from: &Path, to: &Path, files: &[&str]) {
    files.iter().for_each(|file| fs::rename(from.join(file), to.join(file)).expect(file));
}

/// Attack A2: an older copy has the place of the file that is open; put back, all goes on, and nothing of what was said to be done is gone.
#[test]
fn nothing_is_written_to_a_database_that_has_lost_its_name() {
    let mut scene = Scene::new();
    let (folder, copy): (PathBuf, _) = (scene.folder().to_owned(), tempfile::tempdir().expect("a folder"));
    let aside = tempfile::tempdir_in(&folder).expect("a folder");
    let older = copy.path().join("evc.db");
    common::sql(&folder, &[&format!("VACUUM INTO '{}'", older.display())]);
    scene.evc.apply(&policy("p-9"));
    moved(&folder, aside.path(), &FILES);
    fs::copy(&older, folder.join("evc.db")).expect("copied");
    let words = ["evc.db is gone, or another one", "put back the file"];
    refuses(&scene.evc, &scene.device, &scene.evidence, words);
    fs::remove_file(folder.join("evc.db")).expect("removed");
    refuses(&scene.evc, &scene.device, &scene.evidence, words);
    moved(aside.path(), &folder, &FILES);
    let Scene { evc, device, evidence } = &mut scene;
    assert_eq!(applied(evc, &vault("late")).status, 200, "it is back");
    assert_eq!(evc.post(&device.own("attest"), evidence).status, 201);
    let given = section(&device.poll(evc).expect("changed")).expect("keys");
    assert!(device.keys(&given, "late").is_some());
    let evc = scene.evc.restart();
    assert_eq!(names(&evc), ["\"p-0\"", "\"p-9\""], "and nothing of what was refused");
}

/// Attack G1: a copy is written over the file that is open, which keeps its name and its inode. Nothing is written any more, the log is not folded into
/// the copy at the stop, and the next start takes the two for no pair.
#[test]
fn nothing_is_written_to_a_database_that_was_written_over() {
    for over in ["evc.db", "evc.db-wal"] {
        let scene = Scene::new();
        let (folder, copy) = (scene.folder().to_owned(), tempfile::tempdir().expect("a folder"));
        let older = copy.path().join("evc.db");
        common::sql(&folder, &[&format!("VACUUM INTO '{}'", older.display())]);
        scene.evc.apply(&policy("p-9"));
        let inode = |file: &str| fs::metadata(folder.join(file)).expect(file).ino();
        let before = inode(over);
        fs::copy(&older, folder.join(over)).expect("written over");
        assert_eq!(inode(over), before, "{over}");
        let words = ["was written over", "put back the newest good copy"];
        refuses(&scene.evc, &scene.device, &scene.evidence, words);
        let kept = fs::read(folder.join("evc.db")).expect("read");
        let dir = scene.evc.stop();
        assert!(fs::read(folder.join("evc.db")).expect("read") == kept, "{over}: nothing was folded into it");
        let said = common::refused(dir.path());
        assert!(said.contains("a mixture; nothing was changed"), "{over}: {said}");
        FILES[1..].iter().for_each(|file| drop(fs::remove_file(folder.join(file))));
        fs::copy(&older, folder.join("evc.db")).expect("put back");
        let evc = Evc::over(dir);
        assert_eq!(names(&evc), ["\"p-0\""], "{over}: what the copy has");
        assert!(evc.act("GET", "/glance", "").to_string().contains("put back from a copy"), "{over}");
    }
}

/// A database whose log has what the file has not, and a copy from before is written over it.
fn written_over() -> (Scene, tempfile::TempDir) {
    let (scene, copy) = (Scene::new(), tempfile::tempdir().expect("a folder"));
    let older = copy.path().join("evc.db");
    common::sql(scene.folder(), &[&format!("VACUUM INTO '{}'", older.display())]);
    scene.evc.apply(&policy("p-9"));
    fs::copy(&older, scene.folder().join("evc.db")).expect("written over");
    (scene, copy)
}

fn read(folder: &Path, files: &[&str]) -> Vec<Vec<u8>> {
    files.iter().map(|file| fs::read(folder.join(file)).expect(file)).collect()
}

/// The folder as a kill would leave it now.
fn as_killed(folder: &Path) -> tempfile::TempDir {
    let killed = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(folder).expect("listed") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("known").is_file() {
            fs::copy(entry.path(), killed.path().join(entry.file_name())).expect("copied");
        }
    }
    killed
}

/// Attack G1: housekeeping folds the log in, so that no deleted key stays in it; not into a file that others wrote into. It writes down that the two
/// are no pair, so that a kill, after which nobody closes anything, brings no mixture either.
#[test]
fn housekeeping_folds_nothing_into_a_database_that_was_written_over() {
    let (scene, _copy) = written_over();
    let before = read(scene.folder(), &FILES[..2]);
    assert!(!before[1].is_empty(), "there is a log");
    let folded = scene.evc.wait(scene.evc.app.store.fold());
    assert!(matches!(folded, Err(StoreError::Overwritten)), "{folded:?}");
    assert!(read(scene.folder(), &FILES[..2]) == before, "nothing was folded");
    let killed = as_killed(scene.folder());
    let said = common::refused(killed.path());
    assert!(said.contains("a mixture; nothing was changed"), "{said}");
    assert!(said.contains("keep a copy of evc.db and evc.db-wal"), "{said}");
}

/// Attack G1: that the log's name is gone as well changes nothing of whose the file is.
#[test]
fn nothing_is_folded_into_a_database_that_was_written_over_and_lost_its_log() {
    let (scene, aside) = written_over();
    fs::rename(scene.folder().join("evc.db-wal"), aside.path().join("evc.db-wal")).expect("moved");
    let before = read(scene.folder(), &FILES[..1]);
    let dir = scene.evc.stop();
    assert!(read(dir.path(), &FILES[..1]) == before, "nothing was folded");
}

/// The twin: a time alone is nothing that was written (`touch`, a tool that sets times). What is written after it is seen as before.
#[test]
fn a_database_that_was_touched_is_what_it_was() {
    for scene in [Scene::new(), Scene::large()] {
        is_touched_and_then_written_over(&scene);
    }
}

fn is_touched_and_then_written_over(scene: &Scene) {
    let folder = scene.folder().to_owned();
    let older = tempfile::tempdir().expect("a folder");
    let copy = older.path().join("evc.db");
    common::sql(&folder, &[&format!("VACUUM INTO '{}'", copy.display())]);
    for n in 1..4 {
        let touch = Command::new("touch").arg("-d").arg(format!("@{n}")).arg(folder.join("evc.db")).status();
        assert!(touch.expect("runs").success());
        assert_eq!(applied(&scene.evc, &policy(&format!("t-{n}"))).status, 200, "{n}");
        scene.evc.wait(scene.evc.app.store.fold()).expect("folded");
    }
    fs::copy(&copy, folder.join("evc.db")).expect("written over");
    refuses(&scene.evc, &scene.device, &scene.evidence, ["was written over", "keep a copy"]);
}

/// A large one is read in parts: by those that each copy has of its own, an older one is known that is as long and has all else as it is.
#[test]
fn a_large_database_that_an_older_copy_is_written_over_is_known() {
    for acts in [1, 5] {
        let scene = Scene::large();
        let (database, dir) = (scene.folder().join("evc.db"), tempfile::tempdir().expect("a folder"));
        let fold = || common::sql(scene.folder(), &["PRAGMA wal_checkpoint(TRUNCATE)"]);
        scene.evc.apply(&policy("p-9"));
        fold();
        let copy = dir.path().join("copy");
        fs::copy(&database, &copy).expect("copied");
        (0..acts).for_each(|_| drop(scene.evc.act("POST", "/devices/edge-1/lost", "")));
        fold();
        assert_eq!(applied(&scene.evc, &policy("p-10")).status, 200, "what SQLite wrote is its own");
        let [now, then] = [&database, &copy].map(|file| fs::metadata(file).expect("there").len());
        assert_eq!(now, then, "as long");
        fs::copy(&copy, &database).expect("written over");
        refuses(&scene.evc, &scene.device, &scene.evidence, ["was written over", "keep a copy"]);
    }
}

/// The twin: SQLite writes the file in many ways, by this process and by others, and none is taken for somebody else's.
#[test]
fn what_sqlite_writes_is_its_own() {
    let scene = Scene::new();
    for n in 1..60 {
        scene.evc.apply(&policy(&format!("p-{n}")));
        if n % 6 == 0 {
            // A connection that comes and goes, and folds the log into the file.
            let how = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][n % 4];
            let open = rusqlite::Connection::open(scene.folder().join("evc.db")).expect("opened");
            let fold = format!("PRAGMA wal_checkpoint({how})");
            open.query_row(&fold, (), |_| Ok(())).expect("folded");
        }
        let ready = scene.evc.operator("GET", "/glance", "", Some(&scene.evc.token));
        assert!(!String::from_utf8_lossy(&ready.body).contains("written over"), "{n}");
    }
    assert_eq!(names(&scene.evc).len(), 60);
}

/// Attack A2b: what is in a log that has no name goes with the process. Nothing more is written to it, and a controller that is stopped
/// as it should be has lost nothing.
#[test]
fn nothing_is_written_to_a_log_that_has_lost_its_name_and_a_stop_keeps_all() {
    let mut files: Vec<Vec<&str>> = FILES[1..].iter().map(|file| vec![*file]).collect();
    files.push(FILES[1..].to_vec());
    for removed in files {
        let scene = Scene::new();
        let folder = scene.folder().to_owned();
        removed.iter().for_each(|file| fs::remove_file(folder.join(file)).expect(file));
        let words = ["evc.db-wal or evc.db-shm is gone", "stop evc by SIGTERM"];
        refuses(&scene.evc, &scene.device, &scene.evidence, words);
        let Scene { evc, device, evidence } = scene;
        let evc = evc.restart();
        assert_eq!(names(&evc), ["\"p-0\""], "{removed:?}: all that was said to be done, and no more");
        assert_eq!(evc.post(&device.own("attest"), &evidence).status, 201, "{removed:?}");
        assert_eq!(applied(&evc, &vault("late")).status, 200, "{removed:?}");
    }
}

/// The same as a service manager stops it: the exit code says that all is well, and the log said what was not.
#[test]
fn sigterm_writes_back_what_the_log_without_a_name_has() {
    let evc = Evc::start();
    let (token, agent) = (evc.token.clone(), evc.agent.clone());
    let dir = evc.stop();
    let (serving, url) = serve(dir.path());
    let apply = |name: &str| {
        let request = agent.post(format!("{url}/api/v1/apply"));
        let answer = request.header("authorization", format!("Bearer {token}")).send(policy(name));
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!(apply("p-0"), 200);
    fs::remove_file(dir.path().join("evc.db-wal")).expect("removed");
    assert_eq!(apply("p-1"), 500);
    let (code, log) = terminate(serving);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("ERROR") && log.contains("evc.db-wal or evc.db-shm is gone"), "{log}");
    assert_eq!(names(&Evc::over(dir)), ["\"p-0\""]);
}

/// What is told first hides nothing that comes after it: each has another thing to be done.
#[test]
fn one_fault_after_another_is_told_in_the_log() {
    let evc = Evc::start();
    let (token, agent) = (evc.token.clone(), evc.agent.clone());
    let dir = evc.stop();
    let (serving, url) = serve(dir.path());
    let refused = |name: &str| {
        let request = agent.post(format!("{url}/api/v1/apply"));
        let answer = request.header("authorization", format!("Bearer {token}")).send(policy(name));
        assert_eq!(answer.expect("an answer").status().as_u16(), 500);
    };
    let (database, aside) = (dir.path().join("evc.db"), dir.path().join("aside"));
    fs::remove_file(dir.path().join("evc.db-wal")).expect("removed");
    refused("p-0");
    fs::rename(&database, &aside).expect("moved");
    refused("p-1");
    fs::rename(&aside, &database).expect("moved back");
    let (_, log) = terminate(serving);
    for fault in ["evc.db-wal or evc.db-shm is gone", "the file evc.db is gone"] {
        let mut told = log.lines().filter(|line| line.contains("nothing is written until then"));
        assert!(told.any(|line| line.contains(fault)), "{fault}: {log}");
    }
}

/// A number that was written down and came to nothing, for the database was busy, is not taken for the file's own once the log is folded in: a kill
/// after that shuts nobody out.
#[test]
fn an_act_that_was_not_counted_keeps_nobody_from_starting() {
    let evc = Evc::start();
    let act = || evc.wait(evc.app.store.count_act());
    // One less than those with which the log is folded in, with that of the start.
    (0..14).for_each(|n| act().unwrap_or_else(|error| panic!("{n}: {error}")));
    let other = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    let busy = act();
    assert!(matches!(busy, Err(StoreError::Busy(_))), "{busy:?}");
    other.execute_batch("ROLLBACK").expect("ended");
    let killed_now = || {
        let glance = Evc::over(as_killed(evc.dir.path())).act("GET", "/glance", "").to_string();
        assert!(!glance.contains("put back from a copy"), "{glance}");
    };
    killed_now();
    act().expect("counted");
    killed_now();
}
