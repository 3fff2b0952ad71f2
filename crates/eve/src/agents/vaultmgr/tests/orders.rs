//! Orders of root on the node, and what the status calls done.

use std::path::Path;
use std::time::Duration;

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::ordered::Ordered;
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::bus::messages::{Hope, OrderError};

fn made(custody: Custody) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(custody)]);
    node.put(BERLIN, "file", "kept");
    (node, controller)
}

/// IF-2: an operation has succeeded when the vault is as it was to be, and not while half of it waits for a key.
#[test]
fn if2_half_a_creation_is_no_success() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = Line::of(Custody::TpmAndController);
    node.hear(&mut controller, &[Line { withheld: true, ..line.clone() }]);
    let status = node.status(BERLIN);
    assert_ne!(status.state, State::Unlocked);
    assert_eq!(status.last, None, "{status:?}");
    node.hear(&mut controller, &[line]);
    let last = node.status(BERLIN).last.expect("done");
    assert_eq!((last.operation.as_str(), last.error), ("create", None));
}

/// Decision 88: a lock of root's outlasts an order of root's to make the vault anew: it is made, empty, and locked; to open it takes the order for that. The
/// controller's outlasts it likewise.
#[test]
fn a_lock_outlasts_an_order_to_make_the_vault_anew() {
    for by_root in [true, false] {
        let (mut node, mut controller) = made(Custody::Tpm);
        let created = Line { created: true, ..Line::of(Custody::Tpm) };
        if by_root {
            node.manager().order_lock(BERLIN).expect("locks");
        }
        node.manager = None;
        super::brought_back::wipe(&super::brought_back::all_key_files(&node, BERLIN));
        node.start();
        let operation = if by_root { Operation::Unlock } else { Operation::Lock };
        node.hear(&mut controller, &[Line { operation, ..created.clone() }]);
        assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
        let name = node.status(BERLIN).name;
        let report = node.manager().order_recreate(BERLIN, &name, Hope::GivenUp).expect("is made");
        assert_eq!((report.state, report.wanted), (State::Locked, Operation::Lock), "{report:?}");
        node.hear(&mut controller, &[Line { operation, ..created.clone() }]);
        assert_eq!(node.state(BERLIN), State::Locked, "it stays so");
        let opened = node.manager().order_unlock(BERLIN).map(|report| report.state);
        assert_eq!(opened.is_ok(), by_root, "{opened:?}");
        node.hear(&mut controller, &[created]);
        assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Unlocked, None));
    }
}

/// Root may lock a vault of which no section in force speaks. To open it needs one, and the error says so.
#[test]
fn a_vault_that_no_section_speaks_of_is_locked_by_order() {
    let (mut node, mut controller) = made(Custody::Tpm);
    std::fs::write(node.paths.record(), [0xff; 40]).expect("writes");
    node.restart();
    assert_eq!(node.state(BERLIN), State::Unlocked, "left as it is");
    assert_eq!(node.manager().order_lock(BERLIN).map(|report| report.state), Ok(State::Locked));
    assert_eq!(node.get(BERLIN, "file"), None);
    let error = node.manager().order_unlock(BERLIN).expect_err("no policy speaks of it").to_string();
    assert!(error.contains("is not open") && error.contains("no list of vaults"), "{error}");
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "with one it is opened");
}

/// An order that can't be carried out is an error that says why, never a success without one.
#[test]
fn an_order_that_was_not_done_is_an_error() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.reboot();
    let error = node.manager().order_unlock(BERLIN).expect_err("its key is not here").to_string();
    assert!(error.contains("waits for the controller's key"), "{error}");
    let name = || "berlin".parse().expect("a name");
    assert_eq!(
        node.manager().order_recreate(BERLIN, &name(), Hope::Kept),
        Err(OrderError::NotMissing(name()))
    );
    let line = Line { created: true, ..Line::of(Custody::TpmAndController) };
    node.hear(&mut controller, std::slice::from_ref(&line));
    assert_eq!(node.manager().order_unlock(BERLIN).map(|report| report.state), Ok(State::Unlocked));
    std::fs::remove_dir_all(node.paths.vault(BERLIN)).expect("removes");
    node.hear(&mut controller, &[Line { withheld: true, ..line.clone() }]);
    let error = node
        .manager()
        .order_recreate(BERLIN, &name(), Hope::Kept)
        .expect_err("its key is withheld")
        .to_string();
    assert!(error.contains("is not made anew: its key is withheld"), "{error}");
    node.hear(&mut controller, std::slice::from_ref(&line));
    let locked = Line { operation: Operation::Lock, ..line };
    node.hear(&mut controller, &[locked]);
    assert_eq!(node.manager().order_unlock(BERLIN), Err(OrderError::LockedByController(name())));
}

