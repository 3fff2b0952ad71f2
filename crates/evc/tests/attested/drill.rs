//! Escrow drills at the controller (invariant 2, invariant 6): a bundle goes out to be tried where it would go back, and nowhere else; what is not
//! shown did not pass; what failed is not called held, and is asked for anew.

use evc::service::DRILL_EVERY_S;
use evc::store::{Appraised, BundleRow, Fared, Scope};
use vault::cause::Cause;
use vault::escrow::drill::{DrillAnswer, DrillNonce, Proof};
use vault::ids::Generation;
use wire::control::Drill;

use super::escrow::told;
use super::*;
use common::escrowed::{BYTES, id_of, sealed, upload};

/// A device with an approved boot, a bundle, and a section.
fn ready(evc: &Evc) -> (Device, Section) {
    let (mut device, tpm) = with_tpm(evc);
    evc.apply(
        "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n",
    );
    round(evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    evc.act("POST", "/references/1/approve", "");
    let nonce = device.challenged(evc);
    assert_eq!(send(evc, &device, quote(&device, &tpm, nonce, &pcrs(1))), QuoteCode::Success);
    device.hash = String::new();
    let section = section(&device.poll(evc).expect("an answer")).expect("a section");
    let bundle = sealed(evc, &device, 1, BYTES);
    assert_eq!(upload(evc, &device, bundle), StoreKeysCode::Success);
    (device.held, device.drills) = (Some(id_of(1, BYTES)), true);
    let is_quiet = (0..5).any(|_| device.poll(evc).is_none());
    assert!(is_quiet, "nothing is left to be said");
    (device, section)
}

fn drill(evc: &Evc, device: &mut Device) -> Option<Drill> {
    told(evc, device).and_then(|control| control.drill)
}

/// As a node does: opened, and said so.
fn answer(device: &Device, drill: &Drill) -> DrillAnswer {
    let bytes = wire::escrow::open_down(&device.session, device.id, &drill.bundle).expect("for this session");
    let id = drill.bundle.id;
    let proof = Proof::of(drill.nonce, &device.session.session_key().0, id.generation, &bytes);
    DrillAnswer { nonce: drill.nonce, bundle: id, outcome: Ok(proof) }
}

fn report(evc: &Evc, device: &mut Device, section: &Section, answer: DrillAnswer) {
    device.drilled = Some(answer);
    device.report(evc, section, 1);
}

fn shown(evc: &Evc) -> serde_json::Value {
    evc.act("GET", "/devices/edge-1", "")["device"]["escrow"]["drill"].clone()
}

fn condition(evc: &Evc) -> String {
    evc.act("GET", "/devices", "")[0]["condition"].as_str().expect("words").to_owned()
}

/// Asked for by an operator: once, and it is shown how it went; nobody is asked who said nothing of drills.
#[test]
fn a_drill_that_is_asked_for_is_made_once_and_shown() {
    let evc = Evc::start();
    let (mut device, section) = ready(&evc);
    assert_eq!(shown(&evc)["state"], "none");
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    assert!(shown(&evc)["ordered"].is_string());
    device.drills = false;
    assert!(drill(&evc, &mut device).is_none(), "a node of before");
    device.drills = true;
    let asked = drill(&evc, &mut device).expect("asked");
    assert!(told(&evc, &mut device).is_none(), "once, and an unchanged poll stays one");
    let answer = answer(&device, &asked);
    report(&evc, &mut device, &section, answer);
    let passed = shown(&evc);
    assert_eq!((passed["state"].as_str(), passed["ordered"].as_str()), (Some("passed"), None), "{passed}");
    assert_eq!(passed["digest"], hex::encode(id_of(1, BYTES).digest));
    device.report(&evc, &section, 1);
    assert_eq!(shown(&evc), passed, "told again, it says nothing new");
    let evc = evc.restart();
    assert_eq!((shown(&evc), condition(&evc).as_str()), (passed, "online"));
    assert_eq!(evc.act("GET", "/devices", "")[0]["condition_kind"], "online");
    assert_eq!(evc.act("GET", "/devices/edge-1/escrow", "")[0]["drill"]["state"], "passed");
    assert!((0..3).all(|_| drill(&evc, &mut device).is_none()), "and it is not asked again");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, b"the next")), StoreKeysCode::Success);
    let listed = evc.act("GET", "/devices/edge-1/escrow", "");
    let of = |newest: bool| {
        let row = listed.as_array().expect("a list").iter().find(|row| row["newest"] == newest);
        row.and_then(|row| row["drill"]["state"].as_str()).map(str::to_owned)
    };
    assert_eq!(of(true).as_deref(), Some("none"), "it was not tried: {listed}");
    assert!(of(false).is_none_or(|state| state == "passed"), "the other was: {listed}");
}

