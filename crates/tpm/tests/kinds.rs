//! Seen-by-users 0.6: TPMs that are not like swtpm's default. Each works whole, or says what it lacks and how to mend that; nothing of
//! another system is destroyed, no password is guessed.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::sync::Arc;

use common::{Bench, bench, good, root, with_banks};
use testkit::swtpm::{Recorder, Way};
use tpm::{
    AK_HANDLE, AuthLack, DEVICE_HANDLE, Digest32, ECDH_HANDLE, Generation, Identity, Meaning, OPEN_PATIENCE,
    OwnerAuth, PcrBank, PcrPolicy, PcrSelection, ProvisionError, ReadRootError, RootKind, RootPolicy,
    SlotSet, Tpm, TpmError,
};
use zeroize::Zeroizing;

const PASSWORD: &str = "the owner's own";

/// Everything that a node asks of its TPM, under PCRs where there are any. Returns who it is.
fn works(tpm: &mut Tpm) -> Identity {
    let identity = tpm.provision().unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    let states = match tpm.read_pcrs(PcrSelection::EVE) {
        Ok(values) => PcrPolicy::of_states(&[values]).unwrap(),
        Err(error) => {
            assert_eq!(error.meaning(), Some(Meaning::NoBank), "{error}");
            PcrPolicy::nobody(PcrSelection::EVE)
        }
    };
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&states), &root(2)).unwrap();
    let (_, read) = tpm.read_root(SlotSet::Odd, RootKind::Tpm).unwrap();
    assert_eq!(read.expose_root(), root(1).expose_root());
    match tpm.read_root(SlotSet::Odd, RootKind::Pcrs) {
        Err(ReadRootError::PcrsMoved) if states.is_nobody() => {}
        read => assert_eq!(read.unwrap().1.expose_root(), root(2).expose_root()),
    }
    tpm.sign(&Digest32::of(b"")).unwrap();
    tpm.quote(&[0; 32], PcrSelection::EVE).unwrap();
    identity
}

fn with_password(bench: &Bench, tcti: &str, password: &str) -> (Tpm, Arc<OwnerAuth>) {
    let auth = Arc::new(OwnerAuth::new(Zeroizing::new(password.as_bytes().to_vec())).unwrap());
    bench.swtpm.tool("tpm2_flushcontext", &["-t"]).unwrap();
    (Tpm::open_as(&tcti.parse().unwrap(), OPEN_PATIENCE, Some(Arc::clone(&auth))).unwrap(), auth)
}

fn lack(error: &ProvisionError) -> Option<(&'static str, AuthLack)> {
    match error {
        ProvisionError::Tpm(TpmError::HierarchyAuth { hierarchy, lack }) => Some((hierarchy, *lack)),
        _ => None,
    }
}

/// Makes the TPM refuse EKs on these curves, by its own word: the curve that it is asked for is one that no TPM knows.
fn without_curves(bench: &Bench, curves: &'static [u8]) -> Recorder {
    Recorder::tampering(&bench.swtpm, move |way, message| {
        let asks = way == Way::ToTpm && message.get(6..10) == Some(&0x131_u32.to_be_bytes()[..]);
        for curve in curves.iter().filter(|_| asks) {
            // Of a storage key's parameters: CFB, no scheme, the curve, no KDF.
            let parameters = [0x00, 0x43, 0x00, 0x10, 0x00, *curve, 0x00, 0x10];
            if let Some(at) = message.windows(8).position(|window| window == parameters) {
                message[at + 4] = 0x77;
            }
        }
    })
    .unwrap()
}

#[test]
fn the_best_ek_that_the_tpm_can_make_is_taken() {
    const P256: u8 = 3;
    const P384: u8 = 4;
    for (without, name_length, kind) in
        [(&[][..], 50, 0x23), (&[P384][..], 34, 0x23), (&[P384, P256][..], 34, 0x01)]
    {
        let bench = bench();
        bench.swtpm.extend_boot_state(&good()).unwrap();
        let tap = without_curves(&bench, without);
        let mut tpm = Tpm::open(&tap.tcti().parse().unwrap()).unwrap();
        let identity = works(&mut tpm);
        assert_eq!((identity.ek.name.as_bytes().len(), identity.ek.tpmt_public[1]), (name_length, kind));
        // swtpm_setup makes certificates for P-384 and RSA.
        assert_eq!(identity.ek_cert_der.is_some(), without != [P384], "{without:?}");
        drop(tpm);
        let mut again = Tpm::open(&tap.tcti().parse().unwrap()).unwrap();
        assert_eq!(again.provision().unwrap(), identity, "{without:?}");
        again.pin_ek(&identity.ek.name).unwrap();
        again.read_root(SlotSet::Odd, RootKind::Tpm).unwrap();
    }
}