/// Issue 7, B: no single file undoes the controller's order to lock a default vault: taken away offline, the record of what was ordered
/// is not what keeps it closed at the next boot. It opens when the controller says so, and then without the record too.
#[test]
fn a_default_vault_that_the_controller_locked_stays_so_without_the_record() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let image = |operation| Line { id: IMAGE_VAULT, operation, created: true, ..Line::of(Custody::Tpm) };
    node.put(IMAGE_VAULT, "file", "kept");
    let reboot_without_record = |node: &mut Node| {
        std::fs::remove_file(node.paths.record()).expect("there");
        node.reboot();
        assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    };
    node.hear(&mut controller, &[image(Operation::Lock)]);
    assert_eq!(node.state(IMAGE_VAULT), State::Locked);
    reboot_without_record(&mut node);
    assert_eq!(node.state(IMAGE_VAULT), State::Locked);
    assert_eq!(
        node.manager().order_unlock(IMAGE_VAULT),
        Err(OrderError::LockedByController("image".parse().expect("a name")))
    );
    for (place, other) in [(0, 1), (1, 0)] {
        let tables = node.paths.table(vault::ids::Generation::FIRST);
        node.manager = None;
        std::fs::remove_file(&tables[place]).expect("there");
        node.reboot();
        assert_eq!(node.state(IMAGE_VAULT), State::Locked, "the table in {other} says so");
    }
    node.hear(&mut controller, &[image(Operation::Unlock)]);
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"));
    reboot_without_record(&mut node);
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"));
    node.hear(&mut controller, &[image(Operation::Lock)]);
    // One that the controller has nothing to say of any more is as at first.
    node.hear(&mut controller, &[]);
    reboot_without_record(&mut node);
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked);
}

/// UC-D: an order that nobody waits for any more is not carried out: a vault is not given up behind somebody's back.
#[test]
fn ucd_an_order_out_of_date_is_not_carried_out() {
    let (mut node, mut controller) = made(Custody::Tpm);
    std::fs::remove_dir_all(node.paths.vault(BERLIN)).expect("removes");
    node.restart();
    node.hear(&mut controller, &[Line { created: true, ..Line::of(Custody::Tpm) }]);
    assert_eq!(node.state(BERLIN), State::Missing);
    let order = Order::Recreate(BERLIN, "berlin".parse().expect("a name"), Hope::Kept);
    let late = node.manager().obey(&order, Duration::from_secs(110), &mut |_| ());
    assert_eq!(late, Err(OrderError::OutOfDate));
    assert_eq!(node.state(BERLIN), State::Missing);
    let done = node.manager().obey(&order, Duration::from_secs(1), &mut |_| ());
    assert_eq!(done.map(|report| report.state), Ok(State::Unlocked));
}

/// Seen-by-users 0b.7: what root locked stays locked when vaultmgr dies, until it is opened here or the node boots anew.
#[test]
fn a_lock_by_root_outlives_vaultmgr_and_no_boot() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let lines = [Line { created: true, ..Line::of(Custody::Tpm) }];
    node.manager().order_lock(BERLIN).expect("locks");
    node.restart();
    node.hear(&mut controller, &lines);
    assert_eq!(node.state(BERLIN), State::Locked, "though the controller wants it open");
    node.manager().order_unlock(BERLIN).expect("opens");
    node.restart();
    assert_eq!(node.state(BERLIN), State::Unlocked, "the order is taken back");
    node.manager().order_lock(BERLIN).expect("locks");
    // Another boot, whose `run` was kept.
    let kept = std::fs::read_to_string(node.paths.locks()).expect("is kept");
    let (_, orders) = kept.split_once('\n').expect("the boot first");
    node.reboot();
    std::fs::write(node.paths.locks(), format!("another-boot\n{orders}")).expect("writes");
    node.restart();
    node.hear(&mut controller, &lines);
    assert_eq!(node.state(BERLIN), State::Unlocked);
}

/// The way to a release: of orders that can't be read nobody knows what must stay locked; of one that can't be kept root is told.
#[test]
fn a_lock_that_is_not_understood_or_not_kept_is_an_error() {
    let (mut node, _controller) = made(Custody::Tpm);
    node.manager().order_lock(BERLIN).expect("locks");
    let kept = std::fs::read_to_string(node.paths.locks()).expect("is kept");
    std::fs::write(node.paths.locks(), kept.replace(&BERLIN.to_string(), "berlin")).expect("writes");
    node.manager().take_up_locks().expect_err("is not understood");
    std::fs::remove_file(node.paths.locks()).expect("removes");
    std::fs::create_dir(node.paths.locks()).expect("in its place");
    let told = node.manager().order_lock(BERLIN).expect_err("is not kept");
    assert!(matches!(told, OrderError::NotKept { .. }), "{told}");
    assert_eq!(node.state(BERLIN), State::Locked, "carried out all the same");
    std::fs::remove_dir(node.paths.locks()).expect("removes");
}

