//! What comes over: all of it and as it was, or it is named; and nothing of another vault.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use testkit::wait;
use vault::plan::StepKind;

use super::super::*;
use super::{Tree, words};
use crate::agents::vaultmgr::hands::tree::BetweenPieces;
use crate::agents::vaultmgr::hands::tree::tests::exchanged;
use crate::agents::vaultmgr::tests::rights::with_its_rights;

/// DF-5: everything comes over: contents, modes, links; and nothing is left.
#[test]
fn df5_all_is_moved_and_wiped() {
    let tree = Tree::new();
    let mut kept = File::open(tree.file()).expect("opens");
    tree.move_in().expect("moves");
    assert_eq!(fs::read(tree.original()).expect("the originals are here now"), vec![3; 200_000]);
    assert_eq!(tree.settle().expect("wipes"), Vec::<String>::new());
    assert!(tree.is_clean());
    assert_eq!(fs::read(tree.file()).expect("reads"), vec![3; 200_000]);
    assert_eq!(fs::metadata(tree.file()).expect("there").mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(tree.places.place.join("a/b/link")).expect("a link"), Path::new("file"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut kept, &mut bytes).expect("reads");
    assert_eq!(bytes, vec![0; 200_000], "whoever kept the original open reads zeros");
}

/// Rounds, and how often the folder is exchanged in each: for longer than one try takes.
const ROUNDS: usize = 12;
const EXCHANGES: usize = 10_000;

/// 0b.2: a user who owns a folder among the plain files exchanges it with a link to another vault, over and over. Nothing of that
/// vault is ever copied by any try, and what he has stays, and is moved at the latest when he gives up.
#[test]
fn tha_nothing_of_another_vault_is_copied_while_folders_are_exchanged() {
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let tree = Tree::new();
        let other = tree.dir.path().join("other");
        fs::create_dir(&other).expect("makes");
        fs::write(other.join("file"), "of another vault").expect("writes");
        let tried = || {
            let result = tree.move_in().map_err(|error| words(&error));
            assert_nothing_of_another(&tree, &other);
            if let Err(words) = &result {
                assert!(!words.contains("os error 2)"), "{words}");
                refused += 1;
            }
            result
        };
        let place = tree.places.place.join("a");
        exchanged(&place.join("b"), &other, EXCHANGES, || wait::until("all to be moved", tried))
            .expect("it is");
        let his =
            |name: &&str| fs::read(place.join(name).join("file")).is_ok_and(|is| is == vec![3; 200_000]);
        assert_eq!(
            ["b", "exchanged"].iter().filter(|name| his(name)).count(),
            1,
            "what he has is there, once"
        );
    }
    assert!(refused > 0, "no try met an exchange: nothing was shown");
}

fn assert_nothing_of_another(tree: &Tree, other: &Path) {
    let mut grep = Command::new("grep");
    grep.args(["-rs", "of another vault"]).args([&tree.places.place, &tree.places.staging]);
    assert_eq!(String::from_utf8_lossy(&grep.output().expect("runs grep").stdout), "");
    assert_eq!(fs::read_to_string(other.join("file")).expect("there"), "of another vault");
}

/// A difference is found, and the file copied anew.
#[test]
fn a_difference_is_found() {
    let tree = Tree::new();
    let (from, to) =
        (Folder::top(&tree.places.place).expect("opens"), Folder::top(&tree.places.staging).expect("opens"));
    let (mut stamps, work) = (Stamps::default(), Work::default());
    let mut round = |change: &dyn Fn()| {
        copy::tree(&from, &to, &mut stamps, &work).expect("copies");
        change();
        compare(&from, &to, &mut stamps, Look::Bytes, &work).expect("compares")
    };
    assert_eq!(round(&|| ()), None);
    let differs = Some(tree.file());
    assert_eq!(round(&|| fs::write(tree.original(), vec![3; 199_999]).expect("writes")), differs);
    assert_eq!(round(&|| fs::remove_file(tree.original()).expect("removes")), differs);
    assert_eq!(round(&|| fs::write(tree.file(), vec![4; 200_000]).expect("writes")), differs, "the original");
    assert_eq!(round(&|| lchown(tree.original(), Some(1), Some(1)).expect("as root")), differs);
    assert_eq!(
        round(&|| lsetxattr(tree.original(), "user.note", b"x", XattrFlags::CREATE).expect("sets")),
        differs,
        "more than the original has"
    );
    let set = |path: &Path| lsetxattr(path, "user.note", b"lost", XattrFlags::empty()).expect("sets");
    assert_eq!(
        round(&|| set(&tree.places.place.join("a"))),
        Some(tree.places.place.join("a")),
        "a folder's too"
    );
    assert_eq!(round(&|| ()), None, "and all is mended by the next round");
}

