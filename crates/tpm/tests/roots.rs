//! The two roots of a generation in NV: who can read them and who can't. KO-2: sealed by the TPM, no controller needed.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use common::{Bench, booted, good, other, present, ready, root};
use testkit::swtpm::BootState;
use tpm::{
    DefineRootError, EkName, Generation, PcrPolicy, PcrSelection, PolicyDigest, ReadRootError, RootKind,
    RootPolicy, SlotSet, SlotState, Tpm,
};

const G1: Generation = Generation(1);
const T_INDEX: &str = "0x01805644";
const P_INDEX: &str = "0x01805645";
const STATES_INDEX: &str = "0x01805646";

/// A booted TPM with both roots of generation 1, bound to the present state.
fn with_roots() -> (Bench, EkName) {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    define_both(&mut tpm, G1);
    (bench, identity.ek.name)
}

fn define_both(tpm: &mut Tpm, generation: Generation) {
    let policy = present(tpm);
    tpm.define_and_write(generation, RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(generation, RootPolicy::Pcrs(&policy), &root(101)).unwrap();
}

fn assert_reads(tpm: &mut Tpm, kind: RootKind, fill: u8) {
    let (generation, found) = tpm.read_root(SlotSet::Odd, kind).unwrap();
    assert_eq!((generation, found.expose_root()), (G1, root(fill).expose_root()), "{kind:?}");
}

#[test]
fn both_roots_survive_clean_and_unclean_resets() {
    let (mut bench, ek) = with_roots();
    for clean in [true, false, false, true] {
        if clean {
            bench.swtpm.reset_clean().unwrap()
        } else {
            bench.swtpm.kill9_restart().unwrap()
        }
        bench.swtpm.extend_boot_state(&good()).unwrap();
        let mut tpm = bench.pinned(&ek);
        assert_reads(&mut tpm, RootKind::Tpm, 1);
        assert_reads(&mut tpm, RootKind::Pcrs, 101);
    }
}

/// TH-5 (seal: pcrs): a changed boot can't read P, and reads it again once the change is gone. T is read in both.
#[test]
fn a_changed_boot_reads_t_but_not_p_until_the_change_is_gone() {
    let (mut bench, ek) = with_roots();
    for state in [good().with_change(4, "implant"), BootState::named("other"), good().with_change(14, "late")]
    {
        bench.reboot(&state);
        let mut tpm = bench.pinned(&ek);
        assert_reads(&mut tpm, RootKind::Tpm, 1);
        let refused = tpm.read_root(SlotSet::Odd, RootKind::Pcrs);
        assert!(matches!(refused, Err(ReadRootError::PcrsMoved)), "{state:?}: {refused:?}");
        assert_eq!(tpm.slot_state(SlotSet::Odd, RootKind::Pcrs), Ok(SlotState::Written), "seen in any state");
    }
    bench.reboot(&good());
    assert_reads(&mut bench.pinned(&ek), RootKind::Pcrs, 101);
    // PCR 5 is not in the selection.
    bench.reboot(&good().with_change(5, "boot order"));
    assert_reads(&mut bench.pinned(&ek), RootKind::Pcrs, 101);
}

/// A PCR extended after a good boot closes P at once, in the same session of the same client.
#[test]
fn p_closes_when_a_pcr_is_extended_while_running() {
    let (bench, ek) = with_roots();
    assert_reads(&mut bench.pinned(&ek), RootKind::Pcrs, 101);
    bench.swtpm.tool("tpm2_pcrextend", &[&format!("4:sha256={}", "11".repeat(32))]).unwrap();
    let refused = bench.pinned(&ek).read_root(SlotSet::Odd, RootKind::Pcrs);
    assert!(matches!(refused, Err(ReadRootError::PcrsMoved)), "{refused:?}");
}

#[test]
fn a_planned_update_reads_p_in_both_states() {
    let mut bench = booted();
    bench.reboot(&BootState::named("updated"));
    let updated = bench.open().read_pcrs(PcrSelection::EVE).unwrap();
    bench.reboot(&good());
    let (mut tpm, identity) = bench.ready();
    let now = tpm.read_pcrs(PcrSelection::EVE).unwrap();
    let policy = PcrPolicy::of_states(&[now, updated]).unwrap();
    tpm.define_and_write(G1, RootPolicy::Pcrs(&policy), &root(101)).unwrap();
    assert_eq!(tpm.read_pcr_policy(SlotSet::Odd).unwrap(), (G1, policy));
    drop(tpm);
    for state in [good(), BootState::named("updated")] {
        bench.reboot(&state);
        assert_reads(&mut bench.pinned(&identity.ek.name), RootKind::Pcrs, 101);
    }
    bench.reboot(&BootState::named("third"));
    let refused = bench.pinned(&identity.ek.name).read_root(SlotSet::Odd, RootKind::Pcrs);
    assert!(matches!(refused, Err(ReadRootError::PcrsMoved)), "{refused:?}");
}

/// No owner or auth read for P; attributes as tpm2-tools see them.
#[test]
fn p_is_read_by_policy_alone() {
    let (bench, _) = with_roots();
    for (index, attributes) in [
        (T_INDEX, "ownerwrite|authread|no_da|written"),
        (P_INDEX, "ownerwrite|policyread|no_da|written"),
        (STATES_INDEX, "ownerwrite|authread|no_da|written"),
    ] {
        let public = bench.swtpm.tool("tpm2_nvreadpublic", &[index]).unwrap();
        assert!(public.contains(&format!("friendly: {attributes}\n")), "{index}:\n{public}");
    }
    bench.swtpm.tool("tpm2_nvread", &[T_INDEX]).expect("T: whoever has the TPM");
    for authority in [&[][..], &["-C", "o"], &["-C", "p"]] {
        let read = bench.swtpm.tool("tpm2_nvread", &[authority, &[P_INDEX]].concat());
        assert!(read.is_err(), "P with {authority:?}");
    }
    assert!(bench.swtpm.tool("tpm2_nvread", &["-C", "o", T_INDEX]).is_err(), "T as owner");
}

/// TH-1, TH-2: another TPM has no such root; a root of the same index of its own is another one.
#[test]
fn another_tpm_has_none_of_it() {
    let (bench, ek) = with_roots();
    let other = other(&bench);
    other.extend_boot_state(&good()).unwrap();
    let tcti = other.tcti().parse().unwrap();
    assert!(Tpm::open(&tcti).unwrap().pin_ek(&ek).is_err());
    let (mut foreign, _) = ready(&tcti);
    for kind in RootKind::ALL {
        let read = foreign.read_root(SlotSet::Odd, kind);
        assert!(matches!(read, Err(ReadRootError::Absent)), "{kind:?}: {read:?}");
    }
}

/// Invariant 4: a refused definition takes nothing away, neither the root nor the states that may read it.
#[test]
fn a_root_is_never_overwritten_and_an_undefined_one_is_gone() {
    let (bench, ek) = with_roots();
    let mut tpm = bench.pinned(&ek);
    let states = present(&mut tpm);
    for generation in [G1, Generation(3)] {
        for policy in [RootPolicy::Tpm, RootPolicy::Pcrs(&states)] {
            let again = tpm.define_and_write(generation, policy, &root(9));
            let written = matches!(again, Err(DefineRootError::Occupied { state: SlotState::Written, .. }));
            assert!(written, "{policy:?}: {again:?}");
        }
        assert_reads(&mut tpm, RootKind::Tpm, 1);
        assert_reads(&mut tpm, RootKind::Pcrs, 101);
    }
    for kind in RootKind::ALL {
        tpm.undefine(SlotSet::Odd, kind).unwrap();
        tpm.undefine(SlotSet::Odd, kind).expect("safe to repeat");
        assert_eq!(tpm.slot_state(SlotSet::Odd, kind), Ok(SlotState::Absent));
        assert!(matches!(tpm.read_root(SlotSet::Odd, kind), Err(ReadRootError::Absent)));
    }
    drop(tpm);
    let indices = bench.swtpm.tool("tpm2_getcap", &["handles-nv-index"]).unwrap().to_lowercase();
    assert!(!indices.contains("0x180564"), "{indices}");
}

/// Two generations lie side by side while one takes over from the other.
#[test]
fn neighbouring_generations_do_not_touch() {
    let (bench, ek) = with_roots();
    let mut tpm = bench.pinned(&ek);
    tpm.define_and_write(Generation(2), RootPolicy::Tpm, &root(55)).unwrap();
    let (generation, found) = tpm.read_root(SlotSet::Even, RootKind::Tpm).unwrap();
    assert_eq!((generation, found.expose_root()), (Generation(2), root(55).expose_root()));
    tpm.undefine(SlotSet::Odd, RootKind::Tpm).unwrap();
    tpm.undefine(SlotSet::Odd, RootKind::Pcrs).unwrap();
    assert!(tpm.read_root(SlotSet::Even, RootKind::Tpm).is_ok());
}

/// A policy that the present state does not satisfy could not be read back: it is refused, and leaves nothing.
#[test]
fn a_root_that_could_not_be_read_back_is_not_kept() {
    let bench = booted();
    let (mut tpm, _) = bench.ready();
    let values = PcrSelection::EVE.iter().map(|i| (i, vec![7; 32])).collect();
    let nowhere = tpm::PcrValues::new(tpm::PcrBank::Sha256, values).unwrap();
    let policy = PcrPolicy::of_states(&[nowhere]).unwrap();
    let refused = tpm.define_and_write(G1, RootPolicy::Pcrs(&policy), &root(1));
    let why = match refused {
        Err(DefineRootError::ReadBack { source: Some(why), .. }) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*why, ReadRootError::PcrsMoved), "{why:?}");
    assert_eq!(tpm.slot_state(SlotSet::Odd, RootKind::Pcrs), Ok(SlotState::Absent));
    drop(tpm);
    let indices = bench.swtpm.tool("tpm2_getcap", &["handles-nv-index"]).unwrap().to_lowercase();
    assert!(!indices.contains("0x180564"), "{indices}");
}