/// seen-by-users 1.13: the node's own agents hold the Config Vault, so an order to lock it could never be done: it is refused, and
/// nothing of it remains.
#[test]
fn the_config_vault_is_not_locked_by_order() {
    let (mut node, _) = made(Custody::Tpm);
    let obeyed = node.manager().obey(&Order::Lock(CONFIG_VAULT), Duration::ZERO, &mut |_| ());
    assert!(obeyed.expect_err("in use").to_string().contains("this node's own agents"));
    node.manager().settle_all();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    let other = node.manager().obey(&Order::Lock(IMAGE_VAULT), Duration::ZERO, &mut |_| ());
    assert_eq!(other.map(|report| report.state), Ok(State::Locked));
}

/// Invariant 4: a disk that was plugged in anew is another device: nothing is done by its paths, and it is told that eve is to be started again,
/// which goes on with it.
#[test]
fn a_disk_that_comes_back_as_another_device_is_told() {
    let (mut node, _) = made(Custody::Tpm);
    let again = node.disk.root().join("again");
    std::fs::write(&again, node.disk.image()).expect("writes");
    let run = |args: &[&Path]| {
        assert!(std::process::Command::new(args[0]).args(&args[1..]).status().expect("runs").success());
    };
    let persist = node.disk.persist();
    run(&["mount".as_ref(), "-o".as_ref(), "loop".as_ref(), &again, &persist]);
    let status = node.manager().vault_status();
    let refused = node.manager().obey_telling(&Order::Unlock(BERLIN), Duration::ZERO, &mut |_| ()).0;
    node.restart();
    let state = node.state(BERLIN);
    node.manager = None;
    run(&["umount".as_ref(), &persist]);
    let told = status.notes.concat();
    assert!(
        status.disk_away && told.contains("another device") && told.contains("Start eve again"),
        "{told}"
    );
    assert!(matches!(&refused, Err(OrderError::DiskAway { words }) if words.contains("another device")));
    assert_eq!(state, State::Unlocked, "by the next start");
}

/// Invariant 4: once the disk is not at its path any more that is told, and no order makes or deletes anything on it. A lock is carried out,
/// and all is as it was when the disk is back.
#[test]
fn while_the_disk_is_away_only_locks_are_carried_out() {
    let (mut node, _) = made(Custody::Tpm);
    let persist = node.disk.persist();
    let over = |program: &str, args: &[&str]| {
        assert!(
            std::process::Command::new(program).args(args).arg(&persist).status().expect("runs").success()
        );
    };
    over("mount", &["-t", "tmpfs", "none"]);
    let recreate = Order::Recreate(BERLIN, "berlin".parse().expect("a name"), Hope::GivenUp);
    let refused = [Order::Unlock(BERLIN), recreate]
        .map(|order| node.manager().obey_telling(&order, Duration::ZERO, &mut |_| ()).0);
    let status = node.manager().vault_status();
    let waiting = [Ordered::Open, Ordered::MadeAnew]
        .map(|wanted| node.manager().has_become(BERLIN, wanted, Duration::ZERO));
    let locked = node.manager().obey_telling(&Order::Lock(BERLIN), Duration::ZERO, &mut |_| ()).0;
    node.manager().look_again(BERLIN);
    let looked_at = node.state(BERLIN);
    let made = std::fs::read_dir(&persist).map(Iterator::count);
    over("umount", &[]);
    assert_eq!(looked_at, State::Locked, "also where everything is looked at anew");
    // Those that were given before, and wait, are answered too.
    for refused in refused.into_iter().chain(waiting) {
        assert!(
            matches!(&refused, Err(OrderError::DiskAway { words }) if words.contains("Mount the disk")),
            "{refused:?}"
        );
    }
    assert!(status.disk_away && status.notes.concat().contains("went away"), "{:?}", status.notes);
    assert!(!format!("{:?}", status.vaults).contains("recreate"), "{:?}", status.vaults);
    assert_eq!(locked.map(|report| report.state), Ok(State::Locked), "shown as it is, and not as missing");
    assert_eq!(made.expect("lists"), 0, "nothing is made on what lies there");
    assert!(!node.manager().vault_status().disk_away);
    node.manager().order_unlock(BERLIN).expect("opens again");
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}
