//! Room for two generations, tried before anything is begun (invariant 5; threats, Guessing: NV exhausted).

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use common::{bench, booted, present, root};
use tpm::{Generation, NvRoom, RootPolicy};

fn indices(bench: &common::Bench) -> String {
    bench.swtpm.tool("tpm2_getcap", &["handles-nv-index"]).unwrap().to_lowercase()
}

#[test]
fn room_for_two_generations_is_found_and_nothing_is_left_of_the_trial() {
    let bench = bench();
    let before = indices(&bench);
    assert_eq!(bench.open().nv_room().unwrap(), NvRoom { there: 0, fit: 6, foreign: 0 });
    assert_eq!(indices(&bench), before, "taken away again");
    assert!(bench.open().has_ek_certificate().unwrap(), "as swtpm_setup makes one");
}

/// A node that has its roots, and a TPM that somebody else fills: what is there counts, and is not touched.
#[test]
fn a_full_tpm_is_found_before_anything_is_begun() {
    let bench = booted();
    let (mut tpm, identity) = bench.ready();
    let policy = present(&mut tpm);
    tpm.define_and_write(Generation(1), RootPolicy::Tpm, &root(1)).unwrap();
    tpm.define_and_write(Generation(1), RootPolicy::Pcrs(&policy), &root(101)).unwrap();
    assert_eq!(tpm.nv_room().unwrap(), NvRoom { there: 3, fit: 3, foreign: 0 });
    drop(tpm);
    bench.swtpm.tool("tpm2_nvdefine", &["0x01805640", "-s", "16", "-a", "ownerwrite|ownerread"]).unwrap();
    let taken = bench.open().nv_room().unwrap();
    assert_eq!((taken.there, taken.fit, taken.foreign), (3, 2, 1), "another system's at our place");
    let fill = |at: u32| {
        let (index, sizes) = (format!("{:#010x}", 0x0150_0000 + at), ["1024", "64"]);
        sizes.iter().any(|size| {
            let define = [&*index, "-C", "o", "-s", size, "-a", "ownerwrite|ownerread"];
            bench.swtpm.tool("tpm2_nvdefine", &define).is_ok()
        })
    };
    assert!((0..200).any(|at| !fill(at)), "it fills up");
    let full = bench.open().nv_room().unwrap();
    assert_eq!(full.there, 3);
    assert!(full.all() < NvRoom::IN_A_CHANGE, "{full:?}");
    let mut tpm = bench.pinned(&identity.ek.name);
    assert!(tpm.read_root(tpm::SlotSet::Odd, tpm::RootKind::Tpm).is_ok(), "the roots are as they were");
}
