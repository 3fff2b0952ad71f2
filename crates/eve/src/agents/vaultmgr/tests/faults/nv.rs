//! The TPM fails at each command in turn that is made of what vaultmgr asks: busy, locked out, full, silent, with an error, or dead after it has done
//! it. Whatever was reached, no status is false meanwhile, and what is told as erased has no root; afterwards every vault opens by what its custody
//! says, in that life or the next, and nothing is lost but what was to go (invariants 4 to 6).

use vault::ids::Generation;
use vault::plan::Note;
use vault::report::State;
use vault::section::Seal;

use super::*;
use crate::agents::vaultmgr::tests::brought_back;
use crate::agents::vaultmgr::tests::faulty_nv::Fault;
use crate::agents::vaultmgr::tests::keeper::Keeper;
use crate::agents::vaultmgr::tests::node::Nv;
use crate::agents::vaultmgr::tests::truth::openness_is_told_truly;
use crate::bus::messages::Hope;

/// How often what failed is tried again in one life before the test does not believe any more that it mends.
const TRIES: usize = 3;

/// Does `work` on a node made by `prepare`, with each fault at the command 0, 1, 2.. until it is not met any more. Then the fault goes, and the node
/// mends by itself; and the same where it boots at once. `done` looks, before a boot and after it. Returns how many points were
/// tried.
fn fails_everywhere<P>(
    what: &str,
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    done: impl Fn(&mut Node, &mut P, &str),
) -> usize {
    let once = |fault: Fault, nth: usize, boots: bool| {
        let (mut node, mut with) = prepare();
        node.nv.3.fail(fault, nth);
        work(&mut node, &mut with);
        let when = format!("{what}: {fault:?} at command {nth}");
        holds_meanwhile(&mut node, &when);
        let met = node.nv.3.heal();
        let when = format!("{when}, {met:?}, {}", if boots { "booted at once" } else { "mended" });
        if boots {
            node.reboot()
        } else {
            mend(&mut node)
        }
        work(&mut node, &mut with);
        for when in [when.clone(), format!("{when}, and rebooted")] {
            holds_meanwhile(&mut node, &when);
            done(&mut node, &mut with, &when);
            node.reboot();
            work(&mut node, &mut with);
        }
        met.is_some()
    };
    let points =
        |(fault, boots)| (0..ENOUGH).find(|nth| !once(fault, *nth, boots)).expect("it comes to an end");
    let each = Fault::ALL.into_iter().flat_map(|fault| [(fault, false), (fault, true)]);
    let tried: Vec<usize> = each.map(points).collect();
    assert!(tried.iter().all(|points| *points > 0), "each fault is met: {tried:?}");
    let all = tried.iter().sum();
    println!("{what}: the TPM failed at {all} points");
    all
}

/// Nothing is told that is not so, and nothing as erased whose root is there.
fn holds_meanwhile(node: &mut Node, when: &str) {
    if node.manager.is_none() {
        return;
    }
    openness_is_told_truly(node, when);
    let erased = node.status(BERLIN).detail.first() == Some(&Note::Erased.to_string());
    let old = node.nv.0.borrow().slots.iter().any(|slots| slots.generation == Generation::FIRST);
    assert!(!(erased && old), "{when}: told as erased, and its root is there");
}

/// With the fault gone, what failed is tried again with nothing new from outside, as the agent does: a TPM's silence ends in the midst of a life.
fn mend(node: &mut Node) {
    for _ in 0..TRIES {
        if node.manager().waits_for_roots() {
            node.hear_tpm();
        }
        let manager = node.manager();
        if let Some(at) = manager.again() {
            manager.tick(at);
        }
        manager.settle_all();
    }
}

fn generations(node: &Node) -> Vec<u32> {
    node.nv.0.borrow().slots.iter().map(|slots| slots.generation.0).collect()
}

fn image_is_kept(node: &mut Node, when: &str) {
    let file = node.get(IMAGE_VAULT, "file");
    assert_eq!(
        file.as_deref(),
        Some("kept"),
        "{when}: {:?} {:?}",
        node.status(IMAGE_VAULT),
        node.manager().notes()
    );
}

fn with_both(line: &Line) -> (Node, Controller) {
    let (node, controller) = with_file(line);
    node.put(IMAGE_VAULT, "file", "kept");
    node.disk.sync();
    (node, controller)
}

/// A first boot.
#[test]
fn roots_are_made_whatever_command_fails() {
    let fresh = || (Node::fresh(true), ());
    let work =
        |node: &mut Node, (): &mut ()| if node.manager.is_some() { node.hear_tpm() } else { node.start() };
    let tried = fails_everywhere("roots made", fresh, work, |node, (), when| {
        for id in [CONFIG_VAULT, IMAGE_VAULT] {
            assert_eq!(node.state(id), State::Unlocked, "{when}: {:?}", node.status(id));
        }
        if !when.contains("rebooted") {
            node.put(IMAGE_VAULT, "file", "kept");
        }
        image_is_kept(node, when);
        assert_eq!(generations(node), [1], "{when}");
    });
    assert!(tried > 12, "{tried}");
}

fn is_erased(node: &mut Node, when: &str) {
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Removed, "{when}: {status:?}");
    assert_eq!(status.detail[0], Note::Erased.to_string(), "{when}: {:?}", node.manager().notes());
    assert_eq!(generations(node), [2], "{when}");
    assert!(node.paths.table(Generation::FIRST).iter().all(|path| !path.exists()), "{when}");
    image_is_kept(node, when);
}

