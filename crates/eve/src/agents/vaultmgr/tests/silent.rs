//! Requirement: no silence of the TPM delays a lock, and an urgent lock waits for at most one step of another vault. The TPM is held up at each
//! of its calls in turn; whichever thread of ours were held up with it, none of this is a matter of time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use vault::condition::Key;
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::ordered::Ordered;
use vault::plan::Note;
use vault::report::State;
use vault::section::{Custody, Operation, Seal};

use super::brought_back::{all_key_files, wipe};
use super::controller::{BERLIN, Controller, KEY, Line};
use super::node::{Node, NvSlots};
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::bus::messages::{Hope, OrderError};

const PARIS: VaultId = VaultId(uuid::Uuid::from_u128(0xfa));
/// Its lease ends when an hour has passed.
const LEASE: u32 = 3600;
/// The calls of a change of generation, in their order.
const CHANGE: [&str; 5] = ["read", "room", "define", "read", "undefine"];

/// By what a vault is locked.
#[derive(Debug, Clone, Copy)]
enum LockBy {
    Root,
    Controller,
    Lease,
}

pub(super) fn ticks(node: &mut Node, what: &str, mut is: impl FnMut(&mut Node) -> bool) {
    let late = Instant::now() + Duration::from_secs(120);
    while !is(node) {
        let notes = node.manager().notes();
        assert!(Instant::now() < late, "{what}: {:?} {notes:?}", node.status(PARIS));
        std::thread::yield_now();
        node.manager().tick(Instant::now());
    }
}

/// By the kernel's word.
fn is_locked(node: &mut Node, id: VaultId) -> bool {
    let key = node.manager().key_of(id).expect("its key is known");
    node.manager().crypt.key(key).expect("the kernel tells") == Key::Absent
}

fn paris() -> Line {
    Line { id: PARIS, lease: Some(LEASE), ..Line::of(Custody::Tpm) }
}

fn hear(node: &mut Node, controller: &mut Controller, lines: &[Line]) {
    controller.renews = node.manager().lease_nonce();
    node.hear(controller, lines);
}

/// A node with two open vaults, whose errands to the TPM are left to a thread.
fn node() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let made = |line: Line| Line { created: true, ..line };
    hear(&mut node, &mut controller, &[Line::of(Custody::Tpm), paris()]);
    node.put(PARIS, "file", "kept");
    node.apart = true;
    node.restart();
    ticks(&mut node, "read", |node| !node.manager().waits_for_roots());
    hear(&mut node, &mut controller, &[made(Line::of(Custody::Tpm)), made(paris())]);
    assert_eq!(node.state(PARIS), State::Unlocked, "{:?}", node.status(PARIS));
    (node, controller)
}

fn order(node: &mut Node, controller: &mut Controller, lock: LockBy) {
    match lock {
        // A child of another test's may have a file open for a moment: it ends locked all the same.
        LockBy::Root => drop(node.manager().order_lock(PARIS)),
        LockBy::Controller => {
            node.hear(controller, &[Line { operation: Operation::Lock, created: true, ..paris() }]);
        }
        LockBy::Lease => {
            node.calls.pass(Duration::from_secs(u64::from(LEASE) + 1));
            node.manager().tend_leases();
        }
    }
}

/// The end of a generation, held up at each of its calls.
#[test]
fn a_lock_does_not_wait_for_a_tpm_that_changes_its_roots() {
    for (nth, call) in CHANGE.into_iter().enumerate() {
        for lock in [LockBy::Root, LockBy::Controller, LockBy::Lease] {
            let (mut node, mut controller) = node();
            node.nv.2.shut(nth);
            hear(&mut node, &mut controller, &[Line { created: true, ..paris() }]);
            assert_eq!(node.nv.2.held(), call, "the TPM is asked, and does not answer");
            order(&mut node, &mut controller, lock);
            ticks(&mut node, "locked", |node| is_locked(node, PARIS));
            assert!(node.nv.2.is_holding(), "{lock:?}: the call is out still");
            assert_ne!(node.status(BERLIN).detail.first(), Some(&Note::Erased.to_string()), "{call}");
            node.nv.2.open();
            ticks(&mut node, "erased", |node| {
                node.status(BERLIN).detail.first() == Some(&Note::Erased.to_string())
            });
            let there: Vec<_> = node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect();
            assert_eq!((there, is_locked(&mut node, PARIS)), (vec![Generation(2)], true), "{call}, {lock:?}");
            node.apart = false;
            node.reboot();
            hear(&mut node, &mut controller, &[Line { created: true, ..paris() }]);
            assert_eq!(node.get(PARIS, "file").as_deref(), Some("kept"), "{call}, {lock:?}");
        }
    }
}

