//! The escrow drill on a node (invariant 5): what would not bring back what is needed is found while it is not needed; nothing is opened, written or
//! shown by it, whatever the controller holds.

use std::path::PathBuf;

use vault::ids::VaultId;
use vault::report::State;
use vault::section::Custody;

use super::brought_back::{all_key_files, both, kept, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use super::others;

fn escrowed() -> (Node, Controller, Keeper) {
    let (mut node, controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    assert_eq!(keeper.bundle().vaults().len(), 3, "all of the node's vaults");
    (node, controller, keeper)
}

/// A good bundle passes, again and again; a rotation sends another, and a drill on the one of before says nothing.
#[test]
fn a_drill_on_the_bundle_of_now_passes() {
    let (mut node, mut controller, mut keeper) = escrowed();
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
    assert_eq!(keeper.drills(&mut node, 2), Some(Ok(())));
    let before = keeper.held.clone();
    node.hear(&mut controller, &[both((2, 1))]);
    keeper.settles(&mut node);
    assert_ne!(keeper.held, before, "the key files are others");
    let now = std::mem::replace(&mut keeper.held, before);
    assert_eq!(keeper.drills(&mut node, 3), None, "another one is on its way");
    keeper.held = now;
    keeper.settles(&mut node);
    assert_eq!(keeper.drills(&mut node, 4), Some(Ok(())));
    node.reboot();
    node.hear(&mut controller, &[both((2, 1))]);
    keeper.settles(&mut node);
    assert_eq!(keeper.drills(&mut node, 5), Some(Ok(())), "in a later life, by another session");
    assert!(kept(&node, BERLIN));
}

/// A drill reads the key files as they lie on the disk: what they lost there behind the node's back the bundle has, and none that lacks it takes its
/// place, whether the vault is open or was not opened since the boot.
#[test]
fn a_drill_looks_at_the_disk() {
    for is_open in [true, false] {
        let (mut node, mut controller, mut keeper) = escrowed();
        if !is_open {
            node.reboot();
            node.hear(&mut controller, &[Line { withheld: true, ..both((1, 1)) }]);
            keeper.settles(&mut node);
        }
        let came = keeper.came;
        for path in all_key_files(&node, BERLIN) {
            std::fs::remove_file(path).expect("removes");
        }
        assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())), "the bundle has what the disk lost");
        keeper.settles(&mut node);
        assert_eq!(keeper.came, came);
        assert!(keeper.bundle().vaults().contains_key(&BERLIN));
    }
}

/// What goes out under the name of what is held, and is something else, fails with why.
#[test]
fn what_is_given_in_its_place_fails() {
    let (mut node, _, mut keeper) = escrowed();
    keeper.gives = Some(b"something else".to_vec());
    let failed = keeper.drills(&mut node, 1).expect("an answer").expect_err("fails");
    assert!(failed.contains("does not open in this session"), "{failed}");
    keeper.gives = None;
    assert_eq!(keeper.drills(&mut node, 2), Some(Ok(())));
}

/// After the PCRs moved no bundle can be put together to compare with: what is held opens or does not, and fails with why.
#[test]
fn a_boot_that_can_not_compare_still_opens_it() {
    let (mut node, mut controller, mut keeper) = escrowed();
    let mut other = escrowed();
    let (id, others) = other.2.held.clone().expect("held");
    other.0.stop();
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    node.hear(&mut controller, &[both((1, 1))]);
    assert_eq!(node.state(BERLIN), State::Locked);
    let good = keeper.held.replace((id, others));
    let failed = keeper.drills(&mut node, 1).expect("an answer").expect_err("another node's");
    assert!(failed.contains("does not open under this TPM's own root"), "{failed}");
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    keeper.held = good;
    assert_eq!(keeper.drills(&mut node, 2), Some(Ok(())));
}

/// What a key protects is damaged in both copies of an open vault, and both read as files: the bundle keeps what opened it.
#[test]
fn a_bundle_is_made_of_what_opened_the_vault() {
    let (mut node, mut controller, mut keeper) = escrowed();
    let good = keeper.bundle().vaults()[&BERLIN].clone();
    damage_wraps(&all_key_files(&node, BERLIN));
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
    keeper.settles(&mut node);
    assert_eq!(keeper.bundle().vaults()[&BERLIN], good);
    node.disk.sync();
    node.reboot();
    node.hear(&mut controller, &[both((1, 1))]);
    keeper.settles(&mut node);
    node.hear(&mut controller, &[both((1, 1))]);
    assert!(kept(&node, BERLIN), "{:?} {:?}", node.status(BERLIN), node.manager().notes());
}