/// Issue 7: a TPM that has the SHA-384 bank alone quotes it, binds a root to it, and gives it in that state only. Its policy is the one
/// that tpm2-tools make.
#[test]
fn a_sha384_bank_is_quoted_and_bound_to() {
    let mut bench = with_banks("sha384");
    bench.swtpm.extend_boot_state(&good()).unwrap();
    let (mut tpm, identity) = bench.ready();
    let selection = PcrSelection::EVE.in_bank(PcrBank::Sha384);
    let values = tpm.read_pcrs(selection).unwrap();
    assert!(values.as_slice().iter().all(|(_, value)| value.len() == 48), "{values:?}");
    let quote = tpm.quote(&[7; 32], selection).unwrap();
    assert_eq!(quote.pcr_values.as_ref(), Some(&values));
    assert_eq!(attest::Quote::read(&quote.attest).unwrap().bank(), Some(attest::PcrBank::Sha384));
    let states = PcrPolicy::of_states(&[values]).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&states), &root(2)).unwrap();
    assert_eq!(tpm.read_pcr_policy(SlotSet::Odd).unwrap(), (Generation(1), states));
    let eight = PcrSelection::new([0, 1, 2, 3, 4, 6, 8, 14]).unwrap().in_bank(PcrBank::Sha384);
    let policy = tpm::pcr_policy_digest(&tpm.read_pcrs(eight).unwrap());
    drop(tpm);
    let file = bench.file("policy");
    let list = ["--policy-pcr", "-l", "sha384:0,1,2,3,4,6,8,14", "-L", &file];
    bench.swtpm.tool("tpm2_createpolicy", &list).unwrap();
    assert_eq!(policy.0.to_vec(), std::fs::read(&file).unwrap());
    for (boot, reads) in [(good().with_change(4, "implant"), false), (good(), true)] {
        bench.reboot(&boot);
        match bench.pinned(&identity.ek.name).read_root(SlotSet::Odd, RootKind::Pcrs) {
            Ok((_, read)) => assert!(reads && read.expose_root() == root(2).expose_root(), "{boot:?}"),
            Err(error) => assert!(!reads && matches!(error, ReadRootError::PcrsMoved), "{boot:?}: {error}"),
        }
    }
}

/// Without the bank nothing is bound to PCRs; the rest works, and the quote is of no PCR, which appraisal calls "not measured".
#[test]
fn a_tpm_without_a_sha256_bank_works_without_pcrs() {
    for banks in
        ["sha1:all+sha256:none+sha384:none+sha512:none", "sha1:none+sha256:none+sha384:all+sha512:none"]
    {
        let mut bench = bench();
        bench.swtpm.tool("tpm2_pcrallocate", &[banks]).unwrap();
        bench.swtpm.reset_clean().unwrap();
        let mut tpm = bench.open();
        works(&mut tpm);
        let quote = tpm.quote(&[7; 32], PcrSelection::EVE).unwrap();
        assert_eq!(quote.pcr_values, None, "{banks}");
        let quote = attest::Quote::read(&quote.attest).unwrap();
        assert!(quote.selections.iter().all(|(_, mask)| mask == &[0; 3]), "{banks}: {quote:?}");
    }
}

/// An owner's password is used where it is given, and never said on the bus.
#[test]
fn an_owner_with_a_password_is_obeyed() {
    let bench = bench();
    bench.swtpm.extend_boot_state(&good()).unwrap();
    bench.swtpm.tool("tpm2_changeauth", &["-c", "o", PASSWORD]).unwrap();
    let tap = Recorder::start(&bench.swtpm).unwrap();
    let (mut tpm, _) = with_password(&bench, &tap.tcti(), PASSWORD);
    works(&mut tpm);
    tpm.undefine(SlotSet::Odd, RootKind::Pcrs).unwrap();
    assert!(!tap.saw(PASSWORD.as_bytes()), "the password went over the bus");
    drop(tpm);
    // What is there needs no owner.
    let mut tpm = bench.open();
    let identity = tpm.provision().unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    tpm.read_root(SlotSet::Odd, RootKind::Tpm).unwrap();
    let refused = tpm.undefine(SlotSet::Odd, RootKind::Tpm).unwrap_err().to_string();
    assert_eq!(refused, "the TPM's owner hierarchy has a password, and none is given");
    assert_eq!(tpm.health().unwrap().lockout_counter, Some(0));
}

/// Without it, or with a wrong one, the lack is named; what is not known is not tried, and what was refused not again.
#[test]
fn an_owners_password_is_never_guessed() {
    let bench = bench();
    bench.swtpm.tool("tpm2_changeauth", &["-c", "o", PASSWORD]).unwrap();
    let refused = bench.open().provision().unwrap_err();
    assert_eq!(lack(&refused), Some(("owner", AuthLack::NotGiven)), "{refused}");
    let tap = Recorder::start(&bench.swtpm).unwrap();
    // TPM2_EvictControl is the first that asks for the owner.
    let tries = || {
        let evict = |bytes: &[u8]| bytes.get(6..10) == Some(&0x120_u32.to_be_bytes()[..]);
        tap.seen().iter().filter(|(way, bytes)| *way == Way::ToTpm && evict(bytes)).count()
    };
    let (mut tpm, auth) = with_password(&bench, &tap.tcti(), "wrong");
    for _ in 0..3 {
        let refused = tpm.provision().unwrap_err();
        assert_eq!(lack(&refused), Some(("owner", AuthLack::Refused)), "{refused}");
        assert_eq!(tries(), 1, "once, over all connections");
        drop(tpm);
        tpm = Tpm::open_as(&tap.tcti().parse().unwrap(), OPEN_PATIENCE, Some(Arc::clone(&auth))).unwrap();
    }
    assert_eq!(tpm.health().unwrap().lockout_counter, Some(0));
}

