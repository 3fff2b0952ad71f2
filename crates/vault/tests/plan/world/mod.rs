//! A node with one vault, as values: disk, NV, kernel, the memory of vaultmgr, and the controller's keys.
//! Each step is cut into the halves that a power cut can fall between. What the world itself remembers (data written, what the
//! controller ever listed) is never shown to the plan, so that the two can be held against each other.

pub(crate) mod controller;
pub(crate) mod evidence;
mod hearing;
mod invariants;
mod leases;
mod other_disk;
mod outside;
mod recovery;
#[allow(dead_code, reason = "the model check alone takes hold there")]
pub(crate) mod seams;
mod shell;
mod shown;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use attest::SessionKey;
use controller::Database;
use leases::{LEASE, Truth};
use vault::belief::{Belief, Beside, Kept, SignedAnswer};
use vault::condition::{
    Dir, Ended, Escrow, Hint, Key, Keys, MetaCopy, MetaPlace as CopyPlace, Node, OpenedBy, Past, Recovery,
    RecoveryHint, Seen, ShareKey, Staged, State, TableSeen, TpmSeen, Tried, Upcoming,
};
use vault::custody::Wrapping;
use vault::ids::{
    CONFIG_VAULT, DeviceId, DeviceKey, Epoch, IMAGE_VAULT, Incarnation, Name, SectionDigest, SectionVersion,
    VaultId,
};
use vault::lease::{LeaseNonce, Leases, SinceBoot};
use vault::plan::{AtHand, Known, Next, NodeStep, Note, Setbacks, Step, StepKind, one, plan};
use vault::recovery::{Recipient, Recipients, RecipientsDigest};
use vault::section::{BySeal, Custody, Encryption, NodePolicy, Operation, Presence, Seal};
use vault::shares::{Dropped, Mark, RootPin};
use vault::space::{Keeps, Project, Space, StorageLimit};
use vault::wanted::{Authority, Head, Wish, default_policy};

/// The limit of a vault that has one.
const LIMIT: StorageLimit = StorageLimit::of_bytes(1 << 30).expect("within bounds");
/// Of a directory that was just made, on a filesystem with project quota.
const KEPT: Space =
    Space { keeps: Keeps::Bounds, project: Project::None, limit: None, used: 0, uncounted: true };

pub(crate) const SESSION: SessionKey = SessionKey([7; 32]);
pub(crate) const KEY: DeviceKey = DeviceKey([7; 32]);
pub(crate) const ROOT: RootPin = RootPin([7; 32]);

/// What a section of the controller's says of the vault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    pub(crate) listed: bool,
    pub(crate) custody: Custody,
    pub(crate) seal: Seal,
    pub(crate) operation: Operation,
    pub(crate) standing: Presence,
    pub(crate) rotate: bool,
    pub(crate) withheld: bool,
    pub(crate) recreate: bool,
    /// An operator begins a new incarnation of the database.
    pub(crate) restored: bool,
    /// The answer before the last one is played again.
    pub(crate) replayed: bool,
    /// The controller does not know that the vault was made: its report was lost, or its database is an older one.
    pub(crate) forgot: bool,
    /// The controller does not look whether its database is older than the node: the node has to see for itself.
    pub(crate) careless: bool,
    /// The vault has a lease of a hundred seconds.
    pub(crate) leased: bool,
    /// To which of the operator's recipients a recovery key is to be encrypted; 0: there is to be none.
    pub(crate) recovery: u8,
    /// The vault has a storage limit.
    pub(crate) limited: bool,
    /// The controller is of another make, and says what ours never does.
    pub(crate) strange: bool,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            listed: true,
            custody: Custody::Tpm,
            seal: Seal::Tpm,
            operation: Operation::Unlock,
            standing: Presence::Active,
            rotate: false,
            withheld: false,
            recreate: false,
            restored: false,
            replayed: false,
            forgot: false,
            careless: false,
            leased: false,
            recovery: 0,
            limited: false,
            strange: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Live(Section),
    Withheld,
    /// The same, with an order to lock the vault.
    Ordered,
    /// The controller's database is copied.
    Copied,
    /// The copy is put back.
    PutBack,
    /// The controller that lives from the copy takes the place of this one, which lives on beside it.
    Forked,
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
    /// A reboot with another disk than the node's; whether the share table came back there from escrow.
    WrongDisk(bool),
    /// A reboot with the node's own.
    RightDisk,
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
    /// A start of vaultmgr that finds the Config Vault closed.
    StartedUnread,
    /// It opens.
    RecordOpened,
    Busy(bool),
    DiskFull(bool),
    /// So many seconds go by.
    Passed(u64),
    /// The node asks anew that its lease be renewed.
    Asked,
    /// The controller says that it holds all that there is: a bundle goes out first, the next generation's while that is made.
    Escrowed,
    /// The controller gives the bundle back, where the TPM does not give P.
    Rescued,
    /// Root gives the recovery key that lies on the disk, opened elsewhere.
    Recovered,
}

