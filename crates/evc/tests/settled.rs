//! What is remembered of devices never outlives a change (AC-5, invariant 6): each act of an operator's is raced against a device that polls
//! without end, and holds for its very next poll; and whatever happens, in whatever order, by whichever clock and with a database that
//! fails, a poll is told what it would be told if nothing were remembered.

mod common;
mod engines;

use common::{Device, Evc, Key, new_session, raced, section, settle_graces, until_unchanged};
use engines::{Asked, Fault, Faults, Faulty, Memory};
use evc::clock::now;
use evc::device::config::Look;
use evc::device::poll::Polled;
use evc::store::{Alarm, Noted};
use vault::report::State;
use vault::section::{Operation, Presence};
use wire::attest::AttestRequest;
use wire::config::ConfigRequest;
use wire::envelope::{DeviceEnvelope, seal_from_device};

const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n";
const LOCKED: &str = "kind: VaultPolicy\nname: p\ncustody: controller\noperation: lock\n";

fn vault(name: &str) -> String {
    format!("---\nkind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n")
}

fn with_vault(evc: &Evc) -> Device {
    let mut device = Device::onboarded(evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + &vault("payments")));
    let section = device.attested(evc);
    device.report(evc, &section, 1);
    device
}

/// Each pair is done and undone, by turns.
#[test]
fn an_operators_word_holds_for_the_very_next_poll() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    let lost = ("POST", "/devices/edge-1/lost", "");
    let pairs = [
        [("POST", "/apply", LOCKED), ("POST", "/apply", POLICY)],
        [lost, ("DELETE", "/devices/edge-1/lost", "")],
        [("DELETE", "/devices/edge-1/vaults/payments", ""), ("POST", "/apply", &vault("payments")[4..])],
    ];
    for (method, path, body) in pairs.iter().flat_map(|pair| [pair, pair, pair]).flatten() {
        let next = raced(&evc, &mut device, || drop(evc.act(method, path, body)));
        assert_eq!(next, 200, "{method} {path} {body}");
    }
    for epoch in 2..6 {
        let rotate = || drop(evc.act("POST", "/devices/edge-1/vaults/payments/rotate", ""));
        assert_eq!(raced(&evc, &mut device, rotate), 200, "rotation {epoch}");
        let told = device.poll(&evc).expect("changed");
        device.report(&evc, &section(&told).expect("a section"), epoch);
    }
}

/// An alarm is set by who calls, and settled by an operator.
#[test]
fn an_alarm_holds_for_the_very_next_poll() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    let id = device.id;
    for _ in 0..3 {
        let two = Alarm::Told("two".into());
        let alarm = || evc.meddle(|tx| tx.set_alarm(id, Some(&two)));
        assert_eq!(raced(&evc, &mut device, alarm), 200, "set");
        let settle = || drop(evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", ""));
        assert_eq!(raced(&evc, &mut device, settle), 200, "settled, and new evidence is wanted");
        device.session = new_session();
        device.attested(&evc);
    }
}

/// Orders of an operator's that a report must come before, the end of a grace, an orphan that is taken in.
#[test]
fn orders_and_ends_hold_for_the_very_next_poll() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    device.hash.clear();
    let listed = device.section(&evc);
    let state = |name: &str| if name == "payments" { State::Missing } else { State::Unlocked };
    assert_eq!(evc.post(&device.own("info"), &device.reported(&listed, 1, state)).status, 201);
    let recreate = || drop(evc.act("POST", "/devices/edge-1/vaults/payments/recreate?confirm=payments", ""));
    assert_eq!(raced(&evc, &mut device, recreate), 200, "recreate");
    let mut orphan = device.info(&listed, 1);
    let line = orphan.vaults.iter_mut().find_map(|line| line.report.as_mut()).expect("a report");
    (line.id, line.name) = (vault::ids::VaultId(uuid::Uuid::from_u128(9)), "ledger".parse().expect("a name"));
    (line.state, line.epoch) = (State::Orphan, None);
    device.tell(&evc, &orphan);
    evc.apply("kind: VaultPolicy\nname: now\ncustody: controller\non_removal: { delete_after: 0s }\n");
    let adopt = || {
        let how = r#"{"policy":"now","remove":true,"confirm":"ledger"}"#;
        drop(evc.act("POST", "/devices/edge-1/vaults/ledger/adopt", how));
    };
    assert_eq!(raced(&evc, &mut device, adopt), 200, "adopt");
    assert_eq!(raced(&evc, &mut device, || settle_graces(&evc)), 200, "the end of a grace");
}

