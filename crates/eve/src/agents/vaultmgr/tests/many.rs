//! Many vaults at once: as many reads of the TPM's roots as for one, and few waits for the disk.

use vault::ids::VaultId;
use vault::report::State;
use vault::section::Custody;

use super::controller::{Controller, Line};
use super::node::Node;

const MANY: u128 = 300;

fn lines() -> Vec<Line> {
    (0..MANY).map(line).collect()
}

fn line(n: u128) -> Line {
    let custodies = [Custody::Tpm, Custody::Controller, Custody::TpmAndController];
    let id = VaultId(uuid::Uuid::from_u128(0x1000 + n));
    Line { id, ..Line::of(custodies[usize::try_from(n % 3).expect("small")]) }
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

/// Of ten vaults that are made at once each waits for the disk at most ten times, the record and the share table counted in.
#[test]
fn ten_made_at_once_wait_for_the_disk_ten_times_each() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let ten: Vec<Line> =
        (0..10).map(|n| Line { id: line(n).id, ..Line::of(Custody::TpmAndController) }).collect();
    node.hear(&mut controller, &[]);
    let faults = node.faults.clone();
    let trace = faults.trace(|| node.hear(&mut controller, &ten));
    for line in ten {
        assert_eq!(node.state(line.id), State::Unlocked, "{:?}", node.status(line.id));
    }
    let waits = trace.iter().filter(|op| op.starts_with("sync")).count();
    assert!(waits <= 100, "{waits}: {trace:?}");
}
