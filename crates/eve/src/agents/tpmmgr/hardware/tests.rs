//! tpmmgr's hands on software TPMs: failing and back, cleared, exchanged, of an unusual kind; and the pin that a power cut left.

use std::sync::Arc;

use tpm::OwnerAuth;

use super::*;
use crate::agents::keep;

mod faults;

fn kept(path: &std::path::Path) -> std::io::Result<Kept> {
    keep::open(&disk::Disk::linux(), path)
}

const SESSION: SessionKey = SessionKey([5; 32]);

fn place(tpm: &testkit::swtpm::Swtpm, dir: &std::path::Path) -> TpmConfig {
    let boot = Arc::new(kept(&dir.join("boot-pcrs")).expect("opens"));
    TpmConfig { tcti: tpm.tcti().parse().expect("a TCTI"), owner: None, certified: None, boot }
}

fn opened(tpm: &testkit::swtpm::Swtpm, dir: &std::path::Path) -> Result<Hardware, TpmFailure> {
    Hardware::open(&place(tpm, dir), &kept(&dir.join("ek.pub")).expect("opens"))
}

/// DF-5, invariant 8: a TPM that stops answering is not shown as ready, and is when it answers again.
#[test]
fn a_tpm_that_fails_says_so_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    let mut tpm = opened(&swtpm, dir.path()).expect("opens");
    let ready = tpm.status();
    assert!(matches!(ready, TpmStatus::Ready { .. }));
    let sign = |tpm: &mut Hardware| tpm.attempt(|tpm| tpm.sign(&Digest32::of(b"x")));
    swtpm.stop();
    let failed = sign(&mut tpm).expect_err("there is none");
    assert!(failed.command().is_some(), "{failed:?}");
    let TpmStatus::Failing { why } = tpm.status() else { panic!("still ready") };
    assert!(why.contains("config/tcti"), "what to do: {why}");
    tpm.attempt(Hardware::idle).expect_err("there is none yet");
    assert!(matches!(tpm.status(), TpmStatus::Failing { .. }));
    swtpm.start().expect("starts");
    tpm.attempt(Hardware::idle).expect("is back");
    assert_eq!(tpm.status(), ready);
    sign(&mut tpm).expect("signs");
    assert!(!tpm.health().expect("answers").in_lockout);
}

/// Seen-by-users 0.6: a TPM whose owner has a password says what to write where, and works with it; neither way it is guessed at.
#[test]
fn a_tpm_with_an_owners_password_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    swtpm.tool("tpm2_changeauth", &["-c", "o", "owned"]).expect("changes");
    let refused = failing(&opened(&swtpm, dir.path()).err().expect("is refused"));
    assert!(refused.contains("config/tpm-owner-auth (0600)"), "{refused}");
    let auth = |password: &str| OwnerAuth::new(password.as_bytes().to_vec().into()).expect("fits");
    let place = |password| TpmConfig { owner: Some(Arc::new(auth(password))), ..place(&swtpm, dir.path()) };
    let pin = kept(&dir.path().join("ek.pub")).expect("opens");
    let refused = failing(&Hardware::open(&place("wrong"), &pin).err().expect("is refused"));
    assert!(refused.contains("mend config/tpm-owner-auth"), "{refused}");
    Hardware::open(&place("owned"), &pin).expect("opens");
    opened(&swtpm, dir.path()).expect("what is there needs no owner");
}

/// Seen-by-users 0.6: without a bank of ours roots are made and read, nothing is measured, and evidence is a quote all the same.
#[test]
fn a_tpm_without_our_bank_is_ready_and_not_measured() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    swtpm.tool("tpm2_pcrallocate", &["sha1:all+sha256:none"]).expect("allocates");
    swtpm.reset_clean().expect("resets");
    let mut tpm = opened(&swtpm, dir.path()).expect("opens");
    assert!(matches!(tpm.status(), TpmStatus::Ready { measured: false, .. }));
    let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
    let generation = vault::ids::Generation(1);
    let ask = DefineRoots { generation, tpm: root(), pcrs: root(), selection: None, as_shown: None };
    tpm.define_roots(&ask).expect("defines");
    let roots = tpm.read_roots().expect("reads").sets;
    let [RootSet { tpm: RootSlot::Root(_), pcrs: RootSlot::PcrsMoved { .. }, .. }] = roots.as_slice() else {
        panic!("T alone is to be had: {roots:?}")
    };
    let Proof::Quote { pcrs, .. } = tpm.quote(SESSION, &[1; 32], PcrSelection::EVE).expect("quotes") else {
        panic!("no quote")
    };
    assert!(pcrs.is_empty());
}