/// One key, another certificate: by each of them the same device is known. A device that was removed is not known at all.
#[test]
fn another_certificate_and_a_removal_hold_for_the_very_next_poll() {
    let evc = Evc::start();
    let [first, second] = Key::twice("EVE");
    let mut device = Device { key: first, ..Device::new("edge-1") };
    let allow =
        serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1" });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
    device.id = device.uuid(&evc).expect("known");
    device.attested(&evc);
    let mut renewed = Device { key: second, onboard: Key::new("onboard"), ..Device::new("edge-1") };
    std::mem::swap(&mut renewed.onboard, &mut device.onboard);
    assert_eq!(raced(&evc, &mut device, || assert_eq!(renewed.register(&evc), 200)), 304, "certified anew");
    (renewed.id, renewed.session) = (device.id, device.session);
    (renewed.hash, renewed.head) = (device.hash, device.head);
    let delete = || drop(evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", ""));
    assert_eq!(raced(&evc, &mut renewed, delete), 401, "removed");
}

/// AC-1: a challenge writes nothing, and is what the evidence needs to be believed without another look; what it looked at is not read again
/// for evidence, section and the poll after it. Counted, for the machine's time says nothing.
#[test]
fn an_attestation_is_one_look_and_two_transactions_that_write() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    let asked = || {
        let Asked { reads, writes, .. } = faults.asked();
        faults.set(None);
        (reads, writes)
    };
    for round in 0..3 {
        device.session = new_session();
        faults.set(None);
        let nonce = device.challenged(&evc);
        let steps = faults.asked().steps;
        assert_eq!(asked(), (1, 0), "{round}: a challenge");
        assert!(steps < 3 || round == 0, "{round}: {steps} steps for what was seen before");
        let quote = device.evidence(nonce, device.session.session_key());
        device.attest(&evc, &AttestRequest::Quote(Box::new(quote)));
        let steps = faults.asked().steps;
        assert_eq!(asked(), (0, 1), "{round}: evidence");
        assert!(steps < 8, "{round}: {steps} steps for evidence");
        device.section(&evc);
        let steps = faults.asked().steps;
        assert_eq!(asked(), (0, 1), "{round}: a section");
        assert!(steps < 10, "{round}: {steps} steps for three vaults");
        assert!(device.poll(&evc).is_none());
        let steps = faults.asked().steps;
        assert_eq!(asked(), (0, 1), "{round}: that it accepted that is kept");
        assert!(steps < 4, "{round}: {steps} steps for it");
        assert!(device.poll(&evc).is_none());
        assert_eq!(asked(), (0, 0), "{round}: and not looked at again");
    }
}

/// What it is called, what is done, and how it is undone.
type Act<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

/// AC-5: what was seen in the session before, what a challenge looked at, evidence added to, and a section is drawn from ends with an operator's word,
/// between whichever two of them it comes, by a call or by another process's edit of the file.
#[test]
fn an_operators_word_between_the_steps_of_an_attestation_holds() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    let file = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    let edit =
        |lost_at: Option<i64>| assert_eq!(file.execute("UPDATE devices SET lost_at = ?", (lost_at,)), Ok(1));
    let say = |method: &str, path: &str, body: &str| drop(evc.act(method, path, body));
    let acts: [Act<'_>; 4] = [
        ("a policy", &|| say("POST", "/apply", LOCKED), &|| say("POST", "/apply", POLICY)),
        ("lost", &|| say("POST", "/devices/edge-1/lost", ""), &|| say("DELETE", "/devices/edge-1/lost", "")),
        ("an edit", &|| edit(Some(1)), &|| edit(None)),
        ("a removal", &|| say("DELETE", "/devices/edge-1/vaults/payments", ""), &|| {
            say("POST", "/apply", &vault("payments")[4..])
        }),
    ];
    for (what, act, undo) in acts {
        for place in [0, 1, 2] {
            until_unchanged(&evc, &mut device);
            device.session = new_session();
            let acts_at = |step| {
                if step == place {
                    act()
                }
            };
            acts_at(0);
            let nonce = device.challenged(&evc);
            acts_at(1);
            let quote = device.evidence(nonce, device.session.session_key());
            device.attest(&evc, &AttestRequest::Quote(Box::new(quote)));
            acts_at(2);
            device.hash.clear();
            let told = device.section(&evc);
            let entry = told.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed");
            assert_eq!(entry.operation, Operation::Lock, "{what} before step {place}");
            // So many sessions in an hour would be an alarm.
            let id = device.id;
            evc.meddle(|tx| tx.settle_sessions(id));
            undo();
            device.session = new_session();
            let told = device.attested(&evc);
            assert!(device.keys(&told, "payments").is_some(), "{what} before step {place}: undone");
        }
    }
}