/// A recovery key on the disk: which draw of its content key it opens, for whom, and what is there of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rescue {
    content: u32,
    hint: RecoveryHint,
    whole: bool,
    used: bool,
}

/// The operator's recipients of a number.
pub(crate) fn recipients(number: u8) -> Recipients {
    let one = |number| Recipient::of([number + 8; 32]).expect("a point");
    let all: Vec<Recipient> = (number > 0).then(|| one(number)).into_iter().collect();
    all.try_into().expect("one")
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
    /// Which key of the controller's.
    key: Option<u32>,
    /// It reads as metadata.
    whole: bool,
    /// What a key protects in it is damaged.
    lame: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetaPlace {
    Nothing,
    Empty,
    Plain,
    Stranger,
    Vault { content: u32, data: bool },
}

impl MetaPlace {
    /// Our vault's directory, with something in it.
    fn holds_ours(self) -> bool {
        matches!(self, Self::Vault { content, data: true } if content != ANOTHER)
    }
}

/// The content key of a vault that is not ours to touch.
const ANOTHER: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    id: u32,
    mark: Mark,
}

#[derive(Debug, Clone)]
struct Disk {
    place: MetaPlace,
    /// Of what is at its place.
    space: Space,
    staged: MetaPlace,
    /// Where root moved our directory to.
    away: MetaPlace,
    copies: [Option<Meta>; 2],
    shares: BySeal<Option<Share>>,
    /// Of which generation its share table is.
    generation: u32,
    /// It was made by a change, and has all that the one before had.
    follows: bool,
    /// As the table remembers it.
    dropped: bool,
    roots: Roots,
    record: Option<Kept>,
    pin: Option<RootPin>,
    recovery: Option<Rescue>,
}

/// The TPM's roots, and what opens under them: every share that was ever sealed, for a copy of the disk may be of any time.
#[derive(Debug, Clone, Default)]
struct Roots {
    in_force: BTreeSet<u32>,
    /// Of another generation that is there too.
    others: Option<BTreeSet<u32>>,
    /// Which generation is in force, and which pair of roots, of all that were ever drawn.
    generation: u32,
    drawn: u32,
    /// How often its table was changed.
    edition: u32,
    /// A bundle may be in escrow: the table remembers.
    escrowed: bool,
}

impl Roots {
    fn open(&self, share: u32) -> bool {
        self.in_force.contains(&share) || self.others.as_ref().is_some_and(|others| others.contains(&share))
    }
}

/// A generation in memory: the edition of the table that it was made of, its roots, and whether the controller holds its bundle.
#[derive(Debug, Clone, Copy)]
struct Made {
    edition: u32,
    drawn: u32,
    held: bool,
}

/// The controller's keys at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ring {
    current: (Epoch, u32),
    last: (Epoch, u32),
}

impl Ring {
    fn key(&self, epoch: Epoch) -> Option<u32> {
        [self.current, self.last].into_iter().find(|(of, _)| *of == epoch).map(|(_, key)| key)
    }
}

#[derive(Debug, Clone)]
struct Memory {
    held: Option<(u32, OpenedBy)>,
    /// By which keys of the controller's.
    held_by: Option<Ring>,
    none_fits: bool,
    /// The key files, as a key opened them.
    heart: Option<Meta>,
    /// The content key that the recovery key gave.
    recovered: Option<u32>,
    setbacks: Setbacks,
    belief: Belief,
    keys: Option<Ring>,
    /// The section that they came with.
    taken: Option<Box<vault::section::Section>>,
    leases: Leases,
    /// The next generation, while it is made.
    upcoming: Option<Made>,
    /// P came back from escrow.
    rescued: bool,
}

