//! What is searched for holders, and whether a thing that somebody holds is part of it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fscrypt::KeyIdentifier;
use fscrypt::sharing::FileId;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, makedev};

use crate::agents::vaultmgr::hands::mounts::{FilePlace, Table};
use crate::agents::vaultmgr::hands::tree::{self, Inodes};

/// Of what kind the tree is, and so what a hold is.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// Encrypted under this key: whatever is held keeps the key in the kernel.
    Vault(Option<KeyIdentifier>),
    /// Plain files, these: only who can write or make a file holds.
    Plain { device: u64, inodes: &'a BTreeSet<u64>, own: Option<RawFd> },
}

/// Of a file that somebody gave to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    OfTree,
    /// It lies on the same filesystem or may do so, and no path leads to it by which it could be asked.
    Perhaps,
    Not,
}

/// Whether a search has taken too long.
pub(super) type Late<'a> = &'a dyn Fn() -> bool;

/// A tree.
pub(super) struct Subject<'a> {
    dir: PathBuf,
    pub(super) what: What<'a>,
    device: u64,
    /// What it is in this namespace's table of mounts.
    pub(super) place: Option<FilePlace>,
    pub(super) late: Late<'a>,
    /// What was asked already of a file of this filesystem.
    asked: RefCell<BTreeMap<u64, bool>>,
    inside: OnceCell<Inodes>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(dir: &Path, what: What<'a>, late: Late<'a>) -> Option<Self> {
        let dir = real(dir)?;
        let folder = dir.parent()?;
        let device = match what {
            What::Vault(_) => fs::metadata(folder).ok()?.dev(),
            What::Plain { device, .. } => device,
        };
        let table = Table::read(Path::new("/proc/self/mountinfo")).ok();
        let place = table.and_then(|table| Some(table.place(folder)?.of_name(dir.file_name()?)));
        let (asked, inside) = (RefCell::default(), OnceCell::new());
        Some(Self { dir, what, device, place, late, asked, inside })
    }

    /// Whether it is the descriptor by which we walk the tree: all of our threads have it.
    pub(super) fn is_own(&self, link: &Path) -> bool {
        let What::Plain { own: Some(own), .. } = self.what else { return false };
        let tasks = Path::new("/proc").join(std::process::id().to_string()).join("task");
        link.starts_with(tasks) && link.ends_with(Path::new("fd").join(own.to_string()))
    }

    /// Whether not all that is in it was found.
    pub(super) fn is_cut(&self) -> bool {
        self.inside.get().is_some_and(|inside| !inside.whole)
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

    /// Whether a file that is known by the path which it had or has somewhere is in the tree. `is`: what it is, where the kernel tells that.
    pub(super) fn has_given(&self, path: &Path, is: Option<FileId>) -> Given {
        let there = look(path).map(|found| id(&found));
        match is.or(there) {
            _ if path.starts_with(&self.dir) => Given::OfTree,
            Some(is) if is.device != self.device => Given::Not,
            Some(is) if self.has_inode(is.inode) => Given::OfTree,
            // It was renamed out of the tree, and has its key still.
            Some(is) if there == Some(is) => {
                if self.has(path) {
                    Given::OfTree
                } else {
                    Given::Not
                }
            }
            Some(_) | None => Given::Perhaps,
        }
    }

    /// Names may be those of a locked vault: they are not asked.
    fn has_inode(&self, inode: u64) -> bool {
        match self.what {
            What::Plain { inodes, .. } => inodes.contains(&inode),
            What::Vault(_) => {
                self.inside.get_or_init(|| tree::inodes(&self.dir, self.late)).found.contains(&inode)
            }
        }
    }

    pub(super) fn is_folder(link: &Path) -> bool {
        look(link).is_some_and(|found| kind(&found) == FileType::Directory)
    }

    fn is_mine(&self, found: &Statx) -> bool {
        id(found).device == self.device
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
        device == Some(self.device) && field("ino:").is_some_and(|inode| self.has_inode(inode))
    }
}

/// By its folder, which is ours: what is mounted over the tree itself is asked for nothing, and is not the tree.
fn real(dir: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(dir.parent()?).ok()?.join(dir.file_name()?))
}

/// Without asking a filesystem that answers when it likes.
fn look(link: &Path) -> Option<Statx> {
    rustix::fs::statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()
}

fn id(found: &Statx) -> FileId {
    FileId { device: makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }
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
