//! Busy, hanging, failing and vanished TPMs; clients killed in the middle; dictionary-attack lockout.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Bench, bench, booted, good, present, root};
use testkit::swtpm::{Recorder, extend_command};
use tpm::{
    Digest32, EkName, Generation, Meaning, OpenError, PcrSelection, Probed, ReadRootError, RootKind,
    RootPolicy, SlotSet, Tcti, Tpm, TpmError, probe,
};

const SHORT: Duration = Duration::from_millis(400);
/// Environment of a client that is going to be killed: TCTI, EK name, file to make when at work.
const VICTIM: [&str; 3] = ["TPM_TEST_TCTI", "TPM_TEST_EK", "TPM_TEST_READY"];

fn define(tpm: &mut Tpm) {
    let policy = present(tpm);
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&policy), &root(101)).unwrap();
}

fn assert_works(bench: &Bench, ek: &EkName) {
    let mut tpm = bench.pinned(ek);
    for (kind, fill) in [(RootKind::Tpm, 1), (RootKind::Pcrs, 101)] {
        assert_eq!(tpm.read_root(SlotSet::Odd, kind).unwrap().1.expose_root(), root(fill).expose_root());
    }
    tpm.sign(&Digest32::of(b"")).unwrap();
    tpm.quote(&[0; 32], PcrSelection::EVE).unwrap();
}

/// tpmmgr killed 50 times in a row leaves the TPM usable, whatever it held.
#[test]
fn fifty_killed_clients_leave_the_tpm_usable() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    define(&mut tpm);
    drop(tpm);
    let mut left_sessions = 0;
    for round in 0..50 {
        kill_a_client(&bench, &identity.ek.name, round);
        let held = bench.swtpm.tool("tpm2_getcap", &["handles-transient"]).unwrap();
        assert!(held.contains("0x8000000"), "round {round}: a killed client leaves its EK: {held:?}");
        let sessions = bench.swtpm.tool("tpm2_getcap", &["handles-loaded-session"]).unwrap();
        left_sessions += usize::from(sessions.contains("0x"));
    }
    assert!(left_sessions > 0, "no client was killed inside a session: nothing was shown");
    assert_works(&bench, &identity.ek.name);
    for kind in ["handles-transient", "handles-loaded-session", "handles-saved-session"] {
        assert_eq!(bench.swtpm.tool("tpm2_getcap", &[kind]).unwrap(), "", "{kind} after a clean end");
    }
}

fn kill_a_client(bench: &Bench, ek: &EkName, round: u32) {
    let ready = bench.path(&format!("ready-{round}"));
    let hex: String = ek.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_to_be_killed", "--ignored"])
        .envs(VICTIM.into_iter().zip([bench.swtpm.tcti(), hex, ready.display().to_string()]))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "round {round}: no client");
        sleep(Duration::from_millis(2));
    }
    // Somewhere else in its loop each time.
    sleep(Duration::from_micros(u64::from(round) * 431));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "run by fifty_killed_clients_leave_the_tpm_usable, and killed by it"]
fn client_to_be_killed() {
    let [tcti, ek, ready] = VICTIM.map(|name| std::env::var(name).unwrap());
    let bytes: Vec<u8> = (0..50).map(|i| u8::from_str_radix(&ek[2 * i..2 * i + 2], 16).unwrap()).collect();
    let mut tpm = Tpm::open(&tcti.parse().unwrap()).unwrap();
    tpm.pin_ek(&EkName::from_bytes(&bytes).unwrap()).unwrap();
    std::fs::write(ready, "").unwrap();
    loop {
        RootKind::ALL.iter().for_each(|kind| drop(tpm.read_root(SlotSet::Odd, *kind).unwrap()));
    }
}

/// TPM2_PolicyPCR.
const POLICY_PCR: [u8; 4] = 0x17f_u32.to_be_bytes();

/// A tap that extends `pcr` right after each of the first `times` looks at PCRs.
fn extending(bench: &Bench, pcr: u8, times: u32) -> Recorder {
    let mut left = times;
    let tap = Recorder::injecting(&bench.swtpm, move |command| {
        let extend = left > 0 && command.get(6..10) == Some(&POLICY_PCR[..]);
        left -= u32::from(extend);
        extend.then(|| extend_command(pcr, "measured while it runs"))
    });
    tap.unwrap()
}