/// Issue 7: the SHA-256 bank where it is there and measures; else the SHA-384 one. Quoted and sealed to is the same.
#[test]
fn a_sha384_bank_stands_in_where_the_sha256_one_measures_nothing() {
    let (good, none) = (Some("good"), None);
    for (banks, boot, late, bank, measured) in [
        ("sha384", good, false, attest::PcrBank::Sha384, true),
        ("sha384", none, false, attest::PcrBank::Sha384, false),
        ("sha256,sha384", good, false, attest::PcrBank::Sha256, true),
        ("sha256,sha384", none, false, attest::PcrBank::Sha256, false),
        ("sha256,sha384", none, true, attest::PcrBank::Sha384, true),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("tpm");
        let swtpm = testkit::swtpm::Swtpm::with_banks(&at, "test", banks).expect("a TPM");
        let state = boot.map(testkit::swtpm::BootState::named);
        state.iter().for_each(|state| swtpm.extend_boot_state(state).expect("measures"));
        if late {
            let events = [0, 4].map(|pcr| format!("{pcr}:sha384={}", "a5".repeat(48)));
            swtpm.tool("tpm2_pcrextend", &[&events[0], &events[1]]).expect("measures");
        }
        let mut tpm = opened(&swtpm, dir.path()).expect("opens");
        let case = format!("{banks}, {boot:?}, {late}");
        assert_eq!(matches!(tpm.status(), TpmStatus::Ready { measured: true, .. }), measured, "{case}");
        let quote = tpm.quote(SESSION, &[1; 32], PcrSelection::EVE).expect("quotes");
        let Proof::Quote { attest, bank: said, pcrs, .. } = quote else { panic!("no quote") };
        assert_eq!(
            (said, attest::Quote::read(&attest.0).expect("a quote").bank()),
            (bank, Some(bank)),
            "{case}"
        );
        assert_eq!(pcrs.len(), PcrSelection::EVE.iter().count(), "{case}");
        let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
        let generation = vault::ids::Generation(1);
        tpm.define_roots(&DefineRoots {
            generation,
            tpm: root(),
            pcrs: root(),
            selection: None,
            as_shown: None,
        })
        .expect("defines");
        let sealed = tpm.tpm.read_pcr_policy(SlotSet::Odd).expect("is there").1;
        assert_eq!(format!("{:?}", sealed.selection().bank()), format!("{bank:?}"), "{case}");
    }
}

/// Facts-node, fault 6: a TPM that was cleared is told as that, and not as another one; another one not as cleared.
#[test]
fn a_cleared_tpm_is_told_as_cleared() {
    let dir = tempfile::tempdir().expect("a directory");
    let make = |name: &str| testkit::swtpm::Swtpm::new(&dir.path().join(name), name).expect("a TPM");
    let (own, other) = (make("own"), make("other"));
    let first = opened(&own, dir.path()).expect("opens").identity.device_key;
    let pin = kept(&dir.path().join("ek.pub")).expect("opens");
    let words = |tpm: &testkit::swtpm::Swtpm| {
        let certified = Some(first.clone().try_into().expect("a point"));
        let place = TpmConfig { certified, ..place(tpm, dir.path()) };
        Hardware::open(&place, &pin).expect("opens").status().words()
    };
    assert!(words(&own).starts_with("ready"), "{}", words(&own));
    assert!(words(&other).starts_with("another node's"), "{}", words(&other));
    own.tool("tpm2_clear", &["-c", "l"]).expect("clears");
    pin.write(b"").expect("as if somebody had removed it");
    assert!(words(&other).starts_with("ready"), "not known which: {}", words(&other));
    pin.write(b"").expect("as if somebody had removed it");
    Hardware::open(&place(&own, dir.path()), &pin).expect("pins it");
    let told = words(&own);
    assert!(told.starts_with("CLEARED") && told.contains("config/device.cert.pem"), "{told}");
}

