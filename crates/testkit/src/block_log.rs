//! All that is written to a disk, in its order and with each flush, as the kernel sent it: what the disk may hold after a power cut is made
//! from that. QEMU's storage daemon keeps the log (its `blklogwrites`, in the format of dm-log-writes) of an image that it exports as a file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{Running, mortal};
use crate::wait;

/// Unit of addresses, and the room of each header, in bytes.
const SECTOR: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Longest log, in bytes; sparse.
const ROOM: u64 = 8 << 30;

/// A disk whose writes are logged. What it is exported by ends with the value.
pub struct BlockLog {
    daemon: Option<Running>,
    disk: PathBuf,
    log: PathBuf,
}

impl BlockLog {
    /// Logs what is written to `image`, through [`BlockLog::disk`], from now on. Its own files lie in `dir`.
    ///
    /// # Errors
    /// qemu-storage-daemon or /dev/fuse is missing, or does not start.
    pub fn over(image: &Path, dir: &Path) -> Result<Self> {
        ensure!(Path::new("/dev/fuse").exists(), "no /dev/fuse: `modprobe fuse`, or a kernel that has it");
        fs::create_dir_all(dir)?;
        let (disk, log, told) = (dir.join("disk"), dir.join("log"), dir.join("daemon.log"));
        File::create(&disk)?;
        File::create(&log)?.set_len(ROOM)?;
        let mut command = mortal("qemu-storage-daemon");
        let file =
            |name: &str, path: &Path| format!("driver=file,node-name={name},filename={}", path.display());
        command.args(["--blockdev", &file("image", image), "--blockdev", &file("log", &log)]);
        command.args(["--blockdev", "driver=blklogwrites,node-name=logged,file=image,log=log"]);
        let export = format!("type=fuse,id=disk,node-name=logged,writable=on,mountpoint={}", disk.display());
        command.args(["--export", &export]);
        let bytes = fs::metadata(image)?.len();
        let mut daemon = Running::start(command, &told)?;
        wait::until("qemu-storage-daemon to export the disk", || {
            let ready = fs::metadata(&disk).is_ok_and(|meta| meta.len() == bytes);
            (ready || daemon.alive().is_err()).then_some(())
        })?;
        daemon.alive()?;
        Ok(Self { daemon: Some(daemon), disk, log })
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// What has arrived for certain: how many writes and flushes there were at the last flush, for [`Written::flush_of`].
    ///
    /// # Errors
    /// The log can't be read.
    pub fn flushed(&self) -> Result<u64> {
        let [_, _, count] = words(&File::open(&self.log)?, 0)?;
        Ok(count)
    }

    /// Ends the log. Only while nobody has the disk open.
    ///
    /// # Errors
    /// The daemon does not end, or its log can't be read.
    pub fn end(mut self) -> Result<Written> {
        self.daemon.take().map_or(Ok(()), Running::terminate)?;
        Written::read(&self.log)
    }
}

impl Drop for BlockLog {
    fn drop(&mut self) {
        // One that was not terminated leaves its mount behind, which answers nobody.
        if self.daemon.take().is_some() {
            let _ = Command::new("umount").arg("--lazy").arg(&self.disk).status();
        }
    }
}

/// One write, or a flush.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where on the disk, in bytes.
    at: u64,
    length: u64,
    /// Where they are in the log.
    data: u64,
    flags: u64,
}

/// What was written to a disk.
pub struct Written {
    log: File,
    entries: Vec<Entry>,
    /// How many entries there are up to each flush, it among them.
    flushes: Vec<usize>,
}

impl Written {
    fn read(path: &Path) -> Result<Self> {
        let log = File::open(path)?;
        let [magic, _, count] = words(&log, 0)?;
        ensure!(magic == MAGIC, "{} is not a log of writes", path.display());
        let (mut entries, mut next) = (Vec::new(), SECTOR);
        for _ in 0..count {
            let [sector, sectors, flags] = words(&log, next)?;
            let kept = if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
            let (at, length) = (sector * SECTOR, sectors * SECTOR);
            entries.push(Entry { at, length, data: next + SECTOR, flags });
            next += SECTOR + kept;
        }
        let flushes = entries.iter().enumerate().filter(|(_, entry)| entry.flags & FLUSH != 0);
        let flushes = flushes.map(|(at, _)| at + 1).collect();
        Ok(Self { log, entries, flushes })
    }

    /// How many flushes there were.
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.flushes.len()
    }

    /// Which flush had been the last one when so many writes and flushes had arrived.
    #[must_use]
    pub fn flush_of(&self, flushed: u64) -> Option<usize> {
        self.flushes.iter().rposition(|end| *end as u64 <= flushed)
    }

    /// Writes to `image`, which is as the disk was when the log began, what had arrived at a flush, counted from nought; and of what was
    /// sent between it and the next one, each write for which `arrived` says so.
    ///
    /// # Errors
    /// The image or the log can't be read or written.
    pub fn replay(&self, image: &Path, flush: usize, mut arrived: impl FnMut() -> bool) -> Result<()> {
        let image = OpenOptions::new().write(true).open(image)?;
        let certain = *self.flushes.get(flush).context("no such flush")?;
        let next = self.flushes.get(flush + 1).map_or(self.entries.len(), |end| end - 1);
        let lucky = self.entries[certain..next].iter().filter(|_| arrived());
        self.entries[..certain].iter().chain(lucky).try_for_each(|entry| self.write(&image, *entry))
    }

    fn write(&self, image: &File, entry: Entry) -> Result<()> {
        if entry.flags & DISCARD != 0 {
            return Ok(());
        }
        let mut bytes = vec![0; usize::try_from(entry.length)?];
        self.log.read_exact_at(&mut bytes, entry.data)?;
        Ok(image.write_all_at(&bytes, entry.at)?)
    }
}

fn words<const N: usize>(log: &File, at: u64) -> Result<[u64; N]> {
    let mut all = [0; N];
    for (word, at) in all.iter_mut().zip((at..).step_by(8)) {
        let mut bytes = [0; 8];
        log.read_exact_at(&mut bytes, at)?;
        *word = u64::from_le_bytes(bytes);
    }
    Ok(all)
}
