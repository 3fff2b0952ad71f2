//! Folders that somebody encrypted among plain files, with a key of his own: they are not moved as they look, and nothing of them goes.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use fscrypt::{Claims, ContentKey, KeyIdentifier, Modes, Policy, add_key, remove_key, set_policy};

use super::*;

const TARGET: &str = "/where/the/money/is";

impl OnExt4 {
    /// A folder of somebody's, with a link and a folder in it, under a key that is not there any more.
    fn locked_folder(&self, path: &Path) -> (File, ContentKey) {
        let mount = File::open(self.disk.mount_point()).expect("opens");
        let key = ContentKey::init(crate::agents::vaultmgr::generation::shares::random).expect("a key");
        fs::create_dir(path).expect("makes");
        add_key(&mount, &key).expect("adds");
        let policy = Policy { identifier: KeyIdentifier::of(&key), modes: Modes::AES_256_XTS };
        set_policy(File::open(path).expect("opens"), &policy).expect("encrypts");
        symlink(TARGET, path.join("a private link")).expect("links");
        fs::create_dir(path.join("a private folder")).expect("makes");
        rustix::fs::syncfs(&mount).expect("syncs");
        remove_key(&mount, KeyIdentifier::of(&key), Claims::All).expect("locks");
        assert!(fs::read_link(path.join("a private link")).is_err(), "it is locked");
        (mount, key)
    }
}

/// DF-5, nothing is lost: among the plain files is a folder that somebody encrypted with a key of his own, which is not there now (`fscrypt lock`, or he is
/// not logged in). Links and folders in it have other names and targets then. They are not moved as they look, and nothing of them goes.
#[test]
fn what_is_in_a_folder_under_another_key_is_there_again_with_that_key() {
    let tree = OnExt4::new();
    let place = &tree.places.place;
    let private = place.join("private");
    let (mount, key) = tree.locked_folder(&private);
    let words = words(&move_in(&tree.places, &Work::default()).expect_err("is refused"));
    let path = private.to_string_lossy();
    assert!(words.contains(&*path) && words.contains("encrypted") && words.contains("(mv)"), "{words}");
    add_key(&mount, &key).expect("adds it again");
    let there = fs::read_link(private.join("a private link")).ok();
    assert_eq!(there.as_deref(), Some(Path::new(TARGET)), "nothing of it went");
}

/// The same of one that comes after the others were exchanged: all else is settled, it stays, and is told by its path. Moved away by name, as it is told, it is
/// whole, and the rest is done.
#[test]
fn a_folder_under_another_key_that_comes_late_stays_and_is_told() {
    let tree = OnExt4::new();
    let Places { place, staging, .. } = &tree.places;
    fs::write(place.join("plain"), "kept").expect("writes");
    move_in(&tree.places, &Work::default()).expect("moves");
    let private = staging.join("private");
    let (mount, key) = tree.locked_folder(&private);
    let told = words(&settle(&tree.places, true, &Work::default()).expect_err("is kept"));
    assert!(told.contains(&*private.to_string_lossy()) && told.contains("encrypted"), "{told}");
    assert!(!staging.join("plain").exists(), "all else is settled");
    let away = tree.disk.mount_point().join("away");
    fs::rename(&private, &away).expect("moves it away, without its key");
    settle(&tree.places, true, &Work::default()).expect("the rest is done");
    add_key(&mount, &key).expect("adds it again");
    assert_eq!(fs::read_link(away.join("a private link")).ok().as_deref(), Some(Path::new(TARGET)));
    assert_eq!(fs::read_to_string(place.join("plain")).expect("reads"), "kept");
}
