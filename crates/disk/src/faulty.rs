//! What tests put before a disk: an n-th operation at which the power goes, which the disk refuses, or from which on there is no room.
//!
//! A test loops: the fault at the operation 0, 1, 2.. until the work goes through without meeting it. So every operation that is ever
//! added to the work is cut too. No program uses this.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::{At, Linux, Op, Operations};

/// What happens at the n-th operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before it. What was done stays, as after a kill.
    Cut,
    /// The power goes in it: a write is half done; anything else is done, and nothing after it.
    Tear,
    /// The power goes before it, and what no sync had made durable is lost.
    Lose,
    /// No room, from here on, for what needs some; only that is counted.
    Full,
    /// It fails with `EIO`, and the program lives on: a write is half done, of anything else nothing is; those after it go well.
    Fails,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cut, Self::Tear, Self::Lose, Self::Full, Self::Fails];

    /// The program lives on, and is told.
    #[must_use]
    pub fn is_told(self) -> bool {
        matches!(self, Self::Full | Self::Fails)
    }
}

/// What is to go wrong, and what was done: shared by a test and all that it put before disk and TPM.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Tally>>);

#[derive(Default)]
struct Tally {
    plan: Option<(Fault, usize)>,
    count: usize,
    met: bool,
    trace: Vec<&'static str>,
    asked: Vec<&'static str>,
    unsynced: Vec<Unsynced>,
}

