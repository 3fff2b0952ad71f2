//! Files in `config/` that are opened before the walls stand and used behind them, where no folder may be written: no rename makes
//! a change atomic there. So what is written can be told from what a power cut left of it, and is on the disk before it is used.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk::{Disk, Op};
use zeroize::Zeroizing;

/// Longest such file, bytes.
const MAX: usize = 64 << 10;
const READ_ONLY: &str = "config/ is mounted for reading only, and this has to be written there: mount it for writing (mount -o remount,rw), and start eve again";

/// Such a file. Where it may not be written (`config/` is mounted for reading only, it is marked immutable, a link leads nowhere) it is there all the
/// same, and what is written to it is refused then.
#[derive(Debug)]
pub(super) struct Kept {
    disk: Disk,
    /// None where there is none, and none can be made.
    file: Option<File>,
    /// Why it is for reading only.
    closed: Option<Closed>,
}

/// Why nothing is written, and what to do.
#[derive(Debug, Clone)]
struct Closed {
    kind: io::ErrorKind,
    words: String,
}

impl Closed {
    /// Nothing where something else is wrong with it than that it may not be written.
    fn of(error: &io::Error, path: &Path) -> Option<Self> {
        let shown = path.display();
        let words = match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => READ_ONLY.to_owned(),
            io::ErrorKind::PermissionDenied => format!(
                "{shown} may not be written, and this has to be written there: see whether it or its folder is marked immutable or append-only (`lsattr -d`), take that off (`chattr -i -a {shown}`), and start eve again"
            ),
            io::ErrorKind::AlreadyExists if leads_nowhere(path) => format!(
                "a link that leads nowhere stands at {shown}: put back what it leads to, or remove the link (`rm {shown}`), and start eve again"
            ),
            _ => return None,
        };
        Some(Self { kind: error.kind(), words })
    }
}

fn leads_nowhere(path: &Path) -> bool {
    let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    path.is_symlink() && path.metadata().is_err_and(gone)
}

/// Opens a file that everybody may read and root may write, or makes it, empty and durably there.
pub(super) fn open(disk: &Disk, path: &Path) -> io::Result<Kept> {
    let disk = disk.clone();
    let error = match open_to_write(&disk, path) {
        Ok(file) => return Ok(Kept { disk, file: Some(file), closed: None }),
        Err(error) => error,
    };
    let Some(closed) = Closed::of(&error, path) else { return Err(error) };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        file => Some(file?),
    };
    Ok(Kept { disk, file, closed: Some(closed) })
}

/// The same of one that only informs: whatever stands there keeps nothing from going on, and what can't be read says nothing.
pub(super) fn open_to_inform(disk: &Disk, path: &Path) -> Kept {
    open(disk, path).unwrap_or_else(|error| {
        let words = format!("what stands at {} can't be used: move it away", path.display());
        Kept { disk: disk.clone(), file: None, closed: Some(Closed { kind: error.kind(), words }) }
    })
}

fn open_to_write(disk: &Disk, path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.write_first(path, &[], 0o644)?;
            open()
        }
        opened => opened,
    }
}

impl Kept {
    /// All of it; nothing of one that is not there.
    pub(super) fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        self.file.as_ref().map_or_else(|| Ok(Zeroizing::default()), read)
    }

    /// Writes all of it anew; on the disk when it returns.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match (&self.file, &self.closed) {
            (_, Some(Closed { kind, words })) => Err(io::Error::new(*kind, words.clone())),
            (Some(file), None) => write(&self.disk, file, bytes),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// All of it, wiped after use: it may be a key.
