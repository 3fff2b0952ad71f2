//! Invariant 5, seen-by-users 0b.14: one of the two places of key files that can't be used closes no vault, and what could not be wiped in either is told
//! until it is: no epoch counts as taken before.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use vault::condition::MetaPlace;
use vault::ids::{CONFIG_VAULT, Epoch, IMAGE_VAULT};
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::in_the_way::Over;
use super::node::Node;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt};
use crate::bus::messages::Hope;

fn line(epochs: (u64, u64)) -> Line {
    Line { epochs, created: epochs.0 > 1, ..Line::of(Custody::TpmAndController) }
}

/// A node with a file in its vault, stopped, its disk mounted.
fn stopped() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[line((1, 1))]);
    node.put(BERLIN, "file", "kept");
    node.stop();
    node.disk.mount();
    (node, controller)
}

type Harm = fn(&Path);

/// A file stands in the folder's place; what was there is beside it.
fn file_in_place(folder: &Path) {
    fs::rename(folder, aside(folder)).expect("moves");
    fs::write(folder, "in the way").expect("writes");
}

fn others(folder: &Path) {
    chown(folder, Some(1000), Some(1000)).expect("as root");
}

fn writable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("as root");
}

fn aside(folder: &Path) -> PathBuf {
    folder.with_extension("aside")
}

fn mend(folder: &Path) {
    if aside(folder).exists() {
        fs::remove_file(folder).expect("the file");
        fs::rename(aside(folder), folder).expect("moves back");
    }
    chown(folder, Some(0), Some(0)).expect("as root");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("as root");
}

/// All vaults open by what lies elsewhere, and it is said of which folder, and what to do. Mended, it is used again without a start.
#[test]
fn one_place_that_cannot_be_used_closes_no_vault() {
    for (place, harm) in [
        (".fscrypt", file_in_place as Harm),
        (".fscrypt", others),
        (".fscrypt/protectors", file_in_place),
        (".fscrypt/policies", writable),
        ("vaults/.meta", file_in_place),
        ("vaults/.new", file_in_place),
        ("vaults/.shares", file_in_place),
    ] {
        let (mut node, mut controller) = stopped();
        let folder = node.disk.persist().join(place);
        harm(&folder);
        node.start();
        node.hear(&mut controller, &[Line { created: true, ..line((1, 1)) }]);
        for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN] {
            assert_eq!(node.state(id), State::Unlocked, "{place}: {:?}", node.status(id));
        }
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{place}");
        let named = folder.parent().filter(|_| place.starts_with(".fscrypt/")).unwrap_or(&folder);
        for words in [named.display().to_string(), "move".to_owned(), "tried again by itself".to_owned()] {
            assert!(node.says(&words), "{place}: {words}: {:?}", node.manager().notes());
        }
        mend(&folder);
        node.manager().look_for_others();
        node.manager().settle_all();
        assert!(node.manager().notes().is_empty(), "{place}: {:?}", node.manager().notes());
        node.hear(&mut controller, &[line((2, 1))]);
        node.reboot();
        node.hear(&mut controller, &[line((2, 1))]);
        let status = node.status(BERLIN);
        assert_eq!(
            (status.epoch, node.get(BERLIN, "file").as_deref()),
            (Some(Epoch(2)), Some("kept")),
            "{place}: {status:?}"
        );
    }
}

/// VC-2: a copy by links (`cp -al`) keeps the wrap of before. That is told with its path, by each life, until it is gone: no epoch counts as taken.
#[test]
fn vc2_an_epoch_is_not_taken_while_a_wrap_of_before_is_left() {
    for place in [".fscrypt".to_owned(), format!("vaults/.meta/{}", BERLIN.0)] {
        let (mut node, mut controller) = stopped();
        let second = node.paths.metas().join(BERLIN.to_string()).join("protectors");
        let name = fs::read_dir(second).expect("lists").flatten().next().expect("one").file_name();
        let link = node.disk.persist().join("link");
        fs::hard_link(node.disk.persist().join(&place).join("protectors").join(name), &link).expect("links");
        node.start();
        for boots in [false, true] {
            if boots {
                node.reboot();
            }
            node.hear(&mut controller, &[line((2, 1))]);
            let status = node.status(BERLIN);
            assert_eq!((status.state, status.epoch), (State::Unlocked, None), "{place} {boots}: {status:?}");
            let told = status.detail.join("; ");
            for words in [".tmp-eve-new-", "-samefile", "remove the others"] {
                assert!(told.contains(words), "{place} {boots}: {words}: {told}");
            }
        }
        fs::remove_file(&link).expect("as the words say");
        node.manager().look_for_others();
        node.manager().settle_all();
        let status = node.status(BERLIN);
        assert_eq!(status.epoch, Some(Epoch(2)), "{place}: {status:?}");
        assert!(!status.detail.join("; ").contains(".tmp-eve"), "{place}: {status:?}");
        let left = |place: &Path| {
            fs::read_dir(place)
                .expect("lists")
                .flatten()
                .any(|one| one.file_name().to_string_lossy().starts_with(".tmp"))
        };
        assert!(!left(&node.disk.persist().join(&place).join("protectors")), "{place}: it is wiped");
    }
}

