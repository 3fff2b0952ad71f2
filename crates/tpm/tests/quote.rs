//! Quotes, held against tpm2_checkquote; PCR values and policy digests, against tpm2-tools.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use common::{Bench, booted};
use testkit::swtpm::{BootState, Swtpm};
use tpm::{Digest32, PcrPolicy, PcrSelection, PcrValues, Quote, pcr_policy_digest, policy_or_digest};

const NONCE: [u8; 32] = *b"thirty-two bytes that were asked";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// TPMT_SIGNATURE, which tpm2-tools read.
fn tpmt_signature(quote: &Quote) -> Vec<u8> {
    let field = |n: &[u8; 32]| [&[0, 32], &n[..]].concat();
    [&[0x00, 0x18, 0x00, 0x0b][..], &field(&quote.signature.r), &field(&quote.signature.s)].concat()
}

/// What a quote of now says of the TPM's counters and clock.
fn quoted(bench: &Bench) -> attest::Quote {
    let quote = bench.open().quote(&NONCE, PcrSelection::EVE).unwrap();
    attest::Quote::read(&quote.attest).unwrap()
}

fn check_quote(bench: &Bench, quote: &Quote, nonce: &[u8]) -> bool {
    let [ak, message, signature] = ["ak.pem", "quote.msg", "quote.sig"].map(|name| bench.file(name));
    bench.swtpm.tool("tpm2_readpublic", &["-c", "0x81000004", "-f", "pem", "-o", &ak]).unwrap();
    std::fs::write(&message, &quote.attest).unwrap();
    std::fs::write(&signature, tpmt_signature(quote)).unwrap();
    let nonce = hex(nonce);
    let arguments = ["-u", &ak, "-m", &message, "-s", &signature, "-g", "sha256", "-q", &nonce];
    bench.swtpm.tool("tpm2_checkquote", &arguments).is_ok()
}

/// AC-3, IF-4: a quote over a nonce, which others can check.
#[test]
fn a_quote_is_verified_by_tpm2_checkquote() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    let quote = tpm.quote(&NONCE, PcrSelection::BOOT_STATE).unwrap();
    drop(tpm);
    assert!(check_quote(&bench, &quote, &NONCE));
    assert!(!check_quote(&bench, &quote, &[0; 32]), "another nonce");
    let mut forged = quote.clone();
    *forged.attest.last_mut().unwrap() ^= 1;
    assert!(!check_quote(&bench, &forged, &NONCE), "another PCR digest");
    let ak = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, identity.ak.sec1);
    ak.verify(&quote.attest, &quote.signature.to_der()).unwrap();
}

#[test]
fn the_values_beside_a_quote_are_those_quoted_and_those_tpm2_pcrread_shows() {
    let bench = booted();
    let (mut tpm, _) = bench.ready();
    let all = PcrSelection::new(0..24).unwrap();
    let quote = tpm.quote(&NONCE, all).unwrap();
    let values = quote.pcr_values.as_ref().unwrap();
    drop(tpm);
    assert!(quote.attest.ends_with(&values.composite().0));
    assert_eq!(values.selection(), all);
    let shown = bench.swtpm.tool("tpm2_pcrread", &["sha256"]).unwrap().to_lowercase();
    for (index, value) in values.as_slice() {
        let line = shown
            .lines()
            .find(|line| line.split(':').next().is_some_and(|i| i.trim() == index.to_string()))
            .unwrap();
        assert!(line.ends_with(&hex(value)), "PCR {index}: {line}");
    }
    let boot = Digest32::of(b"boot state good pcr 0").0;
    let extended = Digest32::of(&[[0; 32], boot].concat()).0;
    assert_eq!(values.get(0), Some(&extended[..]), "the boot state is what its name says");
}

/// Clock that a TPM stands at which was never off for a hundred days, in milliseconds.
const HUNDRED_DAYS_MS: u64 = 100 * 86_400_000;

/// A way of ending a TPM and starting it again.
type Ending = fn(&mut Swtpm);

