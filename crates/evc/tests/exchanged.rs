//! The database's files are exchanged, or removed, under a running controller: by a restore, a cleaner, a tool that copies folders. What would
//! be committed then nobody would find, keys of vaults among it. So nothing is, and it is said.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Answer, Device, Evc, section, serve, terminate};
use evc::api::Code;
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
