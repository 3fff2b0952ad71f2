//! A node whose files are damaged, singly and in pairs, and another controller that its root certificate says is the one (TH-2): it
//! follows on what the node accepted last, gives keys that open, and wants vaults made, locked and removed. None of it is done.

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::{Custody, Operation};
use vault::shares::RootPin;

use super::pairs::{Scene, all_are_kept, pairs, scene};
use super::table::{Damaged, Subject, copies, expected};
use super::{BERLIN, Damage, OTHER, all_is_there};
use crate::agents::vaultmgr::belief::record;
use crate::agents::vaultmgr::tests::controller::{Line, golden};
use crate::agents::vaultmgr::tests::node::Node;
use crate::agents::vaultmgr::tests::truth::openness_is_told_truly;

use Subject::{Policy, Protector, Record, Table};

/// By which it is known whom the node belongs to, or which keep that shut.
static TELLING: [Subject; 7] = [
    Protector(CONFIG_VAULT, 0),
    Protector(CONFIG_VAULT, 1),
    Policy(CONFIG_VAULT, 0),
    Policy(CONFIG_VAULT, 1),
    Table(0),
    Table(1),
    Record,
];
/// What the other controller wants made.
const WANTED: VaultId = VaultId(uuid::Uuid::from_u128(0xf2));

/// The node is of the controller with this root.
fn belongs_to(node: &mut Node, root: RootPin) {
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, root).expect("pins");
    let kept = record::load(&paths).expect("reads").expect("there");
    record::save(&paths, &vault::belief::Kept { root, ..kept }).expect("saves");
    node.reboot();
}

fn lines() -> Vec<Line> {
    let tpm = |id| Line { id, ..Line::of(Custody::Tpm) };
    let image = Line { operation: Operation::Lock, ..tpm(IMAGE_VAULT) };
    vec![super::line(), image, tpm(WANTED)]
}

/// All that would show that it was obeyed. A default vault that is not there can't be locked.
fn disobeyed(node: &mut Node, damaged: &Damaged) {
    let when = format!("{damaged:?}");
    openness_is_told_truly(node, &when);
    let open = [CONFIG_VAULT, IMAGE_VAULT].map(|id| node.state(id) == State::Unlocked);
    assert_eq!(open, expected(damaged).defaults, "{when}: {:?}", node.manager().vault_status().vaults);
    assert_eq!([BERLIN, OTHER].map(|id| node.get(id, "file")), [None, None], "{when}: its keys open nothing");
    assert!(!node.paths.vault(WANTED).exists(), "{when}: nothing is made for it");
    assert!(
        [CONFIG_VAULT, IMAGE_VAULT].into_iter().all(|id| node.status(id).epoch.is_none()),
        "{when}: no key is changed"
    );
    all_are_kept(node, &when);
}

impl Scene {
    fn disobeys(&mut self, damaged: &Damaged) {
        let before = copies(&self.node);
        self.damage(damaged);
        self.node.hear(&mut self.controller, &lines());
        disobeyed(&mut self.node, damaged);
        self.undo(damaged, &before);
    }
}

/// Issue 7, B; TH-2, IF-6: no single file, and no pair, turns a node to another master. With its own, all is there.
#[test]
fn no_file_and_no_pair_turns_a_node_to_another_master() {
    let mut scene = scene();
    scene.others.older.append(&mut scene.unpinned);
    belongs_to(&mut scene.node, RootPin([1; 32]));
    scene.disobeys(&[]);
    let singles = TELLING.into_iter().flat_map(|of| {
        [Damage::Cut, Damage::Removed, Damage::Older, Damage::Foreign].map(|what| vec![(of, what)])
    });
    let each =
        |(at, one): (usize, &'static Subject)| TELLING[at + 1..].iter().map(move |other| (*one, *other));
    singles.for_each(|damaged| scene.disobeys(&damaged));
    pairs(TELLING.iter().enumerate().flat_map(each)).iter().for_each(|damaged| scene.disobeys(damaged));
    let own = wire::Certificate::from_pem(&golden("root-ca.cert.pem")).expect("a certificate").digest();
    belongs_to(&mut scene.node, RootPin(own.0));
    all_is_there(&mut scene.node, &mut scene.controller, "its own controller");
}