/// TH-5, continuity, seen-by-users 1.1 and 0.7: the AK is in the endorsement hierarchy, so a controller sees each boot of the TPM; and
/// whatever ended the last one, after a hundred days, the next quote can come after it, at once and when the clock is `safe` again.
#[test]
fn no_way_of_ending_a_tpm_shuts_its_node_out() {
    let endings: [(&str, Ending, u32); 6] = [
        ("a clean reset", |tpm| tpm.reset_clean().unwrap(), 1),
        ("suspend and resume", |tpm| tpm.suspend_and_resume().unwrap(), 0),
        // TPM2_Startup(CLEAR) on a saved state: a TPM Restart, and no reset (TPM 2.0 Part 1, 12.2.3.2).
        ("a power cut while suspended", |tpm| tpm.cut_while_suspended().unwrap(), 0),
        ("SIGTERM", |tpm| tpm.terminate_restart().unwrap(), 1),
        ("kill -9", |tpm| tpm.kill9_restart().unwrap(), 1),
        ("kill -9, once more", |tpm| tpm.kill9_restart().unwrap(), 1),
    ];
    let mut bench = booted();
    bench.ready();
    assert!(quoted(&bench).reset_count < 100, "the count itself, not one obfuscated");
    for (what, end, resets) in endings {
        let later = quoted(&bench).clock_ms.max(HUNDRED_DAYS_MS) + 60_000;
        bench.swtpm.tool("tpm2_setclock", &[&later.to_string()]).unwrap();
        let before = quoted(&bench);
        end(&mut bench.swtpm);
        let at_once = quoted(&bench);
        let safe =
            testkit::wait::until("a clock that is safe", || Some(quoted(&bench)).filter(|quote| quote.safe))
                .unwrap();
        assert_eq!(
            (at_once.reset_count, at_once.boot() > before.boot()),
            (before.reset_count + resets, true),
            "{what}"
        );
        for now in [at_once, safe] {
            assert_eq!(attest::continuity(&before, &now), Ok(()), "{what}: {before:?}, {now:?}");
            let (was, is) = (before.clock_ms, now.clock_ms);
            let fell =
                (what.starts_with("kill") || what == "SIGTERM").then_some(attest::ClockFell { was, is });
            assert_eq!(attest::clock(&before, &now).err(), fell, "{what}: {before:?}, {now:?}");
        }
    }
}

#[test]
fn policy_digests_equal_the_tpms() {
    let mut bench = booted();
    // tpm2_createpolicy takes no more than eight; that fourteen work too is shown by the roots.
    let (selection, list) =
        (PcrSelection::new([0, 1, 2, 3, 4, 6, 8, 14]).unwrap(), "sha256:0,1,2,3,4,6,8,14");
    let good_state = bench.open().read_pcrs(selection).unwrap();
    let pcr_digest = |bench: &Bench, name: &str| {
        let file = bench.file(name);
        bench.swtpm.tool("tpm2_createpolicy", &["--policy-pcr", "-l", list, "-L", &file]).unwrap();
        std::fs::read(file).unwrap()
    };
    assert_eq!(pcr_policy_digest(&good_state).0.to_vec(), pcr_digest(&bench, "good"));
    bench.reboot(&BootState::named("next"));
    let next_state = bench.open().read_pcrs(selection).unwrap();
    assert_eq!(pcr_policy_digest(&next_state).0.to_vec(), pcr_digest(&bench, "next"));

    let (session, or) = (bench.file("session.ctx"), bench.file("or"));
    for (states, branches) in
        [(vec![&good_state, &next_state], ["good", "next"]), (vec![&good_state], ["good"; 2])]
    {
        let policy = PcrPolicy::of_states(&states.into_iter().cloned().collect::<Vec<PcrValues>>()).unwrap();
        let list = format!("sha256:{},{}", bench.file(branches[0]), bench.file(branches[1]));
        bench.swtpm.tool("tpm2_startauthsession", &["-S", &session]).unwrap();
        bench.swtpm.tool("tpm2_policyor", &["-S", &session, "-L", &or, "-l", &list]).unwrap();
        bench.swtpm.tool("tpm2_flushcontext", &[&session]).unwrap();
        assert_eq!(policy.digest().0.to_vec(), std::fs::read(&or).unwrap(), "{branches:?}");
        assert_eq!(policy.digest(), policy_or_digest(&policy.or_list()));
    }
}