/// What a crash, another program or damage can leave in a slot is told apart, and never taken for a root.
#[test]
fn unwritten_damaged_and_foreign_slots_are_told_apart() {
    let bench = booted();
    let (_, identity) = bench.ready();
    let tool = |name: &str, arguments: &[&str]| bench.swtpm.tool(name, arguments).unwrap();
    tool("tpm2_nvdefine", &[T_INDEX, "-s", "77", "-a", "ownerwrite|authread|no_da"]);
    let mut tpm = bench.pinned(&identity.ek.name);
    assert_eq!(tpm.slot_state(SlotSet::Odd, RootKind::Tpm), Ok(SlotState::Unwritten));
    assert!(matches!(tpm.read_root(SlotSet::Odd, RootKind::Tpm), Err(ReadRootError::Unwritten)));
    drop(tpm);

    let junk = bench.file("junk");
    std::fs::write(&junk, [0x5a; 77]).unwrap();
    tool("tpm2_nvwrite", &[T_INDEX, "-C", "o", "-i", &junk]);
    let mut tpm = bench.pinned(&identity.ek.name);
    let read = tpm.read_root(SlotSet::Odd, RootKind::Tpm);
    assert!(matches!(read, Err(ReadRootError::Damaged { .. })), "{read:?}");
    tpm.undefine(SlotSet::Odd, RootKind::Tpm).expect("a damaged one of ours can be taken away");
    drop(tpm);

    tool("tpm2_nvdefine", &[T_INDEX, "-s", "16", "-a", "ownerwrite|ownerread"]);
    let mut tpm = bench.pinned(&identity.ek.name);
    assert_eq!(tpm.slot_state(SlotSet::Odd, RootKind::Tpm), Ok(SlotState::Foreign));
    tpm.undefine(SlotSet::Odd, RootKind::Tpm).unwrap();
    let taken = tpm.define_and_write(G1, RootPolicy::Tpm, &root(1));
    assert!(matches!(taken, Err(DefineRootError::Occupied { state: SlotState::Foreign, .. })), "{taken:?}");
    drop(tpm);
    assert!(tool("tpm2_nvreadpublic", &[T_INDEX]).contains("size: 16"), "still there");
}