/// Facts-node, fault 6: another device's certificate beside a TPM that has this node's roots is not told as a clear of it.
#[test]
fn anothers_certificate_is_not_told_as_a_clear() {
    let dir = tempfile::tempdir().expect("a directory");
    let own = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    let mut tpm = opened(&own, dir.path()).expect("opens");
    let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
    let generation = vault::ids::Generation(1);
    tpm.define_roots(&DefineRoots { generation, tpm: root(), pcrs: root(), selection: None, as_shown: None })
        .expect("defines");
    drop(tpm);
    let anothers = || TpmConfig { certified: Some([4; 65]), ..place(&own, dir.path()) };
    let pin = kept(&dir.path().join("ek.pub")).expect("opens");
    let words = || Hardware::open(&anothers(), &pin).expect("opens").status().words();
    assert!(words().starts_with("ready"), "{}", words());
    own.tool("tpm2_clear", &["-c", "l"]).expect("clears");
    assert!(words().starts_with("CLEARED"), "the twin: {}", words());
}

/// KO-1: roots that are to be bound to the boot that a session's evidence showed are bound to none that something was extended in since, before
/// anything is defined; and to none where nothing was shown.
#[test]
fn what_was_extended_since_the_evidence_is_not_bound_to() {
    use testkit::swtpm::BootState;
    let dir = tempfile::tempdir().expect("a directory");
    let swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    swtpm.extend_boot_state(&BootState::named("good")).expect("measures");
    let mut tpm = opened(&swtpm, dir.path()).expect("opens");
    let generation = vault::ids::Generation(1);
    let define = |tpm: &mut Hardware, as_shown| {
        let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
        tpm.define_roots(&DefineRoots { generation, tpm: root(), pcrs: root(), selection: None, as_shown })
    };
    let not_shown = |done: Result<(), TpmFailure>| {
        assert!(matches!(done, Err(TpmFailure::Refused(TpmRefusal::NotShown))), "{done:?}");
    };
    not_shown(define(&mut tpm, Some(SESSION)));
    tpm.quote(SESSION, &[1; 32], PcrSelection::EVE).expect("quotes");
    not_shown(define(&mut tpm, Some(SessionKey([6; 32]))));
    assert_eq!(tpm.room(Some(SESSION)).expect("may be bound"), TpmRoom::Enough);
    swtpm.extend_boot_state(&BootState::named("extended by somebody")).expect("extends");
    not_shown(tpm.room(Some(SESSION)).map(drop));
    not_shown(define(&mut tpm, Some(SESSION)));
    tpm.quote(SESSION, &[2; 32], PcrSelection::EVE).expect("quotes");
    not_shown(define(&mut tpm, Some(SESSION)));
    assert!(tpm.read_roots().expect("reads").sets.is_empty(), "nothing was defined");
    let next = SessionKey([7; 32]);
    tpm.quote(next, &[3; 32], PcrSelection::EVE).expect("quotes");
    define(&mut tpm, Some(next)).expect("what that session showed");
    define(&mut tpm, None).expect_err("the place is taken");
}

/// Seen-by-users 0.18: after a boot that measured something else the PCR is named, in P's slot.
#[test]
fn the_pcr_that_moved_is_named() {
    use testkit::swtpm::BootState;
    let dir = tempfile::tempdir().expect("a directory");
    let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    swtpm.extend_boot_state(&BootState::named("good")).expect("measures");
    let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
    let generation = vault::ids::Generation(1);
    let ask = DefineRoots { generation, tpm: root(), pcrs: root(), selection: None, as_shown: None };
    opened(&swtpm, dir.path()).expect("opens").define_roots(&ask).expect("defines");
    swtpm.reset_clean().expect("resets");
    let changed = BootState::named("good").with_change(4, "another loader").with_change(9, "another initrd");
    swtpm.extend_boot_state(&changed).expect("measures");
    let roots = opened(&swtpm, dir.path()).expect("opens").read_roots().expect("reads").sets;
    let [RootSet { pcrs: RootSlot::PcrsMoved { differ }, .. }] = roots.as_slice() else {
        panic!("not moved: {roots:?}")
    };
    assert_eq!(differ, &[4, 9]);
}