#[test]
fn an_endorsement_hierarchy_with_a_password_is_named() {
    let bench = bench();
    bench.swtpm.tool("tpm2_changeauth", &["-c", "e", PASSWORD]).unwrap();
    let refused = bench.open().provision().unwrap_err();
    assert_eq!(lack(&refused), Some(("endorsement", AuthLack::NotGiven)), "{refused}");
}

/// A certificate that is not there, was never written, or may not be read without a password that somebody set, is none; and no try
/// of a password is spent on it.
#[test]
fn a_certificate_that_can_not_be_read_is_none() {
    const INDEX: &str = "0x01c00016";
    let rows: [(&str, &[&str]); 4] = [
        ("absent", &[]),
        ("never written", &["-s", "100", "-a", "ownerread|ownerwrite|authread|no_da"]),
        ("protected", &["-s", "100", "-p", "secret", "-a", "authread|authwrite"]),
        ("by policy alone", &["-s", "100", "-a", "policyread|ownerwrite"]),
    ];
    for (what, definition) in rows {
        let bench = bench();
        bench.swtpm.tool("tpm2_nvundefine", &["-C", "p", INDEX]).unwrap();
        if !definition.is_empty() {
            bench.swtpm.tool("tpm2_nvdefine", &[&[INDEX][..], definition].concat()).unwrap();
        }
        if what == "protected" {
            let bytes = bench.file("bytes");
            std::fs::write(&bytes, [7; 100]).unwrap();
            bench.swtpm.tool("tpm2_nvwrite", &[INDEX, "-P", "secret", "-i", &bytes]).unwrap();
        }
        let mut tpm = bench.open();
        assert_eq!(tpm.provision().unwrap().ek_cert_der, None, "{what}");
        assert_eq!(tpm.health().unwrap().lockout_counter, Some(0), "{what}");
    }
}

/// A key of another system at `handle`: an RSA one, one that is not restricted, one of another hierarchy.
fn plant(bench: &Bench, handle: u32, key: usize) -> String {
    const COMMON: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
    let restricted = format!("{COMMON}|restricted");
    let key = [
        [
            "-C",
            "o",
            "-G",
            "rsa2048",
            "-a",
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt|restricted",
        ],
        ["-C", "e", "-G", "ecc256:ecdsa-sha256", "-a", COMMON],
        ["-C", "o", "-G", "ecc256:ecdsa-sha256:null", "-a", &restricted],
    ][key];
    let (context, handle) = (bench.file("key.ctx"), format!("{handle:#x}"));
    bench.swtpm.tool("tpm2_createprimary", &[&key[..], &["-c", &context]].concat()).unwrap();
    bench.swtpm.tool("tpm2_evictcontrol", &["-c", &context, &handle]).unwrap();
    bench.swtpm.tool("tpm2_flushcontext", &["-t"]).unwrap();
    bench.swtpm.tool("tpm2_readpublic", &["-c", &handle]).unwrap()
}

/// A machine that ran another system before: its keys stay, ours lie beside them, and are found again.
#[test]
fn foreign_keys_at_our_handles_are_kept_and_ours_lie_elsewhere() {
    for key in 0..3 {
        let bench = bench();
        bench.swtpm.extend_boot_state(&good()).unwrap();
        let planted =
            [AK_HANDLE, DEVICE_HANDLE, ECDH_HANDLE].map(|handle| (handle, plant(&bench, handle, key)));
        let identity = works(&mut bench.open());
        assert_eq!(bench.open().provision().unwrap(), identity, "found again");
        for (handle, before) in planted {
            let now = bench.swtpm.tool("tpm2_readpublic", &["-c", &format!("{handle:#x}")]).unwrap();
            assert_eq!(now, before, "{handle:#x}: untouched");
        }
    }
}

#[test]
fn where_every_handle_is_taken_they_are_named_with_what_to_do() {
    let bench = bench();
    for handle in [AK_HANDLE, 0x8100_5640, 0x8100_5641, 0x8100_5642, 0x8100_5643] {
        plant(&bench, handle, 1);
    }
    let refused = bench.open().provision().unwrap_err().to_string();
    for words in ["0x81000004", "0x81005640", "0x81005643", "tpm2_evictcontrol -c"] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
}