/// A policy may be content with evidence of days ago, and a bundle goes out on fresh evidence alone: who needs it is challenged, beside an answer that
/// says nothing else, and nobody is who needs none.
#[test]
fn who_needs_the_bundle_is_asked_for_evidence_whatever_policies_are_content_with() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\nattest: { every: 30d }\n");
    while device.poll(&evc).is_some() {}
    let late = evc::clock::now() + 3600;
    let at = |device: &Device, now: u64| {
        let ask = wire::config::ConfigRequest::decode(&device.ask()).expect("a question");
        evc.config_at(device.id, &ask, now).expect("answered").and_then(|answer| answer.control)
    };
    assert!(at(&device, late).is_none(), "nothing is needed, and the evidence is good for 30 days");
    device.rescue = Some(Generation(1));
    let control = at(&device, late).expect("said");
    assert!(control.rescue.is_none() && control.no_rescue == Some(Cause::EvidenceOutOfDate), "{control:?}");
    assert!(control.challenge.is_some(), "who is told so is challenged");
    let control = at(&device, evc::clock::now()).expect("said");
    assert!(control.rescue.is_some() && control.challenge.is_none(), "on fresh evidence it goes out");
    device.rescue = None;
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    let control = at(&device, late).expect("said");
    assert!(control.drill.is_none() && control.challenge.is_some(), "for a drill too");
    assert!(drill(&evc, &mut device).is_some());
}

/// Where evidence is refused each time (a TPM that went back), a node that needs its bundle would give it with every poll.
#[test]
fn refused_evidence_is_not_asked_for_again_with_each_poll() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\nattest: { every: 30d }\n");
    while device.poll(&evc).is_some() {}
    let (id, late) = (device.id, evc::clock::now() + 3600);
    let refused = Fared {
        at: late,
        from: None,
        session: None,
        pcrs: None,
        outcome: Appraised::Refused,
        found: None,
        words: Vec::new(),
        strange: None,
        unmet: false,
        went_back: true,
    };
    evc.wait(evc.app.store.write(Scope::Device(id), |tx| tx.answered(id, &refused, late))).expect("kept");
    device.rescue = Some(Generation(1));
    let is_asked = |now: u64| {
        let ask = wire::config::ConfigRequest::decode(&device.ask()).expect("a question");
        let answer = evc.config_at(id, &ask, now).expect("answered");
        answer.and_then(|answer| answer.control).is_some_and(|control| control.challenge.is_some())
    };
    assert!(!is_asked(late + 59), "a minute's rest");
    assert!(is_asked(late + 60), "and then again");
}

/// Invariant 6: an answer with two bundles may be longer than what a node reads, which would refuse it for ever. Who asks its bundle back gets that, and is
/// asked with the next answer.
#[test]
fn a_bundle_that_goes_back_and_one_to_be_tried_go_in_two_answers() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    device.rescue = Some(Generation(1));
    for _ in 0..2 {
        let both = told(&evc, &mut device).expect("an answer");
        assert!(both.rescue.is_some() && both.drill.is_none(), "{both:?}");
    }
    device.rescue = None;
    assert!(drill(&evc, &mut device).is_some(), "with the next one");
}

/// With a bundle and its own TPM a node has what the bundle is for: so one that may not have it back is not asked, drill or not.
#[test]
fn only_an_approved_boot_is_asked() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    for (what, before, after) in [
        ("not approved", ("POST", "/references/1/reject"), ("POST", "/references/1/approve")),
        ("lost", ("POST", "/devices/edge-1/lost"), ("DELETE", "/devices/edge-1/lost")),
    ] {
        evc.act("POST", "/devices/edge-1/escrow/drill", "");
        evc.act(before.0, before.1, "");
        assert!(drill(&evc, &mut device).is_none(), "{what}");
        evc.act(after.0, after.1, "");
        assert!(drill(&evc, &mut device).is_some(), "{what}, and no more");
    }
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    device.session = new_session();
    assert!(drill(&evc, &mut device).is_none(), "a session without evidence");
}

