//! A node with one vault, as values: disk, NV, kernel, the memory of vaultmgr, and the controller's keys.
//! Each step is cut into the halves that a power cut can fall between. What the world itself remembers (data written, what the
//! controller ever listed) is never shown to the plan, so that the two can be held against each other.

mod invariants;
mod outside;
mod shell;
mod shown;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use vault::custody::Wrapping;
use vault::ids::{Epoch, Incarnation, Name, SectionVersion, VaultId};
use vault::plan::{
    Authority, Desired, Dir, Held, Hint, Key, Keys, Listing, MetaCopy, Next, Node, Record, RecordSeen,
    Released, Seen, Setbacks, ShareKey, ShareSeen, Staged, Step, StepKind, TableSeen, Tpm, View, Want, Wish,
    next,
};
use vault::report::State;
use vault::section::{Custody, Encryption, NodePolicy, Operation, Seal, Standing};
use vault::shares::Mark;

/// What a section of the controller's says of the vault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    pub(crate) listed: bool,
    pub(crate) custody: Custody,
    pub(crate) seal: Seal,
    pub(crate) operation: Operation,
    pub(crate) standing: Standing,
    pub(crate) rotate: bool,
    pub(crate) withheld: bool,
    pub(crate) recreate: bool,
    pub(crate) restored: bool,
    pub(crate) replayed: bool,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            listed: true,
            custody: Custody::Tpm,
            seal: Seal::Tpm,
            operation: Operation::Unlock,
            standing: Standing::Active,
            rotate: false,
            withheld: false,
            recreate: false,
            restored: false,
            replayed: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Live(Section),
    Withheld,
    Settle,
    Run(usize),
    PowerCut {
        steps: usize,
        half: usize,
    },
    Killed {
        steps: usize,
        half: usize,
    },
    /// A reboot; whether PCRs are the measured ones.
    Boot(bool),
    Damage {
        first: bool,
    },
    RecordUnreadable,
    Busy(bool),
    DiskFull(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    content: u32,
    wrapping: Wrapping,
    share: Option<u32>,
    whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nothing,
    Empty,
    Plain,
    Vault { content: u32, data: bool },
}

#[derive(Debug, Clone, Copy)]
struct Share {
    id: u32,
    seal: Seal,
    mark: Mark,
}

#[derive(Debug, Clone)]
struct Disk {
    place: Place,
    staged: Place,
    copies: [Option<Meta>; 2],
    share: Option<Share>,
    record: Option<Record>,
}

#[derive(Debug, Default)]
struct Memory {
    held: Option<(u32, Held)>,
    none_fits: bool,
    setbacks: Setbacks,
    listing: Option<Listing>,
    keys: Option<(Epoch, Epoch)>,
}

pub(crate) struct World {
    id: VaultId,
    has_tpm: bool,
    disk: Disk,
    kernel: BTreeMap<u32, Key>,
    memory: Memory,
    pcrs: bool,
    record_readable: bool,
    busy: bool,
    full: bool,
    fresh: u32,
    incarnation: u8,
    version: u64,
    epoch: u64,
    /// Ever listed, by incarnation: the world's own memory.
    ever_listed: BTreeSet<u8>,
    accepted: BTreeMap<u8, u64>,
    /// What the vault's data may be wrapped under now.
    allowed: Vec<Wrapping>,
    may_destroy: bool,
    checkpoint: Option<Listing>,
    had_data: bool,
    /// An ordered removal has begun and may have been cut short.
    doomed: bool,
}

impl World {
    pub(crate) fn new(id: VaultId, has_tpm: bool) -> Self {
        let place = if id.is_default() { Place::Plain } else { Place::Nothing };
        let disk = Disk { place, staged: Place::Nothing, copies: [None, None], share: None, record: None };
        Self {
            id,
            has_tpm,
            disk,
            kernel: BTreeMap::new(),
            memory: Memory::default(),
            pcrs: true,
            record_readable: true,
            busy: false,
            full: false,
            fresh: 0,
            incarnation: 1,
            version: 0,
            epoch: 1,
            ever_listed: BTreeSet::new(),
            accepted: BTreeMap::new(),
            allowed: vec![Wrapping::Tpm],
            may_destroy: false,
            checkpoint: None,
            had_data: false,
            doomed: false,
        }
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Live(section) => self.live(section),
            Event::Withheld => self.withhold(),
            Event::Settle => drop(self.settle()),
            Event::Run(steps) => drop(self.run(steps)),
            Event::PowerCut { steps, half } => self.power_cut(steps, half),
            Event::Killed { steps, half } => self.kill(steps, half),
            Event::Boot(pcrs) => self.boot(pcrs),
            Event::Damage { first } => self.damage(first),
            Event::RecordUnreadable => self.record_readable = false,
            Event::Busy(busy) => self.busy = busy,
            Event::DiskFull(full) => self.full = full,
        }
        self.check();
    }

    /// Ends what keeps a plan from settling.
    pub(crate) fn mend(&mut self) {
        (self.busy, self.full) = (false, false);
        self.memory.setbacks = Setbacks::default();
    }

    pub(crate) fn epochs(&self) -> [Option<u64>; 2] {
        self.disk.copies.map(|copy| copy.and_then(|meta| meta.wrapping.epoch()).map(|epoch| epoch.0))
    }

    pub(crate) fn is_bare(&self) -> bool {
        let Disk { place, copies, share, .. } = &self.disk;
        (*place, *copies, share.is_none()) == (Place::Nothing, [None, None], true)
    }
}

fn name() -> Name {
    "berlin".parse().expect("a name")
}