pub(super) fn read(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    // Filled in place: a buffer that grows leaves copies.
    let mut bytes = Zeroizing::new(vec![0; MAX]);
    let mut length = 0;
    loop {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) if length == MAX => return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long")),
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn write(disk: &Disk, file: &File, bytes: &[u8]) -> io::Result<()> {
    disk.run(Op::SetLength { file, length: 0 })?;
    disk.run(Op::Write { file, offset: 0, bytes })?;
    disk.run(Op::SyncFile { file })
}

#[cfg(test)]
mod tests {
    use disk::faulty::{Fault, Faults, Faulty};

    use super::*;

    #[test]
    fn what_is_written_replaces_all_that_was_there_and_a_long_file_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = open(&Disk::linux(), &dir.path().join("file")).expect("opens");
        assert!(file.read().expect("reads").is_empty(), "new");
        file.write(b"a long text").expect("writes");
        file.write(b"short").expect("writes");
        assert_eq!(**file.read().expect("reads"), *b"short");
        file.write(&vec![7; MAX]).expect("writes");
        assert_eq!(file.read().expect_err("is refused").kind(), io::ErrorKind::FileTooLarge);
    }

    /// Invariant 5: cut at any operation, and in any life, such a file is as it was, or holds nothing but a beginning of what was to be written,
    /// and it is opened and written anew. On a full disk that is told, and once there is room it is written.
    #[test]
    fn a_file_that_was_cut_while_it_was_written_is_written_anew() {
        for fault in Fault::ALL {
            let cut = |nth: &usize| {
                let (dir, faults) = (tempfile::tempdir().expect("a directory"), Faults::default());
                let (path, disk) = (dir.path().join("file"), Disk::through(Faulty::linux(&faults)));
                let write = |text: &[u8]| open(&disk, &path).and_then(|file| file.write(text));
                let mut ended = Ok(());
                let met = faults.during(fault, *nth, || {
                    ended = write(b"first").and_then(|()| write(b"another"));
                });
                assert_eq!(met && fault.is_told(), ended.is_err(), "{fault:?} at {nth}: {ended:?}");
                let kept = open(&disk, &path).expect("opens").read().expect("reads");
                let may_be = |whole: &[u8]| whole.starts_with(&kept);
                assert!(may_be(b"first") || may_be(b"another"), "{fault:?} at {nth}: {kept:?}");
                write(b"another").expect("writes");
                assert_eq!(**open(&disk, &path).expect("opens").read().expect("reads"), *b"another");
                met
            };
            let operations = (0..100).find(|nth| !cut(nth)).expect("it comes to an end");
            assert!(operations > 1, "{fault:?}: nothing was cut");
        }
    }

    /// Seen-by-users: a config folder for reading only is enough while nothing has to be written there.
    #[test]
    fn on_a_disk_for_reading_only_what_is_there_is_read_and_only_a_write_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk =
            testkit::loopfs::LoopFs::create(&dir.path().join("img"), &dir.path().join("config"), 16 << 20);
        let disk = disk.expect("a disk");
        std::fs::write(disk.mount_point().join("file"), "known").expect("writes");
        disk.make_read_only().expect("mounts");
        let [file, none] = ["file", "none"].map(|name| open(&Disk::linux(), &disk.mount_point().join(name)));
        let (file, none) = (file.expect("opens"), none.expect("is as if empty"));
        assert_eq!(**file.read().expect("reads"), *b"known");
        assert!(none.read().expect("reads").is_empty());
        for file in [file, none] {
            let told = file.write(b"new").expect_err("is refused").to_string();
            assert!(
                told.contains("config/ is mounted for reading only") && told.contains("remount"),
                "{told}"
            );
        }
    }

    /// Seen-by-users: a file that may not be written is read as it is; what is to be written there is refused by words that say what to type. One that
    /// only informs keeps nothing from going on, whatever stands there.
    #[test]
    fn what_may_not_be_written_is_read_and_a_write_says_what_to_type() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk =
            testkit::loopfs::LoopFs::create(&dir.path().join("img"), &dir.path().join("config"), 16 << 20);
        let disk = disk.expect("a disk");
        let [marked, dangling, folder] =
            ["marked", "dangling", "folder"].map(|name| disk.mount_point().join(name));
        std::fs::write(&marked, "known").expect("writes");
        std::os::unix::fs::symlink("nowhere", &dangling).expect("links");
        std::fs::create_dir(&folder).expect("makes");
        let chattr = |how: &str| {
            let ran = std::process::Command::new("chattr").arg(how).arg(&marked).status();
            assert!(ran.expect("runs chattr").success(), "chattr {how}");
        };
        chattr("+i");
        for (path, holds, words) in [
            (&marked, "known", format!("chattr -i -a {}", marked.display())),
            (&dangling, "", format!("rm {}", dangling.display())),
        ] {
            let file = open(&Disk::linux(), path).expect("is there all the same");
            assert_eq!(**file.read().expect("reads"), *holds.as_bytes(), "{}", path.display());
            let told = file.write(b"new").expect_err("is refused").to_string();
            assert!(told.contains(&words), "{told}");
        }
        open(&Disk::linux(), &folder).expect_err("is no file");
        for path in [&marked, &dangling, &folder] {
            let file = open_to_inform(&Disk::linux(), path);
            file.read().expect("keeps nothing from going on");
            file.write(b"new").expect_err("is refused");
        }
        chattr("-i");
        open(&Disk::linux(), &marked).and_then(|file| file.write(b"new")).expect("as the words say");
    }
}
