//! Key files of which both copies go while their vault is open: its key is at hand, and they are written anew by that.

use std::time::{Duration, Instant};

use disk::faulty::Fault;
use vault::report::State;
use vault::section::{Custody, Operation};

use super::brought_back::{all_key_files, kept, wipe};
use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

/// TH-3, invariant 5: both copies of an open vault's key files go. Its key is at hand, so that they are written anew by that, without escrow too: it is
/// not told as missing, it locks when that is wanted, and it opens with all that is in it after a boot.
#[test]
fn key_files_that_go_while_their_vault_is_open_are_written_anew() {
    for (has_tpm, custody) in [(false, Custody::Controller), (true, Custody::Tpm)] {
        for damaged in [false, true] {
            let line = Line { created: true, ..Line::of(custody) };
            let (mut node, mut controller) = (Node::new(has_tpm), Controller::new());
            node.hear(&mut controller, &[Line { created: false, ..line.clone() }]);
            node.put(BERLIN, "file", "kept");
            let paths = all_key_files(&node, BERLIN);
            if damaged {
                paths.iter().for_each(|path| std::fs::write(path, b"damage").expect("writes"));
            } else {
                wipe(&paths);
            }
            node.manager().look_for_others();
            node.manager().settle_all();
            assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
            let locked = Line { operation: Operation::Lock, ..line.clone() };
            node.hear_until(&mut controller, &[locked], State::Locked);
            assert!(!kept(&node, BERLIN));
            node.reboot();
            node.hear(&mut controller, std::slice::from_ref(&line));
            assert!(kept(&node, BERLIN), "{custody:?}, {damaged}: {:?}", node.status(BERLIN));
        }
    }
}

/// The same on a full disk: the status says that the vault opens no more after a boot, and what to do. It is not tried at each look but after a pause,
/// and done when there is room.
#[test]
fn key_files_that_cannot_be_written_anew_are_told_and_tried_after_a_pause() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let (paths, faults) = (all_key_files(&node, BERLIN), node.faults.clone());
    wipe(&paths);
    node.manager().look_for_others();
    assert!(faults.during(Fault::Full, 0, || node.manager().settle_all()), "there was no room");
    let told = node.status(BERLIN).last.and_then(|last| last.error).expect("told");
    for words in ["key files are gone", "No space left", "make room on the persist", "until the next boot"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    node.manager().settle_all();
    assert!(!paths.iter().any(|path| path.exists()), "not at each look");
    node.manager().tick(Instant::now() + Duration::from_secs(3600));
    assert!(paths.iter().all(|path| path.exists()), "{:?}", node.status(BERLIN));
    let status = node.status(BERLIN);
    assert_eq!((status.state, status.last.and_then(|last| last.error)), (State::Unlocked, None));
}
