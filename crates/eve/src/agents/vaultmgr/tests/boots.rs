//! Starts of a node: first boots, reboots, other TPMs, wiped disks, plain files.

use attest::SessionKey;
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, Name};
use vault::report::State;
use vault::section::Custody;
use vault::shares::RootPin;

use super::controller::{BERLIN, Controller, Line};
use super::disk::write;
use super::former::installed;
use super::node::{Node, NvSlots};
use crate::agents::vaultmgr::generation::shares::SharesError;
use crate::bus::messages::{Hope, OrderError};

/// DF-1, DF-2, DF-3, KO-2: with no configuration at all both default vaults are made, hold files over a reboot, and no plaintext
/// and no name of theirs is on the disk.
#[test]
fn df3_default_vaults_open_without_a_controller() {
    let mut node = Node::new(true);
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let status = node.status(id);
        assert_eq!((status.state, status.created), (State::Unlocked, true), "{:?}", status);
        assert!(status.detail.contains(&"not escrowed".to_owned()), "{:?}", status.detail);
        node.put(id, "the-planted-name", "the planted secret text");
    }
    node.reboot();
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        assert_eq!(node.state(id), State::Unlocked);
        assert_eq!(node.get(id, "the-planted-name").as_deref(), Some("the planted secret text"));
    }
    node.stop();
    assert!(!node.disk.contains(b"the planted secret text"), "TH-1: contents on the disk");
    assert!(!node.disk.contains(b"the-planted-name"), "TH-1: names on the disk");
}

/// TH-1: the same disk with another TPM: the vaults stay closed, are called missing, and nothing is made in their place;
/// back in its own node everything opens.
#[test]
fn th1_another_tpm_opens_nothing_and_harms_nothing() {
    let mut node = Node::new(true);
    node.put(CONFIG_VAULT, "file", "kept");
    let own = std::mem::take(&mut node.nv);
    node.reboot();
    assert_eq!(node.state(CONFIG_VAULT), State::Missing);
    assert_eq!(node.get(CONFIG_VAULT, "file"), None);
    assert!(node.nv.0.borrow().slots.is_empty(), "no roots are written over the disk of another");
    node.nv = own;
    node.reboot();
    assert_eq!(node.get(CONFIG_VAULT, "file").as_deref(), Some("kept"));
}

/// On another TPM root may begin anew by an order that says so in words, under a generation of its own; the share table of the first TPM stays. By
/// another order nothing is: TPM and certificate may be those of another node.
#[test]
fn th1_beginning_anew_on_another_tpm_keeps_the_old_table() {
    let mut node = Node::new(true);
    node.put(IMAGE_VAULT, "file", "kept");
    let own = std::mem::take(&mut node.nv);
    node.reboot();
    let name: Name = "config".parse().expect("a name");
    let refused = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::Kept);
    assert_eq!(refused, Err(OrderError::OtherTpm(name.clone())));
    let told = refused.expect_err("refused").to_string();
    assert!(told.contains("may be another node's") && told.contains("--despite-escrow"), "{told}");
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Missing, State::Missing));
    node.manager().order_recreate(CONFIG_VAULT, &name, Hope::GivenUp).expect("ordered");
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Unlocked, State::Missing));
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Unlocked, State::Missing));
    node.nv = own;
    node.reboot();
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"));
}

/// Invariant 4: under a TPM that has older roots than the disk's table is of, whoever begins another table wipes none that the right TPM opens.
#[test]
fn th1_a_table_of_later_roots_is_not_wiped() {
    let mut node = Node::new(true);
    node.put(IMAGE_VAULT, "file", "kept");
    let older = node.nv.0.borrow().slots.clone();
    for slots in &mut node.nv.0.borrow_mut().slots {
        slots.generation = Generation(2);
    }
    node.stop();
    node.disk.mount();
    node.nv.0.borrow_mut().slots.clone_from(&older);
    for folder in node.paths.tables() {
        std::fs::rename(folder.join("shares.1"), folder.join("shares.2")).expect("renames");
    }
    node.start();
    let name = "config".parse().expect("a name");
    node.manager().order_recreate(CONFIG_VAULT, &name, Hope::GivenUp).expect("ordered");
    node.reboot();
    let there = node.paths.table(Generation(2)).iter().all(|path| path.exists());
    let aside = |path: &std::path::PathBuf| path.with_extension("2.lost.1").exists();
    assert!(there || node.paths.table(Generation(2)).iter().all(aside), "what the right TPM opens");
}