/// A controller that found its bundle to be of no use is sent another, and until then the node says that nothing is in escrow.
#[test]
fn another_bundle_is_sent_when_the_controller_asks() {
    let (mut node, _, mut keeper) = escrowed();
    let says = |node: &mut Node| node.status(BERLIN).detail.join(" ").contains("not escrowed");
    assert!(!says(&mut node));
    let came = keeper.came;
    keeper.send_again = true;
    keeper.answers(&mut node);
    assert!(says(&mut node));
    keeper.settles(&mut node);
    assert_eq!((keeper.came, says(&mut node)), (came + 1, false));
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
}

/// Key files that no key opened since the boot, and that are others than those in escrow, take nobody's place there: neither those that were damaged
/// while the node was off, nor those that were since. It is said, a drill tells it, and once a key shows which are good they are all there again.
#[test]
fn files_that_no_key_opened_take_no_good_ones_place() {
    let withheld = || [Line { withheld: true, ..both((1, 1)) }];
    for while_off in [true, false] {
        let (mut node, mut controller, mut keeper) = escrowed();
        let (good, came, paths) = (keeper.held.clone(), keeper.came, all_key_files(&node, BERLIN));
        node.reboot();
        let look = |node: &mut Node, controller: &mut Controller, keeper: &mut Keeper| {
            node.hear(controller, &withheld());
            keeper.settles(node);
            keeper.settles(node);
        };
        if !while_off {
            look(&mut node, &mut controller, &mut keeper);
        }
        damage_wraps(&paths);
        node.disk.sync();
        if while_off {
            node.reboot();
            look(&mut node, &mut controller, &mut keeper);
        }
        let failed =
            keeper.drills(&mut node, 1).expect("an answer").expect_err("which are good is not known");
        assert!(failed.contains("others than those in the bundle"), "{while_off}: {failed}");
        keeper.settles(&mut node);
        assert_eq!((keeper.came, &keeper.held), (came, &good), "{while_off}: none takes its place");
        let said = node.status(BERLIN).detail.join(" ");
        assert!(said.contains("is mended, by itself once it opens"), "{while_off}: {said}");
        keeper.send_again = true;
        keeper.settles(&mut node);
        assert_eq!(keeper.held, good, "{while_off}: whoever asks for another");
        node.hear(&mut controller, &[both((1, 1))]);
        keeper.settles(&mut node);
        node.hear(&mut controller, &[both((1, 1))]);
        assert!(kept(&node, BERLIN), "{while_off}: {:?} {:?}", node.status(BERLIN), node.manager().notes());
        assert_eq!(keeper.drills(&mut node, 2), Some(Ok(())), "{while_off}");
        assert!(!node.status(BERLIN).detail.join(" ").contains("escrow"), "{:?}", node.status(BERLIN));
    }
}

/// A vault that stays locked keeps no other out of escrow: what it has is what the controller holds already.
#[test]
fn a_vault_that_stays_locked_keeps_no_other_out_of_escrow() {
    let (mut node, mut controller, mut keeper) = escrowed();
    node.reboot();
    let locked = Line { withheld: true, ..both((1, 1)) };
    node.hear(&mut controller, std::slice::from_ref(&locked));
    keeper.settles(&mut node);
    let paris = VaultId(uuid::Uuid::from_u128(0xaa));
    node.hear(&mut controller, &[locked, Line { id: paris, ..both((1, 1)) }]);
    keeper.settles(&mut node);
    let all: Vec<_> = keeper.bundle().vaults().keys().copied().collect();
    assert!(all.contains(&paris) && all.contains(&BERLIN), "{all:?} {:?}", node.status(BERLIN));
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
}

/// However many protectors others added, the vault is in the bundle with them: a policy's file grows by each, far beyond what one with ours alone has.
#[test]
fn a_vault_with_many_protectors_is_in_escrow() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = Line::of(Custody::Controller);
    node.hear(&mut controller, std::slice::from_ref(&line));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let alone = keeper.bundle().vaults()[&BERLIN].clone();
    let most = alone.protector.bytes.len().max(alone.policy.bytes.len());
    assert!(most < 300, "with one protector: {most} bytes");
    for n in 1..=20 {
        others::add(&node, &controller, BERLIN, &format!("somebody {n}"), n);
    }
    others::look(&mut node);
    keeper.settles(&mut node);
    let many = keeper.bundle().vaults()[&BERLIN].clone();
    assert!(many.policy.bytes.len() > 2000, "{}", many.policy.bytes.len());
    assert!(!node.status(BERLIN).detail.join(" ").contains("escrow"), "{:?}", node.status(BERLIN));
    assert_eq!(keeper.drills(&mut node, 1), Some(Ok(())));
}

/// The last bytes of a key file are of a wrap's tag: it reads as before, and opens no more.
pub(super) fn damage_wraps(paths: &[PathBuf]) {
    for path in paths {
        let mut bytes = std::fs::read(path).expect("reads");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(path, bytes).expect("writes");
    }
}
