//! Leases on a real kernel: a vault locks by itself when its lease ended, and opens by nothing but a renewal.

use std::time::Duration;

use vault::ids::IMAGE_VAULT;
use vault::lease::Leases;
use vault::report::State;
use vault::section::Custody;
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

const LEASE: u32 = 3600;
const HALF: Duration = Duration::from_secs(1800);

fn leased(custody: Custody) -> Line {
    Line { created: true, lease: Some(LEASE), ..Line::of(custody) }
}

/// A vault with a lease, made and open, with a file in it.
fn made(custody: Custody) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    renew(&mut node, &mut controller, &[Line { created: false, ..leased(custody) }]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    node.put(BERLIN, "file", "kept");
    (node, controller)
}

/// The controller answers the question that the node asks now.
fn renew(node: &mut Node, controller: &mut Controller, lines: &[Line]) {
    controller.renews = node.manager().lease_nonce();
    node.hear(controller, lines);
}

/// Time passes, and vaultmgr looks at its clock.
fn pass(node: &mut Node, span: Duration) {
    node.calls.pass(span);
    node.manager().tend_leases();
}

fn says(node: &mut Node, words: &str) -> bool {
    node.status(BERLIN).detail.iter().any(|line| line.contains(words))
}

/// Without contact the vault locks by itself, of each custody, and says why; contact opens it again.
#[test]
fn a_vault_locks_when_its_lease_ended_and_opens_when_it_is_renewed() {
    for custody in [Custody::Tpm, Custody::Controller, Custody::TpmAndController] {
        let (mut node, mut controller) = made(custody);
        pass(&mut node, HALF);
        pass(&mut node, HALF - Duration::from_secs(60));
        assert_eq!(node.state(BERLIN), State::Unlocked, "a minute is left, {custody:?}");
        pass(&mut node, Duration::from_secs(61));
        assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Locked, None), "{custody:?}");
        assert!(says(&mut node, "locked: its lease ended"), "{:?}", node.status(BERLIN));
        assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "a default vault has no lease");
        renew(&mut node, &mut controller, &[leased(custody)]);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{custody:?}");
    }
}

/// A recorded answer renews nothing: the same bytes again, before and after the end; nor does a new section that names no question of now.
#[test]
fn a_recorded_answer_renews_nothing() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.tell_head(&mut controller);
    let session = node.manager().session_key();
    controller.renews = node.manager().lease_nonce();
    let recorded = controller.section(session, &[leased(Custody::TpmAndController)]);
    node.hear_bytes(Authority::Live, &recorded);
    pass(&mut node, HALF + Duration::from_secs(60));
    node.hear_bytes(Authority::Live, &recorded);
    pass(&mut node, HALF);
    assert_eq!(node.state(BERLIN), State::Locked, "it was given again before the end");
    node.hear_bytes(Authority::Live, &recorded);
    assert_eq!(node.state(BERLIN), State::Locked, "and after it");
    node.hear(&mut controller, &[leased(Custody::TpmAndController)]);
    assert_eq!(node.state(BERLIN), State::Locked, "a section that names an earlier question");
    renew(&mut node, &mut controller, &[leased(Custody::TpmAndController)]);
    assert_eq!(node.state(BERLIN), State::Unlocked);
}

/// What the controller withholds is not renewed: a node whose evidence is not good any more loses the vault at the end of the lease.
#[test]
fn a_withheld_key_renews_nothing() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    pass(&mut node, HALF);
    let withheld = Line { withheld: true, ..leased(Custody::TpmAndController) };
    renew(&mut node, &mut controller, std::slice::from_ref(&withheld));
    assert_eq!(node.state(BERLIN), State::Unlocked, "left as it is, until its lease ends");
    pass(&mut node, HALF);
    renew(&mut node, &mut controller, &[withheld]);
    assert_eq!(node.state(BERLIN), State::Locked);
}