/// A failure is what an operator reads first, and the bundle counts as none, until another came and was tried.
#[test]
fn what_failed_is_sent_anew_and_tried_again() {
    let evc = Evc::start();
    let (mut device, section) = ready(&evc);
    for (what, outcome) in [("by its word", Err("the root".to_owned())), ("by its proof", Ok(Proof([7; 32])))]
    {
        evc.act("POST", "/devices/edge-1/escrow/drill", "");
        let asked = drill(&evc, &mut device).expect(what);
        let said = DrillAnswer { outcome, ..answer(&device, &asked) };
        report(&evc, &mut device, &section, said);
        let failed = shown(&evc);
        assert_eq!(failed["state"], "failed", "{what}: {failed}");
        assert!(condition(&evc).contains("escrow drill failed"), "{what}");
        assert_eq!(evc.act("GET", "/devices", "")[0]["condition_kind"], "drill-failed", "{what}");
        let glance = evc.act("GET", "/glance", "");
        assert!(
            glance["needs_somebody"].to_string().contains("escrow drill failed") || what != "by its word"
        );
        let again = told(&evc, &mut device).expect("said");
        assert!(again.send_again && again.held_bundle.is_none() && again.drill.is_none(), "{what}");
        device.held = None;
        assert!(told(&evc, &mut device).is_none(), "{what}: said to who takes it for held, and no more");
        let bundle = sealed(&evc, &device, 1, BYTES);
        assert_eq!(upload(&evc, &device, bundle), StoreKeysCode::Success);
        device.held = Some(id_of(1, BYTES));
        if what == "by its word" {
            let asked = drill(&evc, &mut device).expect("at once");
            let answer = answer(&device, &asked);
            report(&evc, &mut device, &section, answer);
            assert_eq!((shown(&evc)["state"].as_str(), condition(&evc).as_str()), (Some("passed"), "online"));
        }
    }
}

/// What the controller itself can't open any more keeps no poll from its answer: it is a drill that failed, and another bundle is asked for.
#[test]
fn a_bundle_that_is_damaged_at_the_controller_is_found_and_sent_anew() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    let damaged = evc.wait(evc.app.store.write(Scope::Device(device.id), |tx| {
        Box::pin(async move {
            let row = tx.bundle_of(device.id, Generation(1)).await?.expect("held");
            tx.put_bundle(&BundleRow { sealed: vec![7; 99], ..row }).await
        })
    }));
    damaged.expect("written");
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    let answered = told(&evc, &mut device).expect("an answer");
    assert!(answered.drill.is_none());
    assert_eq!(shown(&evc)["state"], "failed");
    assert!(shown(&evc)["failed"].as_str().expect("words").contains("does not open"), "{}", shown(&evc));
    assert!(answered.send_again || told(&evc, &mut device).expect("an answer").send_again);
    let bundle = sealed(&evc, &device, 1, BYTES);
    assert_eq!(upload(&evc, &device, bundle), StoreKeysCode::Success);
    assert!(drill(&evc, &mut device).is_some(), "and that is tried at once");
}

/// An answer to what was not asked, or of a session that gave no evidence, says nothing.
#[test]
fn an_answer_that_nobody_asked_for_says_nothing() {
    let evc = Evc::start();
    let (mut device, section) = ready(&evc);
    evc.act("POST", "/devices/edge-1/escrow/drill", "");
    let asked = drill(&evc, &mut device).expect("asked");
    let good = answer(&device, &asked);
    let other = DrillAnswer { nonce: DrillNonce([9; 32]), ..good.clone() };
    report(&evc, &mut device, &section, other);
    assert_eq!(shown(&evc)["state"], "none");
    let unproved = Section { session: new_session().session_key(), ..section.clone() };
    report(&evc, &mut device, &unproved, good.clone());
    assert_eq!(shown(&evc)["state"], "none", "whoever is in between may send it under another session");
    report(&evc, &mut device, &section, good);
    assert_eq!(shown(&evc)["state"], "passed");
}

/// Without an order a device's first is due at its own place in the month that follows its first bundle, and not before.
#[test]
fn the_first_drill_has_its_place_in_a_month() {
    let evc = Evc::start();
    let (mut device, _) = ready(&evc);
    let due = humantime::parse_rfc3339(shown(&evc)["due"].as_str().expect("a time")).expect("a time");
    let due = due.duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
    let now = evc::clock::now();
    assert!(
        (now + 1..now + DRILL_EVERY_S).contains(&due),
        "{due}: its place, which is now once in a million"
    );
    assert!(drill(&evc, &mut device).is_none());
}
