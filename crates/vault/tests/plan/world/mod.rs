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
use vault::ids::{DeviceId, Epoch, Incarnation, Name, SectionVersion, VaultId};
use vault::plan::{
    Accepted, Authority, Desired, Dir, Held, Hint, Key, Keys, Listing, MetaCopy, Next, Node, Record,
    RecordSeen, Released, Seen, Setbacks, ShareKey, Staged, Step, StepKind, TableSeen, Tpm, View, Want, Wish,
    default_policy, next,
};
use vault::report::State;
use vault::section::{BySeal, Custody, Encryption, NodePolicy, Operation, Seal, Standing};
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
    /// The controller does not know that the vault was made: its report was lost, or its database is an older one.
    pub(crate) forgot: bool,
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
            forgot: false,
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
    /// What a key protects in both copies, or all of both.
    DamageBoth {
        unreadable: bool,
    },
    /// Root moves the vault's directory away and puts something in its place, or moves it back.
    Moved(Moved),
    /// A start of vaultmgr that finds that the share table does not open, or does again.
    TableLost(bool),
    /// Root begins a new table, for the sake of another vault.
    TableBegun,
    /// The TPM is configured and does not answer, or does again.
    TpmSilent(bool),
    /// Root on the node: lock it, or as the controller says.
    Held(bool),
    /// Root on the node: make it anew if it is missing.
    Recreate,
    RecordUnreadable,
    Busy(bool),
    DiskFull(bool),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Moved {
    Away,
    ForAStranger,
    ForAnotherVault,
    Back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    content: u32,
    wrapping: Wrapping,
    share: Option<u32>,
    /// It reads as metadata.
    whole: bool,
    /// What a key protects in it is damaged.
    lame: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nothing,
    Empty,
    Plain,
    Stranger,
    Vault { content: u32, data: bool },
}

impl Place {
    /// Our vault's directory, with something in it.
    fn holds_ours(self) -> bool {
        matches!(self, Self::Vault { content, data: true } if content != ANOTHER)
    }
}

/// The content key of a vault that is not ours to touch.
const ANOTHER: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Share {
    id: u32,
    mark: Mark,
}

#[derive(Debug, Clone)]
struct Disk {
    place: Place,
    staged: Place,
    /// Where root moved our directory to.
    away: Place,
    copies: [Option<Meta>; 2],
    shares: BySeal<Option<Share>>,
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
    silent: bool,
    table_lost: bool,
    held: Option<Operation>,
    recreate: bool,
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
    order: Order,
    /// It was reported as made.
    reported: bool,
    checkpoint: Option<Listing>,
    had_data: bool,
    /// An ordered removal has begun and may have been cut short.
    doomed: bool,
    /// Its keys went with a table, or with both copies of its metadata.
    unopenable: bool,
}

/// What the world itself knows to be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Nothing,
    /// Make it anew, if it is missing.
    Recreate,
    Delete,
}

impl World {
    pub(crate) fn new(id: VaultId, has_tpm: bool) -> Self {
        let place = if id.is_default() { Place::Plain } else { Place::Nothing };
        let nothing = Place::Nothing;
        let shares = BySeal { tpm: None, pcrs: None };
        let disk = Disk { place, staged: nothing, away: nothing, copies: [None, None], shares, record: None };
        Self {
            id,
            has_tpm,
            disk,
            kernel: BTreeMap::new(),
            memory: Memory::default(),
            pcrs: true,
            silent: false,
            table_lost: false,
            held: None,
            recreate: false,
            record_readable: true,
            busy: false,
            full: false,
            fresh: 0,
            incarnation: 1,
            version: 0,
            epoch: 1,
            ever_listed: BTreeSet::new(),
            accepted: BTreeMap::new(),
            allowed: vec![Wrapping::Tpm(Seal::Tpm)],
            order: Order::Nothing,
            reported: false,
            checkpoint: None,
            had_data: false,
            doomed: false,
            unopenable: false,
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
            Event::DamageBoth { unreadable } => self.damage_both(unreadable),
            Event::Moved(moved) => self.moved(moved),
            Event::TableLost(lost) => self.lose_table(lost),
            Event::TableBegun => self.table_begun(),
            Event::TpmSilent(silent) => self.silence(silent),
            Event::Held(held) => self.held = held.then_some(Operation::Lock),
            Event::Recreate => self.order_recreate(),
            Event::RecordUnreadable => self.record_readable = false,
            Event::Busy(busy) => self.busy = busy,
            Event::DiskFull(full) => self.full = full,
        }
        self.check();
    }

    /// Ends what keeps a plan from settling.
    pub(crate) fn mend(&mut self) {
        (self.busy, self.full) = (false, false);
        self.silence(false);
        self.lose_table(false);
        self.memory.setbacks = Setbacks::default();
    }

    pub(crate) fn epochs(&self) -> [Option<u64>; 2] {
        self.disk.copies.map(|copy| copy.and_then(|meta| meta.wrapping.epoch()).map(|epoch| epoch.0))
    }

    pub(crate) fn is_bare(&self) -> bool {
        let Disk { place, copies, shares, .. } = &self.disk;
        (*place, *copies, shares.all().iter().flatten().count()) == (Place::Nothing, [None, None], 0)
    }
}

fn name() -> Name {
    "berlin".parse().expect("a name")
}
