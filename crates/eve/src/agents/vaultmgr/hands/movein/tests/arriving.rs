//! What is on its way into the vault lies where no user can reach it; and what comes out by an exchange is its owner's.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::arriving::Arriving;
use super::super::*;
use super::{Tree, words};

/// A file moved in whose original was written to in the last moment, in a folder that is a user's; and root's file beside it.
fn written_at_last(length: usize) -> (Tree, PathBuf, File) {
    let tree = Tree::new();
    for path in [tree.places.place.join("a/b"), tree.file()] {
        std::os::unix::fs::chown(path, Some(1000), Some(1000)).expect("as root");
    }
    tree.move_in().expect("moves");
    let secret = tree.file().with_file_name("secret");
    fs::write(&secret, "root's alone").expect("writes");
    let held = File::open(&secret).expect("opens");
    fs::write(tree.original(), vec![7; length]).expect("writes");
    (tree, secret, held)
}

/// Settles while somebody does something over and over in the folder of the file that is carried over.
fn settle_while(tree: &Tree, act: impl Fn() + Sync) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                act();
            }
        });
        let _ = tree.settle();
        over.store(true, Ordering::Relaxed);
    });
}

fn exchange_names(one: &Path, other: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags};
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

/// 0b.2: who may write in the vault's folder puts root's file in the place of whatever arrives there. It gets neither his owner nor
/// mode, and is never removed.
#[test]
fn what_is_put_in_the_place_of_what_arrives_is_neither_given_away_nor_removed() {
    let (tree, secret, held) = written_at_last(64 << 20);
    let ours = ["file", "link", "secret"];
    settle_while(&tree, || {
        for name in fs::read_dir(tree.places.place.join("a/b")).expect("lists").flatten() {
            if !ours.iter().any(|known| name.file_name() == *known) {
                exchange_names(&secret, &name.path());
            }
        }
    });
    let held = held.metadata().expect("there");
    assert_eq!((held.uid(), held.nlink()), (0, 1), "root's, and it has its name");
    assert_eq!(fs::metadata(tree.file()).expect("there").len(), 64 << 20, "what was written is in the vault");
}

/// Somebody exchanges the name in the vault between our two exchanges: what is with us then is his, and he gets it back, beside.
#[test]
fn what_came_out_of_the_vault_by_an_exchange_is_given_back() {
    let (tree, secret, held) = written_at_last(4096);
    let work = Work::default();
    let (vault, originals) = (
        Folder::top(&tree.places.place.join("a/b")).expect("opens"),
        Folder::top(&tree.places.staging.join("a/b")).expect("opens"),
    );
    let arriving = Arriving::of(&tree.places, &vault, &Stamps::default(), &work).expect("makes");
    let original = originals.entry(c"file").expect("looks").expect("there");
    let arrived = arriving.take_in(&original, &work).expect("copies").expect("whole");
    let number = arrived.stat.stx_ino.to_string();
    assert!(exchange_names(&secret, &tree.places.arriving.join(&number)));
    arriving.give_up(&arrived, &vault, c"file", &work).expect("gives back");
    assert_eq!((held.metadata().expect("there").nlink(), held.metadata().expect("there").uid()), (1, 0));
    let back = fs::read_to_string(tree.file().with_file_name(format!("file.{number}")));
    assert_eq!(back.expect("it is where its owner finds it"), "root's alone");
    arriving.end(&tree.places).expect("ends");
    assert!(!tree.places.arriving.exists());
}

/// What a power cut left on its way into the vault goes; what had come out of it by an exchange is another's, stays and is named.
#[test]
fn what_a_life_before_left_on_its_way_is_cleared_and_anothers_is_named() {
    let (tree, ..) = written_at_last(4096);
    let arriving = &tree.places.arriving;
    fs::create_dir(arriving).expect("makes");
    fs::write(arriving.join("new"), "half").expect("writes");
    fs::write(arriving.join("1"), "another's").expect("writes");
    let told = words(&tree.settle().expect_err("another's"));
    assert!(told.contains("new.arriving/1") && told.contains("move it"), "{told}");
    assert!(tree.original().exists() && !arriving.join("new").exists());
    fs::rename(arriving.join("1"), tree.dir.path().join("back")).expect("moves");
    tree.settle().expect("settles");
    assert!(tree.is_clean());
    assert_eq!(fs::metadata(tree.file()).expect("there").len(), 4096);
}