/// Facts-node, fault 1: whatever is extended while P is read, P is read when it is over; and only a PCR that P is bound to is "moved".
#[test]
fn an_extend_of_another_pcr_is_not_taken_for_another_boot() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    define(&mut tpm);
    drop(tpm);
    let read = |pcr, times| {
        let tap = extending(&bench, pcr, times);
        let mut tpm = Tpm::open(&tap.tcti().parse().unwrap()).unwrap();
        tpm.pin_ek(&identity.ek.name).unwrap();
        tpm.read_root(SlotSet::Odd, RootKind::Pcrs)
    };
    for times in [0, 1, 9] {
        let (_, found) = read(15, times).unwrap_or_else(|error| panic!("{times} times: {error}"));
        assert_eq!(found.expose_root(), root(101).expose_root());
    }
    let unsteady = read(15, u32::MAX).unwrap_err();
    assert!(matches!(unsteady, ReadRootError::Unsteady { attempts: 10 }), "{unsteady}");
    assert!(matches!(read(4, 1), Err(ReadRootError::PcrsMoved)), "one that it is bound to");
    assert!(matches!(read(15, 0), Err(ReadRootError::PcrsMoved)), "and stays so");
}

/// Seen-by-users, kind of fault 1: quotes and PCR values are had though other PCRs move all the time.
#[test]
fn pcrs_outside_the_selection_disturb_neither_quotes_nor_values() {
    let bench = booted();
    bench.ready();
    let still = bench.open().read_pcrs(PcrSelection::EVE).unwrap();
    let tap = Recorder::injecting(&bench.swtpm, |command| {
        let read = command.get(6..10) == Some(&0x17e_u32.to_be_bytes()[..]);
        read.then(|| extend_command(15, "measured while it runs"))
    })
    .unwrap();
    let mut tpm = Tpm::open(&tap.tcti().parse().unwrap()).unwrap();
    assert_eq!(tpm.read_pcrs(PcrSelection::EVE).unwrap(), still);
    assert_eq!(tpm.quote(&[0; 32], PcrSelection::EVE).unwrap().pcr_values, Some(still));
}

/// Unclean resets after each use of every key never add up to a lockout.
#[test]
fn a_hundred_unclean_resets_lock_nothing_out() {
    let mut bench = booted();
    let (mut tpm, identity) = bench.ready();
    define(&mut tpm);
    drop(tpm);
    for _ in 0..100 {
        let mut tpm = bench.pinned(&identity.ek.name);
        tpm.provision().unwrap();
        tpm.sign(&Digest32::of(b"")).unwrap();
        tpm.quote(&[0; 32], PcrSelection::EVE).unwrap();
        tpm.read_root(SlotSet::Odd, RootKind::Tpm).unwrap();
        drop(tpm);
        bench.swtpm.kill9_restart().unwrap();
    }
    bench.swtpm.extend_boot_state(&good()).unwrap();
    let health = bench.open().health().unwrap();
    assert_eq!((health.in_lockout, health.lockout_counter), (false, Some(0)));
    assert_works(&bench, &identity.ek.name);
}

/// Guessing at somebody else's secret until the TPM locks takes nothing of ours away.
#[test]
fn everything_works_in_dictionary_attack_lockout() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    define(&mut tpm);
    drop(tpm);
    bench
        .swtpm
        .tool("tpm2_nvdefine", &["0x01a00000", "-s", "8", "-p", "secret", "-a", "authread|authwrite"])
        .unwrap();
    bench
        .swtpm
        .tool("tpm2_nvwrite", &["0x01a00000", "-P", "secret", "-i", "/proc/self/cmdline"])
        .unwrap_or_default();
    for _ in 0..100 {
        if bench.open().health().unwrap().in_lockout {
            break;
        }
        assert!(bench.swtpm.tool("tpm2_nvread", &["0x01a00000", "-P", "wrong"]).is_err());
    }
    assert!(bench.open().health().unwrap().in_lockout, "the attack did not reach lockout");
    assert_works(&bench, &identity.ek.name);
}

#[test]
fn a_tpm_that_serves_another_client_is_busy_and_then_free() {
    let bench = bench();
    let holder = TcpStream::connect(("127.0.0.1", bench.swtpm.port())).unwrap();
    // Served means accepted: only an answer tells.
    let busy = Tpm::open_within(&bench.tcti(), SHORT);
    assert!(matches!(busy, Err(OpenError::Busy { .. })), "{:?}", busy.err());
    assert!(matches!(probe(Some(&bench.tcti()), SHORT), Probed::Failing(OpenError::Busy { .. })));
    drop(holder);
    assert!(matches!(probe(Some(&bench.tcti()), Duration::from_secs(10)), Probed::Working));
    bench.open();
}

