//! A disk of persist that is not there: an empty folder stands where it should be mounted. Taken for the disk, that folder would tell
//! that every vault is lost, and a vault made anew on it would lie on another disk.
//!
//! That a folder looks like one proves nothing: a node may keep its vaults in a folder of another filesystem. The TPM tells them apart,
//! for its roots are written after the share table is durable (`generation::shares`). Not covered: a node without a TPM, or whose TPM
//! was cleared, is taken for new; and where another filesystem is mounted, all vaults are told as missing, as on a new disk.

use std::fs;
use std::path::Path;

use crate::agents::vaultmgr::hands::{mounts, tree};
use crate::agents::vaultmgr::paths::Paths;

/// Whether persist is no mount point, and neither share tables nor key files lie in it. What can't be looked at is not nothing.
pub(crate) fn looks_away(paths: &Paths) -> bool {
    let policies = paths.persist().join(".fscrypt/policies");
    let empty = |folder: &Path| disk::entries(folder).is_ok_and(|entries| entries.is_empty());
    !mounts::is_mount_point(&paths.persist())
        && paths.tables().iter().chain([&policies]).all(|folder| empty(folder))
}

/// Whether the disk should be left alone until more is known: it looks away, and this node was installed with a TPM.
pub(crate) fn is_suspected(root: &Path) -> bool {
    let installed = fs::metadata(crate::paths::ek_pin(root)).is_ok_and(|pin| pin.len() > 0);
    installed && looks_away(&Paths::new(root))
}

/// What is, and what to do.
pub(crate) fn words(paths: &Paths) -> String {
    let persist = tree::shown(&paths.persist());
    format!(
        "the disk of persist is not there: {persist} is not a mount point and holds nothing of this node, whose TPM has roots of vaults; nothing is made on it. Mount the disk there and start eve again; if it is lost for good, mount a new one there (`mkfs.ext4 -O encrypt`); if the vaults are to lie in that folder, bind it to itself (`mount --bind {persist} {persist}`)"
    )
}

/// The same of one that went while eve runs.
pub(crate) fn went(paths: &Paths) -> String {
    let persist = tree::shown(&paths.persist());
    format!(
        "the disk of persist went away while eve runs: another filesystem lies at {persist} now, or none can be looked at; vaults are shown as they were, nothing is made or deleted, and only locks are carried out. Mount the disk there again, and eve goes on by itself; where it was pulled out meanwhile, or to go on with another one, start eve again"
    )
}

#[cfg(test)]
mod tests {
    use testkit::loopfs::LoopFs;

    use super::*;

    /// Invariant 4: an empty folder alone looks like a disk that is away; a mounted one, and a folder with a share table or key files, do not.
    #[test]
    fn an_empty_folder_is_told_from_a_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, paths) = (dir.path(), Paths::new(dir.path()));
        assert!(looks_away(&paths), "not even a folder");
        fs::create_dir_all(paths.persist().join("status")).expect("makes");
        fs::create_dir_all(paths.vaults().join(".new")).expect("makes");
        assert!(looks_away(&paths));
        for something in [paths.tables()[1].join("shares.1"), paths.persist().join(".fscrypt/policies/x")] {
            fs::create_dir_all(something.parent().expect("one")).expect("makes");
            assert!(looks_away(&paths));
            fs::write(&something, "x").expect("writes");
            assert!(!looks_away(&paths), "{}", something.display());
            fs::remove_file(&something).expect("there");
        }
        assert!(!is_suspected(root), "a node that was never installed");
        fs::create_dir_all(root.join("config")).expect("makes");
        fs::write(crate::paths::ek_pin(root), "00\n").expect("writes");
        assert!(is_suspected(root));
        let disk = LoopFs::create(&root.join("image"), &paths.persist(), 24 << 20).expect("makes and mounts");
        assert!(!looks_away(&paths), "it is mounted");
        drop(disk);
        assert!(looks_away(&paths));
    }
}
