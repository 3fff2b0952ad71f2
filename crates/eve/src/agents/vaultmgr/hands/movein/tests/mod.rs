//! A tree of plain files moved in: what comes over, what holds it up, what is settled afterwards, and what is on its way meanwhile.

mod arriving;
mod deep;
mod encrypted;
mod holders;
mod moved;
mod rights;
mod settled;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use testkit::loopfs::LoopFs;

use super::*;

/// A tree of plain files, and the places of its move.
struct Tree {
    dir: tempfile::TempDir,
    places: Places,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let places = Places {
            disk: disk::Disk::linux(),
            place: at("place"),
            staging: at("beside/new"),
            going: at("beside/new.going"),
            arriving: at("beside/new.arriving"),
            stamps: at("beside/new.stamps"),
        };
        fs::create_dir_all(places.place.join("a/b")).expect("makes");
        fs::create_dir_all(&places.staging).expect("makes");
        let tree = Self { dir, places };
        fs::write(tree.file(), vec![3; 200_000]).expect("writes");
        fs::set_permissions(tree.file(), fs::Permissions::from_mode(0o640)).expect("sets");
        symlink("file", tree.places.place.join("a/b/link")).expect("links");
        tree
    }
    fn file(&self) -> PathBuf {
        self.places.place.join("a/b/file")
    }
    fn original(&self) -> PathBuf {
        self.places.staging.join("a/b/file")
    }
    /// A refused move leaves nothing of its copy: each begins with an empty folder, as its step does.
    fn move_in(&self) -> Result<(), MoveError> {
        fs::create_dir_all(&self.places.staging).expect("makes");
        move_in(&self.places, &Work::default())
    }
    fn settle(&self) -> Result<Vec<String>, MoveError> {
        settle(&self.places, true, &Work::default())
    }
    /// Nothing of the originals, nor of what was written down about them.
    fn is_clean(&self) -> bool {
        let Places { staging, going, arriving, stamps, .. } = &self.places;
        [staging, going, arriving, stamps].into_iter().all(|path| !path.exists())
    }
}

/// A tree on an ext4 that has ACLs and can encrypt.
struct OnExt4 {
    disk: LoopFs,
    _dir: tempfile::TempDir,
    places: Places,
}

impl OnExt4 {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = LoopFs::create(&dir.path().join("img"), &dir.path().join("fs"), 32 << 20).expect("a disk");
        let at = |name: &str| disk.mount_point().join(name);
        let places = Places {
            disk: disk::Disk::linux(),
            place: at("place"),
            staging: at("beside/new"),
            going: at("beside/new.going"),
            arriving: at("beside/new.arriving"),
            stamps: at("beside/new.stamps"),
        };
        fs::create_dir_all(&places.place).expect("makes");
        fs::create_dir_all(&places.staging).expect("makes");
        Self { disk, _dir: dir, places }
    }
}

fn words(error: &MoveError) -> String {
    crate::agents::vaultmgr::chain(error)
}
