//! A database that fails at any step of any request: the answer is an error, nothing is released, deleted or told falsely, what is kept is
//! as before or as after, and the same request said again succeeds (invariant 6).

mod acts;
mod acts_of_devices;
mod acts_of_operators;
mod asked;
#[path = "../common/mod.rs"]
mod common;
#[path = "../engines/mod.rs"]
mod engines;
mod first_start;
mod fleet;
mod jumps;

use acts::{Act, Message, Of};
use common::Evc;
use engines::{Fault, Faults, Faulty, Memory, World};
use evc::api::calls;
use fleet::Fleet;

/// A controller over a database that fails on demand.
struct Scene {
    evc: Evc,
    memory: Memory,
    faults: Faults,
}

/// A controller with devices and vaults of every kind, and all that can be asked of it then.
fn scene() -> (Scene, Vec<Act>) {
    let (memory, faults) = (Memory::default(), Faults::default());
    let evc = Evc::over_engine(Faulty(memory.clone(), faults.clone()));
    let fleet = Fleet::at_work(&evc);
    let mut acts = acts_of_devices::all(&evc, &fleet);
    acts.extend(acts_of_operators::all(&evc, &fleet));
    (Scene { evc, memory, faults }, acts)
}

/// Invariant 6: no request is left out of the tests below. Each call of the API's own table, and each kind of message of a device's, has an act.
#[test]
fn each_call_and_each_message_has_an_act() {
    let (_scene, acts) = scene();
    let is_made = |call: &(calls::Method, &str)| acts.iter().any(|act| act.of.is(*call));
    let left: Vec<_> = calls::ALL.iter().filter(|call| !is_made(call)).collect();
    assert!(left.is_empty(), "calls without an act: {left:?}");
    let is_sent = |message: &Message| acts.iter().any(|act| act.of == Of::Message(*message));
    let left: Vec<_> = Message::ALL.iter().filter(|message| !is_sent(message)).collect();
    assert!(left.is_empty(), "messages without an act: {left:?}");
}

impl Scene {
    /// Says it with a fault, from `before` on.
    fn say(&self, act: &Act, before: &World, fault: Option<Fault>) -> (u16, World) {
        self.memory.restore(before);
        self.evc.app.settled.forget();
        self.evc.app.recall.forget();
        self.evc.app.glances.count_anew();
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
        let name = &act.name;
        let (status, after) = scene.say(act, &before, None);
        assert_eq!(status, act.good, "{name}: nothing fails");
        let (steps, writes) = (scene.faults.asked().steps, after != before);
        assert!(steps > 1, "{name} asks the store");
        for step in 1..=steps {
            for fault in [Fault::Full(step), Fault::Gone(step)] {
                let (status, after) = scene.say(act, &before, Some(fault));
                assert!(status >= 500, "{name}: {fault:?}: {status}");
                let again = if after == before { Some(act.good) } else { act.in_parts };
                let again = again.unwrap_or_else(|| panic!("{name}: {fault:?}: something was kept"));
                assert_eq!(scene.again(act), again, "{name}: again after {fault:?}");
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

/// CO-3: wherever an import fails once its evidence counts, it gives its answer when it is said again, and an export gives it too.
#[test]
fn what_an_import_that_failed_would_have_given_is_given_when_it_is_said_again() {
    let (scene, acts) = scene();
    let (before, evc) = (scene.memory.world(), &scene.evc);
    let import = acts.iter().find(|act| act.of.is(calls::IMPORT.how())).expect("there");
    scene.say(import, &before, None);
    let steps = scene.faults.asked().steps;
    let kept = (1..=steps).filter(|step| {
        let (_, after) = scene.say(import, &before, Some(Fault::Gone(*step)));
        if after == before {
            return false;
        }
        scene.faults.set(None);
        let again = (import.say)(evc);
        assert_eq!(again.status, 200, "{step}");
        let again: serde_json::Value = serde_json::from_slice(&again.body).expect("an answer");
        assert!(again["again"] == true && again["releases"].as_u64() > Some(0), "{step}: {again}");
        let given = evc.act("POST", "/devices/edge-1/courier", "{}");
        assert!(given["releases"].as_u64() > Some(0), "{step}: {given}");
        true
    });
    assert!(kept.count() > 0, "its evidence counts before its last step");
}

/// The acts that need most around them do what they are for.
#[test]
fn a_drill_is_answered_and_a_bundle_asked_back() {
    let (scene, acts) = scene();
    let (before, evc) = (scene.memory.world(), &scene.evc);
    let act = |kind| acts.iter().find(|act| act.of == Of::Message(kind)).expect("there");
    scene.say(act(Message::DrillAnswer), &before, None);
    assert_eq!(evc.act("GET", "/devices/sealed", "")["device"]["escrow"]["drill"]["state"], "passed");
    let answer = (act(Message::AskingBack).say)(evc);
    let told = wire::config::SignedConfig::verify(&answer.body, &evc.trusted()).expect("signed");
    assert!(told.response().control.as_ref().expect("control").rescue.is_some());
}

fn changes_payments(act: &Act) -> bool {
    let is_one = |call| act.of.is(call);
    let rotated = is_one(calls::ROTATE.how()) || is_one(calls::DELETE_VAULT.how());
    is_one(calls::APPLY.how()) || (rotated && act.name.contains("/payments"))
}

/// VC-3, invariant 6: it ends at each step of what changes a vault, in a commit or just after it, and is started again: what it keeps is
/// as before or as after, it shows it, and the same said again succeeds.
#[test]
fn ended_at_any_step_it_goes_on_where_it_was() {
    let (mut scene, acts) = scene();
    let before = scene.memory.world();
    for act in acts.iter().filter(|act| changes_payments(act)) {
        let (_, done) = scene.say(act, &before, None);
        let steps = scene.faults.asked().steps;
        for fault in (1..=steps).flat_map(|step| [Fault::Gone(step), Fault::Lost(step)]) {
            let (_, after) = scene.say(act, &before, Some(fault));
            scene = scene.started_again();
            let shown = scene.evc.operator("GET", "/devices/edge-1", "", Some(&scene.evc.token));
            assert_eq!(shown.status, 200, "{}: {fault:?}", act.name);
            assert!(after == before || matches!(fault, Fault::Lost(_)), "{}: {fault:?}: half done", act.name);
            assert_eq!(scene.again(act), act.good, "{}: again after {fault:?}", act.name);
            assert!(scene.memory.world() != before, "{}: again after {fault:?}: done", act.name);
        }
        assert!(done != before, "{}", act.name);
    }
}
