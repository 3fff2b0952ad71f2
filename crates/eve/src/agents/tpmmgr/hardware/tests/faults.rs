//! The n-th command of what tpmmgr does with its TPM fails, for every n: it is refused, or done and told as a failure, or done and its answer
//! lost with the connection. What is told says what to do, the next try succeeds, and no other name than this TPM's is ever pinned.

use std::sync::{Mutex, MutexGuard};

use testkit::swtpm::{BootState, Recorder, Swtpm, Way};

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Refused,
    Failed,
    Lost,
}

const FAULTS: [Fault; 3] = [Fault::Refused, Fault::Failed, Fault::Lost];

/// No command has this code.
const NO_COMMAND: [u8; 4] = [0x20, 0, 0, 0xff];
/// TPM_RC_FAILURE, without sessions.
const FAILURE: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1];

/// What happens to which command, counted from when this was said.
#[derive(Default)]
struct Plan {
    fault: Option<(Fault, usize)>,
    commands: usize,
    due: Option<Fault>,
    met: bool,
}

impl Plan {
    /// What goes over the control channel begins otherwise than commands and answers.
    fn tamper(&mut self, way: Way, message: &mut Vec<u8>) {
        match way {
            _ if message.first() != Some(&0x80) => {}
            Way::ToTpm => self.asked(message),
            Way::FromTpm => self.answered(message),
        }
    }

    fn asked(&mut self, command: &mut [u8]) {
        let is = self.fault.filter(|(_, nth)| *nth == self.commands);
        self.commands += 1;
        let Some((fault, _)) = is else { return };
        self.met = true;
        match fault {
            Fault::Refused => command[6..10].copy_from_slice(&NO_COMMAND),
            Fault::Failed | Fault::Lost => self.due = Some(fault),
        }
    }

    fn answered(&mut self, answer: &mut Vec<u8>) {
        match self.due.take() {
            Some(Fault::Lost) => answer.clear(),
            Some(_) => *answer = FAILURE.to_vec(),
            None => {}
        }
    }
}

/// A TPM behind a tap, and the file with its name.
struct Scene {
    dir: tempfile::TempDir,
    swtpm: Swtpm,
    tap: Recorder,
    plan: Arc<Mutex<Plan>>,
    pin: Kept,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let swtpm = Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
        swtpm.extend_boot_state(&BootState::named("good")).expect("measures");
        let plan = Arc::new(Mutex::new(Plan::default()));
        let of_tap = Arc::clone(&plan);
        let tamper = move |way, message: &mut Vec<u8>| of_tap.lock().expect("whole").tamper(way, message);
        let tap = Recorder::tampering(&swtpm, tamper).expect("a tap");
        let pin = kept(&dir.path().join("ek.pub")).expect("opens");
        Self { dir, swtpm, tap, plan, pin }
    }

    fn open(&self) -> Result<Hardware, TpmFailure> {
        let tcti = self.tap.tcti().parse().expect("a TCTI");
        Hardware::open(&TpmConfig { tcti, ..place(&self.swtpm, self.dir.path()) }, &self.pin)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("whole")
    }

    fn pinned(&self) -> Vec<u8> {
        self.pin.read().expect("reads").to_vec()
    }

    /// With each fault at each command of `act` until it has no more: how it fared, and what comes then, without a fault.
    fn each<T>(
        &self,
        mut act: impl FnMut() -> Result<T, TpmFailure>,
        mut then: impl FnMut(Result<T, TpmFailure>, &str),
    ) {
        for fault in FAULTS {
            let mut nth = 0;
            loop {
                *self.plan() = Plan { fault: Some((fault, nth)), ..Plan::default() };
                let done = act();
                let met = std::mem::take(&mut *self.plan()).met;
                if let Err(failure) = &done {
                    says_what_to_do(failure);
                }
                then(done, &format!("{fault:?} at command {nth}"));
                if !met {
                    break;
                }
                nth += 1;
            }
            assert!(nth > 0, "{fault:?} at no command");
        }
    }
}

