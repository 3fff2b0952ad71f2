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

/// Opens a file that everybody may read and root may write, or makes it, empty and durably there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Disk::linux().write_first(path, &[], 0o644)?;
            open()
        }
        opened => opened,
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

/// Writes all of it anew; on the disk when it returns.
pub(super) fn write(file: &File, bytes: &[u8]) -> io::Result<()> {
    let disk = Disk::linux();
    disk.run(Op::SetLength { file, length: 0 })?;
    disk.run(Op::Write { file, offset: 0, bytes })?;
    disk.run(Op::SyncFile { file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_replaces_all_that_was_there_and_a_long_file_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = open(&dir.path().join("file")).expect("opens");
        assert!(read(&file).expect("reads").is_empty(), "new");
        write(&file, b"a long text").expect("writes");
        write(&file, b"short").expect("writes");
        assert_eq!(**read(&file).expect("reads"), *b"short");
        write(&file, &vec![7; MAX]).expect("writes");
        assert_eq!(read(&file).expect_err("is refused").kind(), io::ErrorKind::FileTooLarge);
    }
}