fn name(first: u8) -> EkName {
    EkName::from_bytes(&[&[0, 0x0c, first][..], &[7; 47]].concat()).expect("a SHA-384 name")
}

fn pinned(written: &[u8], now: &EkName) -> anyhow::Result<EkName> {
    let dir = tempfile::tempdir()?;
    let file = kept(&dir.path().join("ek.pub"))?;
    file.write(written)?;
    let pinned = pin_of(&file, now)?;
    let again = pin_of(&file, &name(9))?;
    assert_eq!(again, pinned, "what was pinned stays");
    Ok(pinned)
}

/// What the TPM itself did not fail of leaves its connection as it is, and is told as what it is: no root with a strange TPM.
#[test]
fn a_refusal_of_ours_is_no_failure_of_the_tpm() {
    let dir = tempfile::tempdir().expect("a directory");
    let swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    kept(&dir.path().join("ek.pub")).expect("opens").write(line(&name(1)).as_bytes()).expect("written");
    let mut tpm = opened(&swtpm, dir.path()).expect("opens");
    let refused = tpm.attempt(Hardware::read_roots).expect_err("another TPM");
    assert_eq!(TpmRefusal::from(refused), TpmRefusal::OtherTpm);
    assert!(matches!(tpm.status(), TpmStatus::Ready { .. }));
}

/// Invariant 5, and the TPM's pin: whatever a power cut leaves of the first pin, the next boot needs no hand; and neither that nor
/// damage ever pins another TPM.
#[test]
fn a_pin_that_was_cut_short_is_written_anew_and_no_other_is_replaced() {
    let own = name(1);
    let whole = format!("{}\n", hex::encode(own.as_bytes()));
    for cut in 0..=whole.len() {
        assert_eq!(pinned(&whole.as_bytes()[..cut], &own).expect("mends"), own, "cut at {cut}");
    }
    assert_eq!(pinned(&[0; 101], &own).expect("mends"), own, "zeros");
    assert_eq!(pinned(whole.as_bytes(), &name(2)).expect("reads"), own, "another TPM is told by it");
    for damaged in [&whole.as_bytes()[..60], b"nonsense"] {
        let words = format!("{:#}", pinned(damaged, &name(2)).expect_err("is refused"));
        assert!(words.contains("restore it"), "{words}");
    }
}

/// Invariant 5, and the TPM's pin: on a disk for reading only a name that is whole, with its line's end or without, is this TPM's. One that is not
/// whole is, too, where the node's certificate says so; else it is told.
#[test]
fn a_pin_that_can_not_be_written_turns_no_node_away_from_its_own_tpm() {
    let (own, whole) = (name(1), hex::encode(name(1).as_bytes()));
    let another = hex::encode(name(2).as_bytes());
    for (written, alone, certified) in [
        (whole.clone(), Some(true), true),
        (format!("{whole}\n"), Some(true), true),
        (whole[..60].to_owned(), None, true),
        (another, Some(false), true),
        ("nonsense".to_owned(), None, true),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("config");
        let disk = testkit::loopfs::LoopFs::create(&dir.path().join("img"), &at, 16 << 20).expect("a disk");
        std::fs::write(at.join("ek.pub"), &written).expect("writes");
        disk.make_read_only().expect("mounts");
        let file = kept(&at.join("ek.pub")).expect("opens");
        assert_eq!(is_own(&file, &own, false).ok(), alone, "{written}");
        assert_eq!(is_own(&file, &own, true).ok(), Some(certified), "{written}, beside its certificate");
    }
}