/// Threats, Controller: what devices can make long is not kept in memory, however many of them do.
#[test]
fn what_is_long_is_read_each_time() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    let mut device = with_vault(&evc);
    for (vaults, reads) in [(1, 0), (17, 1)] {
        evc.apply(&(POLICY.to_owned() + &(0..vaults).map(|n| vault(&format!("v{n}"))).collect::<String>()));
        device.session = new_session();
        let nonce = device.challenged(&evc);
        let quote = device.evidence(nonce, device.session.session_key());
        device.attest(&evc, &AttestRequest::Quote(Box::new(quote)));
        faults.set(None);
        device.section(&evc);
        assert_eq!(faults.asked().reads, reads, "{vaults} vaults more");
    }
}

/// A poll is looked at, and something is written before it is answered: it is answered by what is there then.
#[test]
fn what_was_looked_at_is_not_answered_once_something_was_written() {
    for act in [("POST", "/devices/edge-1/lost"), ("DELETE", "/devices/edge-1/vaults/payments")] {
        let evc = Evc::start();
        let mut device = with_vault(&evc);
        device.hash.clear();
        let ask = ConfigRequest::decode(&device.ask()).expect("ours");
        let (app, id) = (&evc.app, device.id);
        let as_of = app.store.as_of();
        let look = app.store.read(|tx| {
            let ask = &ask;
            Box::pin(async move {
                let row = tx.device(id).await?.expect("registered");
                app.look(tx, row, ask, now()).await
            })
        });
        let Look::Changed(changed) = evc.wait(look).expect("read") else { panic!("it has the keys to get") };
        evc.act(act.0, act.1, "");
        let answer = app.answer(id, &ask.config_hash, changed, as_of, now());
        let told = section(&evc.wait(answer).expect("answered")).expect("a section");
        let entry = told.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed");
        let fresh = matches!(
            (entry.operation, entry.standing, act.0),
            (Operation::Lock, _, "POST") | (_, Presence::Removing, "DELETE")
        );
        assert!(fresh, "{act:?}: {entry:?}");
    }
}

/// Another life of the database, on the same machine: nothing is remembered of the one before.
#[test]
fn a_new_life_remembers_nothing() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    let dir = evc.stop();
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(evc::service::begin_anew(dir.path()))
        .expect("begun");
    let evc = Evc::over(dir);
    assert!(device.poll(&evc).is_some(), "numbered anew");
}

/// When devices were heard, tokens and the clock are noted, by this process or by another one, and nobody is asked anything anew for it.
/// What another process may write is what a `Notes` can: nothing else compiles.
#[test]
fn notes_end_nothing_that_is_remembered() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    evc.wait(evc.app.write_heard(now() + 61)).expect("written");
    evc.wait(evc.app.store.note(Noted::Clock, |mut tx| {
        Box::pin(async move { tx.put_time(evc::store::Time::Seen, now()).await })
    }))
    .map_err(|e: evc::store::StoreError| e)
    .expect("noted");
    evc.act("POST", "/tokens", &serde_json::json!({ "sha256": "07".repeat(32) }).to_string());
    faults.set(None);
    assert!(device.poll(&evc).is_none());
    assert_eq!(faults.asked(), Asked::default());
    evc.meddle(|tx| tx.put_meta("anything", b"else"));
    faults.set(None);
    assert!(device.poll(&evc).is_none());
    assert_eq!(faults.asked().reads, 1, "of all else it is feared that it changes what is said");
}

/// TH-1, AC-5: a poll that was told that nothing is new is told so again as it was signed then, or signed anew; under no signature that is not its
/// key's, whatever is remembered of it, and not once its device is gone.
#[test]
fn what_is_remembered_of_a_poll_lends_its_signature_to_nothing_else() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    let (path, payload) = (device.own("config"), device.ask());
    let [first, second] = [0; 2].map(|_| device.seal(&payload));
    let forged = seal_from_device(&payload, &device.key.cert, &Key::new("stranger").signer).expect("sealed");
    let mut altered = first.clone();
    *altered.last_mut().expect("a signature") ^= 1;
    for (what, body, told) in [
        ("as it was signed", &first, 304),
        ("again", &first, 304),
        ("a stranger's signature", &forged, 401),
        ("one that was altered", &altered, 401),
        ("as it was signed", &first, 304),
        ("signed anew", &second, 304),
        ("as it was signed before", &first, 304),
        ("a stranger's signature", &forged, 401),
    ] {
        assert_eq!(evc.post(&path, body).status, told, "{what}");
    }
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    assert_eq!(evc.post(&path, &first).status, 401, "its device is gone");
}

