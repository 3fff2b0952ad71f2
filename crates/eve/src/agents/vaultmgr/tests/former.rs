//! IF-6, TH-6: a bundle counts from the controller that the node belongs to. A former one, whose root certificate somebody puts back into `config`, gives
//! nothing back, and once another was accepted its bundles are worth nothing.

use vault::escrow::Bundle;
use vault::ids::{Generation, IMAGE_VAULT};
use vault::shares::RootPin;

use super::brought_back::{all_key_files, both, bundle, kept, wipe, with_data};
use super::controller::{BERLIN, Controller, golden};
use super::keeper::Keeper;
use super::node::Node;

/// The root certificate that is installed.
pub(super) fn installed() -> RootPin {
    RootPin(wire::Certificate::from_pem(&golden("root-ca.cert.pem")).expect("reads").digest().0)
}

/// A node with data whose table says that it belongs to another controller than the one whose root certificate is installed, and the bundle that the
/// installed one holds, of the generation in force.
fn of_another() -> (Node, Controller, Keeper) {
    let (mut node, controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    (node, controller, keeper)
}

fn holds(keeper: &mut Keeper, bundle: &Bundle) {
    let bytes = bundle.encode();
    keeper.held = Some((Bundle::id_of(bundle.generation(), &bytes), bytes.clone()));
}

/// With an open table: neither the root that is bound to PCRs comes back, nor key files.
#[test]
fn if6_a_former_controller_gives_nothing_back() {
    let (mut node, _, mut keeper) = of_another();
    node.disk.sync();
    wipe(&all_key_files(&node, IMAGE_VAULT));
    node.reboot();
    assert!(node.manager().asks_for_files());
    keeper.settles(&mut node);
    assert!(!kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
    assert!(node.says("another controller"), "{:?}", node.manager().notes());

    let (mut node, mut controller, mut keeper) = of_another();
    node.disk.sync();
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    node.hear(&mut controller, &[both((1, 1))]);
    keeper.settles(&mut node);
    assert!(
        node.manager().shares.as_ref().expect("shares").without_pcrs().is_some(),
        "the root did not come back"
    );
    assert!(node.says("another controller"), "{:?}", node.manager().notes());
}

/// With a lost table nothing but the bundle's own, which the TPM speaks for, says to whom the node belonged: it counts from that controller alone.
#[test]
fn if6_a_lost_table_comes_back_from_the_controller_that_it_names_alone() {
    for own in [true, false] {
        let (mut node, _, mut keeper) = of_another();
        if own {
            let paths = node.paths.clone();
            node.manager().shares.as_mut().expect("shares").set_pin(&paths, installed()).expect("pins");
        }
        holds(&mut keeper, &bundle(&node));
        node.manager = None;
        super::brought_back::wipe_tables(&node);
        node.reboot();
        assert!(node.manager().asks_for_files());
        keeper.settles(&mut node);
        assert_eq!(
            kept(&node, IMAGE_VAULT),
            own,
            "{:?} {:?}",
            node.status(IMAGE_VAULT),
            node.manager().notes()
        );
        assert_eq!(node.says("another controller"), !own, "{:?}", node.manager().notes());
    }
}

/// TH-6: whoever accepts another controller ends the generation, with nothing to wait for: that controller holds nothing of it.
#[test]
fn th6_bundles_of_a_former_controller_are_worth_nothing() {
    let (mut node, mut controller, mut keeper) = of_another();
    let former = bundle(&node);
    node.manager().accept_root(installed()).expect("accepts");
    node.manager().settle_all();
    let slots =
        |node: &Node| node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect::<Vec<_>>();
    assert_eq!(slots(&node), [Generation(2)], "{:?}", node.manager().notes());
    node.hear(&mut controller, &[both((1, 1))]);
    assert!(kept(&node, BERLIN) && kept(&node, IMAGE_VAULT), "{:?}", node.manager().notes());
    keeper = Keeper { came: 0, held: None, ..keeper };
    keeper.settles(&mut node);
    assert_eq!(keeper.bundle().generation(), Generation(2), "it holds one of its own");
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
    node.disk.sync();
    node.manager().accept_root(installed()).expect("accepts");
    node.manager().settle_all();
    assert_eq!(slots(&node), [Generation(2)], "the same controller ends nothing");
    node.manager = None;
    wipe(&node.paths.table(Generation(2)));
    node.disk.sync();
    node.reboot();
    node.takes_back(&former);
    node.manager().settle_all();
    assert!(!kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
}
