//! The file of the key-encryption key, while evc runs. Nothing that was sealed opens without that key, and this process has it: so it is not to
//! end before the file is there again. One that is gone is written anew. One that has another key is left as it is, the right key is saved beside
//! it, and nothing is sealed until somebody has looked.
//! A link is not watched, nor a file that was mounted from another filesystem: where it comes from may be taken away on purpose.
//! And the key is in clear: it goes into the folder that it was in, and not into whatever lies under that folder's path now.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use disk::Disk;
use nix::libc::O_NONBLOCK;
use zeroize::Zeroizing;

use super::KekFault;
use super::kek::write_private;

/// Behind the file's name: the right key.
const SAVED: &str = "saved";

/// Device, inode, length, and when it was written last.
type Seen = (u64, u64, u64, i64, i64);

/// Device and inode.
type Place = (u64, u64);

/// The file, as it was when it was found to have the key.
pub(super) struct Watched {
    file: PathBuf,
    /// The folder that it lay in at the start.
    folder: Place,
    disk: Disk,
    seen: Mutex<Option<Seen>>,
    told: AtomicBool,
}

impl Watched {
    /// One that has the key now; none where it is not to be watched.
    pub(super) fn of(disk: &Disk, file: &Path) -> Option<Self> {
        let folder = folder_of(file).ok()?;
        let is_own = fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file() && meta.dev() == folder.0);
        let (seen, told) = (Mutex::new(seen(file).ok()), AtomicBool::new(false));
        is_own.then(|| Self { file: file.to_owned(), folder, disk: disk.clone(), seen, told })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether it has this key, once it was written anew where it was gone.
    ///
    /// # Errors
    /// [`KekFault`]: until it has.
    pub(super) fn has(&self, key: &[u8; 32]) -> Result<(), KekFault> {
        let has = self.look(key);
        let file = self.file.display();
        match &has {
            Err(error) if !self.told.swap(true, SeqCst) => {
                tracing::error!(%error, %file, "no key is made or sealed until it is right: do not stop evc before");
            }
            Ok(()) if self.told.swap(false, SeqCst) => {
                tracing::info!(%file, "the key-encryption key is back")
            }
            _ => {}
        }
        has
    }

