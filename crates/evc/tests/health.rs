//! What a supervisor or a load balancer that has no token sees of the controller.

mod common;
mod engines;

use std::fs;
use std::time::{Duration, Instant};

use common::{Evc, until};
use engines::{Fault, Faults, Faulty, Memory};
use evc::clock::now;
use evc::http::Listener;

fn seen(evc: &Evc, path: &str) -> (u16, String) {
    let answer = evc.call("GET", path, "", None);
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

const ALIVE: (u16, &str) = (200, r#"{"status":"alive"}"#);
const READY: (u16, &str) = (200, r#"{"status":"ready"}"#);

/// Until it is so: a look at the database counts for a second.
fn until_told(evc: &Evc, readyz: (u16, &str)) {
    until(readyz.1, || match seen(evc, "/readyz") {
        (status, told) if (status, told.as_str()) == readyz => Ok(()),
        (status, told) => Err(format!("{status} {told}")),
    });
    let (status, told) = seen(evc, "/healthz");
    assert_eq!((status, told.as_str()), ALIVE, "it lives all the same");
}

#[test]
fn a_controller_whose_store_is_gone_lives_and_is_not_ready() {
    let evc = Evc::start();
    until_told(&evc, READY);
    let (file, away) = (evc.dir.path().join("evc.db"), evc.dir.path().join("away"));
    fs::rename(&file, &away).expect("moved");
    let gone = r#"{"reason":"the database's file is gone, or is another one","status":"unready"}"#;
    until_told(&evc, (503, gone));
    fs::write(&file, "another").expect("written");
    until_told(&evc, (503, gone));
    fs::rename(&away, &file).expect("moved back");
    until_told(&evc, READY);
}

#[test]
fn a_controller_whose_store_fails_lives_and_is_not_ready() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    until_told(&evc, READY);
    faults.set(Some(Fault::Gone(1)));
    until_told(&evc, (503, r#"{"reason":"the database can't be read","status":"unready"}"#));
    faults.set(None);
    until_told(&evc, READY);
}

/// Whoever asks without end costs no more than one look a second, and no place of a device's or an operator's.
#[test]
fn many_questions_are_few_looks() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    until_told(&evc, READY);
    faults.set(None);
    let begun = Instant::now();
    (0..200).for_each(|_| assert_eq!(seen(&evc, "/readyz").0, 200));
    let looks = faults.asked().reads;
    assert!(looks <= 1 + usize::try_from(begun.elapsed().as_secs()).expect("few") + 1, "{looks} looks");
}

/// Nobody would end a grace from then on, and all else would look well: it ends, and who watches it starts it anew.
#[test]
fn housekeeping_that_ended_by_itself_ends_the_program_with_an_error() {
    let faults = Faults::default();
    let evc = Evc::over_engine(Faulty(Memory::default(), faults.clone()));
    let clock = evc.wait(evc.app.clock(now())).expect("a clock");
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = evc.wait(Listener::bind(any, evc.app.clone())).expect("bound");
    faults.set(Some(Fault::Panics(1)));
    let patience = async { tokio::time::sleep(Duration::from_secs(60)).await };
    let held = evc.wait(evc::cli::hold(&evc.app, listener, clock, patience));
    let why = held.expect_err("it ended").to_string();
    assert!(why.contains("housekeeping ended by itself") && why.contains("a step that panics"), "{why}");
}