impl Memory {
    fn new(session: SessionKey) -> Self {
        Self {
            held: None,
            held_by: None,
            none_fits: false,
            heart: None,
            recovered: None,
            setbacks: Setbacks::default(),
            belief: Belief::new(session),
            keys: None,
            taken: None,
            leases: Leases::default(),
            upcoming: None,
            rescued: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    id: VaultId,
    session: SessionKey,
    /// What a fault of the shell's would show the plan in place of what is there; none, but where a check is tried.
    twist: fn(&mut Known),
    has_tpm: bool,
    disk: Disk,
    /// The node's own disk, while another one is in.
    drawer: Option<other_disk::Drawer>,
    kernel: BTreeMap<u32, Key>,
    memory: Memory,
    pcrs: bool,
    silent: bool,
    table_lost: bool,
    record_readable: bool,
    busy: bool,
    full: bool,
    fresh: u32,
    incarnations: u8,
    database: Database,
    copy: Option<Database>,
    /// The bundle that the controller holds of each generation, by the roots that it opens under.
    held: BTreeMap<u32, u32>,
    /// All that were ever given, by the number in their bytes.
    answers: Vec<SignedAnswer>,
    /// The world's own memory of what was recorded: versions by incarnation, and in which one the vault was listed.
    recorded: BTreeMap<Incarnation, u64>,
    ever_listed: BTreeSet<Incarnation>,
    /// What the vault's data may be wrapped under now.
    allowed: Vec<Wrapping>,
    /// For whom a section that was in force asked a recovery key.
    recipients: BTreeSet<RecipientsDigest>,
    /// Root on the node orders it made anew.
    ordered_here: bool,
    /// It was reported as made.
    reported: bool,
    had_data: bool,
    /// Under which incarnation, and to which epoch, it was wrapped last.
    wrapped: Option<(Option<Incarnation>, Epoch)>,
    /// An ordered removal has begun and may have been cut short.
    doomed: bool,
    /// Its keys went with a table, or with both copies of its metadata.
    unopenable: bool,
    now: SinceBoot,
    /// What an end of vaultmgr leaves of leases, and a boot does not.
    kept_leases: BTreeMap<VaultId, SinceBoot>,
    truth: Truth,
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
        let place = if id.is_default() { MetaPlace::Plain } else { MetaPlace::Nothing };
        let nothing = MetaPlace::Nothing;
        let shares = BySeal { tpm: None, pcrs: None };
        let disk = Disk {
            space: KEPT,
            place,
            staged: nothing,
            away: nothing,
            copies: [None, None],
            shares,
            generation: 0,
            follows: false,
            dropped: false,
            roots: Roots::default(),
            record: None,
            pin: None,
            recovery: None,
        };
        let mut world = Self {
            id,
            session: SESSION,
            twist: |_| {},
            has_tpm,
            disk,
            drawer: None,
            kernel: BTreeMap::new(),
            memory: Memory::new(SESSION),
            pcrs: true,
            silent: false,
            table_lost: false,
            record_readable: true,
            busy: false,
            full: false,
            fresh: 1,
            incarnations: 1,
            database: Database::new(1),
            copy: None,
            held: BTreeMap::new(),
            answers: Vec::new(),
            recorded: BTreeMap::new(),
            ever_listed: BTreeSet::new(),
            allowed: vec![Wrapping::Tpm(Seal::Tpm)],
            recipients: BTreeSet::new(),
            ordered_here: false,
            reported: false,
            had_data: false,
            wrapped: None,
            doomed: false,
            unopenable: false,
            now: SinceBoot::default(),
            kept_leases: BTreeMap::new(),
            truth: Truth::default(),
        };
        world.restart();
        world
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Live(section) => self.live(section),
            Event::Withheld => self.withhold(Beside::default()),
            Event::Ordered => self.order_locked(),
            Event::Copied => self.copy = Some(self.database.clone()),
            Event::PutBack => self.database = self.copy.clone().unwrap_or_else(|| self.database.clone()),
            Event::Forked => self.copy.iter_mut().for_each(|copy| std::mem::swap(copy, &mut self.database)),
            Event::Settle => drop(self.settle()),
            Event::Run(steps) => drop(self.run(steps)),
            Event::PowerCut { steps, half } => self.power_cut(steps, half),
            Event::Killed { steps, half } => self.kill(steps, half),
            Event::Boot(pcrs) => self.boot(pcrs),
            Event::WrongDisk(table) => self.wrong_disk(table),
            Event::RightDisk => self.right_disk(),
            Event::Damage { first } => self.damage(first),
            Event::DamageBoth { unreadable } => self.damage_both(unreadable),
            Event::Moved(moved) => self.moved(moved),
            Event::TableLost(lost) => self.lose_table(lost),
            Event::TableBegun => self.table_begun(),
            Event::TpmSilent(silent) => self.silence(silent),
            Event::Held(true) => self.memory.belief.orders().lock(self.id),
            Event::Held(false) => self.memory.belief.orders().release(self.id),
            Event::Recreate => self.order_recreate(),
            Event::RecordUnreadable => self.close_record(),
            Event::StartedUnread => self.start_unread(),
            Event::RecordOpened => self.record_opened(),
            Event::Busy(busy) => self.busy = busy,
            Event::DiskFull(full) => self.full = full,
            Event::Passed(seconds) => self.now = SinceBoot(self.now.0 + Duration::from_secs(seconds)),
            Event::Asked => self.ask_for_lease(),
            Event::Escrowed => self.escrowed(),
            Event::Rescued => self.rescued(),
            Event::Recovered => self.recover(),
        }
        self.check();
    }

    /// Ends what keeps a plan from settling.
    pub(crate) fn mend(&mut self) {
        (self.busy, self.full) = (false, false);
        self.right_disk();
        self.silence(false);
        self.lose_table(false);
        self.settle();
        self.escrowed();
        self.memory.setbacks = Setbacks::default();
    }

    pub(crate) fn epochs(&self) -> [Option<u64>; 2] {
        self.disk.copies.map(|copy| copy.and_then(|meta| meta.wrapping.epoch()).map(|epoch| epoch.0))
    }

    pub(crate) fn generation(&self) -> u32 {
        self.disk.roots.generation
    }

    pub(crate) fn is_bare(&self) -> bool {
        let Disk { place, copies, shares, .. } = &self.disk;
        (*place, *copies, shares.all().iter().flatten().count()) == (MetaPlace::Nothing, [None, None], 0)
    }
}

fn name() -> Name {
    "berlin".parse().expect("a name")
}
