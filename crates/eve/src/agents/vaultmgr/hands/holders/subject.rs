//! What is searched for holders, and whether a thing that somebody holds is part of it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fscrypt::KeyIdentifier;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, makedev};

use crate::agents::vaultmgr::hands::mounts::{FilePlace, Table};
use crate::agents::vaultmgr::hands::tree::Folder;

/// Of what kind the tree is, and so what a hold is.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// Encrypted under this key: whatever is held keeps the key in the kernel.
    Vault(Option<KeyIdentifier>),
    /// Plain files, these: only who can write or make a file holds.
    Plain { device: u64, inodes: &'a BTreeSet<u64>, own: Option<RawFd> },
}

/// A tree.
pub(super) struct Subject<'a> {
    dir: PathBuf,
    pub(super) what: What<'a>,
    device: u64,
    /// What it is in this namespace's table of mounts.
    pub(super) place: Option<FilePlace>,
    pub(super) until: Instant,
    /// What was asked already of a file of this filesystem.
    asked: RefCell<BTreeMap<u64, bool>>,
    inside: OnceCell<BTreeSet<u64>>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(dir: &Path, what: What<'a>, until: Instant) -> Option<Self> {
        let dir = fs::canonicalize(dir).ok()?;
        let device = match what {
            What::Vault(_) => fs::metadata(&dir).ok()?.dev(),
            What::Plain { device, .. } => device,
        };
        let place = Table::read(Path::new("/proc/self/mountinfo")).ok().and_then(|table| table.place(&dir));
        let (asked, inside) = (RefCell::default(), OnceCell::new());
        Some(Self { dir, what, device, place, until, asked, inside })
    }

    /// Whether it is the descriptor by which we walk the tree: all of our threads have it.
    pub(super) fn is_own(&self, link: &Path) -> bool {
        let What::Plain { own: Some(own), .. } = self.what else { return false };
        let tasks = Path::new("/proc").join(std::process::id().to_string()).join("task");
        link.starts_with(tasks) && link.ends_with(Path::new("fd").join(own.to_string()))
    }

    pub(super) fn late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the thing behind a link of /proc is in the tree. The link leads to the thing itself and not to its name.
    pub(super) fn has(&self, link: &Path) -> bool {
        let Some(found) = look(link).filter(|found| self.is_mine(found)) else { return false };
        match self.what {
            What::Plain { inodes, .. } => inodes.contains(&found.stx_ino),
            What::Vault(key) => {
                let by_name = || fs::read_link(link).is_ok_and(|path| path.starts_with(&self.dir));
                let of_key = || {
                    *self
                        .asked
                        .borrow_mut()
                        .entry(found.stx_ino)
                        .or_insert_with(|| has_key(link, &found, key))
                };
                of_key() || by_name()
            }
        }
    }

    pub(super) fn is_folder(link: &Path) -> bool {
        look(link).is_some_and(|found| kind(&found) == FileType::Directory)
    }

    fn is_mine(&self, found: &Statx) -> bool {
        makedev(found.stx_dev_major, found.stx_dev_minor) == self.device
    }

    /// Whether an inotify watch, as the kernel writes it (`ino:HEX sdev:HEX`), is of something in the tree.
    pub(super) fn watches(&self, line: &str) -> bool {
        let field = |name: &str| {
            let value = line.split(' ').find_map(|field| field.strip_prefix(name))?;
            u64::from_str_radix(value, 16).ok()
        };
        // The kernel's own form of a device: twenty bits of minor.
        let device = field("sdev:").and_then(|device| {
            Some(makedev(u32::try_from(device >> 20).ok()?, u32::try_from(device & 0xf_ffff).ok()?))
        });
        let inside = || self.inside.get_or_init(|| self.inodes());
        device == Some(self.device) && field("ino:").is_some_and(|inode| inside().contains(&inode))
    }

    /// The inodes of all that is in it, as far as there is time. Names may be those of a locked vault.
    fn inodes(&self) -> BTreeSet<u64> {
        let (mut all, Ok(top)) = (BTreeSet::new(), Folder::top(&self.dir)) else { return BTreeSet::new() };
        all.extend(top.stat().map(|stat| stat.stx_ino).ok());
        self.add(&top, &mut all);
        all
    }

    fn add(&self, folder: &Folder, all: &mut BTreeSet<u64>) {
        for name in folder.names().unwrap_or_default() {
            let Some(entry) = folder.entry(&name).ok().flatten().filter(|_| !self.late()) else { continue };
            all.insert(entry.stat.stx_ino);
            if let Ok(inner) = folder.folder(&name) {
                self.add(&inner, all);
            }
        }
    }
}

/// Without asking a filesystem that answers when it likes.
fn look(link: &Path) -> Option<Statx> {
    rustix::fs::statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()
}

fn kind(found: &Statx) -> FileType {
    FileType::from_raw_mode(found.stx_mode.into())
}

/// The policy of a file or folder of our filesystem is asked of itself; of nothing else, for opening may do something.
fn has_key(link: &Path, found: &Statx, key: Option<KeyIdentifier>) -> bool {
    let opened = || {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(link, flags, Mode::empty()).map(File::from)
    };
    matches!(kind(found), FileType::RegularFile | FileType::Directory)
        && opened().is_ok_and(|file| {
            fscrypt::get_policy(&file)
                .is_ok_and(|policy| policy.map(|policy| policy.identifier) == key && key.is_some())
        })
}

/// What the kernel itself holds there: loop devices and swap.
pub(super) fn kernels(dir: &Path) -> Vec<String> {
    let Ok(dir) = fs::canonicalize(dir) else { return Vec::new() };
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|entry| entry.path());
    let backed = devices.filter(|device| {
        fs::read(device.join("loop/backing_file"))
            .is_ok_and(|file| Path::new(std::ffi::OsStr::from_bytes(file.trim_ascii_end())).starts_with(&dir))
    });
    let loops = backed.map(|device| {
        let name = device.file_name().unwrap_or_default().display().to_string();
        format!("loop device {name} is backed by a file (losetup -d /dev/{name})")
    });
    let swaps =
        crate::agents::vaultmgr::hands::swaps::files().into_iter().filter(|file| file.starts_with(&dir));
    loops.chain(swaps.map(|_| "a file of it is swap (swapoff)".to_owned())).collect()
}