/// Invariant 4: a drive was in another node, whose root began another table there, under a root of the same number. Back with its own TPM, the
/// table that was kept aside is taken up by itself, and the other's is kept aside: each TPM opens what it opened, as often as they are exchanged.
#[test]
fn a_table_that_was_kept_aside_is_taken_up_by_its_tpm() {
    let mut node = Node::new(true);
    node.put(IMAGE_VAULT, "file", "kept");
    let own = std::mem::take(&mut node.nv);
    let (tpm_gone, bound_to_moved) = (false, false);
    let roots = NvSlots {
        generation: Generation::FIRST,
        tpm: [7; 32],
        pcrs: Some([8; 32]),
        tpm_gone,
        bound_to_moved,
    };
    node.nv.0.borrow_mut().slots = vec![roots];
    node.reboot();
    let name = "config".parse().expect("a name");
    node.manager().order_recreate(CONFIG_VAULT, &name, Hope::GivenUp).expect("ordered");
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Unlocked, State::Missing));
    let other = std::mem::replace(&mut node.nv, own.clone());
    node.reboot();
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{:?}", node.status(IMAGE_VAULT));
    node.nv = other;
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Unlocked, State::Missing));
    node.nv = own;
    node.reboot();
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{:?}", node.status(IMAGE_VAULT));
}

/// Invariant 4: where the table of the generation before would lie there is one that no root of this TPM opens. It is not taken for what a change of
/// generation left: it is kept aside, whole.
#[test]
fn another_tpms_table_with_the_number_before_is_kept_aside() {
    let mut node = Node::new(true);
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    node.manager().accept_root(installed()).expect("accepts");
    node.manager().settle_all();
    assert_eq!(node.nv.0.borrow().slots.first().map(|slots| slots.generation), Some(Generation(2)));
    let before = node.paths.table(Generation::FIRST);
    before.iter().for_each(|path| write(path, "another TPM's"));
    node.disk.sync();
    node.reboot();
    let aside = before.each_ref().map(|path| std::fs::read_to_string(path.with_extension("1.lost.1")).ok());
    assert_eq!(aside, [Some("another TPM's".to_owned()), Some("another TPM's".to_owned())]);
    assert!(before.iter().all(|path| !path.exists()));
}

/// Invariant 4: a table that another program wrote meanwhile is newer than the one in memory: it is not written over, neither by a change nor by
/// the end of the generation; it is read anew, and what was in it stays.
#[test]
fn a_share_table_that_is_newer_on_the_disk_is_not_written_over() {
    let mut node = Node::new(true);
    let paths = node.paths.clone();
    let read = || paths.table(Generation::FIRST).map(|path| std::fs::read(path).expect("reads"));
    let put = |tables: [Vec<u8>; 2]| {
        let both = paths.table(Generation::FIRST).into_iter().zip(tables);
        both.for_each(|(path, table)| std::fs::write(path, table).expect("writes"));
    };
    let older = read();
    let locks = |node: &mut Node, locked| {
        node.manager().shares.as_mut().expect("shares").set_locked(&paths, IMAGE_VAULT, locked)
    };
    locks(&mut node, true).expect("writes");
    locks(&mut node, false).expect("writes");
    locks(&mut node, true).expect("writes");
    let newer = read();
    put(older);
    node.restart();
    put(newer.clone());
    let shares = node.manager().shares.as_mut().expect("shares");
    let refused = shares.set_pin(&paths, RootPin([1; 32])).expect_err("there is a newer one");
    assert!(refused.to_string().contains("newer on the disk"), "{refused}");
    let ended = shares.next_generation(&paths, SessionKey([1; 32])).expect_err("there is a newer one");
    assert!(matches!(ended, SharesError::Overtaken { .. }), "{ended}");
    assert_eq!(read(), newer, "nothing is written over it");
    node.manager().settle_all();
    let locked = node.manager().shares.as_ref().expect("read anew").locked();
    assert!(locked.contains(&IMAGE_VAULT), "what the newer one says: {locked:?}");
    locks(&mut node, false).expect("and it is gone on from that");
}

