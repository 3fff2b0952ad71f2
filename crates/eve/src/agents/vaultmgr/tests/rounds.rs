//! What a look costs though nothing was heard.

use std::collections::BTreeSet;

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::controller::{Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::vault::rounds::AT_A_LOOK;

/// Issue 8, A: of vaults that rest some are looked at at a time, each in its turn; the default ones, what has a lease and what does not rest, each time.
#[test]
fn vaults_that_rest_are_looked_at_in_turn() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let ids: Vec<VaultId> =
        (0..AT_A_LOOK + 10).map(|n| VaultId(uuid::Uuid::from_u128(0x1000 + n as u128))).collect();
    let leased = ids[0];
    let lease = |id: VaultId| (id == leased).then_some(3600);
    let lines: Vec<Line> =
        ids.iter().map(|id| Line { id: *id, lease: lease(*id), ..Line::of(Custody::Tpm) }).collect();
    controller.renews = node.manager().lease_nonce();
    node.hear(&mut controller, &lines);
    assert!(ids.iter().all(|id| node.state(*id) == State::Unlocked));
    let mut looked: BTreeSet<VaultId> = BTreeSet::new();
    for _ in 0..2 {
        let due = node.manager().due_for_a_look();
        assert_eq!(
            (&due.restless[..], due.round.len()),
            (&[CONFIG_VAULT, IMAGE_VAULT, leased][..], AT_A_LOOK)
        );
        looked.extend(due.restless.into_iter().chain(due.round));
    }
    assert!(ids.iter().all(|id| looked.contains(id)), "each had its turn");

    let waits = ids[3];
    node.manager().order_lock(waits).expect("locks");
    node.manager().order_unlock(waits).expect("opens");
    std::fs::remove_dir(node.manager().paths.vault(waits)).expect("empty");
    node.manager().settle(waits);
    assert_eq!(node.state(waits), State::Missing);
    for _ in 0..2 {
        assert!(node.manager().due_for_a_look().restless.contains(&waits), "it does not rest");
    }
    let mut turns = 0;
    drop(node.manager().look_around_pausing(|_, taken| turns += usize::from(taken.is_some())));
    assert_eq!(turns, 4 + AT_A_LOOK);
}
