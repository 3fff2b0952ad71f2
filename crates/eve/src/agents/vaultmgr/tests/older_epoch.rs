//! Invariant 5, decision 99: a disk that was put back has key files of an epoch that the controller gives no more. Newer ones come back from escrow as damaged ones do;
//! what opens is never written over, and what was erased stays dead.

use vault::cause::Cause;
use vault::escrow::Bundle;
use vault::ids::IMAGE_VAULT;
use vault::report::State;
use vault::section::{Custody, Seal};

use super::brought_back::{all_key_files, both, bundle, kept, with_data};
use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::bus::messages::{Hope, OrderError};

fn line(epochs: (u64, u64)) -> Line {
    Line { created: true, ..both(epochs) }
}

fn order(node: &mut Node, hope: Hope) -> Result<State, OrderError> {
    let name = node.status(BERLIN).name;
    node.manager().order_recreate(BERLIN, &name, hope).map(|report| report.state)
}

/// A node whose disk is of epoch 1, while its controller gives epochs 3 and 2, and holds a bundle of that.
fn put_back() -> (Node, Controller, Keeper) {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let image = node.disk.image();
    [(2, 1), (3, 2)].into_iter().for_each(|epochs| node.hear(&mut controller, &[line(epochs)]));
    keeper.settles(&mut node);
    node.stop();
    node.disk.put_back(&image);
    node.start();
    node.hear(&mut controller, &[line((3, 2))]);
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    (node, controller, keeper)
}

/// They come back by themselves, in this life and for good. Until then no order makes the vault anew but one that gives up both, and the status says what helps.
#[test]
fn key_files_of_an_epoch_that_is_over_come_back() {
    let (mut node, mut controller, mut keeper) = put_back();
    let told = node.status(BERLIN).detail.join("; ");
    for words in ["epoch 1", "evc escrow list", "come back by themselves", "eve vault recover"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    keeper.withholds = Some(Cause::Pcrs);
    keeper.settles(&mut node);
    assert!(node.says("is not given back"), "{:?}", node.manager().notes());
    node.hear(&mut controller, &[Line { recreate: true, ..line((3, 2)) }]);
    for (hope, shut) in [(Hope::Kept, false), (Hope::GivenUp, false), (Hope::ShutGivenUp, true)] {
        let refused = order(&mut node, hope);
        assert_eq!(matches!(refused, Err(OrderError::ShutInEscrow(_))), shut, "{refused:?}");
        assert_eq!(matches!(refused, Err(OrderError::UnderAnotherKey(_))), !shut, "{refused:?}");
    }
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    keeper.withholds = None;
    keeper.settles(&mut node);
    node.manager().settle_all();
    for when in ["now", "in a later life"] {
        assert!(kept(&node, BERLIN), "{when}: {:?}", node.status(BERLIN));
        assert!(!node.manager().asks_for_files(), "{when}");
        node.reboot();
        node.hear(&mut controller, &[line((3, 2))]);
    }
}

/// Root gives up both, by both words; or there is no bundle, and one is enough.
#[test]
fn an_order_makes_it_anew_where_both_are_given_up_or_no_bundle_is_held() {
    for (held, hope) in [(true, Hope::AllGivenUp), (false, Hope::ShutGivenUp)] {
        let (mut node, _, mut keeper) = put_back();
        keeper.withholds = Some(if held { Cause::Pcrs } else { Cause::NoBundle });
        keeper.settles(&mut node);
        assert_eq!(order(&mut node, hope), Ok(State::Unlocked), "{held}");
        assert!(!kept(&node, BERLIN) && kept(&node, IMAGE_VAULT));
    }
}

/// The newest bundle has none that a key at hand opens: nothing is written, and it is not asked for again.
#[test]
fn key_files_that_no_key_at_hand_opens_are_not_written() {
    let (mut node, _, _) = put_back();
    let older = bundle(&node);
    let paths = all_key_files(&node, BERLIN);
    let read = || paths.each_ref().map(|path| std::fs::read(path).expect("reads"));
    let before = read();
    node.takes_back(&older);
    node.manager().settle_all();
    assert_eq!(read(), before);
    assert_eq!((node.state(BERLIN), node.manager().asks_for_files()), (State::Locked, false));
}

/// Invariant 4: an operator had an older bundle given back, which helps nothing. That is told; the newest is asked for still, in this life; no one word of root's gives
/// up what it has; and once it is offered it brings the vault back.
#[test]
fn an_older_bundle_leaves_the_hope_of_the_newest() {
    let (mut node, _, mut keeper) = put_back();
    let older = bundle(&node);
    let bytes = older.encode();
    keeper.offers = Some((Bundle::id_of(older.generation(), &bytes), bytes));
    keeper.settles(&mut node);
    assert!(node.says("an older one") && node.says("--newest"), "{:?}", node.manager().notes());
    assert_eq!((node.state(BERLIN), node.manager().asks_for_files()), (State::Locked, true));
    let refused = order(&mut node, Hope::ShutGivenUp).expect_err("one word");
    assert!(matches!(refused, OrderError::ShutInEscrow(_)), "{refused:?}");
    assert!(refused.to_string().contains("--newest"), "{refused}");
    keeper.offers = None;
    keeper.settles(&mut node);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
    assert!(!node.says("an older one"), "{:?}", node.manager().notes());
}

/// TH-6: the vault left the TPM's custody and its share was erased. Key files in a bundle of before, under that share, give nothing back, though their epoch is
/// given still.
#[test]
fn th6_a_share_that_was_erased_stays_dead() {
    let (mut node, mut controller) = with_data(&Line::of(Custody::TpmAndController));
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let older = bundle(&node);
    let alone = |epochs| Line { created: true, epochs, seal: Seal::Tpm, ..Line::of(Custody::Controller) };
    node.hear(&mut controller, &[alone((1, 1))]);
    let image = node.disk.image();
    [(2, 1), (3, 2)].into_iter().for_each(|epochs| node.hear(&mut controller, &[alone(epochs)]));
    node.stop();
    node.disk.put_back(&image);
    node.start();
    node.hear(&mut controller, &[alone((3, 2))]);
    let before = std::fs::read(&all_key_files(&node, BERLIN)[0]).expect("reads");
    node.takes_back(&older);
    node.manager().settle_all();
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    assert_eq!(std::fs::read(&all_key_files(&node, BERLIN)[0]).expect("reads"), before);
    assert!(!node.manager().shares.as_ref().expect("shares").vaults().contains(&BERLIN));
}