    fn look(&self, key: &[u8; 32]) -> Result<(), KekFault> {
        let mut known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen(&self.file) {
            Ok(now) if *known == Some(now) => {}
            Ok(now) if holds(&self.file, key)? => *known = Some(now),
            Ok(_) => return Err(self.save(key)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.write_anew(key)?;
                *known = seen(&self.file).ok();
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn write_anew(&self, key: &[u8; 32]) -> Result<(), KekFault> {
        let is_written = self.is_in_its_folder() && write_private(&self.disk, &self.file, key).is_ok();
        if !is_written {
            return Err(KekFault::Gone);
        }
        tracing::error!(file = %self.file.display(), "the key-encryption key was gone, and is written anew: see who removed it");
        Ok(())
    }

    /// The right one, beside the other.
    fn save(&self, key: &[u8; 32]) -> KekFault {
        if !self.is_in_its_folder() {
            return KekFault::Gone;
        }
        let saved = self.file.with_added_extension(SAVED);
        if saved.symlink_metadata().is_ok() {
            return has_been_saved(&saved, key);
        }
        match write_private(&self.disk, &saved, key) {
            Ok(()) => KekFault::Other,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => has_been_saved(&saved, key),
            Err(error) => error.into(),
        }
    }

    /// It is not where a volume was unmounted, or another one was mounted over it.
    fn is_in_its_folder(&self) -> bool {
        folder_of(&self.file).is_ok_and(|now| now == self.folder)
    }
}

/// Looked at before anything is written, so that the key in clear does not go to the disk anew at each look.
fn has_been_saved(saved: &Path, key: &[u8; 32]) -> KekFault {
    match holds(saved, key) {
        Ok(true) => KekFault::Other,
        Ok(false) | Err(_) => KekFault::Unsaved,
    }
}

/// Whether a file has this key. A pipe of this name is not read: nobody may ever write to it.
fn holds(file: &Path, key: &[u8; 32]) -> io::Result<bool> {
    let mut open = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(file)?;
    let meta = open.metadata()?;
    if !meta.is_file() || meta.len() != 32 {
        return Ok(false);
    }
    let mut there = Zeroizing::new([0_u8; 32]);
    open.read_exact(there.as_mut_slice())?;
    Ok(verify_slices_are_equal(there.as_slice(), key).is_ok())
}

fn folder_of(file: &Path) -> io::Result<Place> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let meta = fs::metadata(folder.unwrap_or(Path::new(".")))?;
    Ok((meta.dev(), meta.ino()))
}

fn seen(file: &Path) -> io::Result<Seen> {
    let meta = fs::metadata(file)?;
    Ok((meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use disk::faulty::{Fault, Faults, Faulty};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tempfile::TempDir;

    use super::super::{CustodyError, Kek};
    use super::*;

    const OTHER: [u8; 32] = [7; 32];

    /// A folder with a data folder in it, the file there, and its key.
    fn made() -> (TempDir, PathBuf, Kek) {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("made");
        let file = data.join("kek");
        let kek = Kek::from_file(&file, true).expect("made");
        (dir, file, kek)
    }

    fn fault(kek: &Kek) -> KekFault {
        match kek.is_kept() {
            Err(CustodyError::KekFile { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }

    /// Attack G2: the data folder's volume was unmounted, or another was mounted over it. The key is not for whoever has that.
    #[test]
    fn nothing_is_written_into_another_folder_under_the_same_path() {
        let (dir, file, kek) = made();
        let (data, away) = (dir.path().join("data"), dir.path().join("away"));
        fs::rename(&data, &away).expect("moved");
        fs::create_dir(&data).expect("another");
        assert!(matches!(fault(&kek), KekFault::Gone));
        assert!(!file.exists(), "not anew");
        fs::write(&file, OTHER).expect("another key");
        assert!(matches!(fault(&kek), KekFault::Gone));
        assert_eq!(fs::read_dir(&data).expect("there").count(), 1, "nor beside it");
        fs::remove_dir_all(&data).expect("removed");
        fs::rename(&away, &data).expect("back");
        kek.is_kept().expect("as it was");
        fs::remove_file(&file).expect("removed");
        kek.is_kept().expect("written anew in its own folder");
        assert!(holds(&file, kek.expose_kek()).expect("read"));
    }

    /// Attack G2: whoever waits for a pipe to be written to waits for ever, and all that seals with it.
    #[test]
    fn a_pipe_in_its_place_is_another_key() {
        let (_dir, file, kek) = made();
        fs::remove_file(&file).expect("removed");
        mkfifo(&file, Mode::S_IRWXU).expect("made");
        assert!(matches!(fault(&kek), KekFault::Other));
        assert!(holds(&file.with_added_extension(SAVED), kek.expose_kek()).expect("read"));
    }

    /// Attack G2: by the words `mv kek.saved kek` the right key would be lost, if that were another one.
    #[test]
    fn what_lies_where_it_is_to_be_saved_is_looked_at() {
        let (_dir, file, kek) = made();
        let saved = file.with_added_extension(SAVED);
        fs::write(&saved, OTHER).expect("written");
        fs::write(&file, OTHER).expect("written over");
        assert!(matches!(fault(&kek), KekFault::Unsaved));
        assert!(fs::read(&saved).expect("there") == OTHER, "it is left as it is");
        fs::remove_file(&saved).expect("moved away");
        for look in ["saved", "seen to be saved"] {
            assert!(matches!(fault(&kek), KekFault::Other), "{look}");
            assert!(holds(&saved, kek.expose_kek()).expect("read"), "{look}");
        }
    }

    /// Attack G2, invariant 5: wherever its writing is cut or fails, what lies under either name is whole and for its owner alone, and what only
    /// failed is ended by the next look.
    #[test]
    fn a_writing_that_was_cut_anywhere_leaves_no_half_key_and_is_ended_by_the_next_look() {
        for (other, fault) in
            [None, Some(OTHER)].into_iter().flat_map(|it| Fault::ALL.map(|fault| (it, fault)))
        {
            let operations = (0..100).find(|nth| !is_met(other, fault, *nth)).expect("it comes to an end");
            assert!(operations > if fault == Fault::Full { 2 } else { 4 }, "{fault:?}: {operations}");
        }
    }

    fn is_met(other: Option<[u8; 32]>, fault: Fault, nth: usize) -> bool {
        let ((_dir, file, _), faults) = (made(), Faults::default());
        let (is, saved) = (fs::read(&file).expect("made"), file.with_added_extension(SAVED));
        let kek = Kek::from_file_on(&Disk::through(Faulty::linux(&faults)), &file, false).expect("read");
        match other {
            Some(other) => fs::write(&file, other).expect("written over"),
            None => fs::remove_file(&file).expect("removed"),
        }
        let mut kept = false;
        let met = faults.during(fault, nth, || kept = kek.is_kept().is_ok());
        let (right, when) = (if other.is_some() { &saved } else { &file }, format!("{fault:?} at {nth}"));
        let is_there = fs::read(right).is_ok_and(|at| at == is);
        assert!(is_there || !right.exists(), "{when}: half of it");
        assert!(is_there || !kept, "{when}: it is told as kept");
        for entry in disk::entries(file.parent().expect("a folder")).expect("lists") {
            assert_eq!(entry.metadata().expect("there").mode() & 0o077, 0, "{when}: {entry:?}");
        }
        // After a cut there is no next look: the only key was in the memory of who wrote it.
        if !met || fault.is_told() {
            assert_eq!(kek.is_kept().is_ok(), other.is_none(), "{when}: the next look");
            assert!(fs::read(right).expect("written") == is, "{when}");
        }
        met
    }
}