/// VC-2: what lies in a place that can't be read is not known, in the life that begins meanwhile too: no epoch is told as taken before it was seen.
#[test]
fn vc2_what_cannot_be_seen_counts_as_not_wiped() {
    let (mut node, mut controller) = stopped();
    let first = node.disk.persist().join(".fscrypt");
    let second = node.paths.metas().join(BERLIN.to_string()).join("protectors");
    let name = fs::read_dir(second).expect("lists").flatten().next().expect("one").file_name();
    let link = node.disk.persist().join("link");
    fs::hard_link(first.join("protectors").join(name), &link).expect("links");
    node.start();
    node.hear(&mut controller, &[line((2, 1))]);
    assert_eq!(node.status(BERLIN).epoch, None, "{:?}", node.status(BERLIN));
    node.stop();
    node.disk.mount();
    others(&first);
    node.start();
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..line((2, 1)) }]);
    let status = node.status(BERLIN);
    assert_eq!((status.state, status.epoch), (State::Locked, None), "{status:?}");
    // Mended, what is left there is told again, and holds the epoch back until it is gone.
    mend(&first);
    node.manager().look_for_others();
    node.manager().settle_all();
    let status = node.status(BERLIN);
    assert!(status.epoch.is_none() && status.detail.join("; ").contains("-samefile"), "{status:?}");
    fs::remove_file(&link).expect("as the words say");
    node.manager().look_for_others();
    node.restart();
    node.hear(&mut controller, &[line((2, 1))]);
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(2)), "{:?}", node.status(BERLIN));
}

/// VC-2, invariants 4 and 6: a disk that answers with EIO for a folder of key files. By the other copy the vault opens, and no epoch is told as taken; with both
/// nothing is concluded: it is not missing, no order makes it anew, and it locks. Once it reads again all is as it was.
#[test]
fn vc2_a_folder_of_key_files_that_does_not_read_is_as_good_as_none() {
    use MetaPlace::{First, Second};
    for places in [&[First][..], &[Second], &[First, Second]] {
        let (mut node, mut controller) = stopped();
        node.start();
        node.hear(&mut controller, &[line((2, 1))]);
        node.calls.unreadable(places);
        node.reboot();
        node.hear(&mut controller, &[line((2, 1))]);
        let (status, both) = (node.status(BERLIN), places.len() == 2);
        assert_eq!(status.epoch, None, "{places:?}: {status:?}");
        assert_eq!(status.state == State::Unlocked, !both, "{places:?}: {status:?}");
        if both {
            assert_eq!(status.state, State::Failed, "{status:?}");
            let anew = node.manager().order_recreate(BERLIN, &status.name, Hope::GivenUp);
            anew.expect_err("nothing is known of it");
        }
        node.manager().order_lock(BERLIN).expect("locks");
        node.calls.unreadable(&[]);
        let _ = node.manager().order_unlock(BERLIN);
        node.restart();
        node.hear(&mut controller, &[line((2, 1))]);
        let status = node.status(BERLIN);
        assert_eq!((status.state, status.epoch), (State::Unlocked, Some(Epoch(2))), "{places:?}: {status:?}");
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{places:?}");
    }
}

/// Invariant 4: while the disk is away a place that can't be used is not made anew at its path, and no folder of ours either.
#[test]
fn no_place_is_mended_while_the_disk_is_away() {
    for place in [".fscrypt", "vaults/.shares"] {
        let (mut node, _) = stopped();
        let folder = node.disk.persist().join(place);
        file_in_place(&folder);
        node.start();
        assert!(node.says(place), "{:?}", node.manager().notes());
        let over = Over::new(node.paths.persist());
        node.manager().look_for_others();
        node.manager().settle_all();
        assert_eq!(
            fs::read_dir(&over.at).expect("lists").count(),
            0,
            "{place}: nothing is made in another disk"
        );
        drop(over);
        mend(&folder);
        node.manager().look_for_others();
        assert!(!node.says(place), "{:?}", node.manager().notes());
    }
}