/// TH-6: a vault is removed, and the generation ends.
#[test]
fn th6_a_vault_is_erased_whatever_command_fails() {
    let tried = fails_everywhere(
        "a vault erased",
        || with_both(&Line::of(Custody::Tpm)),
        |node, controller| node.hear(controller, &[]),
        |node, _, when| is_erased(node, when),
    );
    assert!(tried > 24, "{tried}");
}

/// VC-2, TH-6: a seal is narrowed, and the looser share is dead.
#[test]
fn th6_a_seal_is_narrowed_whatever_command_fails() {
    let narrow = Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) };
    let tried = fails_everywhere(
        "a seal narrowed",
        || with_both(&Line::of(Custody::Tpm)),
        |node, controller| node.hear(controller, std::slice::from_ref(&narrow)),
        |node, _, when| {
            assert!(kept(node, &narrow), "{when}: {:?}", node.status(BERLIN));
            assert_eq!(node.manager().vault_status().seals[&BERLIN], Some(Seal::Pcrs), "{when}");
            assert_eq!(generations(node), [2], "{when}: {:?}", node.manager().notes());
            image_is_kept(node, when);
        },
    );
    assert!(tried > 24, "{tried}");
}

/// The roots of before are left in the TPM, and the next life takes them away.
#[test]
fn what_is_left_goes_whatever_command_fails() {
    let left = || {
        let (mut node, mut controller) = with_both(&Line::of(Custody::Tpm));
        node.nv.0.borrow_mut().keeps = true;
        node.hear(&mut controller, &[]);
        node.nv.0.borrow_mut().keeps = false;
        assert_eq!(generations(&node), [1, 2]);
        node.stop();
        node.disk.mount();
        (node, ())
    };
    let work =
        |node: &mut Node, (): &mut ()| if node.manager.is_some() { node.hear_tpm() } else { node.start() };
    let points = |fault: Fault| {
        let once = |nth: &usize| {
            let (mut node, mut with) = left();
            node.nv.3.fail(fault, *nth);
            work(&mut node, &mut with);
            let when = format!("{fault:?} at command {nth}");
            holds_meanwhile(&mut node, &when);
            let met = node.nv.3.heal();
            mend(&mut node);
            is_erased(&mut node, &when);
            node.reboot();
            is_erased(&mut node, &when);
            met.is_some()
        };
        (0..ENOUGH).find(|nth| !once(nth)).expect("it comes to an end")
    };
    let tried: usize = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Full).map(points).sum();
    println!("what is left taken away: the TPM failed at {tried} points");
    assert!(tried > 10, "{tried}");
}

/// TH-2: PCRs moved for good; P comes back from escrow, and is bound to this boot with the next generation, which the controller holds first.
#[test]
fn a_root_that_comes_back_is_bound_anew_whatever_command_fails() {
    let line = brought_back::both((1, 1));
    let moved = || {
        let (mut node, mut controller) = brought_back::with_data(&line);
        let mut keeper = Keeper::default();
        keeper.settles(&mut node);
        node.nv.0.borrow_mut().pcrs_moved = true;
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
        (node, (controller, keeper))
    };
    let tried = fails_everywhere(
        "a root that came back bound anew",
        moved,
        |node, (controller, keeper)| {
            node.hear(controller, std::slice::from_ref(&line));
            keeper.settles(node);
        },
        |node, _, when| {
            assert!(kept(node, &line), "{when}: {:?} {:?}", node.status(BERLIN), node.manager().notes());
            assert_eq!(generations(node), [2], "{when}: {:?}", node.manager().notes());
            assert!(
                node.manager().shares.as_ref().is_none_or(|shares| shares.without_pcrs().is_none()),
                "{when}"
            );
            image_is_kept(node, when);
        },
    );
    assert!(tried > 24, "{tried}");
}

/// Invariant 4, TH-1: a table is begun on another TPM, by an order; with its own one the vault that was not given up opens.
#[test]
fn a_table_is_begun_anew_whatever_command_fails() {
    let image = Line { id: IMAGE_VAULT, ..Line::of(Custody::Tpm) };
    let on_another = || {
        let (mut node, _) = with_file(&image);
        let own = std::mem::take(&mut node.nv);
        node.reboot();
        (node, own)
    };
    let order = |node: &mut Node| {
        if node.state(CONFIG_VAULT) != State::Unlocked {
            let name = "config".parse().expect("a name");
            // Where the TPM fails it is refused, and given again.
            drop(node.manager().order_recreate(CONFIG_VAULT, &name, Hope::GivenUp));
        }
    };
    let tried = fails_everywhere(
        "a table begun anew",
        on_another,
        |node, _: &mut Nv| order(node),
        |node, own, when| {
            assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{when}: {:?}", node.status(CONFIG_VAULT));
            assert_eq!(node.state(IMAGE_VAULT), State::Missing, "{when}");
            let other = std::mem::replace(&mut node.nv, own.clone());
            node.reboot();
            assert!(kept(node, &image), "{when}: {:?}", node.status(IMAGE_VAULT));
            node.nv = other;
            node.reboot();
        },
    );
    assert!(tried > 8, "{tried}");
}
