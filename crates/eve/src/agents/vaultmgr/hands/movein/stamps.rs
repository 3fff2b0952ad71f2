//! What plain files and their copies were when they were compared: by these it is told later which of the two was written since.
//! On disk as a header and numbers; no name and no content of a file is among them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use disk::Disk;
use rustix::fs::Statx;

use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::hands::tree::Rights;

const HEADER: &[u8; 16] = b"eve-vault moved\x01";
/// A line: inode, and its stamp.
const LINE: usize = 4 * 8;
/// Longest file that is read, in bytes: of sixteen million files.
const MAX_BYTES: usize = 1 << 30;

/// What changes whenever a file is written: length, times of contents and of inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([i64; 3]);

impl Stamp {
    pub(super) fn of(stat: &Statx) -> Self {
        let nanoseconds = |s: i64, ns: u32| s.wrapping_mul(1_000_000_000).wrapping_add(ns.into());
        let (written, changed) = (stat.stx_mtime, stat.stx_ctime);
        Self([
            stat.stx_size.cast_signed(),
            nanoseconds(written.tv_sec, written.tv_nsec),
            nanoseconds(changed.tv_sec, changed.tv_nsec),
        ])
    }
    /// Length and time of contents alone: an exchange of names changes the inode's time.
    pub(super) fn contents(self) -> [i64; 2] {
        [self.0[0], self.0[1]]
    }
}

/// The stamps of originals and of copies, by inode. The two folders that are exchanged are among the copies, with their rights.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps {
    originals: BTreeMap<u64, Stamp>,
    copies: BTreeMap<u64, Stamp>,
}

impl Stamps {
    /// One was copied: both as they were when they were the same.
    pub(super) fn note(&mut self, original: &Statx, copy: &Statx) {
        self.originals.insert(original.stx_ino, Stamp::of(original));
        self.copies.insert(copy.stx_ino, Stamp::of(copy));
    }
    /// Before both are taken to be exchanged: whose they are.
    pub(super) fn note_folders(&mut self, original: &Statx, copy: &Statx) {
        for folder in [original, copy] {
            let Rights { uid, gid, mode } = Rights::of(folder);
            self.copies.insert(folder.stx_ino, Stamp([uid, gid, mode].map(i64::from)));
        }
    }
    /// Whose a folder was that was taken.
    pub(super) fn rights(&self, folder: &Statx) -> Option<Rights> {
        let Stamp(noted) = self.copies.get(&folder.stx_ino)?;
        let [uid, gid, mode] = noted.map(u32::try_from);
        Some(Rights { uid: uid.ok()?, gid: gid.ok()?, mode: mode.ok()? })
    }
    /// They differ: both are to be copied anew.
    pub(super) fn forget(&mut self, original: &Statx, copy: &Statx) {
        self.originals.remove(&original.stx_ino);
        self.copies.remove(&copy.stx_ino);
    }
    /// Nothing was written to the original since.
    pub(super) fn is_original(&self, now: &Statx) -> bool {
        self.originals.get(&now.stx_ino) == Some(&Stamp::of(now))
    }
    /// It is a copy, and nothing was written to it, whatever names it was given since.
    pub(super) fn is_contents_of_copy(&self, now: &Statx) -> bool {
        self.copies.get(&now.stx_ino).is_some_and(|copy| copy.contents() == Stamp::of(now).contents())
    }
    /// Nothing was written to the copy since.
    pub(super) fn is_copy(&self, now: &Statx) -> bool {
        self.copies.get(&now.stx_ino) == Some(&Stamp::of(now))
    }

    /// Durably.
    pub(super) fn write(&self, disk: &Disk, path: &Path) -> io::Result<()> {
        let mut bytes = HEADER.to_vec();
        bytes.extend((self.originals.len() as u64).to_le_bytes());
        for (inode, Stamp(stamp)) in self.originals.iter().chain(&self.copies) {
            bytes.extend(inode.to_le_bytes());
            stamp.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        Ok(disk.write(path, &bytes, 0o600)?)
    }

    /// None known where there are none, or none that read: then bytes alone decide.
    pub(super) fn read(path: &Path) -> Self {
        let bytes = durable::read(path, MAX_BYTES).ok().flatten();
        bytes.as_deref().and_then(Self::parse).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (count, lines) = bytes.strip_prefix(HEADER)?.split_first_chunk::<8>()?;
        let originals = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        if lines.len() % LINE != 0 || lines.len() / LINE < originals {
            return None;
        }
        let mut all = lines.chunks_exact(LINE).map(|line| {
            let numbers: Vec<u64> =
                line.chunks_exact(8).filter_map(|n| Some(u64::from_le_bytes(n.try_into().ok()?))).collect();
            (numbers[0], Stamp([1, 2, 3].map(|at| numbers[at].cast_signed())))
        });
        Some(Self { originals: all.by_ref().take(originals).collect(), copies: all.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_read_back_and_what_is_cut_or_longer_does_not() {
        let stamps = Stamps {
            originals: [(1, Stamp([5, -1, 7])), (u64::MAX, Stamp([0, 0, i64::MIN]))].into(),
            copies: [(9, Stamp([5, 6, 7]))].into(),
        };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stamps");
        stamps.write(&Disk::linux(), &path).expect("writes");
        assert_eq!(Stamps::read(&path), stamps);
        let bytes = std::fs::read(&path).expect("reads");
        for cut in (0..bytes.len()).filter(|cut| *cut != bytes.len() - LINE) {
            assert_eq!(Stamps::parse(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Stamps::parse(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(Stamps::read(&dir.path().join("absent")), Stamps::default());
    }
}