/// What is thrown where the power goes.
struct PowerCut;

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// Does `work` with `fault` at its `nth` operation, counted from 0. Says whether it came to that; if not, what is not durable by
    /// then is lost all the same under [`Fault::Lose`].
    pub fn during(&self, fault: Fault, nth: usize, work: impl FnOnce()) -> bool {
        *self.state() = Tally { plan: Some((fault, nth)), ..Tally::default() };
        let ended = catch_unwind(AssertUnwindSafe(work));
        let state = std::mem::take(&mut *self.state());
        lose(state.unsynced);
        match ended {
            Err(thrown) if !thrown.is::<PowerCut>() => resume_unwind(thrown),
            _ => state.met,
        }
    }

    /// Does `work`, and says by name what was done to the disk.
    pub fn trace(&self, work: impl FnOnce()) -> Vec<&'static str> {
        *self.state() = Tally::default();
        work();
        std::mem::take(&mut *self.state()).trace
    }

    /// Does `work`, and says by name what was asked of the disk, also what the kernel refused: at each place of it a fault may stand.
    pub fn asked(&self, work: impl FnOnce()) -> Vec<&'static str> {
        *self.state() = Tally::default();
        work();
        std::mem::take(&mut *self.state()).asked
    }

    /// A step that is durable and not the disk's, as a TPM's: nothing of it is ever half done, and it does not fail with the disk.
    pub fn step(&self, step: impl FnOnce()) {
        if self.is_planned(Fault::Fails) {
            return step();
        }
        match self.meet(false) {
            Meeting::Nothing => step(),
            Meeting::At(Fault::Tear) => {
                step();
                self.cut()
            }
            Meeting::At(_) | Meeting::After => self.cut(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_planned(&self, fault: Fault) -> bool {
        matches!(self.state().plan, Some((planned, _)) if planned == fault)
    }

    fn meet(&self, needs_room: bool) -> Meeting {
        let mut state = self.state();
        let Some((fault, nth)) = state.plan else { return Meeting::Nothing };
        if fault == Fault::Full && !needs_room {
            return Meeting::Nothing;
        }
        state.count += 1;
        match state.count.cmp(&(nth + 1)) {
            std::cmp::Ordering::Less => return Meeting::Nothing,
            std::cmp::Ordering::Greater if fault == Fault::Fails => return Meeting::Nothing,
            _ if fault == Fault::Full || !state.met => {}
            _ => return Meeting::After,
        }
        state.met = true;
        Meeting::At(fault)
    }

    fn cut(&self) -> ! {
        resume_unwind(Box::new(PowerCut))
    }
}

enum Meeting {
    Nothing,
    At(Fault),
    /// The power is gone: this is something that runs while the stack unwinds.
    After,
}

/// A disk with faults.
#[derive(Debug)]
pub struct Faulty<D> {
    disk: D,
    faults: Faults,
}

impl Faulty<Linux> {
    /// Before the machine's own.
    #[must_use]
    pub fn linux(faults: &Faults) -> Self {
        Self { disk: Linux, faults: faults.clone() }
    }
}

impl<D: Operations> Operations for Faulty<D> {
    fn run(&self, op: Op<'_>) -> io::Result<()> {
        self.faults.state().asked.push(op.name());
        match self.faults.meet(op.needs_room()) {
            Meeting::Nothing => self.done(op),
            Meeting::At(Fault::Full) => Err(Errno::ENOSPC.into()),
            Meeting::After => Err(io::Error::other("the power is cut")),
            Meeting::At(Fault::Cut) => self.faults.cut(),
            Meeting::At(Fault::Tear) => {
                // Nobody is left to hear how it ended.
                drop(self.disk.run(half(op)));
                self.faults.cut()
            }
            Meeting::At(Fault::Fails) => {
                if let Op::Write { .. } = op {
                    drop(self.disk.run(half(op)));
                }
                Err(Errno::EIO.into())
            }
            Meeting::At(Fault::Lose) => {
                let unsynced = std::mem::take(&mut self.faults.state().unsynced);
                lose(unsynced);
                self.faults.cut()
            }
        }
    }
}

/// The same, of a write the first half.
fn half(op: Op<'_>) -> Op<'_> {
    match op {
        Op::Write { file, offset, bytes } => Op::Write { file, offset, bytes: &bytes[..bytes.len() / 2] },
        op => op,
    }
}

impl<D: Operations> Faulty<D> {
    fn done(&self, op: Op<'_>) -> io::Result<()> {
        let loses = self.faults.is_planned(Fault::Lose);
        let change = if loses { Unsynced::before(op)? } else { None };
        self.disk.run(op)?;
        let mut state = self.faults.state();
        state.trace.push(op.name());
        state.unsynced.extend(change);
        match op {
            Op::SyncFile { file } => state.synced(inode(file.as_fd())?),
            Op::SyncFolder { folder } => state.synced(inode(folder)?),
            _ => {}
        }
        Ok(())
    }
}

impl Tally {
    fn synced(&mut self, inode: Inode) {
        self.unsynced.retain(|change| change.of != inode);
    }
}

fn lose(unsynced: Vec<Unsynced>) {
    unsynced.into_iter().rev().for_each(Unsynced::undo);
}

type Inode = (u64, u64);

fn inode(of: BorrowedFd<'_>) -> io::Result<Inode> {
    let found = File::from(of.try_clone_to_owned()?).metadata()?;
    Ok((found.dev(), found.ino()))
}

/// A change that a power cut undoes until its folder or file is synced.
struct Unsynced {
    of: Inode,
    undo: Undo,
}

/// A name in a folder kept open.
struct Name {
    folder: OwnedFd,
    name: String,
}

enum Undo {
    Made(Name),
    MadeFolder(Name),
    Gone(Name, Option<Vec<u8>>),
    GoneFolder(Name),
    Renamed { from: Name, to: Name, over: Option<Vec<u8>> },
    Exchanged(Name, Name),
    Content(File, Vec<u8>),
}

impl Unsynced {
    /// What undoes `op`, which is about to be done. Owners and modes stay: none of our files depends on an order there.
    fn before(op: Op<'_>) -> io::Result<Option<Self>> {
        let (of, undo) = match op {
            Op::MakeFile { at, .. } | Op::Link { to: at, .. } => {
                (inode(at.folder)?, Undo::Made(Name::of(at)?))
            }
            Op::MakeFolder { at, .. } => (inode(at.folder)?, Undo::MadeFolder(Name::of(at)?)),
            Op::Unlink { at } => (inode(at.folder)?, Undo::Gone(Name::of(at)?, content(at))),
            Op::RemoveFolder { at } => (inode(at.folder)?, Undo::GoneFolder(Name::of(at)?)),
            Op::Rename { from, to } | Op::RenameToFree { from, to } => {
                let over = content(to);
                (inode(to.folder)?, Undo::Renamed { from: Name::of(from)?, to: Name::of(to)?, over })
            }
            Op::Exchange { one, other } => {
                (inode(other.folder)?, Undo::Exchanged(Name::of(one)?, Name::of(other)?))
            }
            Op::Write { file, .. } | Op::Overwrite { file, .. } | Op::SetLength { file, .. } => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                (inode(file.as_fd())?, Undo::Content(file.try_clone()?, std::fs::read(path)?))
            }
            Op::Reserve { .. }
            | Op::SetOwner { .. }
            | Op::SetMode { .. }
            | Op::SyncFile { .. }
            | Op::SyncFolder { .. } => return Ok(None),
        };
        Ok(Some(Self { of, undo }))
    }

    /// An operation that failed left nothing to undo, and so undoing it may fail.
    fn undo(self) {
        let linux = |op| drop(Linux.run(op));
        match self.undo {
            Undo::Made(name) => linux(Op::Unlink { at: name.at() }),
            Undo::MadeFolder(name) => linux(Op::RemoveFolder { at: name.at() }),
            Undo::Gone(name, content) => name.make(content),
            Undo::GoneFolder(name) => linux(Op::MakeFolder { at: name.at(), mode: 0o700 }),
            Undo::Renamed { from, to, over } => {
                linux(Op::Rename { from: to.at(), to: from.at() });
                to.make(over);
            }
            Undo::Exchanged(one, other) => linux(Op::Exchange { one: one.at(), other: other.at() }),
            Undo::Content(file, bytes) => {
                linux(Op::SetLength { file: &file, length: bytes.len() as u64 });
                linux(Op::Write { file: &file, offset: 0, bytes: &bytes });
            }
        }
    }
}

impl Name {
    fn of(at: At<'_>) -> io::Result<Self> {
        Ok(Self { folder: at.folder.try_clone_to_owned()?, name: at.name.to_owned() })
    }

    fn at(&self) -> At<'_> {
        At { folder: self.folder.as_fd(), name: &self.name }
    }

    fn make(&self, content: Option<Vec<u8>>) {
        let Some(bytes) = content else { return };
        let _ = Linux.run(Op::MakeFile { at: self.at(), mode: 0o600 });
        let file =
            openat(&self.folder, self.name.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
        let _ = file.map(|file| Linux.run(Op::Write { file: &File::from(file), offset: 0, bytes: &bytes }));
    }
}

fn content(at: At<'_>) -> Option<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut bytes = Vec::new();
    let mut file = File::from(openat(at.folder, at.name, flags, Mode::empty()).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
