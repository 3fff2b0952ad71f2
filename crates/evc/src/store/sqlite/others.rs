//! Whether another process wrote to the file. Of what it wrote nothing is remembered here, so what is must be given up.
//! All that have the file open share the index of its log. Its first 48 bytes are a header that each commit writes anew, with a count of
//! commits, before any reader is shown what was committed. So whoever reads it learns what a view of that moment would: for one system
//! call, and no transaction.
//! Source: <https://www.sqlite.org/walformat.html>, 2.1.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first of its two copies, in the machine's order of bytes.
type Header = [u8; 48];

/// What counts commits, in it.
fn commits(header: &Header) -> u32 {
    let [.., a, b, c, d] = header[..12] else { unreachable!("twelve bytes are more than four") };
    u32::from_ne_bytes([a, b, c, d])
}

/// Watches the index of one file's log.
pub(super) struct Others {
    index: PathBuf,
    known: Mutex<WalIndex>,
}

struct WalIndex {
    /// Opened as it is needed. It is made anew after nobody had it open; each transaction that writes looks for that.
    index: Option<File>,
    /// As it was after the last commit that is known.
    header: Header,
    /// This process writes: a header that is not known may be its own.
    writes: bool,
    /// How often others wrote.
    count: u64,
}

impl Others {
    pub(super) fn of(database: &Path) -> Arc<Self> {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        let known = WalIndex { index: None, header: [0; 48], writes: false, count: 0 };
        Arc::new(Self { index: index.into(), known: Mutex::new(known) })
    }

    /// How often they wrote until now, or more; none when that can't be told just now.
    pub(super) fn wrote(&self) -> Option<u64> {
        let mut known = self.known();
        let header = known.read(&self.index).ok()?;
        if header != known.header && known.writes {
            return None;
        }
        known.heed(header);
        Some(known.count)
    }

    /// This process has the file's lock for writing. While what it returns is there, what is written is its own.
    pub(super) fn kept_out(self: &Arc<Self>) -> KeptOut {
        let mut known = self.known();
        known.index.take_if(|index| is_gone(index));
        // One that can't be read is another's, as far as is known.
        let header = known.read(&self.index).unwrap_or([0; 48]);
        known.heed(header);
        known.writes = true;
        drop(known);
        KeptOut(Arc::clone(self))
    }

    fn known(&self) -> MutexGuard<'_, WalIndex> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WalIndex {
    fn read(&mut self, path: &Path) -> io::Result<Header> {
        let index = match self.index.take() {
            Some(index) => index,
            None => File::open(path)?,
        };
        let mut header = [0; 48];
        index.read_exact_at(&mut header, 0)?;
        self.index = Some(index);
        Ok(header)
    }

    /// Whatever is not known was written by others.
    fn heed(&mut self, header: Header) {
        if header != self.header {
            self.header = header;
            self.count += 1;
        }
    }
}

/// Whether another file has its place, or none.
fn is_gone(index: &File) -> bool {
    !index.metadata().is_ok_and(|index| index.nlink() > 0)
}

/// While others can't write.
pub(super) struct KeptOut(Arc<Others>);

impl Drop for KeptOut {
    /// The commit is over, and its lock is: another one may have followed already.
    fn drop(&mut self) {
        let mut known = self.0.known();
        let header = known.read(&self.0.index).unwrap_or([0; 48]);
        let own = commits(&header).wrapping_sub(commits(&known.header)) <= 1;
        known.count += u64::from(!own);
        (known.header, known.writes) = (header, false);
    }
}
