//! An order to begin anew, stopped anywhere.

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::report::State;

use super::*;
use crate::agents::vaultmgr::tests::node::Nv;
use crate::bus::messages::Hope;

fn order(node: &mut Node) {
    let name = "config".parse().expect("a name");
    // What came of it is seen on the vault.
    let _ = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::GivenUp);
}

/// Ordered again, the Config Vault is there for good, and the Image Vault, which nobody gave up, is as it was.
fn recreated(node: &mut Node, when: &str) {
    if node.state(CONFIG_VAULT) != State::Unlocked {
        order(node);
    }
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{when}: {:?}", node.status(CONFIG_VAULT));
    node.put(CONFIG_VAULT, "new", "kept");
    node.reboot();
    assert_eq!(node.get(CONFIG_VAULT, "new").as_deref(), Some("kept"), "{when}: the next boot");
    assert_eq!(node.state(IMAGE_VAULT), State::Missing, "{when}");
}

/// Invariant 4, TH-1: on another TPM, where roots are defined anew; with the first one back, the vault not given up opens.
#[test]
fn a_beginning_on_another_tpm_is_mended() {
    let image = Line { id: IMAGE_VAULT, ..Line::of(Custody::Tpm) };
    let prepare = || {
        let (mut node, _) = with_file(&image);
        let own = std::mem::take(&mut node.nv);
        node.reboot();
        (node, own)
    };
    let mended = |node: &mut Node, own: &mut Nv, when: &str| {
        recreated(node, when);
        node.nv = own.clone();
        node.reboot();
        assert!(kept(node, &image), "{when}: {:?}", node.status(IMAGE_VAULT));
    };
    let steps = stopped_everywhere(prepare, |node, _| order(node), mended);
    assert!(steps > 10, "{steps}");
}

/// Invariant 4: on a disk that was wiped under a TPM with our roots.
#[test]
fn a_beginning_on_a_wiped_disk_is_mended() {
    let prepare = || {
        let nv = Node::new(true).nv.clone();
        let mut node = Node { nv, ..Node::fresh(true) };
        node.start();
        (node, ())
    };
    let steps = stopped_everywhere(prepare, |node, ()| order(node), |node, (), when| recreated(node, when));
    assert!(steps > 6, "{steps}");
}
