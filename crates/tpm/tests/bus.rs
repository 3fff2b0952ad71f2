//! The bus between TPM and processor, tapped: what a listener hears and what a meddler achieves.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{booted, present, root};
use testkit::swtpm::{Recorder, Way};
use tpm::{Generation, RootKind, RootPolicy, SlotSet, Tpm};

/// TPM_RH_NULL as `tpmKey`: a session without salt, whose key a listener can compute.
const NO_KEY: u32 = 0x4000_0007;

/// `tpmKey` of each TPM2_StartAuthSession that went by.
fn session_keys(tap: &Recorder) -> Vec<u32> {
    let word =
        |bytes: &[u8], at: usize| bytes.get(at..at + 4).map(|w| u32::from_be_bytes(w.try_into().unwrap()));
    let seen = tap.seen();
    let commands = seen.iter().filter(|(way, _)| *way == Way::ToTpm);
    let starts = commands.filter(|(_, bytes)| word(bytes, 6) == Some(0x176));
    starts.filter_map(|(_, bytes)| word(bytes, 10)).collect()
}

/// All TPM traffic recorded at making and reading: no root in the clear. A reader without our sessions shows that
/// the tap hears.
#[test]
fn a_listener_hears_no_root() {
    let bench = booted();
    let (_, identity) = bench.ready();
    let tap = Recorder::start(&bench.swtpm).unwrap();
    let mut tpm = Tpm::open(&tap.tcti().parse().unwrap()).unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    let policy = present(&mut tpm);
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&policy), &root(101)).unwrap();
    RootKind::ALL.iter().for_each(|kind| drop(tpm.read_root(SlotSet::Odd, *kind).unwrap()));
    drop(tpm);
    for (name, secret) in [("T", root(1).expose_root()), ("P", root(101).expose_root())] {
        // Any eight bytes of it.
        assert!(secret.windows(8).all(|part| !tap.saw(part)), "{name} was heard");
    }
    assert!(!tap.saw(b"EVEVROOT"), "not even the record around it");
    let salts = session_keys(&tap);
    assert!(salts.len() >= 5 && salts.iter().all(|key| *key != NO_KEY), "an unsalted session: {salts:x?}");
    drop(tap);

    let tap = Recorder::start(&bench.swtpm).unwrap();
    let read = std::process::Command::new("tpm2_nvread")
        .args(["-T", &tap.tcti(), "0x01805644"])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(read.unwrap().success());
    assert!(tap.saw(root(1).expose_root()), "the tap hears what is said in the clear");
}

/// Each answer changed in turn, one bit: the root comes back right or not at all.
#[test]
fn a_meddler_never_makes_us_believe_another_root() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    let policy = present(&mut tpm);
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&policy), &root(101)).unwrap();
    drop(tpm);
    let (mut refused, mut answers) = (0, usize::MAX);
    for target in 0.. {
        if target >= answers {
            break;
        }
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        let tap = Recorder::tampering(&bench.swtpm, move |way, bytes| {
            // Short answers carry no more than a code.
            if way == Way::FromTpm && bytes.len() > 40 && seen.fetch_add(1, Ordering::SeqCst) == target {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        })
        .unwrap();
        let read = Tpm::open(&tap.tcti().parse().unwrap()).ok().and_then(|mut tpm| {
            tpm.pin_ek(&identity.ek.name).ok()?;
            let t = tpm.read_root(SlotSet::Odd, RootKind::Tpm).ok()?.1;
            let p = tpm.read_root(SlotSet::Odd, RootKind::Pcrs).ok()?.1;
            Some((t, p))
        });
        match read {
            None => refused += 1,
            Some((t, p)) => {
                assert_eq!(t.expose_root(), root(1).expose_root(), "answer {target}");
                assert_eq!(p.expose_root(), root(101).expose_root(), "answer {target}");
                answers = answers.min(count.load(Ordering::SeqCst));
            }
        }
    }
    assert!(refused > 3, "only {refused} of {answers} changes were noticed");
}
