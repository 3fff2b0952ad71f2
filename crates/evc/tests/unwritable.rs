//! A database that can't be written for a while: what is asked meanwhile is refused in words, and it goes on as soon as it can be written
//! (seen-by-users 0b.10). Needs root, which alone may make files immutable.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{Device, Evc, section, until, until_so};
use evc::jobs::steady::Steady;
use wire::attest::AttestRequest;

/// The database's files, immutable while this is there.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn database(folder: &Path) -> Self {
        let made = Self(["evc.db", "evc.db-wal"].map(|name| folder.join(name)).into());
        assert!(made.chattr("+i"), "chattr +i: run as root, on a file system that knows it");
        made
    }

    fn chattr(&self, how: &str) -> bool {
        Command::new("chattr").arg(how).args(&self.0).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        self.chattr("-i");
    }
}

/// By which the file is told from copies of it.
fn number(evc: &Evc) -> i64 {
    let file = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    file.pragma_query_value(None, "application_id", |row| row.get(0)).expect("a number")
}

/// Attack F3: what an operator says stands, though nothing can be written beside the database; that a copy from before would not be known as
/// one is said until it is made up for.
#[test]
fn an_act_that_gave_no_number_is_made_up_for() {
    let evc = Evc::start();
    Device::onboarded(&evc, "edge-1");
    let before = number(&evc);
    let folder = Immutable(vec![evc.dir.path().to_owned()]);
    assert!(folder.chattr("+i"), "chattr +i: run as root, on a file system that knows it");
    evc.act("POST", "/devices/edge-1/lost", "");
    let glance = || evc.act("GET", "/glance", "").to_string();
    assert!(glance().contains("gave evc.db no new number"), "{}", glance());
    assert_eq!(number(&evc), before, "a copy from before has the same");
    drop(folder);
    let at = evc::clock::now();
    evc.wait(evc.app.keep_house(&mut Steady::since(at), at, Duration::ZERO)).expect("kept");
    assert_ne!(number(&evc), before, "a copy from before is known as one");
    // A look counts for a second.
    until("it to be made up for", || match glance() {
        told if told.contains("no new number") => Err(told),
        _ => Ok(()),
    });
}

#[test]
fn a_database_that_can_be_written_again_is_written_at_once() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let policy = |n: usize| format!("kind: VaultPolicy\nname: p-{n}\ncustody: controller\n");
    evc.apply(&policy(0));
    let nonce = device.challenged(&evc);
    let quote = device.evidence(nonce, device.session.session_key());
    let shown = device.seal(&AttestRequest::Quote(Box::new(quote)).encode());
    let immutable = Immutable::database(evc.dir.path());
    // The first one closes the connection, the next ones are SQLite's that opened it for reading.
    for n in 1..4 {
        let answer = evc.operator("POST", "/apply", &policy(n), Some(&evc.token));
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 500, "{told}");
        assert!(told.contains("can't be written") && told.contains("nothing was changed"), "{told}");
        let poll = evc.post(&device.own("config"), &device.seal(&device.ask()));
        assert_eq!(poll.status, 200, "a challenge needs no writing");
        let evidence = evc.post(&device.own("attest"), &shown);
        assert_eq!(evidence.status, 500, "evidence that was not kept is not taken");
        assert_eq!(evc.act("GET", "/policies", "").as_array().map(Vec::len), Some(1), "it can be read");
    }
    let ready = || evc.call("GET", "/readyz", "", None);
    let told = ready();
    let words = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.status == 503 && words.contains("nothing can be written"), "{words}");
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("can't be written"), "{glance}");
    drop(immutable);
    evc.apply(&policy(4));
    // A look counts for a second.
    until_so("it to be ready again", || ready().status == 200);
    assert_eq!(evc.post(&device.own("attest"), &shown).status, 201, "devices too");
    assert!(section(&device.poll(&evc).expect("changed")).is_some(), "and the same evidence is good");
    assert_eq!(
        evc.act("GET", "/policies", "").as_array().map(Vec::len),
        Some(2),
        "and nothing of what was refused"
    );
}
