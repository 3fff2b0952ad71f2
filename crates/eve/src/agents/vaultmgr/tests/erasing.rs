//! TH-6: what is erased is dead: in the same node, with an older copy of its disk. What a TPM that does not take part costs.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT};
use vault::plan::Note;
use vault::report::State;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

fn node(line: &Line) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, std::slice::from_ref(line));
    node.put(line.id, "file", "kept");
    node.put(IMAGE_VAULT, "file", "kept");
    (node, controller)
}

fn generations(node: &Node) -> Vec<u32> {
    node.nv.0.borrow().slots.iter().map(|slots| slots.generation.0).collect()
}

fn lies(node: &Node, generation: u32) -> bool {
    node.paths.table(Generation(generation)).iter().any(|path| path.exists())
}

fn told(node: &mut Node, words: &str) -> bool {
    node.status(BERLIN).detail.iter().any(|line| line.contains(words))
}

/// TH-6: an image of the disk from before the erase opens nothing of the vault, in the node that it is from; the disk of now has all the rest.
#[test]
fn th6_an_older_image_opens_nothing_that_was_erased() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let older = node.disk.image();
    node.hear(&mut controller, &[]);
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string());
    assert_eq!((generations(&node), lies(&node, 1)), (vec![2], false));
    node.stop();
    node.disk.mount();
    let now = node.disk.image();
    node.disk.unmount();
    node.disk.put_back(&older);
    node.start();
    assert!(node.paths.vault(BERLIN).exists() && lies(&node, 1), "it is the older one");
    assert_ne!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    assert_eq!(node.get(BERLIN, "file"), None);
    node.stop();
    node.disk.put_back(&now);
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"));
}

/// VC-2, TH-6: the looser share of a vault whose seal was narrowed is dead too.
#[test]
fn th6_a_narrowed_seal_ends_the_looser_share() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let narrow = Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, std::slice::from_ref(&narrow));
    assert_eq!((generations(&node), told(&mut node, "older share")), (vec![2], false));
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
}

/// A TPM whose room is taken after it was asked leaves the generation in force, whole, and nothing of the attempt; it is told, and it is done when there is room. That
/// something was dropped is remembered over a restart.
#[test]
fn a_full_tpm_costs_the_attempt_alone() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    node.nv.0.borrow_mut().fills = true;
    node.hear(&mut controller, &[]);
    for when in ["now", "rebooted"] {
        assert!(told(&mut node, "not yet dead"), "{when}: {:?}", node.status(BERLIN));
        assert!(node.says("NV is full") && node.says("not yet dead"), "{when}");
        assert_eq!((generations(&node), lies(&node, 1), lies(&node, 2)), (vec![1], true, false), "{when}");
        assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{when}");
        node.reboot();
    }
    node.nv.0.borrow_mut().fills = false;
    node.reboot();
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string());
    assert_eq!((generations(&node), lies(&node, 1)), (vec![2], false));
}

/// NV full: it is found out before anything of a change is begun. Nothing is defined, and nothing is written to the disk.
#[test]
fn a_full_tpm_is_found_out_before_anything_is_begun() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    node.nv.0.borrow_mut().full = true;
    node.hear(&mut controller, &[]);
    let defined = node.nv.0.borrow().defined;
    let faults = node.faults.clone();
    let written = faults.trace(|| {
        node.manager().start_afresh();
        node.manager().settle_all();
    });
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(node.nv.0.borrow().defined, defined);
    assert!(
        node.says("room for 4 of the 6 indices") && node.says("tpm2_nvundefine"),
        "{:?}",
        node.manager().notes()
    );
}

/// While the roots of before are there nothing is told as dead, and the new table is not changed; they go when the TPM lets them.
#[test]
fn roots_that_stay_are_told_and_go_later() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    node.nv.0.borrow_mut().keeps = true;
    node.hear(&mut controller, &[]);
    assert_eq!(generations(&node), [1, 2]);
    node.reboot();
    assert!(told(&mut node, "not yet dead"), "{:?}", node.status(BERLIN));
    node.hear(
        &mut controller,
        &[Line { id: vault::ids::VaultId(uuid::Uuid::from_u128(9)), ..Line::of(Custody::Tpm) }],
    );
    node.nv.0.borrow_mut().keeps = false;
    node.reboot();
    assert_eq!((generations(&node), lies(&node, 1)), (vec![2], false));
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string());
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"));
}