/// Issue 7, B: no single file turns a node away from its own TPM. A name of it that is damaged or another's is written anew where the
/// node's certificate is of this TPM's key; where it is not, both would have to be wrong, and nothing is written.
#[test]
fn a_name_of_another_tpm_beside_this_ones_certificate_is_written_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let make = |name: &str| testkit::swtpm::Swtpm::new(&dir.path().join(name), name).expect("a TPM");
    let (own, other) = (make("own"), make("other"));
    let key = opened(&own, dir.path()).expect("opens").identity.device_key;
    let certified = Some(key.try_into().expect("a point"));
    let pin = kept(&dir.path().join("ek.pub")).expect("opens");
    let whole = pin.read().expect("reads").to_vec();
    let another = format!("{}\n", hex::encode(name(1).as_bytes()));
    for damaged in [another.as_bytes(), &another.as_bytes()[..60], b"nonsense"] {
        pin.write(damaged).expect("damages");
        let told = |tpm, certified| {
            let place = TpmConfig { certified, ..place(tpm, dir.path()) };
            Hardware::open(&place, &pin).map_or_else(|error| failing(&error), |tpm| tpm.status().words())
        };
        for (tpm, certified) in [(&other, certified), (&own, None)] {
            let words = told(tpm, certified);
            assert!(
                words.contains("config/ek.pub") && words.contains("bring") || words.contains("restore it"),
                "{words}"
            );
            assert_eq!(*pin.read().expect("reads"), *damaged, "left as it is");
        }
        assert!(told(&own, certified).starts_with("ready"));
        assert_eq!(*pin.read().expect("reads"), whole);
    }
}

/// Invariant 6: a name of the TPM that does not read (here it is longer than any) turns no node away from the TPM that its certificate is of; and lets no
/// other in.
#[test]
fn a_name_of_the_tpm_that_does_not_read_counts_as_a_wrong_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let make = |name: &str| testkit::swtpm::Swtpm::new(&dir.path().join(name), name).expect("a TPM");
    let (own, other) = (make("own"), make("other"));
    let key = opened(&own, dir.path()).expect("opens").identity.device_key;
    let certified = Some(key.try_into().expect("a point"));
    let pin = kept(&dir.path().join("ek.pub")).expect("opens");
    let whole = pin.read().expect("reads").to_vec();
    std::fs::write(dir.path().join("ek.pub"), vec![b'0'; 65 << 10]).expect("writes");
    pin.read().expect_err("does not read");
    let told = |tpm, certified| {
        let place = TpmConfig { certified, ..place(tpm, dir.path()) };
        Hardware::open(&place, &pin).map_or_else(|error| failing(&error), |tpm| tpm.status().words())
    };
    for (tpm, certified) in [(&other, certified), (&own, None)] {
        let words = told(tpm, certified);
        assert!(!words.starts_with("ready") && words.contains("ek.pub"), "{words}");
    }
    assert!(told(&own, certified).starts_with("ready"), "{}", told(&own, certified));
    assert_eq!(*pin.read().expect("reads"), whole, "it is written anew");
}

/// Seen-by-users 0.18: what is left of the boot that P is bound to is written again by the next boot that reads P.
#[test]
fn a_damaged_note_of_the_boot_is_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
    let boot = testkit::swtpm::BootState::named("good");
    swtpm.extend_boot_state(&boot).expect("boots");
    let root = || BusRoot(RootSecret::copied_from(&[7; 32]));
    let ask = DefineRoots {
        generation: vault::ids::Generation::FIRST,
        tpm: root(),
        pcrs: root(),
        selection: None,
        as_shown: None,
    };
    opened(&swtpm, dir.path()).expect("opens").define_roots(&ask).expect("defines");
    let note = dir.path().join("boot-pcrs");
    let whole = std::fs::read(&note).expect("reads");
    assert!(!whole.is_empty());
    for damaged in [&b""[..], &whole[..40], b"4 zz\n"] {
        std::fs::write(&note, damaged).expect("writes");
        swtpm.reset_clean().expect("resets");
        swtpm.extend_boot_state(&boot).expect("boots");
        let mut tpm = opened(&swtpm, dir.path()).expect("opens");
        tpm.attempt(Hardware::read_roots).expect("reads");
        assert!(tpm.has_to_do());
        tpm.attempt(Hardware::idle).expect("keeps");
        assert_eq!(std::fs::read(&note).expect("reads"), whole, "{damaged:?}");
    }
}
