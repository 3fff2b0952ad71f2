//! A database that fails at any step of any request: the answer is an error, nothing is released, deleted or told falsely, what is kept is
//! as before or as after, and the same request said again succeeds (invariant 6).

mod common;
mod engines;

use std::time::Duration;

use common::{Answer, Device, Evc};
use engines::{Asked, Fault, Faults, Faulty, Memory, World};
use evc::clock::now;
use evc::service::{Settings, Steady, start_over, token_hash};
use evc::store::{ReferenceRow, ReferenceState, Store};
use vault::report::State;
use wire::attest::{AttestRequest, AttestResponse, DeviceCert, DeviceCertKind};
use wire::envelope::seal_registration;
use wire::register::{Register, uuid_request};

const POLICIES: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: VaultPolicy\nname: unused\ncustody: controller\n";
const VAULTS: [&str; 3] = ["payments", "lost", "old"];
const DELETE: &str = "/devices/edge-1/vaults/payments";
const GRACE_S: u64 = 30 * 86_400;

fn vault(name: &str) -> String {
    format!("---\nkind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n")
}

/// A controller over a database that fails on demand.
struct Scene {
    evc: Evc,
    memory: Memory,
    faults: Faults,
}

/// A request, and the answer when nothing fails.
struct Act {
    name: &'static str,
    good: u16,
    say: Box<dyn Fn(&Evc) -> Answer>,
}

impl Act {
    fn operator(name: &'static str, method: &'static str, path: &'static str, body: String) -> Self {
        let say = move |evc: &Evc| evc.operator(method, path, &body, Some(&evc.token));
        Self { name, good: 200, say: Box::new(say) }
    }

    fn device(name: &'static str, good: u16, path: String, body: Vec<u8>) -> Self {
        Self { name, good, say: Box::new(move |evc| evc.post(&path, &body)) }
    }
}

/// A controller with a device at work, vaults of every kind, and all that can be asked of it then.
fn scene() -> (Scene, Vec<Act>) {
    let (memory, faults) = (Memory::default(), Faults::default());
    let evc = Evc::over_engine(Faulty(memory.clone(), faults.clone()));
    let mut acts = device_acts(&evc);
    acts.extend(operator_acts());
    acts.extend(acts_on_a_device_that_is_away(&evc));
    (Scene { evc, memory, faults }, acts)
}

fn nonce(evc: &Evc, device: &Device) -> [u8; 32] {
    let AttestResponse::Nonce(nonce) = device.attest(evc, &AttestRequest::Nonce) else { panic!("no nonce") };
    nonce.try_into().expect("32 bytes")
}

fn quote(evc: &Evc, device: &Device) -> Vec<u8> {
    let quote = device.evidence(nonce(evc, device), device.session.session_key());
    device.seal(&AttestRequest::Quote(Box::new(quote)).encode())
}

fn device_acts(evc: &Evc) -> Vec<Act> {
    let mut device = Device::onboarded(evc, "edge-1");
    evc.apply(&(POLICIES.to_owned() + &VAULTS.map(vault).concat()));
    let section = device.attested(evc);
    let state = |name: &str| if name == "lost" { State::Missing } else { State::Unlocked };
    let report = device.reported(&section, 1, state);
    assert_eq!(evc.post(&device.own("info"), &report).status, 201);
    // A key that has yet to go out.
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "");
    evc.act("DELETE", "/devices/edge-1/vaults/old", "");
    let (unattested, unasked) = (Device::onboarded(evc, "edge-2"), Device::onboarded(evc, "edge-4"));
    let id = device.id;
    let pending = ReferenceRow {
        id: 0,
        project: vault::ids::Project::default(),
        device: id,
        pcrs: evc::store::Pcrs([(0, [0xa5; 32].into()), (4, [0xa5; 32].into())].into()),
        state: ReferenceState::Pending,
        learned_at: now(),
        decided_at: None,
    };
    evc.meddle(|tx| tx.add_reference(&pending));
    let cert = DeviceCert::new(DeviceCertKind::Ecdh, device.key.pem.clone().into_bytes(), None);
    vec![
        register(evc),
        Act::device("uuid", 200, "/uuid".into(), device.seal(&uuid_request())),
        Act::device("poll", 200, device.own("config"), device.seal(&device.ask())),
        Act::device(
            "poll of who gave no evidence",
            200,
            unattested.own("config"),
            unattested.seal(&unattested.ask()),
        ),
        Act::device(
            "certs",
            201,
            device.own("attest"),
            device.seal(&AttestRequest::Certs(vec![cert]).encode()),
        ),
        Act::device("nonce", 201, unasked.own("attest"), unasked.seal(&AttestRequest::Nonce.encode())),
        Act::device("evidence", 201, device.own("attest"), quote(evc, &device)),
        Act::device("first evidence", 201, unattested.own("attest"), quote(evc, &unattested)),
        Act::device("info", 201, device.own("info"), device.reported(&section, 2, |_| State::Unlocked)),
    ]
}