/// Between two commands of one client a swtpm serves another. The newcomer takes over, as a restarted tpmmgr must;
/// the older client is told at its next secret, and gets none.
#[test]
fn a_second_client_takes_over_from_the_first() {
    let bench = booted();
    let (mut first, identity) = bench.ready();
    define(&mut first);
    assert_works(&bench, &identity.ek.name);
    let error = first.read_root(SlotSet::Odd, RootKind::Tpm).unwrap_err();
    assert!(matches!(error, ReadRootError::Tpm(TpmError::Command(_))), "{error}");
    first.pin_ek(&identity.ek.name).expect("pinning anew mends it");
    first.read_root(SlotSet::Odd, RootKind::Tpm).unwrap();
    drop(first);
    assert_works(&bench, &identity.ek.name);
}

/// A TPM that is configured but failing is never "no TPM".
#[test]
fn no_tpm_and_a_failing_tpm_are_told_apart() {
    let mut bench = bench();
    assert!(matches!(probe(None, SHORT), Probed::Absent));
    assert!(matches!(probe(Some(&bench.tcti()), Duration::from_secs(10)), Probed::Working));
    bench.swtpm.stop();
    assert!(matches!(probe(Some(&bench.tcti()), SHORT), Probed::Failing(OpenError::Unreachable { .. })));
    let missing: Tcti = "device:/dev/no-such-tpm".parse().unwrap();
    assert!(matches!(Tpm::open(&missing), Err(OpenError::Unreachable { .. })));
    let not_a_tpm: Tcti = "device:/dev/zero".parse().unwrap();
    assert!(matches!(probe(Some(&not_a_tpm), SHORT), Probed::Failing(OpenError::Failing { .. })));
}

/// swtpm does not start over a state that it can't use: failing, not absent.
#[test]
fn a_tpm_with_damaged_state_is_failing() {
    let mut bench = bench();
    bench.swtpm.stop();
    let state = bench.swtpm.state_dir().join("tpm2-00.permall");
    let bytes = std::fs::read(&state).unwrap().len();
    std::fs::write(&state, vec![0; bytes]).unwrap();
    // It listens for a moment before it has read its state, and ends.
    let _ = bench.swtpm.start();
    assert!(matches!(probe(Some(&bench.tcti()), SHORT), Probed::Failing(_)));
}

/// What a TPM answers to TPM2_GetTestResult in failure mode, unstarted, or when it is no TPM at all.
#[test]
fn failure_mode_and_garbage_are_told() {
    const FAILED: &[u8] = &[0x80, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    const NOT_STARTED: &[u8] = &[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0];
    for (answer, why, rc) in [
        (FAILED, Meaning::FailureMode, 0x101),
        (NOT_STARTED, Meaning::NotStarted, 0x100),
        (b"HTTP/1.1 400 Bad Request", Meaning::Malformed, 0),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcti =
            format!("swtpm:host=127.0.0.1,port={}", listener.local_addr().unwrap().port()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.read_exact(&mut [0; 10]).unwrap();
            client.write_all(answer).unwrap();
            let _ = client.read(&mut [0; 10]);
        });
        match Tpm::open_within(&tcti, Duration::from_secs(10)) {
            Err(OpenError::Failing { why: found, rc: code, .. }) => {
                assert_eq!((found, code), (why, rc), "{answer:?}")
            }
            other => panic!("{answer:?}: {:?}", other.err()),
        }
        server.join().unwrap();
    }
}

#[test]
fn a_tpm_that_vanishes_is_an_error_and_comes_back() {
    let mut bench = booted();
    let (mut tpm, identity) = bench.ready();
    define(&mut tpm);
    bench.swtpm.stop();
    let error = tpm.sign(&Digest32::of(b"")).unwrap_err();
    assert_eq!(error.meaning(), Some(Meaning::Disconnected), "{error}");
    drop(tpm);
    bench.swtpm.start().unwrap();
    bench.swtpm.extend_boot_state(&good()).unwrap();
    assert_works(&bench, &identity.ek.name);
}

#[test]
fn a_frozen_tpm_does_not_freeze_its_client() {
    let bench = bench();
    let frozen = Frozen::new(bench.swtpm.pid().unwrap());
    let started = Tpm::open_within(&bench.tcti(), SHORT);
    assert!(matches!(started, Err(OpenError::Busy { .. })), "{:?}", started.err());
    drop(frozen);
    bench.open();
}

/// A process stopped for as long as this lives.
struct Frozen(u32);

impl Frozen {
    fn new(pid: u32) -> Self {
        signal("-STOP", pid);
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(name: &str, pid: u32) {
    let kill = |child: std::io::Result<Child>| child.and_then(|mut c| c.wait()).unwrap();
    assert!(kill(Command::new("kill").args([name, &pid.to_string()]).spawn()).success());
}