/// vaultmgr was started again, the kernel has the keys still, and the TPM does not give its roots.
#[test]
fn a_lock_does_not_wait_for_the_roots() {
    let (mut node, _controller) = node();
    node.nv.2.shut(0);
    node.restart();
    assert_eq!(node.nv.2.held(), "read");
    assert!(!is_locked(&mut node, IMAGE_VAULT), "open, from the life before");
    drop(node.manager().order_lock(IMAGE_VAULT));
    ticks(&mut node, "locked", |node| is_locked(node, IMAGE_VAULT));
    assert!(node.nv.2.is_holding(), "the call is out still");
    node.nv.2.open();
    ticks(&mut node, "read", |node| !node.manager().waits_for_roots());
    assert_eq!(node.state(IMAGE_VAULT), State::Locked, "the order holds");
}

/// An order to open, for which the TPM is asked once more, is under way; another vault's lock goes before its answer, and then it is open.
#[test]
fn a_lock_does_not_wait_for_an_unlock_that_asks_the_tpm() {
    let (mut node, mut controller) = node();
    let sealed = Line { seal: Seal::Pcrs, created: true, ..Line::of(Custody::Tpm) };
    let both = [sealed, Line { created: true, ..paris() }];
    hear(&mut node, &mut controller, &both);
    ticks(&mut node, "changed", |node| {
        !node.status(BERLIN).detail.iter().any(|line| line.contains("older share"))
    });
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    ticks(&mut node, "read", |node| !node.manager().waits_for_roots());
    hear(&mut node, &mut controller, &both);
    assert_eq!((node.state(BERLIN), node.state(PARIS)), (State::Locked, State::Unlocked));
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.nv.2.shut(0);
    let ordered = node.manager().order_unlock(BERLIN);
    assert!(matches!(ordered, Err(OrderError::UnderWay { .. })), "{ordered:?}");
    assert_eq!(node.nv.2.held(), "read");
    drop(node.manager().order_lock(PARIS));
    ticks(&mut node, "locked", |node| is_locked(node, PARIS));
    assert!(
        node.nv.2.is_holding()
            && matches!(
                node.manager().has_become(BERLIN, Ordered::Open, Duration::ZERO),
                Err(OrderError::UnderWay { .. })
            )
    );
    node.nv.2.open();
    ticks(&mut node, "open", |node| node.manager().has_become(BERLIN, Ordered::Open, Duration::ZERO).is_ok());
}

/// VC-6: a controller's first section comes while the TPM takes away what a cut left, and the share table has to stay as it is. When the table is free
/// the controller is pinned in it all the same, though nothing more comes of it.
#[test]
fn a_first_contact_while_the_tpm_is_asked_is_pinned_when_it_has_answered() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let left = NvSlots { generation: Generation(2), pcrs: None, ..node.nv.0.borrow().slots[0].clone() };
    node.nv.0.borrow_mut().slots.push(left);
    node.apart = true;
    node.nv.2.shut(1);
    node.restart();
    ticks(&mut node, "read", |node| !node.manager().waits_for_roots());
    assert_eq!(node.nv.2.held(), "undefine", "what was left is taken away");
    hear(&mut node, &mut controller, &[paris()]);
    let pin = |node: &mut Node| node.manager().shares.as_ref().expect("read").pin();
    assert_eq!((node.manager().accepted().is_some(), pin(&mut node)), (true, None), "it counts");
    node.nv.2.open();
    ticks(&mut node, "pinned", |node| pin(node).is_some());
}