/// A node registers at each start: that changes nothing, and nobody is asked anything anew for it.
#[test]
fn a_registration_that_changes_nothing_ends_nothing_that_is_remembered() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    faults.set(None);
    assert_eq!(device.register(&evc), 200, "as before");
    assert_eq!(faults.asked().writes, 0);
    faults.set(None);
    assert!(device.poll(&evc).is_none());
    assert_eq!(faults.asked(), Asked::default(), "its poll is told by heart");
}

/// `evc token new` beside a controller that runs: the token is good, and what is remembered is as it was.
#[test]
fn a_second_process_writes_a_token_and_nothing_that_is_told_to_devices() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    until_unchanged(&evc, &mut device);
    let file = evc.dir.path().join("another.token");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_evc"))
        .args(["token", "new", "--data"])
        .arg(evc.dir.path())
        .arg("--token-file")
        .arg(&file)
        .output()
        .expect("run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = std::fs::read_to_string(&file).expect("a token");
    assert!(device.poll(&evc).is_none());
    assert_eq!(evc.operator("GET", "/devices", "", Some(token.trim())).status, 200, "it is good");
    let lose =
        || assert_eq!(evc.operator("POST", "/devices/edge-1/lost", "", Some(token.trim())).status, 200);
    assert_eq!(raced(&evc, &mut device, lose), 200, "and what is said by it holds");
}

/// Whoever edits the file by other tools is no note, and none of ours: what it says holds for the very next poll all the same.
#[test]
fn what_another_process_writes_holds_for_the_very_next_poll() {
    let evc = Evc::start();
    let mut device = with_vault(&evc);
    let file = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    for (lost_at, told) in [(Some(1), 200), (None, 200)].repeat(3) {
        let edit = || assert_eq!(file.execute("UPDATE devices SET lost_at = ?", (lost_at,)), Ok(1));
        assert_eq!(raced(&evc, &mut device, edit), told, "lost: {lost_at:?}");
    }
}

/// A world that is driven by chance: acts of operators and of the device, steps of the clock to and fro, a database that fails.
struct Chance {
    evc: Evc,
    faults: Faults,
    device: Device,
    seed: u64,
    at: u64,
    /// The last poll, and as it was signed.
    signed: (Vec<u8>, Vec<u8>),
}

const STEPS_S: [i64; 16] = [0, 0, 0, 1, 1, 5, 29, 31, 59, 60, 61, 119, 300, -1, -45, -700];

impl Chance {
    fn new(seed: u64) -> Self {
        let faults = Faults::default();
        let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
        let device = with_vault(&evc);
        Self {
            evc,
            faults,
            device,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            at: now(),
            signed: Default::default(),
        }
    }

    /// One of so many.
    fn of(&mut self, count: usize) -> usize {
        for shift in [13, -7, 17_i32] {
            self.seed ^= if shift > 0 { self.seed << shift } else { self.seed >> -shift };
        }
        usize::try_from(self.seed >> 33).expect("31 bits") % count
    }

    /// Something happens, or fails to.
    fn act(&mut self) {
        let what = self.of(16);
        if self.of(3) == 0 {
            let chance = Fault::Chance { one_in: 6, seed: self.seed };
            let lost = Fault::Lost(3 + self.of(8));
            // What is asked past the network panics in the test itself.
            let panics = if what < 12 { Fault::Panics(1 + self.of(6)) } else { lost };
            let fault = [lost, chance, panics][self.of(3)];
            self.faults.set(Some(fault));
        }
        let path = |what: &str| format!("/devices/edge-1/{what}");
        let say = |method: &str, path: &str, body: &str| {
            drop(self.evc.operator(method, path, body, Some(&self.evc.token)));
        };
        let every = |every: &str| format!("{POLICY}attest: {{ every: {every} }}\n");
        match what {
            0 => say("POST", "/apply", LOCKED),
            1 | 2 => say("POST", "/apply", &every("2m")),
            3 => say("POST", "/apply", &every("1h")),
            4 => say("POST", &path("vaults/payments/rotate"), ""),
            5 => say("POST", &path("lost"), ""),
            6 | 7 => say("DELETE", &path("lost"), ""),
            8 => say("DELETE", &path("vaults/payments"), ""),
            9 | 10 => say("POST", "/apply", &(vault("payments")[4..].to_owned() + &vault("other"))),
            11 => say("DELETE", &path("alarm"), ""),
            12 => self.device.session = new_session(),
            13 => self.device.hash.clear(),
            _ => self.prove(),
        }
        self.faults.set(None);
    }