/// Invariant 4: while the disk is away no section is recorded and no record is put aside at its path: what lies there is another disk's. Both are
/// done once it is back.
#[test]
fn no_record_is_written_or_put_aside_while_the_disk_is_away() {
    let (mut node, mut controller) = stopped();
    node.start();
    node.hear(&mut controller, &[line((1, 1))]);
    let record = node.paths.record();
    let before = fs::read(&record).expect("there");
    let over = Over::new(node.paths.persist());
    // As that of another node, which has a record at this very path.
    fs::create_dir_all(node.paths.own_folder()).expect("makes");
    fs::write(&record, "another disk's").expect("writes");
    let away = Line { operation: Operation::Lock, ..line((1, 1)) };
    node.hear(&mut controller, std::slice::from_ref(&away));
    node.manager().drop_record();
    assert_eq!(fs::read_to_string(&record).expect("there"), "another disk's", "it is left as it is");
    let names = fs::read_dir(node.paths.own_folder()).expect("lists").count();
    assert_eq!(names, 1, "nothing is put beside it");
    drop(over);
    assert!(fs::read(&record).expect("there") == before, "and that of the disk which is away too");
    node.hear(&mut controller, std::slice::from_ref(&away));
    assert!(fs::read(&record).expect("there") != before, "it is back: what is accepted is recorded");
    node.manager().drop_record();
    assert!(!record.exists() && node.paths.record_aside().exists(), "and put aside");
}

/// Invariant 4: the second copy is read and made on the disk that was opened. Where another one lies over its path, with key files under the same
/// names, none of those is taken for ours, and none is written there.
#[test]
fn the_second_copy_is_that_of_the_disk_that_was_opened() {
    let (mut node, mut controller) = stopped();
    node.start();
    node.hear(&mut controller, &[line((1, 1))]);
    let second = node.paths.metas().join(BERLIN.to_string());
    let of_now = |node: &mut Node| node.manager().crypt.read(BERLIN, MetaPlace::Second).expect("it reads");
    let ours = of_now(&mut node);
    assert!(matches!(ours, CopyRead::Whole { .. }), "{ours:?}");
    let over = Over::new(node.paths.persist());
    for folder in ["protectors", "policies"] {
        fs::create_dir_all(second.join(folder)).expect("makes");
        fs::write(second.join(folder).join("0123456789abcdef"), "another disk's").expect("writes");
    }
    assert_eq!(of_now(&mut node), ours, "what is read is of the disk that was opened");
    drop(over);
    assert_eq!(of_now(&mut node), ours);
}

/// Invariant 4: the disk goes while all vaults are looked at for a step of the node's own: none is taken, for what was seen is of the disk of before.
#[test]
fn no_step_of_the_nodes_own_is_taken_once_the_disk_went() {
    let (mut node, mut controller) = stopped();
    node.start();
    node.hear(&mut controller, &[line((1, 1))]);
    node.nv.0.borrow_mut().full = true;
    node.hear(&mut controller, &[]);
    node.nv.0.borrow_mut().full = false;
    let (defined, mut over) = (node.nv.0.borrow().defined, None);
    let persist = node.paths.persist();
    node.manager().start_afresh();
    node.manager().settle_node(|_| {
        over.get_or_insert_with(|| Over::new(persist.clone()));
    });
    assert!(over.is_some(), "one was due");
    assert_eq!(node.nv.0.borrow().defined, defined);
    drop(over);
    node.manager().start_afresh();
    node.manager().settle_all();
    assert!(node.nv.0.borrow().defined > defined, "{:?}", node.manager().notes());
}

/// TH-6: what could not be wiped of a vault that is erased is found again in a place that is mended: it is not told as gone before.
#[test]
fn th6_what_is_left_of_an_erased_vault_is_found_in_a_mended_place() {
    let (mut node, mut controller) = stopped();
    let first = node.disk.persist().join(".fscrypt");
    let second = node.paths.metas().join(BERLIN.to_string());
    let name =
        fs::read_dir(second.join("protectors")).expect("lists").flatten().next().expect("one").file_name();
    let link = node.disk.persist().join("link");
    fs::hard_link(first.join("protectors").join(name), &link).expect("links");
    node.start();
    node.hear(&mut controller, &[line((1, 1))]);
    node.hear(&mut controller, &[]);
    assert_ne!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    node.stop();
    node.disk.mount();
    fs::remove_dir_all(&second).expect("as root");
    others(&first);
    node.start();
    node.hear(&mut controller, &[]);
    mend(&first);
    node.manager().look_for_others();
    node.hear(&mut controller, &[]);
    let status = node.status(BERLIN);
    assert_ne!(status.state, State::Removed, "{status:?}");
    fs::remove_file(&link).expect("as the words say");
    node.restart();
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
}

