//! Copies of a controller's database, and how they are put back.

use std::fs;
use std::path::{Path, PathBuf};

use disk::Disk;
use tempfile::TempDir;

use super::{Evc, sql};

/// A copy of a running controller's database, as `.backup` makes it.
pub(crate) fn copy_of(evc: &Evc, to: &TempDir) -> PathBuf {
    let copy = to.path().join("copy");
    sql(evc.dir.path(), &[&format!("VACUUM INTO '{}'", copy.display())]);
    copy
}

/// As docs/operations.md says.
pub(crate) fn put_back(folder: &Path, copy: &Path) {
    for beside in ["evc.db-wal", "evc.db-shm"] {
        let _ = fs::remove_file(folder.join(beside));
    }
    fs::copy(copy, folder.join("evc.db")).expect("put back");
}

/// The whole folder, its number with it: a snapshot of a machine.
pub(crate) fn snapshot(dir: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(dir.path()).expect("lists").map(|entry| entry.expect("an entry")) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copies");
    }
    copy
}

/// Started over the same database without its number: it is held back as one that was put back.
pub(crate) fn held_back(evc: Evc) -> Evc {
    let folder = evc.stop();
    fs::remove_file(folder.path().join("evc.db-opened")).expect("removed");
    Evc::over(folder)
}

/// Said to be gone through, and started again.
pub(crate) fn checked(evc: Evc) -> Evc {
    let folder = evc.stop();
    run(evc::service::checked(&Disk::linux(), folder.path())).expect("said");
    Evc::over(folder)
}

/// On a runtime of its own.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