/// TH-2, AC-6: what is bound to the measured boot is not bound anew to PCRs that something extended since, also in the midst of the change: the
/// next boot, measured as this one was, opens all.
#[test]
fn pcrs_that_were_extended_since_the_boot_are_waited_out() {
    for midst in [false, true] {
        let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
        if midst {
            node.nv.0.borrow_mut().moves_when_defined = true;
        } else {
            node.nv.0.borrow_mut().pcrs_moved = true;
        }
        node.hear(&mut controller, &[]);
        assert!(told(&mut node, "not yet dead"), "{midst}: {:?}", node.status(BERLIN));
        assert!(node.says("were extended since"), "{midst}");
        assert_eq!((generations(&node), lies(&node, 1), lies(&node, 2)), (vec![1], true, false), "{midst}");
        node.nv.0.borrow_mut().pcrs_moved = false;
        node.reboot();
        assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{midst}");
        assert_eq!(
            (node.status(BERLIN).detail[0].clone(), generations(&node)),
            (Note::Erased.to_string(), vec![2])
        );
    }
}

/// A generation does not end in a boot in which P can't be read; the status says that it waits for it.
#[test]
fn a_moved_boot_is_waited_for() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    node.hear(&mut controller, &[]);
    assert!(told(&mut node, "measured state") && generations(&node) == [1], "{:?}", node.status(BERLIN));
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.reboot();
    assert_eq!(
        (node.status(BERLIN).detail[0].clone(), generations(&node)),
        (Note::Erased.to_string(), vec![2])
    );
}

/// Invariant 6: a second copy of the key files that can't be opened, or is there in part, is no copy that is absent: what it holds is
/// overwritten before it is unlinked, and until that can be done the vault is not gone.
#[test]
fn th6_key_files_in_a_copy_that_cannot_be_opened_are_not_unlinked_whole() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let copy = node.paths.metas().join(BERLIN.to_string());
    let protectors = fs::read_dir(copy.join("protectors")).expect("lists").next();
    let key_file = protectors.expect("one").expect("reads").path();
    let bytes = fs::read(&key_file).expect("reads");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o777)).expect("sets");
    node.hear(&mut controller, &[]);
    assert!(key_file.exists(), "{:?}", node.status(BERLIN));
    let told = format!("{:?}", node.status(BERLIN));
    assert!(!told.contains(&Note::Erased.to_string()) && told.contains("opening the second copy"), "{told}");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("sets");
    fs::remove_dir_all(copy.join("policies")).expect("a part is gone");
    node.reboot();
    node.hear(&mut controller, &[]);
    assert!(!copy.exists(), "{:?}", node.status(BERLIN));
    node.stop();
    assert!(!node.disk.contains(&bytes), "a key file is on the raw disk");
}

/// TH-6: a file of a second copy that is there in part may be another name of the first copy's. It is overwritten with that, and its vault is gone.
#[test]
fn th6_a_key_file_with_a_name_in_both_copies_is_overwritten_too() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let copy = node.paths.metas().join(BERLIN.to_string());
    let protectors = fs::read_dir(copy.join("protectors")).expect("lists").next();
    let key_file = protectors.expect("one").expect("reads").path();
    let bytes = fs::read(&key_file).expect("reads");
    let first = node.disk.persist().join(".fscrypt/protectors").join(key_file.file_name().expect("a name"));
    assert_eq!(fs::read(&first).expect("reads"), bytes);
    let own = fs::File::options().write(true).open(&key_file).expect("opens");
    own.write_all_at(&vec![0; bytes.len()], 0).and_then(|()| own.sync_all()).expect("overwrites");
    drop(own);
    fs::remove_file(&key_file).and_then(|()| fs::hard_link(&first, &key_file)).expect("links");
    fs::remove_dir_all(copy.join("policies")).expect("a part is gone");
    node.hear(&mut controller, &[]);
    assert!(!copy.exists() && !first.exists(), "{:?}", node.status(BERLIN));
    let told = format!("{:?}", node.status(BERLIN));
    assert!(told.contains(&Note::Erased.to_string()), "{told}");
    node.stop();
    assert!(!node.disk.contains(&bytes), "a key file is on the raw disk");
}

/// What there is of a vault's second copy, and its protector's file.
fn second_copy(node: &Node) -> (PathBuf, PathBuf) {
    let copy = node.paths.metas().join(BERLIN.to_string());
    let protectors = fs::read_dir(copy.join("protectors")).expect("lists").next();
    (copy, protectors.expect("one").expect("reads").path())
}

/// Later, with nothing heard.
fn is_erased_by_itself(node: &mut Node) {
    let late = Instant::now() + Duration::from_secs(3600);
    node.manager().tick(late);
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string(), "{:?}", node.status(BERLIN));
}