/// While all vaults are taken, whatever there is to do for one, an order comes between each two of its steps.
#[test]
fn a_lock_waits_for_one_step_of_another_vault_and_no_more() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    hear(&mut node, &mut controller, &[Line::of(Custody::Tpm), paris()]);
    node.tell_head(&mut controller);
    node.reboot();
    let (mut steps, mut between) = (BTreeSet::new(), 0);
    node.manager().order_lock(BERLIN).expect("ordered");
    node.manager().order_lock(IMAGE_VAULT).expect("ordered");
    node.manager().start_afresh();
    node.manager().release(IMAGE_VAULT).expect("nobody else wants it locked").expect("kept");
    node.manager().settle_all_pausing(|manager, taken| {
        between += usize::from(taken.is_none());
        steps.insert(format!("{:?}", manager.known(IMAGE_VAULT).seen.key));
    });
    // Unwrap, and give the key to the kernel.
    assert!(between >= 2 && steps.len() == 2, "{between} pauses between steps: {steps:?}");
}

/// A TPM that is there at last has the Config Vault made: an order comes between each two of its steps too.
#[test]
fn a_lock_waits_for_one_step_when_the_tpm_is_heard() {
    let mut node = Node::fresh(true);
    node.nv.0.borrow_mut().fail = true;
    node.start();
    node.nv.0.borrow_mut().fail = false;
    let mut between = 0;
    node.manager().hear_tpm(TpmHeard::Ready { key: KEY, measured: true }, |manager, _| {
        between += usize::from(manager.report(CONFIG_VAULT).state == State::Creating);
    });
    assert!(between >= 2 && node.state(CONFIG_VAULT) == State::Unlocked, "{between} pauses between steps");
}

/// What root orders of one vault takes several steps too: another one's lock comes between the first two of them.
#[test]
fn a_lock_waits_for_one_step_of_another_order() {
    for anew in [false, true] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        hear(&mut node, &mut controller, &[Line::of(Custody::Tpm), paris()]);
        let order = if anew {
            node.manager = None;
            wipe(&all_key_files(&node, BERLIN));
            node.restart();
            Order::Recreate(BERLIN, "berlin".parse().expect("a name"), Hope::GivenUp)
        } else {
            node.manager().order_lock(BERLIN).expect("ordered");
            Order::Unlock(BERLIN)
        };
        let mut seen = Vec::new();
        let done = node.manager().obey(&order, Duration::ZERO, &mut |manager| {
            let locked = manager.order_lock(PARIS).map(|report| report.state);
            seen.push((manager.report(BERLIN).state, locked));
        });
        assert_eq!(done.map(|report| report.state), Ok(State::Unlocked), "{order:?}");
        let (berlin, paris) = seen.first().expect("there was a pause");
        assert_ne!(*berlin, State::Unlocked, "{order:?}");
        // A child of another test's may have a file open for a moment.
        assert!(matches!(paris, Ok(State::Locked | State::LockIncomplete)), "{paris:?}");
    }
}

/// Leases of several vaults end at once: all are locked before anything else is done, an order too.
#[test]
fn leases_that_end_lock_all_before_anything_comes_between() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let leased = |id| Line { id, ..paris() };
    hear(&mut node, &mut controller, &[leased(BERLIN), paris()]);
    node.calls.pass(Duration::from_secs(u64::from(LEASE) + 1));
    let mut open = Vec::new();
    node.manager().tend_leases_pausing(|manager, _| {
        open.push([BERLIN, PARIS].iter().filter(|id| manager.report(**id).state == State::Unlocked).count());
    });
    assert!(open.iter().all(|open| *open == 0), "{open:?}");
    assert!([BERLIN, PARIS].iter().all(|id| node.state(*id) != State::Unlocked));
}