/// What is done to the list of states that P is read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Gone,
    Overwritten,
    /// By one that reads, of the states of another root.
    Anothers,
    /// The same, of the same states.
    OfAnotherGeneration,
}

/// The list of states of a root that is made for it in the other slot set. P is read back once it is written, so the present state is one of them.
fn list_of_another(bench: &Bench, ek: &EkName, same_states: bool) -> String {
    let (mut tpm, list) = (bench.pinned(ek), bench.file("list"));
    let present = present(&mut tpm);
    let branches = [present.branches(), &[PolicyDigest([7; 32])]].concat();
    let more = PcrPolicy::of_branches(present.selection(), branches).unwrap();
    let policy = if same_states { present } else { more };
    tpm.define_and_write(Generation(2), RootPolicy::Pcrs(&policy), &root(102)).unwrap();
    drop(tpm);
    bench.swtpm.tool("tpm2_nvread", &["0x01805642", "-o", &list]).unwrap();
    list
}

fn lose(bench: &Bench, ek: &EkName, lost: Lost) {
    let list = match lost {
        Lost::Gone => return drop(bench.swtpm.tool("tpm2_nvundefine", &[STATES_INDEX]).unwrap()),
        Lost::Overwritten => {
            let nothing = bench.file("nothing");
            std::fs::write(&nothing, [0; 304]).unwrap();
            nothing
        }
        Lost::Anothers => list_of_another(bench, ek, false),
        Lost::OfAnotherGeneration => list_of_another(bench, ek, true),
    };
    bench.swtpm.tool("tpm2_nvwrite", &[STATES_INDEX, "-C", "o", "-i", &list]).unwrap();
}

