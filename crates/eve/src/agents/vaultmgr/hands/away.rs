//! A disk of persist that is not there, as it is looked at and told. Whether it is there is decided in [`vault::condition::DiskThere`].

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use vault::condition::PlaceSeen;

use crate::agents::vaultmgr::hands::{mounts, tree};
use crate::agents::vaultmgr::paths::Paths;

/// What is seen at the path of persist. What lies on a filesystem that is mounted there is not looked at.
pub(crate) fn seen(paths: &Paths) -> PlaceSeen {
    let is_mounted = mounts::is_mount_point(&paths.persist());
    let holds = if is_mounted { None } else { holds(paths) };
    PlaceSeen { is_mounted, holds, is_systems: is_systems(&paths.persist()) }
}

/// Whether share tables or key files lie there, where that can be looked at.
fn holds(paths: &Paths) -> Option<bool> {
    let policies = paths.persist().join(".fscrypt/policies");
    let any = |folder: &PathBuf| disk::entries(folder).map(|entries| !entries.is_empty()).ok();
    let all: Option<Vec<bool>> = paths.tables().iter().chain([&policies]).map(any).collect();
    all.map(|each| each.contains(&true))
}

/// Whether a path, or the first folder above it that is there, lies where no disk of a node's is: on the filesystem of the system's root, or in memory.
fn is_systems(path: &Path) -> bool {
    let found = path.ancestors().find_map(|path| Some((path, path.symlink_metadata().ok()?)));
    found.is_some_and(|(path, found)| {
        let in_memory = || statfs(path).is_ok_and(|found| found.f_type == libc::TMPFS_MAGIC);
        fs::metadata("/").is_ok_and(|root| root.dev() == found.dev()) || in_memory()
    })
}

/// Whether the disk should be left alone until more is known: it looks away, and this node was installed with a TPM.
pub(crate) fn is_suspected(root: &Path) -> bool {
    let installed = fs::metadata(crate::paths::ek_pin(root)).is_ok_and(|pin| pin.len() > 0);
    installed && seen(&Paths::new(root)).looks_away()
}

/// What is, and what to do.
pub(crate) fn words(paths: &Paths) -> String {
    let persist = tree::shown(&paths.persist());
    format!(
        "the disk of persist is not there: {persist} is not a mount point and holds nothing of this node, whose TPM has roots of vaults; nothing is made on it. Mount the disk there and start eve again; if it is lost for good, mount a new one there (`mkfs.ext4 -O encrypt`); if the vaults are to lie in that folder, bind it to itself (`mount --bind {persist} {persist}`)"
    )
}

/// The same on a first boot.
pub(crate) fn not_yet(paths: &Paths) -> String {
    let persist = tree::shown(&paths.persist());
    format!(
        "the disk of persist is not there: {persist} is not a mount point but a folder of the system's own filesystem, or in memory, and this node has no vaults yet; nothing is made on it, and no secret in the TPM. Mount the disk there (a new one: `mkfs.ext4 -O encrypt`) and start eve again; if the vaults are to lie in that folder, bind it to itself (`mount --bind {persist} {persist}`)"
    )
}

/// The same of one that went while eve runs. One that was plugged in anew is another device to the kernel, and what is held of the first leads to
/// nothing of it.
pub(crate) fn went(paths: &Paths) -> String {
    let persist = tree::shown(&paths.persist());
    // Of a server, or a process of somebody's, nothing is asked.
    let may_look = mounts::is_mount_point(&paths.persist()) && !mounts::may_wait_for(&paths.persist());
    if may_look && holds(paths) == Some(true) {
        return format!(
            "the disk of persist went away while eve runs, and the one with vaults that is mounted at {persist} now is another device to the kernel: plugged in anew, or another disk; vaults are shown as they were, nothing is made or deleted, and only locks are carried out. Start eve again, and it goes on with this one; if it is not the disk that belongs there, mount that first"
        );
    }
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
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let (root, paths) = (dir.path(), Paths::new(dir.path()));
        let looks_away = |paths: &Paths| seen(paths).looks_away();
        assert!(looks_away(&paths), "not even a folder");
        assert!(seen(&paths).is_systems, "it lies in memory");
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
        assert!(!looks_away(&paths) && !seen(&paths).is_systems, "it is mounted");
        drop(disk);
        assert!(looks_away(&paths));
    }
}