/// TH-3: where fscrypt is set up for all users anybody may put a name of ours there. His holds no epoch back, and no erasure up, and is left alone.
#[test]
fn th3_what_a_user_puts_under_our_names_holds_nothing_up() {
    type Put = fn(&Path);
    let file: Put = |at| {
        fs::write(at, "his").expect("writes");
        chown(at, Some(1000), Some(1000)).expect("as root");
    };
    let folder: Put = |at| {
        fs::create_dir(at).expect("makes");
        chown(at, Some(1000), Some(1000)).expect("as root");
    };
    for put in [file, folder] {
        let (mut node, mut controller) = stopped();
        let first = node.disk.persist().join(".fscrypt");
        let mut his = Vec::new();
        for of in ["protectors", "policies"].map(|of| first.join(of)) {
            fs::set_permissions(&of, fs::Permissions::from_mode(0o1777)).expect("as root");
            for live in fs::read_dir(&of).expect("lists").flatten().map(|live| live.file_name()) {
                let named = |kind| of.join(format!(".tmp-eve-{kind}-{}", live.to_string_lossy()));
                his.extend([named("new"), named("old")]);
            }
        }
        his.iter().for_each(|at| put(at));
        node.start();
        node.hear(&mut controller, &[line((2, 1))]);
        let status = node.status(BERLIN);
        assert_eq!((status.state, status.epoch), (State::Unlocked, Some(Epoch(2))), "{status:?}");
        assert!(!status.detail.join("; ").contains(".tmp-eve"), "{status:?}");
        node.hear(&mut controller, &[]);
        let status = node.status(BERLIN);
        assert_eq!(status.state, State::Removed, "{status:?}");
        assert!(his.iter().all(|at| at.exists()), "they are left alone");
    }
}

/// The share table likewise: what can't be wiped is told by its path.
#[test]
fn a_table_of_two_names_is_told_by_its_path() {
    let (mut node, mut controller) = stopped();
    let table = node.paths.table(vault::ids::Generation(1))[0].clone();
    fs::hard_link(&table, node.disk.persist().join("link")).expect("links");
    node.start();
    let other = Line { id: vault::ids::VaultId(uuid::Uuid::from_u128(0xf1)), ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[Line { created: true, ..line((1, 1)) }, other.clone()]);
    let status = node.status(other.id);
    let error = status.last.and_then(|last| last.error).unwrap_or_default();
    for words in ["vaults/.shares/.tmp-eve-new-shares.1", "-samefile", "remove the others"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// A link stands where a copy of a key file was: it is named by its own path, and what was to take its place is not blamed.
#[test]
fn a_link_in_a_key_files_place_is_named() {
    for place in [".fscrypt".to_owned(), format!("vaults/.meta/{}", BERLIN.0)] {
        let (mut node, mut controller) = stopped();
        let second = node.paths.metas().join(BERLIN.to_string()).join("protectors");
        let name = fs::read_dir(second).expect("lists").flatten().next().expect("one").file_name();
        let at = node.disk.persist().join(&place).join("protectors").join(name);
        fs::remove_file(&at).expect("removes");
        std::os::unix::fs::symlink("elsewhere", &at).expect("links");
        node.start();
        node.hear(&mut controller, &[line((2, 1))]);
        let status = node.status(BERLIN);
        let error = status.last.and_then(|last| last.error).unwrap_or_default();
        let told = format!("{error}; {}", status.detail.join("; "));
        assert!(told.contains(&at.display().to_string()) && told.contains("move it away"), "{place}: {told}");
        assert!(!told.contains("chattr") && !told.contains(".tmp-eve"), "{place}: {told}");
        fs::remove_file(&at).expect("as the words say");
        node.manager().look_for_others();
        node.manager().start_afresh();
        node.manager().settle_all();
        let status = node.status(BERLIN);
        assert_eq!(status.epoch, Some(Epoch(2)), "{place}: {status:?}");
    }
}