    /// Evidence of its session, by the clock of now.
    fn prove(&mut self) {
        let (app, id, at) = (&self.evc.app, self.device.id, self.at);
        let Ok(wire::attest::AttestResponse::Nonce(nonce)) =
            self.evc.wait(app.attest(id, AttestRequest::Nonce, at))
        else {
            return;
        };
        let nonce = nonce.try_into().expect("32 bytes");
        let quote = self.device.evidence(nonce, self.device.session.session_key());
        drop(self.evc.wait(app.attest(id, AttestRequest::Quote(Box::new(quote)), at)));
    }

    /// What a poll is told, and what it would be if nothing were remembered.
    fn poll(&mut self) -> bool {
        let payload = self.device.ask();
        // One that says the same may come as it was signed before.
        if self.signed.0 != payload || self.of(2) == 0 {
            self.signed = (payload.clone(), self.device.seal(&payload));
        }
        let (app, id, at) = (&self.evc.app, self.device.id, self.at);
        let ask = &ConfigRequest::decode(&payload).expect("ours");
        let without = app.store.read(|tx| {
            Box::pin(async move {
                let row = tx.device(id).await?.expect("registered");
                app.look(tx, row, ask, at).await
            })
        });
        let without = self.evc.wait(without).expect("read");
        let envelope = DeviceEnvelope::parse(&self.signed.1).expect("ours");
        let with = self.evc.wait(app.poll(&envelope, None, at)).expect("answered");
        match (without, with) {
            (Look::Unchanged { .. } | Look::Accepted { .. }, Polled::Unchanged) => return true,
            (Look::Said(without, _), Polled::Changed(with)) => {
                assert_eq!(without, with);
                self.device.take(&with);
            }
            (Look::Changed(_), Polled::Changed(with)) => self.device.take(&with),
            (Look::Unchanged { .. } | Look::Accepted { .. }, Polled::Changed(_)) => panic!("told too much"),
            (Look::Said(..) | Look::Changed(_), Polled::Unchanged) => panic!("told too little, at {at}"),
        }
        false
    }
}

#[test]
fn a_poll_is_told_what_it_would_be_if_nothing_were_remembered() {
    let (mut unchanged, mut remembered) = (0, 0);
    for seed in 1..=6 {
        let mut chance = Chance::new(seed);
        for _ in 0..150 {
            if chance.of(3) == 0 {
                chance.act();
            }
            let step = STEPS_S[chance.of(STEPS_S.len())];
            chance.at = chance.at.saturating_add_signed(step);
            for _ in 0..1 + chance.of(3) {
                chance.faults.set(None);
                unchanged += usize::from(chance.poll());
                // One read is the twin's.
                remembered += usize::from(chance.faults.asked().reads == 1);
            }
        }
    }
    assert!(unchanged > 200 && remembered > 100, "{unchanged}, {remembered}: else nothing was tried");
}

/// TH-7: certificates of one key, made anew or sent again in turn (by the device, or by who recorded them), end nothing that is remembered of
/// another device.
#[test]
fn registrations_in_turn_end_nothing_that_is_remembered_of_others() {
    let evc = Evc::start();
    let other = Device::onboarded(&evc, "other");
    let mut device = Device::onboarded(&evc, "edge-1");
    let registered = |device: &Device| {
        let as_of = evc.app.store.as_of();
        (device.register(&evc), evc.app.store.unchanged_since(as_of, other.id))
    };
    // The first look counts what was written before this process looked.
    let _ = evc.app.store.unchanged_since(evc.app.store.as_of(), other.id);
    let mut keys = vec![device.key.certified_anew()];
    keys.extend((0..3).map(|_| keys[0].certified_anew()).collect::<Vec<_>>());
    for turn in 0..100 {
        std::mem::swap(&mut device.key, &mut keys[turn % 4]);
        assert_eq!(registered(&device), (200, true), "{turn}");
    }
    let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": "new" });
    evc.act("POST", "/onboarding", &allow.to_string());
    let new = Device { onboard: device.onboard, serial: "new".into(), ..Device::new("new") };
    assert_eq!(registered(&new), (201, false), "a new device may");
}