/// Every boot starts without a lease, also of a vault that the TPM alone opens: it needs contact.
#[test]
fn after_a_boot_it_needs_contact() {
    let (mut node, mut controller) = made(Custody::Tpm);
    node.reboot();
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Locked, None));
    assert!(says(&mut node, "no lease since this boot"), "{:?}", node.status(BERLIN));
    renew(&mut node, &mut controller, &[leased(Custody::Tpm)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// An end of vaultmgr neither ends a lease nor lengthens one; and where its file is gone, or another boot's, there is none.
#[test]
fn a_restart_neither_ends_nor_lengthens_a_lease() {
    let (mut node, _controller) = made(Custody::Tpm);
    pass(&mut node, HALF);
    node.restart();
    assert_eq!(node.state(BERLIN), State::Unlocked, "half of it is left");
    pass(&mut node, HALF - Duration::from_secs(60));
    node.restart();
    assert_eq!(node.state(BERLIN), State::Unlocked, "a minute is left");
    pass(&mut node, Duration::from_secs(61));
    assert_eq!(node.state(BERLIN), State::Locked, "it did not begin anew");
    for forged in [None, Some("another boot\n")] {
        let (mut node, _controller) = made(Custody::Tpm);
        let file = node.paths.leases();
        let kept = std::fs::read_to_string(&file).expect("kept");
        node.manager = None;
        match forged {
            None => std::fs::remove_file(&file).expect("removes"),
            Some(boot) => {
                let lines = kept.lines().skip(1).collect::<String>();
                std::fs::write(&file, boot.to_owned() + &lines + "\n").expect("writes");
            }
        }
        node.start();
        assert_eq!(node.state(BERLIN), State::Locked, "{forged:?}");
    }
}

/// TH-4: what says which leases there are is gone, and the record with it, while the vault is open. It asks at once, and locks when no answer
/// came in time; an end of vaultmgr gives it no more time, and an answer gives it all back. Nothing is deleted.
#[test]
fn without_leases_and_record_a_vault_is_locked_in_time() {
    for custody in [Custody::Tpm, Custody::TpmAndController] {
        let (mut node, mut controller) = made(custody);
        node.manager = None;
        std::fs::remove_file(node.paths.leases()).expect("removes");
        std::fs::write(node.paths.record(), "not a record").expect("damages");
        node.start();
        assert_eq!(node.state(BERLIN), State::Unlocked, "it asks first, {custody:?}");
        pass(&mut node, Duration::ZERO);
        pass(&mut node, Leases::UNKNOWN - Duration::from_secs(60));
        node.restart();
        assert_eq!(node.state(BERLIN), State::Unlocked, "a minute is left, {custody:?}");
        pass(&mut node, Duration::from_secs(61));
        assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Locked, None), "{custody:?}");
        assert!(says(&mut node, "whether it is leased is not known"), "{:?}", node.status(BERLIN));
        assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "a default vault has no lease");
        renew(&mut node, &mut controller, &[leased(custody)]);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{custody:?}");
    }
}

/// A vault of which a list said that it has no lease stays open, whatever becomes of the record later in this boot.
#[test]
fn what_is_known_to_have_no_lease_stays_open() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    node.reboot();
    node.manager = None;
    std::fs::write(node.paths.record(), "not a record").expect("damages");
    node.start();
    pass(&mut node, 2 * Leases::UNKNOWN);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "the kept list had said so");
}

/// An operator who gives an open vault a lease closes it for no moment; one who takes the lease away leaves it open for good.
#[test]
fn a_lease_that_comes_or_goes_closes_nothing() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let free = Line { created: true, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    pass(&mut node, 10 * HALF);
    node.hear(&mut controller, &[leased(Custody::Tpm)]);
    assert_eq!(node.state(BERLIN), State::Unlocked);
    assert_eq!(node.status(BERLIN).last.map(|last| last.operation).as_deref(), Some("create"));
    pass(&mut node, 2 * HALF + Duration::from_secs(1));
    assert_eq!(node.state(BERLIN), State::Locked, "its first lease ended");
    node.hear(&mut controller, &[free]);
    pass(&mut node, 10 * HALF);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "it has none any more");
}

/// It asks once in each half of a lease, and a node without leases never again.
#[test]
fn it_asks_at_half_of_the_lease() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let first = node.manager().lease_nonce();
    pass(&mut node, HALF - Duration::from_secs(60));
    assert_eq!(node.manager().lease_nonce(), first);
    pass(&mut node, Duration::from_secs(61));
    assert_ne!(node.manager().lease_nonce(), first);
    node.hear(&mut controller, &[Line { created: true, ..Line::of(Custody::Tpm) }]);
    let last = node.manager().lease_nonce();
    pass(&mut node, 10 * HALF);
    assert_eq!(node.manager().lease_nonce(), last);
}