fn register(evc: &Evc) -> Act {
    let device = Device::new("edge-3");
    let allow =
        serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-3" });
    evc.act("POST", "/onboarding", &allow.to_string());
    let register = Register::new(device.key.pem.as_bytes(), &device.serial, "").expect("a registration");
    let onboard = device.onboard.pem.as_bytes();
    let envelope = seal_registration(&register.encode(), onboard, &device.onboard.signer).expect("sealed");
    Act::device("register", 201, "/register".into(), envelope)
}

fn operator_acts() -> Vec<Act> {
    let post = |name, path, body: &str| Act::operator(name, "POST", path, body.to_owned());
    let get = |path| Act::operator(path, "GET", path, String::new());
    let delete = |path| Act::operator(path, "DELETE", path, String::new());
    let another = serde_json::json!({ "cert_pem": Device::new("x").onboard.pem, "serial": "x", "name": "x" });
    let file = POLICIES.replace("unused", "more") + &vault("more") + &vault("old");
    vec![
        post("allow", "/onboarding", &another.to_string()),
        post("add a token", "/tokens", &format!(r#"{{"sha256":"{}"}}"#, "ab".repeat(32))),
        delete("/tokens/others"),
        post("apply", "/apply", &file),
        post("learn", "/devices/edge-1/learn", ""),
        delete(DELETE),
        delete("/devices/edge-1/vaults/config"),
        post("rotate", "/devices/edge-1/vaults/payments/rotate", r#"{"force":true}"#),
        post("recreate", "/devices/edge-1/vaults/lost/recreate", ""),
        delete("/policies/unused"),
        post("approve", "/references/1/approve", ""),
        post("reject", "/references/1/reject", ""),
        get("/onboarding"),
        get("/devices"),
        get("/devices/edge-1"),
        get("/vaults"),
        get("/policies"),
        get("/references"),
        Act { name: "the end of a grace", good: 200, say: Box::new(end_of_grace) },
    ]
}

/// A lost one, that two seem to be, with a vault.
fn acts_on_a_device_that_is_away(evc: &Evc) -> Vec<Act> {
    let away = Device::onboarded(evc, "away");
    evc.apply(&vault("far").replace("edge-1", "away"));
    evc.act("POST", "/devices/away/lost", "");
    evc.meddle(|tx| tx.set_alarm(away.id, Some("two of one key")));
    let allowance = format!("/onboarding/{}/{}", hex::encode(away.onboard.cert.digest().0), away.serial);
    let delete = |path| Act::operator(path, "DELETE", path, String::new());
    let disallow = move |evc: &Evc| evc.operator("DELETE", &allowance, "", Some(&evc.token));
    vec![
        Act { name: "disallow", good: 200, say: Box::new(disallow) },
        Act::operator("lose", "POST", "/devices/edge-1/lost", String::new()),
        Act::operator("rehome", "POST", "/devices/away/vaults/far/rehome", r#"{"to":"edge-1"}"#.into()),
        delete("/devices/away/lost"),
        delete("/devices/away/alarm"),
        delete("/devices/away?force=true"),
    ]
}

/// A round of housekeeping when the grace is over.
fn end_of_grace(evc: &Evc) -> Answer {
    let at = now() + GRACE_S + 1;
    let kept = evc.wait(evc.app.keep_house(&mut Steady::since(at), at, Duration::ZERO));
    match kept {
        Ok(_) => Answer { status: 200, body: Vec::new() },
        Err(why) => {
            Answer { status: 500, body: serde_json::json!({ "error": why.to_string() }).to_string().into() }
        }
    }
}

impl Scene {
    /// Says it with a fault, from `before` on.
    fn say(&self, act: &Act, before: &World, fault: Option<Fault>) -> (u16, World) {
        self.memory.restore(before);
        self.evc.app.settled.forget();
        self.faults.set(fault);
        let answer = (act.say)(&self.evc);
        let (status, after) = (answer.status, self.memory.world());
        if status >= 500 {
            let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("words");
            assert!(told["error"].is_string(), "{}: {fault:?}: {told}", act.name);
        }
        assert_eq!(after.between(), Vec::<String>::new(), "{}: {fault:?}", act.name);
        (status, after)
    }

    /// A life over what the one before it left, in the store and in files.
    fn started_again(self) -> Self {
        self.faults.set(None);
        let Self { evc, memory, faults } = self;
        let evc = Evc::over_engine_in(evc.stop(), Faulty(memory.clone(), faults.clone()));
        Self { evc, memory, faults }
    }

    /// The same once more, with nothing in the way.
    fn again(&self, act: &Act) -> u16 {
        self.faults.set(None);
        (act.say)(&self.evc).status
    }
}

/// Every request, failing at every step in every way.
#[test]
fn whatever_step_fails_nothing_is_told_falsely_and_the_same_again_succeeds() {
    let (scene, acts) = scene();
    let before = scene.memory.world();
    for act in &acts {
        let name = act.name;
        let (status, after) = scene.say(act, &before, None);
        assert_eq!(status, act.good, "{name}: nothing fails");
        let (steps, writes) = (scene.faults.asked().steps, after != before);
        assert!(steps > 1, "{name} asks the store");
        for step in 1..=steps {
            for fault in [Fault::Full(step), Fault::Gone(step)] {
                let (status, after) = scene.say(act, &before, Some(fault));
                assert!(status >= 500, "{name}: {fault:?}: {status}");
                assert!(
                    after == before || name == "the end of a grace",
                    "{name}: {fault:?}: something was kept"
                );
                assert_eq!(scene.again(act), act.good, "{name}: again after {fault:?}");
                assert_eq!(scene.memory.world() != before, writes, "{name}: again after {fault:?}: done");
            }
            let (status, after) = scene.say(act, &before, Some(Fault::Again(step)));
            assert_eq!((status, after != before), (act.good, writes), "{name}: run again at {step}");
            let (status, after) = scene.say(act, &before, Some(Fault::Lost(step)));
            assert!(
                status == act.good || (status >= 500 && (after != before) == writes),
                "{name}: lost at {step}: {status}"
            );
            assert!(scene.again(act) < 500, "{name}: again after the answer of step {step} was lost");
        }
    }
}

/// VC-3, invariant 6: it ends at each step of what changes a vault, in a commit or just after it, and is started again: what it keeps is
/// as before or as after, it shows it, and the same said again succeeds.
#[test]
fn ended_at_any_step_it_goes_on_where_it_was() {
    let (mut scene, acts) = scene();
    let before = scene.memory.world();
    for act in acts.iter().filter(|act| ["rotate", "apply", DELETE].contains(&act.name)) {
        let (_, done) = scene.say(act, &before, None);
        let steps = scene.faults.asked().steps;
        for fault in (1..=steps).flat_map(|step| [Fault::Gone(step), Fault::Lost(step)]) {
            let (_, after) = scene.say(act, &before, Some(fault));
            scene = scene.started_again();
            let shown = scene.evc.operator("GET", "/devices/edge-1", "", Some(&scene.evc.token));
            assert_eq!(shown.status, 200, "{}: {fault:?}", act.name);
            assert!(after == before || matches!(fault, Fault::Lost(_)), "{}: {fault:?}: half done", act.name);
            assert_eq!(scene.again(act), act.good, "{}: again after {fault:?}", act.name);
            assert_ne!(scene.memory.world(), before, "{}: again after {fault:?}: done", act.name);
        }
        assert_ne!(done, before, "{}", act.name);
    }
}

/// A round by a clock that jumped ahead by 1000 days, with a fault; then one without, by the same watch or by a new one.
fn jumped(scene: &Scene, fault: Option<Fault>, restarted: bool) {
    let (evc, to) = (&scene.evc, now() + 1000 * 86_400);
    let keep = |clock: &mut Steady, at| evc.wait(evc.app.keep_house(clock, at, Duration::from_secs(15)));
    let mut clock = evc.wait(evc.app.clock(now())).expect("read");
    scene.faults.set(fault);
    let told = keep(&mut clock, to);
    assert_ne!(told.ok(), Some(1), "{fault:?}: nothing ends by a jump");
    scene.faults.set(None);
    if restarted {
        clock = evc.wait(evc.app.clock(to)).expect("read");
    }
    assert_eq!(keep(&mut clock, to + 15).expect("kept"), 0, "{fault:?}");
}

/// Whatever fails, graces are moved with the clock, and once, also over a restart.
#[test]
fn a_jump_of_the_clock_moves_graces_once_whatever_step_fails() {
    let (scene, _) = scene();
    let evc = &scene.evc;
    evc.wait(evc.app.keep_house(&mut Steady::since(now()), now(), Duration::ZERO)).expect("kept");
    let ends = || {
        let old = evc.act("GET", "/vaults?device=edge-1", "");
        let row = old.as_array().expect("a list").iter().find(|row| row["name"] == "old").cloned();
        row.expect("there")["delete_at"].as_str().expect("in its grace").to_owned()
    };
    let seconds = |text: &str| {
        let at = humantime::parse_rfc3339(text).expect("a time");
        at.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
    };
    let (before, given) = (scene.memory.world(), seconds(&ends()));
    for step in 1..=12 {
        for fault in [Fault::Full(step), Fault::Lost(step), Fault::Again(step)] {
            for restarted in [false, true] {
                scene.memory.restore(&before);
                evc.app.settled.forget();
                jumped(&scene, Some(fault), restarted);
                let moved = seconds(&ends()) - given;
                assert!(moved.abs_diff(1000 * 86_400) < 120, "{fault:?}, {restarted}: {moved} s");
            }
        }
    }
}

/// What is asked of the store by who polls for ever: nothing, once one poll told that it accepted what it was sent last.
/// Others write once.
#[test]
fn an_unchanged_poll_asks_nothing_and_others_are_one_write() {
    let (memory, faults) = (Memory::default(), Faults::default());
    let evc = Evc::over_engine(Faulty(memory, faults.clone()));
    let mut device = Device::onboarded(&evc, "edge-1");
    let section = device.attested(&evc);
    let count = |ask: &mut dyn FnMut()| {
        faults.set(None);
        ask();
        faults.asked()
    };
    let accepted = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!((accepted.reads, accepted.writes), (1, 1), "that it accepted what was sent last");
    let again = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!(again, Asked::default(), "nothing was written since by anybody else");
    let transactions = |asked: Asked| (asked.reads, asked.writes);
    // The first one tells that its vaults were made, and that is in the next section.
    device.report(&evc, &section, 1);
    while_it_changes(&mut device, &evc);
    assert_eq!(transactions(count(&mut || device.report(&evc, &section, 1))), (0, 1), "a report");
    let reported = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!(reported, Asked { steps: 3, reads: 1, writes: 0 }, "it may have changed what is said");
    device.hash.clear();
    assert_eq!(transactions(count(&mut || drop(device.poll(&evc)))), (1, 1), "a poll in full");
    assert_eq!(
        transactions(count(&mut || assert!(nonce(&evc, &device) != [0; 32]))),
        (2, 0),
        "a nonce: who asks, and what it answered"
    );
}

/// Polls until it is told that nothing is new, twice: the first time it tells what it accepted.
fn while_it_changes(device: &mut Device, evc: &Evc) {
    let unchanged = (0..4).filter(|_| device.poll(evc).is_none()).count();
    assert!(unchanged >= 2, "{unchanged}");
}

/// A first start that fails at any step is begun again by the next one, and the operator's token is good.
#[test]
fn a_first_start_that_fails_at_any_step_is_begun_again() {
    let steps = first_start(None).1;
    assert!(steps > 10, "{steps}: a first start makes all");
    for step in 1..=steps {
        for fault in [Fault::Full(step), Fault::Gone(step), Fault::Lost(step), Fault::Again(step)] {
            let (failed, _) = first_start(Some(fault));
            assert_eq!(failed, !matches!(fault, Fault::Again(_)) && fails(fault, step, steps), "{fault:?}");
        }
    }
}

/// An answer can be lost of a commit alone, which is the last step.
fn fails(fault: Fault, step: usize, last: usize) -> bool {
    !matches!(fault, Fault::Lost(_)) || step == last
}

/// Starts with a fault, and once more without; whether the first one failed, and its steps.
fn first_start(fault: Option<Fault>) -> (bool, usize) {
    let (memory, faults) = (Memory::default(), Faults::default());
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        data: dir.path().to_owned(),
        names: vec!["127.0.0.1".into(), "localhost".into()],
        poll_every_s: None,
        drill_every_s: evc::service::DRILL_EVERY_S,
        deleted_grace_s: evc::service::DELETED_GRACE_S,
        clock_is_right: false,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let start = |fault| {
        faults.set(fault);
        let store = Store::over(Faulty(memory.clone(), faults.clone()));
        (runtime.block_on(start_over(&disk::Disk::linux(), store, &settings, now())), faults.asked().steps)
    };
    let (first, steps) = start(fault);
    let second = start(None).0.expect("started");
    let token = std::fs::read_to_string(dir.path().join("operator.token")).expect("a token");
    let hash = token_hash(&token);
    let owner = runtime.block_on(second.store.read(|tx| tx.token(&hash))).expect("read");
    assert_eq!(owner.expect("let in").name, "first operator", "{fault:?}");
    if let Ok(first) = &first {
        assert_eq!(first.authority.root_pem, second.authority.root_pem, "{fault:?}");
    }
    (first.is_err(), steps)
}
