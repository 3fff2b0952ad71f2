//! TH-3: where many vaults are worked on there is a pause after each, in which another is locked.

use std::fs;

use vault::condition::Key;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;
use vault::wanted::Authority;

use super::asked::started;
use super::controller::{BERLIN, Controller, Line, certs};
use super::node::Node;
use crate::agents::vaultmgr::agent::Came;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::bus::{Agent, Bus};

const OTHERS: [VaultId; 3] = [other(1), other(2), other(3)];

const fn other(n: u128) -> VaultId {
    VaultId(uuid::Uuid::from_u128(0x2000 + n))
}

fn lines() -> Vec<Line> {
    OTHERS.into_iter().chain([BERLIN]).map(|id| Line { id, ..Line::of(Custody::Tpm) }).collect()
}

fn made() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines());
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    (node, controller)
}

fn lock<C: Crypt>(manager: &mut Manager<C>, id: VaultId) -> State {
    manager.order_lock(id).expect("ordered").state
}

/// A child of another test's may have a file open for a moment.
fn is_locked(state: State) -> bool {
    matches!(state, State::Locked | State::LockIncomplete)
}

/// Vaults that are made together: where a lock waits after the step of one, what was written is made durable, and the lock comes before that step of the
/// next one. All are made in the end.
#[test]
fn th3_a_lock_comes_between_vaults_that_are_made_together() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &lines()[..1]);
    node.tell_head(&mut controller);
    let section = controller.section(node.manager().session_key(), &lines());
    node.manager().hear_config(Authority::Live, &section, &certs());
    let (open, made) = (OTHERS[0], [BERLIN, OTHERS[1], OTHERS[2]]);
    let (mut waits, mut locked) = (false, None);
    node.manager().settle_all_pausing(|manager, _| {
        let keys = made.map(|id| manager.known(id).seen.key == Key::Present);
        if manager.writes_together() && keys == [true, false, false] {
            manager.hurry();
            waits = true;
        } else if waits && locked.is_none() {
            assert!(!manager.writes_together(), "what is answered is durable");
            locked = Some((keys, lock(manager, open)));
        }
    });
    let (keys, state) = locked.expect("a pause after the step of one");
    assert!(keys == [true, false, false] && is_locked(state), "{keys:?} {state:?}");
    for id in made {
        assert_eq!(node.state(id), State::Unlocked, "{:?}", node.status(id));
    }
}

/// Invariant 5: an order that comes while what is written is not durable yet is carried out, and answered, once it is.
#[test]
fn no_order_is_answered_before_what_was_written_with_it_is_durable() {
    let node = Node::fresh(true);
    let (mut manager, disk) = (started(&node), node.paths.disk().clone());
    let bus = Bus::join(&node.disk.root(), Agent::Vaultmgr).expect("joins");
    let (mut came, answer) = Came::of(Order::Lock(IMAGE_VAULT), bus);
    disk.together(|| came.pause(&mut manager)).expect("syncs");
    assert!(answer.try_recv().is_err() && manager.hurried, "it waits for that alone");
    came.pause(&mut manager);
    assert!(matches!(answer.try_recv(), Ok(Ok(report)) if is_locked(report.state)));
}

/// Between two steps of an order a lock is carried out, and nothing else is: it waits until that one is done.
#[test]
fn th3_a_lock_comes_between_the_steps_of_an_order_and_no_other_order_does() {
    let node = Node::fresh(true);
    let (mut manager, bus) = (started(&node), || Bus::join(&node.disk.root(), Agent::Vaultmgr));
    lock(&mut manager, IMAGE_VAULT);
    let (mut came, answer) = Came::of(Order::Lock(IMAGE_VAULT), bus().expect("joins"));
    came.obey(&mut manager, Order::Unlock(IMAGE_VAULT));
    assert!(matches!(answer.try_recv(), Ok(Ok(report)) if is_locked(report.state)));
    assert_ne!(manager.report(IMAGE_VAULT).state, State::Unlocked, "what was ordered last holds");
    let (mut came, answer) = Came::of(Order::Unlock(CONFIG_VAULT), bus().expect("joins"));
    came.obey(&mut manager, Order::Unlock(IMAGE_VAULT));
    assert!(answer.try_recv().is_err(), "it was done by then");
    came.pause(&mut manager);
    assert!(matches!(answer.try_recv(), Ok(Ok(_))));
}

/// All metadata is looked at anew because somebody wrote beside it.
#[test]
fn th3_a_lock_comes_between_looks_for_what_others_wrote() {
    let (mut node, _controller) = made();
    let beside = node.disk.persist().join(".fscrypt/protectors/of-others");
    fs::write(&beside, "some").and_then(|()| fs::remove_file(&beside)).expect("stirs");
    let mut states = Vec::new();
    node.manager().look_for_others_pausing(|manager| states.push(lock(manager, BERLIN)));
    assert!(states.len() > OTHERS.len() && is_locked(states[0]), "{states:?}");
}

/// A step of the node's own is planned by a look at each.
#[test]
fn th3_a_lock_comes_between_looks_for_a_step_of_the_node() {
    let (mut node, mut controller) = made();
    node.nv.0.borrow_mut().full = true;
    node.hear(&mut controller, &lines()[1..]);
    node.manager().node_setback = None;
    let mut states = Vec::new();
    node.manager().settle_node(|manager| states.push(lock(manager, BERLIN)));
    assert!(states.len() > OTHERS.len() && is_locked(states[0]), "{states:?}");
}