/// Invariant 6, and TH-5: the list of states that P is read with is no secret. Gone, overwritten, or another root's, it is written anew in the state that P is
/// bound to; in another one P is neither absent nor damaged, but bound to another, and the list is not made from that.
#[test]
fn a_list_of_states_that_is_lost_is_written_anew_in_the_state_of_p() {
    for lost in [Lost::Gone, Lost::Overwritten, Lost::Anothers, Lost::OfAnotherGeneration] {
        let (mut bench, ek) = with_roots();
        let policy = bench.pinned(&ek).read_pcr_policy(SlotSet::Odd).unwrap();
        lose(&bench, &ek, lost);
        bench.reboot(&good().with_change(4, "implant"));
        for _ in 0..2 {
            let read = bench.pinned(&ek).read_root(SlotSet::Odd, RootKind::Pcrs);
            assert!(matches!(read, Err(ReadRootError::PcrsMoved)), "{lost:?}: {read:?}");
        }
        bench.reboot(&good());
        assert_reads(&mut bench.pinned(&ek), RootKind::Pcrs, 101);
        bench.reboot(&good().with_change(4, "implant"));
        assert_eq!(bench.pinned(&ek).read_pcr_policy(SlotSet::Odd).unwrap(), policy, "{lost:?}: as it was");
    }
}

/// Its twin: a list of states that a cut left without its root is no root, and stands in nobody's way.
#[test]
fn a_list_of_states_without_its_root_is_replaced() {
    let (bench, ek) = with_roots();
    bench.swtpm.tool("tpm2_nvundefine", &[P_INDEX]).unwrap();
    let mut tpm = bench.pinned(&ek);
    let policy = present(&mut tpm);
    tpm.define_and_write(G1, RootPolicy::Pcrs(&policy), &root(7)).unwrap();
    assert_reads(&mut tpm, RootKind::Pcrs, 7);
}

/// A full NV is an error of its own, and what was begun is taken away.
#[test]
fn a_full_nv_is_told() {
    let bench = booted();
    let (mut tpm, _) = bench.ready();
    let policy = present(&mut tpm);
    drop(tpm);
    let size = |n: u32, size: &str| {
        bench.swtpm.tool("tpm2_nvdefine", &[&format!("{:#x}", 0x01a0_0000 + n), "-s", size])
    };
    let mut n = 0;
    for bytes in ["2048", "512", "128", "77", "16"] {
        while size(n, bytes).is_ok() {
            n += 1;
        }
    }
    let mut tpm = bench.open();
    let identity = tpm.provision().unwrap();
    tpm.pin_ek(&identity.ek.name).unwrap();
    let full = tpm.define_and_write(G1, RootPolicy::Pcrs(&policy), &root(1));
    assert!(matches!(full, Err(DefineRootError::NvFull { .. })), "{full:?}");
    assert_eq!(tpm.slot_state(SlotSet::Odd, RootKind::Pcrs), Ok(SlotState::Absent));
}

/// The cost of the roots is two reads, however many vaults hang on them; and it is the same each time.
#[test]
fn reading_the_roots_costs_the_same_each_time() {
    let (bench, ek) = with_roots();
    let cost = || {
        let mut tpm = bench.pinned(&ek);
        RootKind::ALL.iter().for_each(|kind| drop(tpm.read_root(SlotSet::Odd, *kind).unwrap()));
        tpm.commands()
    };
    let first = cost();
    assert_eq!(first.root_reads, 2);
    assert_eq!(first, cost());
}
