//! What is told of the seals, for controllers that show it.

use std::time::Duration;

use vault::ids::{CONFIG_VAULT, VaultId};
use vault::report::State;
use vault::section::{Custody, Seal};

use super::brought_back::{both, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::telling::{Touched, change};
use crate::bus::Change;

/// IF-2: what guards each made vault's share, as it lies there, and not as it is wished; of what can't be read nothing is said.
#[test]
fn if2_the_seal_of_each_vault_is_told() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = |custody, seal| Line { seal, ..Line::of(custody) };
    let told = |node: &mut Node| node.manager().vault_status().seals.get(&BERLIN).copied();
    assert_eq!(told(&mut node), None, "not made");
    for seal in [Seal::Pcrs, Seal::Tpm] {
        node.hear(&mut controller, &[line(Custody::TpmAndController, seal)]);
        assert_eq!(told(&mut node), Some(Some(seal)));
    }
    node.hear(&mut controller, &[line(Custody::Controller, Seal::Tpm)]);
    assert_eq!(told(&mut node), Some(None), "no share of a TPM's");
    assert_eq!(node.manager().vault_status().seals[&CONFIG_VAULT], Some(Seal::Tpm));
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    assert_eq!(node.manager().vault_status().seals.len(), 0, "the table is not read");
    let mut without = Node::new(false);
    without.hear(&mut Controller::new(), &[Line::of(Custody::Controller)]);
    assert_eq!(told(&mut without), Some(None));
}

/// Issue 8, A: what an order is told to have changed is all that it changed, and of the vaults that it is not about nothing is asked.
#[test]
fn an_order_changes_what_is_told_of_its_vault_and_nothing_else() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let other = VaultId(uuid::Uuid::from_u128(0x1001));
    let lines = [Line::of(Custody::Tpm), Line { id: other, ..Line::of(Custody::TpmAndController) }];
    node.hear(&mut controller, &lines);
    let mut told = node.manager().vault_status();
    let held = node.paths.vault(other).join("held");
    node.put(other, "held", "open");
    let mut file = Some(std::fs::File::open(held).expect("opens"));
    let orders = [
        Order::Lock(BERLIN),
        Order::Lock(other),
        Order::Unlock(BERLIN),
        Order::Unlock(other),
        Order::Lock(other),
        Order::Unlock(VaultId(uuid::Uuid::nil())),
    ];
    for (number, order) in orders.iter().enumerate() {
        file.take_if(|_| number == 4);
        let (_, touched) = node.manager().obey_telling(order, Duration::ZERO, &mut |_| ());
        let Touched::Some(ids) = touched else { panic!("{order:?}: {touched:?}") };
        assert_eq!(ids.len(), 1, "{order:?}");
        if told.vaults.iter().any(|report| report.id == ids[0]) {
            change(node.manager(), &ids).change(&mut told);
        }
        assert_eq!(told, node.manager().vault_status(), "{order:?}");
    }
    let (_, touched) = node.manager().obey_telling(&Order::Unlock(CONFIG_VAULT), Duration::ZERO, &mut |_| ());
    assert_eq!(touched, Touched::All, "by its record all may change");
}

/// Issue 8, errors: beside a vault that is open, or waits for a key, nobody is told to open it; why its key files are not in escrow is told all the same.
#[test]
fn an_open_vault_is_not_to_be_opened_for_the_escrow() {
    let (mut node, _controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    keeper.held = None;
    for (open, words, state) in
        [(true, "it is open", State::Unlocked), (false, "by itself once it opens", State::Locked)]
    {
        if open {
            node.restart()
        } else {
            node.reboot()
        }
        keeper.settles(&mut node);
        let status = node.status(BERLIN);
        assert_eq!(status.state, state, "{status:?}");
        let of_escrow = |line: &&String| line.contains("no other bundle of this node goes into escrow");
        let told = status.detail.iter().find(of_escrow).expect("a line");
        assert!(told.contains(words) && told.contains("it is open") == open, "{told}");
        assert!(!told.contains("eve vault unlock"), "it waits for a key, which no order brings: {told}");
        assert!(status.holds_escrow_up, "{status:?}");
    }
}
