//! Many vaults at once: as many reads of the TPM's roots as for one.

use vault::ids::VaultId;
use vault::report::State;
use vault::section::Custody;

use super::controller::{Controller, Line};
use super::node::Node;

const MANY: u128 = 300;

fn lines() -> Vec<Line> {
    let custodies = [Custody::Tpm, Custody::Controller, Custody::TpmAndController];
    let line = |n: u128| Line {
        id: VaultId(uuid::Uuid::from_u128(0x1000 + n)),
        ..Line::of(custodies[usize::try_from(n % 3).expect("small")])
    };
    (0..MANY).map(line).collect()
}

/// UC-D: three hundred vaults of all custodies are made, open at once, and open again after a reboot, on one read of the roots
/// for each life of vaultmgr.
#[test]
fn ucd_three_hundred_vaults_cost_one_read_of_the_roots() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    for lives in 1..=2 {
        node.hear(&mut controller, &lines());
        for line in lines() {
            assert_eq!(node.state(line.id), State::Unlocked, "{:?}", node.status(line.id));
            node.put(line.id, "file", "kept");
        }
        assert_eq!(node.nv.0.borrow().reads, lives, "one read a life");
        if lives == 1 {
            node.reboot();
        }
    }
    for line in lines() {
        assert_eq!(node.get(line.id, "file").as_deref(), Some("kept"));
    }
}