fn says_what_to_do(failure: &TpmFailure) {
    let wrong = form::wrong_line(&crate::cli::command(), &["TPM", "config/"], &failing(failure));
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn signs(tpm: &mut Hardware) -> Result<(), TpmFailure> {
    tpm.attempt(|tpm| tpm.sign(&Digest32::of(b"x"))).map(drop)
}

fn quotes(tpm: &mut Hardware) -> Result<(), TpmFailure> {
    let quoted = tpm.attempt(|tpm| tpm.quote(SESSION, &[1; 32], PcrSelection::EVE))?;
    let Proof::Quote { pcrs, .. } = quoted else { panic!("no quote") };
    assert_eq!(pcrs.len(), PcrSelection::EVE.iter().count());
    Ok(())
}

/// Invariants 5 and 6: a TPM that was never used, or was left half provisioned, by a failure at any command. Its name is pinned whole, or not yet.
#[test]
fn a_first_boot_that_fails_at_any_command_of_the_tpms_goes_on_and_pins_nothing_false() {
    let scene = Scene::new();
    drop(scene.open().expect("opens"));
    let name = scene.pinned();
    let act = || {
        scene.swtpm.tool("tpm2_clear", &["-c", "l"]).expect("clears");
        scene.pin.write(b"").expect("writes");
        scene.open()
    };
    scene.each(act, |done, when| {
        let pinned = scene.pinned();
        assert!(pinned == name || done.is_err() && pinned.is_empty(), "{when}: {pinned:?}");
        let known = done.map(|tpm| tpm.identity.device_key.clone()).ok();
        let mut tpm = scene.open().unwrap_or_else(|error| panic!("{when}: {}", failing(&error)));
        assert!(known.is_none_or(|known| known == tpm.identity.device_key), "{when}: another device key");
        assert!(matches!(tpm.status(), TpmStatus::Ready { .. }), "{when}: {:?}", tpm.status());
        assert_eq!(scene.pinned(), name, "{when}");
        signs(&mut tpm).and_then(|()| quotes(&mut tpm)).unwrap_or_else(|error| panic!("{when}: {error}"));
    });
}

/// A certificate that the TPM refuses to give is taken for none, as where it has none: whose key it is, it says itself.
fn is_same(told: &TpmStatus, ready: &TpmStatus) -> bool {
    match (told.clone(), ready) {
        (TpmStatus::Ready { measured, mut identity }, TpmStatus::Ready { identity: whole, .. }) => {
            identity.ek_cert = identity.ek_cert.or_else(|| whole.ek_cert.clone());
            TpmStatus::Ready { measured, identity } == *ready
        }
        _ => false,
    }
}

/// The same of a later boot: who it is stays as it is.
#[test]
fn a_boot_that_fails_at_any_command_of_the_tpms_is_the_same_device() {
    let scene = Scene::new();
    let ready = scene.open().expect("opens").status();
    let name = scene.pinned();
    scene.each(
        || scene.open(),
        |done, when| {
            let failed = done.is_err();
            let same = done.is_ok_and(|tpm| is_same(&tpm.status(), &ready));
            assert!(same || failed, "{when}");
            let tpm = scene.open().unwrap_or_else(|error| panic!("{when}: {}", failing(&error)));
            assert_eq!((tpm.status(), scene.pinned()), (ready.clone(), name.clone()), "{when}");
        },
    );
}

/// Invariants 6 and 8: signing and quoting, and what is told of the TPM meanwhile.
#[test]
fn a_signature_or_quote_that_fails_at_any_command_is_had_at_the_next_try() {
    let scene = Scene::new();
    let tpm = std::cell::RefCell::new(scene.open().expect("opens"));
    let ready = tpm.borrow().status();
    for act in [signs, quotes] {
        scene.each(
            || act(&mut tpm.borrow_mut()),
            |_, when| {
                let mut tpm = tpm.borrow_mut();
                act(&mut tpm).unwrap_or_else(|error| panic!("{when}: {}", failing(&error)));
                assert_eq!(tpm.status(), ready, "{when}");
            },
        );
    }
}