/// TH-6: a second copy that consists of other names of the first's files, as a tool that spares room leaves it, is erased with the first.
#[test]
fn th6_a_second_copy_of_links_alone_is_erased() {
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let (copy, key_file) = second_copy(&node);
    let bytes = fs::read(&key_file).expect("reads");
    for folder in ["protectors", "policies"] {
        for entry in fs::read_dir(copy.join(folder)).expect("lists").map(|entry| entry.expect("reads")) {
            let file = fs::File::options().write(true).open(entry.path()).expect("opens");
            file.write_all_at(&[0; 400], 0).and_then(|()| file.sync_all()).expect("overwrites");
            fs::remove_file(entry.path()).expect("removes");
            let first = node.disk.persist().join(".fscrypt").join(folder).join(entry.file_name());
            fs::hard_link(first, entry.path()).expect("links");
        }
    }
    node.hear(&mut controller, &[]);
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string(), "{:?}", node.status(BERLIN));
    assert!(!copy.exists());
    node.stop();
    assert!(!node.disk.contains(&bytes), "a key file is on the raw disk");
}

/// TH-6: key files that lost their names, and could not be overwritten, are not told as erased: neither in this life, nor in the next one.
#[test]
fn th6_what_was_not_overwritten_is_not_told_as_erased() {
    for (of_first, restarts) in [(true, false), (false, true), (true, true)] {
        let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
        let ((copy, second), persist) = (second_copy(&node), node.disk.persist());
        let (bytes, elsewhere) = (fs::read(&second).expect("reads"), persist.join("elsewhere"));
        let first = persist.join(".fscrypt/protectors").join(second.file_name().expect("a name"));
        if of_first {
            fs::remove_dir_all(&copy).expect("removes");
        }
        fs::hard_link(if of_first { first } else { second }, &elsewhere).expect("links");
        node.hear(&mut controller, &[]);
        if restarts {
            node.restart();
            node.hear(&mut controller, &[]);
        }
        let told = format!("{:?}", node.status(BERLIN));
        let case = format!("of the first: {of_first}, restarted: {restarts}: {told}");
        assert!(!told.contains(&Note::Erased.to_string()) && told.contains("-samefile"), "{case}");
        assert_eq!(fs::read(&elsewhere).expect("reads"), bytes);
        fs::remove_file(&elsewhere).expect("removes");
        is_erased_by_itself(&mut node);
    }
}

/// TH-6: what holds an erasure up is told with what to do, whatever it is: a key file with a name elsewhere, one that is marked immutable, a copy
/// that others may write to, or that is none. Once that was done it goes on, by itself.
#[test]
fn th6_what_holds_an_erasure_up_says_what_to_do_and_goes_on() {
    type Hold = fn(&Path, &Path, &Path);
    let chattr = |how: &str, file: &Path| {
        assert!(Command::new("chattr").arg(how).arg(file).status().expect("chattr").success());
    };
    let (link, unlink): (Hold, Hold) = (
        |_, file, elsewhere| fs::hard_link(file, elsewhere).expect("links"),
        |_, _, elsewhere| fs::remove_file(elsewhere).expect("removes"),
    );
    let (open, close): (Hold, Hold) = (
        |copy, _, _| fs::set_permissions(copy, fs::Permissions::from_mode(0o777)).expect("sets"),
        |copy, _, _| fs::set_permissions(copy, fs::Permissions::from_mode(0o700)).expect("sets"),
    );
    let (exchange, remove): (Hold, Hold) = (
        |copy, _, elsewhere| {
            fs::rename(copy, elsewhere).and_then(|()| fs::write(copy, "none")).expect("puts")
        },
        |copy, _, _| fs::remove_file(copy).expect("removes"),
    );
    for (what, words, hold, free) in [
        ("another name", "-samefile", link, unlink),
        ("open to others", "mode 700", open, close),
        ("no folder", "or remove", exchange, remove),
    ] {
        let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
        let ((copy, file), elsewhere) = (second_copy(&node), node.disk.persist().join("elsewhere"));
        hold(&copy, &file, &elsewhere);
        node.hear(&mut controller, &[]);
        let told = format!("{:?}", node.status(BERLIN));
        assert!(told.contains(words) && told.contains("goes on by itself"), "{what}: {told}");
        assert!(!told.contains(&Note::Erased.to_string()), "{what}: {told}");
        free(&copy, &file, &elsewhere);
        is_erased_by_itself(&mut node);
    }
    let (mut node, mut controller) = node(&Line::of(Custody::Tpm));
    let (_, file) = second_copy(&node);
    chattr("+i", &file);
    node.hear(&mut controller, &[]);
    let told = format!("{:?}", node.status(BERLIN));
    chattr("-i", &file);
    assert!(told.contains("chattr -R -i -a"), "{told}");
    is_erased_by_itself(&mut node);
}