/// What can't be moved is named with its path and what to do, escaped, and stays where it is (seen-by-users 0.4).
#[test]
fn what_cannot_be_moved_is_named_and_stays() {
    let tree = Tree::new();
    let pipe = tree.places.place.join("a/pi\x1bpe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
    let told = words(&tree.move_in().expect_err("a pipe"));
    assert!(
        told.contains(r"place/a/pi\u001bpe: is a device or a pipe") && told.contains("move it away"),
        "{told}"
    );
    fs::remove_file(&pipe).expect("there");
    let chattr =
        |change: &str| Command::new("chattr").arg(change).arg(tree.file()).status().expect("runs chattr");
    chattr("+a");
    let told = tree.move_in().map_err(|error| words(&error));
    chattr("-a");
    let told = told.expect_err("marked");
    assert!(
        told.contains("place/a/b/file: is marked immutable or append-only") && told.contains("chattr"),
        "{told}"
    );
    assert_eq!(fs::read(tree.file()).expect("there"), vec![3; 200_000]);
}

/// Ends a work that looks at more pieces than the written parts of a small tree are: were a hole looked at that is half a million.
#[derive(Debug, Default)]
struct Few(AtomicUsize);

const FEW: usize = 100;

impl BetweenPieces for Few {
    fn pieces(&self, _: StepKind, work: &Work) {
        if self.0.fetch_add(1, SeqCst) >= FEW {
            work.stop();
        }
    }
}

/// seen-by-users 0.4, 0b.4: holes are neither copied, nor compared, nor wiped, however long the file.
#[test]
fn holes_stay_holes() {
    let tree = Tree::new();
    let path = tree.places.place.join("sparse");
    let sparse = File::create(&path).expect("creates");
    sparse.write_all_at(b"first", 1 << 20).expect("writes");
    sparse.write_all_at(b"last", 150 << 30).expect("writes");
    sparse.set_len(200 << 30).expect("sets");
    drop(sparse);
    let work = || Work::apart(StepKind::MoveIn, Arc::new(Few::default()));
    move_in(&tree.places, &work()).expect("moves");
    settle(&tree.places, true, &work()).expect("wipes");
    let copy = fs::metadata(&path).expect("there");
    assert_eq!(copy.len(), 200 << 30);
    assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    let mut last = [0; 4];
    File::open(&path).and_then(|file| file.read_exact_at(&mut last, 150 << 30)).expect("reads");
    assert_eq!(&last, b"last");
}

fn as_vaultmgr(tree: &Tree) -> Result<(), MoveError> {
    with_its_rights(|| {
        tree.move_in()?;
        tree.settle().map(drop)
    })
}

fn rights(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).expect("there");
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

fn of_another(tree: &Tree, mode: u32) {
    lchown(&tree.places.place, Some(65534), Some(65534)).expect("as root");
    fs::set_permissions(&tree.places.place, fs::Permissions::from_mode(mode)).expect("sets");
}

/// DF-5: a folder that is wholly another user's is moved in, and is his afterwards: with the rights that vaultmgr has.
#[test]
fn df5_a_folder_of_another_user_is_moved_in_and_stays_his() {
    for mode in [0o755, 0o500, 0o2775] {
        let tree = Tree::new();
        of_another(&tree, mode);
        as_vaultmgr(&tree).unwrap_or_else(|error| panic!("{mode:o}: {}", words(&error)));
        assert_eq!(rights(&tree.places.place), (65534, 65534, mode));
        assert!(tree.file().exists() && tree.is_clean(), "{mode:o}");
    }
}

/// Invariant 5: cut off right before or after the exchange, the folder has its owner again with the next try.
#[test]
fn df5_a_power_cut_at_the_exchange_leaves_no_folder_with_a_wrong_owner() {
    for exchanged in [false, true] {
        let tree = Tree::new();
        of_another(&tree, 0o755);
        with_its_rights(|| {
            let (from, to) = copy_beside(&tree.places, &Work::default()).expect("copies");
            [&from, &to].into_iter().for_each(|folder| folder.take_apart().expect("takes"));
            drop((from, to));
            if exchanged {
                tree.places.disk.exchange(&tree.places.place, &tree.places.staging).expect("exchanges");
            } else {
                crate::agents::vaultmgr::hands::tree::remove(&tree.places.staging, &Work::default())
                    .expect("as the step after does");
                tree.move_in().expect("moves");
            }
            assert_ne!(rights(&tree.places.staging).0, 65534, "else nothing was cut off");
            tree.settle().expect("settles");
        });
        assert_eq!(rights(&tree.places.place), (65534, 65534, 0o755), "exchanged: {exchanged}");
        assert!(tree.file().exists() && tree.is_clean());
    }
}

/// A disk that lets no names change places.
#[derive(Debug)]
struct NoExchange;

impl disk::Operations for NoExchange {
    fn run(&self, op: disk::Op<'_>) -> io::Result<()> {
        match op {
            disk::Op::Exchange { .. } => Err(io::ErrorKind::PermissionDenied.into()),
            op => disk::Linux.run(op),
        }
    }
}

/// What can't be exchanged is named, with what to do, has its owner, and no copy of it fills the disk.
#[test]
fn df5_a_folder_that_cannot_be_exchanged_is_told_and_leaves_no_copy() {
    let mut tree = Tree::new();
    of_another(&tree, 0o755);
    let disk = std::mem::replace(&mut tree.places.disk, Disk::through(NoExchange));
    let told = words(&as_vaultmgr(&tree).expect_err("marked"));
    assert!(told.contains("place: can't be exchanged") && told.contains("chattr -i"), "{told}");
    assert!(!tree.places.staging.exists(), "no copy");
    assert_eq!(rights(&tree.places.place), (65534, 65534, 0o755));
    tree.places.disk = disk;
    as_vaultmgr(&tree).expect("it goes on");
}

/// DF-5: other users' files come over with attributes and owners, links too; and vaultmgr's own capabilities are enough for all of it.
#[test]
fn df5_other_users_files_keep_owner_mode_and_attributes() {
    let tree = Tree::new();
    let (file, link) = (tree.file(), tree.places.place.join("a/b/link"));
    lsetxattr(&file, "user.note", b"kept", XattrFlags::CREATE).expect("sets");
    lsetxattr(&link, "trusted.note", b"a link's", XattrFlags::CREATE).expect("sets");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("sets");
    for path in [&file, &link, &tree.places.place.join("a/b")] {
        lchown(path, Some(12345), Some(12345)).expect("as root");
    }
    fs::set_permissions(tree.places.place.join("a/b"), fs::Permissions::from_mode(0o500)).expect("sets");
    as_vaultmgr(&tree).expect("moves and wipes");
    let copy = fs::metadata(&file).expect("there");
    assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o777), (12345, 12345, 0o400));
    let folder = fs::metadata(tree.places.place.join("a/b")).expect("there");
    assert_eq!((folder.uid(), folder.mode() & 0o777), (12345, 0o500));
    for (path, name, value) in [(&file, "user.note", &b"kept"[..]), (&link, "trusted.note", b"a link's")] {
        let mut got = [0; 16];
        let length = lgetxattr(path, name, &mut got).expect("has it");
        assert_eq!(&got[..length], value);
    }
    assert_eq!(fs::symlink_metadata(&link).expect("there").uid(), 12345);
}

/// What can't be given is told and stays plain: file capabilities are not vaultmgr's to give.
#[test]
fn an_attribute_that_cannot_be_given_keeps_the_file_where_it_is() {
    let tree = Tree::new();
    // VFS_CAP_REVISION_2, of CAP_NET_RAW.
    let capability = [[0, 0, 0, 2], [0, 32, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
    lsetxattr(tree.file(), "security.capability", &capability, XattrFlags::CREATE).expect("sets");
    let told = words(&as_vaultmgr(&tree).expect_err("refuses"));
    assert!(
        told.contains("place/a/b/file: has an extended attribute") && told.contains("move the file away"),
        "{told}"
    );
    assert!(tree.file().exists());
}
