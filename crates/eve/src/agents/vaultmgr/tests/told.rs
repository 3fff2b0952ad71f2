//! What is told of the seals, for controllers that show it.

use vault::ids::CONFIG_VAULT;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

/// IF-2: what guards each made vault's share, as it lies there, and not as it is wished; of what can't be read nothing is said.
#[test]
fn if2_the_seal_of_each_vault_is_told() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = |custody, seal| Line { seal, ..Line::of(custody) };
    let told = |node: &mut Node| node.manager().seals().get(&BERLIN).copied();
    assert_eq!(told(&mut node), None, "not made");
    for seal in [Seal::Pcrs, Seal::Tpm] {
        node.hear(&mut controller, &[line(Custody::TpmAndController, seal)]);
        assert_eq!(told(&mut node), Some(Some(seal)));
    }
    node.hear(&mut controller, &[line(Custody::Controller, Seal::Tpm)]);
    assert_eq!(told(&mut node), Some(None), "no share of a TPM's");
    assert_eq!(node.manager().seals()[&CONFIG_VAULT], Some(Seal::Tpm));
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    assert_eq!(node.manager().seals().len(), 0, "the table is not read");
    let mut without = Node::new(false);
    without.hear(&mut Controller::new(), &[Line::of(Custody::Controller)]);
    assert_eq!(told(&mut without), Some(None));
}