/// Invariant 4: a wiped disk under a TPM with our roots: missing, until root orders it made anew.
#[test]
fn a_wiped_disk_is_missing_until_recreated() {
    let node = Node::new(true);
    let nv = node.nv.clone();
    drop(node);
    let mut node = Node::fresh(true);
    node.nv = nv;
    node.start();
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let status = node.status(id);
        assert_eq!(status.state, State::Missing, "{status:?}");
        assert!(status.detail[0].contains("share table"), "{:?}", status.detail);
    }
    let wrong = node.manager().order_recreate(CONFIG_VAULT, &"image".parse().expect("a name"), Hope::Kept);
    assert!(wrong.is_err());
    let done = node
        .manager()
        .order_recreate(CONFIG_VAULT, &"config".parse().expect("a name"), Hope::GivenUp)
        .expect("ordered");
    assert_eq!(done.state, State::Unlocked, "{done:?}");
    assert_eq!(node.state(IMAGE_VAULT), State::Missing, "the other was not ordered");
    node.manager()
        .order_recreate(IMAGE_VAULT, &"image".parse().expect("a name"), Hope::Kept)
        .expect("ordered");
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)), (State::Unlocked, State::Unlocked));
}

/// DF-5: plain files in the default vaults' places are moved in, and their plain bytes are wiped.
#[test]
fn df5_plain_files_are_moved_in() {
    let mut node = Node::fresh(true);
    std::fs::create_dir_all(node.paths.vault(CONFIG_VAULT).join("sub")).expect("makes");
    write(&node.paths.vault(CONFIG_VAULT).join("sub/file"), &"a plain file of before ".repeat(50));
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{:?}", node.status(CONFIG_VAULT));
    let text = node.get(CONFIG_VAULT, "sub/file").expect("moved in");
    assert_eq!(text, "a plain file of before ".repeat(50));
    assert!(!node.paths.staging(CONFIG_VAULT).exists());
    node.stop();
    assert!(!node.disk.contains(b"a plain file of before "), "the plain bytes are left on the disk");
}

/// DF-3: without a TPM nothing is made before contact, and nothing falls back to plaintext; then the controller's key opens.
#[test]
fn df3_without_a_tpm_vaults_wait_for_the_controller() {
    let mut node = Node::new(false);
    assert_eq!(node.state(CONFIG_VAULT), State::Waiting);
    assert!(!node.paths.vault(CONFIG_VAULT).exists());
    let line = |id| Line { id, ..Line::of(Custody::Controller) };
    let mut controller = Controller::new();
    node.hear(&mut controller, &[line(CONFIG_VAULT), line(IMAGE_VAULT)]);
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{:?}", node.status(CONFIG_VAULT));
    node.put(CONFIG_VAULT, "file", "kept");
    node.reboot();
    assert_eq!(node.state(CONFIG_VAULT), State::Locked);
    assert_eq!(node.get(CONFIG_VAULT, "file"), None);
    node.hear(&mut controller, &[line(CONFIG_VAULT), line(IMAGE_VAULT)]);
    assert_eq!(node.get(CONFIG_VAULT, "file").as_deref(), Some("kept"));
    let tpm = Line::of(Custody::Tpm);
    node.hear(&mut controller, &[line(CONFIG_VAULT), line(IMAGE_VAULT), tpm]);
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Failed);
    assert!(status.detail[0].contains("needs a TPM"), "{:?}", status.detail);
}

/// A TPM that fails is not taken for none, and the vaults open when it answers again.
#[test]
fn a_failing_tpm_is_waited_for() {
    let mut node = Node::new(true);
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    assert_eq!(node.state(CONFIG_VAULT), State::Locked);
    assert!(node.status(CONFIG_VAULT).detail.contains(&"waits for the TPM".to_owned()));
    node.nv.0.borrow_mut().fail = false;
    node.hear_tpm();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
}

/// A pipe in the place of the controller's root certificate is no certificate, and nobody waits for who might write into it.
#[test]
fn a_pipe_for_a_root_certificate_keeps_nothing_waiting() {
    let mut node = Node::new(true);
    node.stop();
    node.disk.mount();
    let root = node.paths.root_certificate();
    std::fs::remove_file(&root).expect("removes");
    nix::unistd::mkfifo(&root, nix::sys::stat::Mode::from_bits_truncate(0o644)).expect("makes");
    node.start();
    node.hear_tpm();
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked);
}
