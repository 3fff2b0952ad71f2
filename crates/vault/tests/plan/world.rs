//! A node with one vault, as values: disk, NV, kernel, the memory of vaultmgr, and the controller's keys.
//! Each step is cut into the halves that a power cut can fall between. What the world itself remembers (data written, what the
//! controller ever listed) is never shown to the plan, so that the two can be held against each other.

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

    // What comes from outside.

    fn live(&mut self, section: Section) {
        if section.restored {
            (self.incarnation, self.version) = (self.incarnation + 1, 0);
        }
        self.version += 1;
        self.epoch += u64::from(section.rotate);
        let given = if section.replayed { self.version.saturating_sub(2) } else { self.version };
        let listing = self.listing(section, given);
        self.accept(listing, section);
    }

    fn listing(&self, section: Section, version: u64) -> Listing {
        let (current, last) = (Epoch(self.epoch), Epoch(self.epoch.saturating_sub(1).max(1)));
        let released = match section.custody {
            Custody::Tpm => Released::NotNeeded,
            _ if section.withheld => Released::Withheld("the PCRs differ".to_owned()),
            _ => Released::Keys { current, last },
        };
        let want = Want {
            name: name(),
            policy: NodePolicy {
                encryption: Encryption::Aes256Xts,
                custody: section.custody,
                seal: section.seal,
            },
            operation: section.operation,
            standing: section.standing,
            created: false,
            recreate: section.recreate,
            released,
            authority: Authority::Live,
        };
        let vaults = section.listed.then_some((self.id, want)).into_iter().collect();
        let version = SectionVersion { incarnation: Incarnation([self.incarnation; 16]), version };
        Listing { authority: Authority::Live, version, vaults }
    }

    /// As the shell does: the record is written before the section is acted on; an unreadable one is never overwritten.
    fn accept(&mut self, listing: Listing, section: Section) {
        if self.record_readable {
            let Ok(record) = Record::accept(self.disk.record.as_ref(), &listing) else { return };
            self.disk.record = Some(record);
            let newest = self.accepted.entry(self.incarnation).or_default();
            assert!(listing.version.version >= *newest, "an older section was accepted");
            *newest = listing.version.version;
        }
        if self.record_readable && section.listed {
            self.ever_listed.insert(self.incarnation);
        }
        let held_none = self.memory.held.is_none();
        self.memory.keys = listing.vaults.values().find_map(|want| match want.released {
            Released::Keys { current, last } => Some((current, last)),
            _ => None,
        });
        self.memory.none_fits &= !held_none;
        self.memory.setbacks = Setbacks::default();
        let keep = section.listed || self.id.is_default();
        let order = section.listed && section.recreate;
        let absent = !keep && self.record_readable && self.ever_listed.contains(&self.incarnation);
        self.may_destroy = order || absent;
        self.widen(&listing);
        self.checkpoint = Some(listing.clone());
        self.memory.listing = Some(listing);
    }

    fn widen(&mut self, listing: &Listing) {
        let asked = listing.vaults.get(&self.id).map(|want| want.policy.custody);
        let by_default = if self.has_tpm { Custody::Tpm } else { Custody::Controller };
        let current = self.memory.keys.map(|(current, _)| current);
        self.allowed.extend(Wrapping::of(asked.unwrap_or(by_default), current));
    }

    fn withhold(&mut self) {
        self.memory.listing = self.memory.listing.take().map(Listing::kept);
        self.memory.keys = None;
        self.may_destroy = false;
    }

    fn boot(&mut self, pcrs: bool) {
        self.kernel.clear();
        self.pcrs = pcrs;
        self.record_readable = true;
        self.restart();
    }

    fn restart(&mut self) {
        self.memory = Memory::default();
        self.may_destroy = false;
        self.memory.listing = self.checkpoint.clone().map(Listing::kept);
    }

    fn power_cut(&mut self, steps: usize, half: usize) {
        self.run(steps);
        self.half_step(half);
        self.boot(true);
    }

    fn kill(&mut self, steps: usize, half: usize) {
        self.run(steps);
        self.half_step(half);
        self.restart();
    }

    /// Damages one copy while the other is whole: two damaged copies are not ours to survive.
    fn damage(&mut self, first: bool) {
        let (hurt, other) = if first { (0, 1) } else { (1, 0) };
        if self.disk.copies[other].is_some_and(|meta| meta.whole && self.opens_somehow(&meta)) {
            self.disk.copies[hurt].iter_mut().for_each(|meta| meta.whole = false);
        }
    }

    // What the plan is shown.

    fn node(&self) -> Node {
        let tpm = match self.has_tpm {
            true => Tpm::Present { table: TableSeen::Open, pcrs: self.pcrs },
            false => Tpm::Absent,
        };
        Node { tpm, measured: true }
    }

    fn seen(&self) -> Seen {
        let named = self.disk.copies.iter().flatten().find(|meta| meta.whole).map(|meta| meta.content);
        let dir = match self.disk.place {
            Place::Nothing => Dir::Absent,
            Place::Empty => Dir::Empty,
            Place::Plain => Dir::Plain,
            Place::Vault { content, .. } if named.is_none_or(|named| named == content) => {
                Dir::Vault(Encryption::Aes256Xts)
            }
            Place::Vault { .. } => Dir::OtherVault,
        };
        let staged = match self.disk.staged {
            Place::Nothing => Staged::Nothing,
            Place::Vault { .. } => Staged::Copy,
            _ => Staged::Plain,
        };
        let content = match self.disk.place {
            Place::Vault { content, .. } => named.or(Some(content)),
            _ => named,
        };
        let key = content.and_then(|content| self.kernel.get(&content)).copied().unwrap_or_default();
        let copy = |copy: Option<Meta>| match copy {
            None => MetaCopy::Absent,
            Some(meta) if meta.whole => MetaCopy::Good(Hint::of(meta.wrapping)),
            Some(_) => MetaCopy::Damaged,
        };
        let [first, second] = self.disk.copies.map(copy);
        let share = self.disk.share.map(|share| ShareSeen { seal: share.seal, mark: share.mark });
        Seen { dir, staged, key, first, second, share }
    }

    fn keys(&self) -> Keys {
        let share = match self.disk.share {
            None => ShareKey::Nothing,
            Some(share) if share.seal == Seal::Pcrs && !self.pcrs => ShareKey::Closed,
            Some(_) => ShareKey::Open,
        };
        Keys {
            share,
            current: self.memory.keys.map(|(current, _)| current),
            last: self.memory.keys.map(|(_, last)| last),
            held: self.memory.held.map(|(_, held)| held),
            none_fits: self.memory.none_fits,
        }
    }

    fn ask(&self) -> (Wish, Next) {
        let record = match (&self.disk.record, self.record_readable) {
            (_, false) => RecordSeen::Unreadable,
            (None, true) => RecordSeen::Nothing,
            (Some(record), true) => RecordSeen::Read(record.clone()),
        };
        let desired = Desired { listing: self.memory.listing.clone(), record, ..Desired::default() };
        let (seen, keys, node) = (self.seen(), self.keys(), self.node());
        let wish = desired.wish(self.id, &node, seen.is_nothing());
        let view = View {
            id: self.id,
            wish: &wish,
            seen: &seen,
            keys: &keys,
            node: &node,
            setbacks: self.memory.setbacks,
        };
        let next = next(&view);
        (wish, next)
    }

    // What the shell does.

    /// Runs to rest. Converges: sixty steps are more than any life of a vault needs.
    pub(crate) fn settle(&mut self) -> State {
        assert!(self.run(60) < 60, "the plan does not settle: {:?} at {:?}", self.ask(), self.seen());
        let (wish, next) = self.ask();
        let Next::Settled(settled) = next else { return self.seen().state() };
        if settled.state == State::Locked {
            self.memory.held = None;
        }
        if settled.state == State::Unlocked {
            self.at_rest_open(&wish, settled.notes.is_empty());
        }
        settled.state
    }

    /// Open and at rest: data is written, and with nothing left to say both copies are as the live policy asks.
    fn at_rest_open(&mut self, wish: &Wish, done: bool) {
        if let Place::Vault { data, .. } = &mut self.disk.place {
            *data = true;
        }
        let Wish::Keep(want) = wish else { return };
        if want.authority != Authority::Live || !done {
            return;
        }
        let current = self.memory.keys.map(|(current, _)| current);
        let target = Wrapping::of(want.policy.custody, current).expect("settled without its key");
        for copy in self.disk.copies {
            assert_eq!(
                copy.map(|meta| (meta.wrapping, meta.whole)),
                Some((target, true)),
                "not as the policy asks"
            );
        }
        assert_eq!(self.disk.share.is_some(), want.policy.custody.needs_tpm(), "a share that serves nothing");
        self.allowed = vec![target];
    }

    fn run(&mut self, steps: usize) -> usize {
        for done in 0..steps {
            let (_, Next::Do(act)) = self.ask() else { return done };
            if self.full && needs_room(act.step) {
                self.memory.setbacks.insert(act.step.kind());
                continue;
            }
            self.apply(act.step, usize::MAX);
        }
        steps
    }

    fn half_step(&mut self, half: usize) {
        if let (_, Next::Do(act)) = self.ask() {
            self.apply(act.step, half);
        }
    }

    /// Does the first `halves` parts of a step, checking after each.
    fn apply(&mut self, step: Step, halves: usize) {
        self.fresh += 1;
        let fresh = self.fresh;
        for part in 0..3.min(halves) {
            self.part(step, part, fresh);
            self.check();
        }
    }

    fn part(&mut self, step: Step, part: usize, fresh: u32) {
        match (step, part) {
            (Step::MakeShare { seal, mark }, 0) => self.disk.share = Some(Share { id: fresh, seal, mark }),
            (Step::MakeMetadata(wrapping), 0 | 1) => self.write(part, fresh, wrapping),
            (Step::Rewrap(wrapping), 0 | 1) => self.rewrap(part, wrapping),
            (Step::Rewrap(wrapping), 2) => self.rewrapped(wrapping),
            (Step::RepairCopy, 0) => self.repair(),
            (Step::Unwrap, 0) => self.unwrap(),
            (Step::AddKey, 0) => self.add_key(),
            (Step::MakeDir, 0) => self.disk.place = Place::Empty,
            (Step::SetPolicy(_), 0) => {
                self.disk.place = Place::Vault { content: self.held_content(), data: false }
            }
            (Step::MoveIn(_), 0) => {
                self.disk.staged = Place::Vault { content: self.held_content(), data: true }
            }
            (Step::MoveIn(_), 1) => std::mem::swap(&mut self.disk.staged, &mut self.disk.place),
            (Step::DropStaged, 0) => self.disk.staged = Place::Nothing,
            (Step::MarkMade, 0) => self.disk.share.iter_mut().for_each(|share| share.mark = Mark::Made),
            (Step::Reseal(seal), 0) => self.disk.share.iter_mut().for_each(|share| share.seal = seal),
            (Step::Lock, 0) => self.lock(),
            (Step::ForgetMetadata, 0 | 1) => self.forget(part),
            (Step::DeleteDir, 0) => (self.disk.place, self.disk.staged) = (Place::Nothing, Place::Nothing),
            (Step::DropShare, 0) => self.disk.share = None,
            (Step::RecordRemoved, 0) => {
                self.disk.record.iter_mut().for_each(|record| record.removed(self.id))
            }
            (Step::NewTable, _) => panic!("the table is never lost in this world"),
            _ => {}
        }
    }

    fn share_of(&self, wrapping: Wrapping) -> Option<u32> {
        wrapping.custody().needs_tpm().then(|| self.disk.share.expect("a share for the wrapping").id)
    }

    fn write(&mut self, part: usize, content: u32, wrapping: Wrapping) {
        assert!(self.keys().reach(wrapping), "wrapped under a key that is not at hand");
        self.doomed = false;
        let share = self.share_of(wrapping);
        self.disk.copies[part] = Some(Meta { content, wrapping, share, whole: true });
        let held = Held { first: Some(wrapping), second: Some(wrapping) };
        self.memory.held = (part == 1).then_some((content, held));
    }

    fn rewrap(&mut self, part: usize, wrapping: Wrapping) {
        let (content, _) = self.memory.held.expect("re-wraps what it holds");
        assert!(self.keys().reach(wrapping), "wrapped under a key that is not at hand");
        let share = self.share_of(wrapping);
        self.disk.copies[part] = Some(Meta { content, wrapping, share, whole: true });
    }

    fn rewrapped(&mut self, wrapping: Wrapping) {
        let (content, _) = self.memory.held.expect("re-wraps what it holds");
        self.memory.held = Some((content, Held { first: Some(wrapping), second: Some(wrapping) }));
    }

    fn repair(&mut self) {
        let whole = |copy: Option<Meta>| copy.is_some_and(|meta| meta.whole);
        let [first, second] = self.disk.copies;
        let lame = self.memory.held.is_some_and(|(_, held)| held.first.is_none() && held.second.is_some());
        let source = usize::from(!whole(first) || (whole(second) && lame));
        let good = self.disk.copies[source];
        let held = self.memory.held.map(|(content, held)| {
            let one = [held.first, held.second][source];
            (content, Held { first: one, second: one })
        });
        self.disk.copies = [good, good];
        self.memory.held = held;
    }

    fn unwrap(&mut self) {
        let keys = self.keys();
        let opened = |copy: Option<Meta>| {
            copy.filter(|meta| meta.whole && keys.candidates().iter().any(|w| self.fits(meta, *w)))
        };
        let [first, second] = self.disk.copies.map(opened);
        match first.or(second) {
            Some(meta) => {
                let held = Held { first: first.map(|m| m.wrapping), second: second.map(|m| m.wrapping) };
                self.memory.held = Some((meta.content, held));
            }
            None => self.memory.none_fits = true,
        }
    }

    fn fits(&self, meta: &Meta, wrapping: Wrapping) -> bool {
        meta.wrapping == wrapping
            && meta.share == wrapping.custody().needs_tpm().then(|| self.disk.share.map(|s| s.id)).flatten()
    }

    fn held_content(&self) -> u32 {
        self.memory.held.expect("uses the key that it holds").0
    }

    fn add_key(&mut self) {
        self.kernel.insert(self.held_content(), Key::Present);
    }

    fn lock(&mut self) {
        let after = if self.busy { Key::Incomplete } else { Key::Absent };
        self.kernel.values_mut().for_each(|key| *key = after);
        if self.busy {
            self.memory.setbacks.insert(StepKind::Lock);
        }
        (self.memory.held, self.memory.none_fits) = (None, false);
    }

    fn forget(&mut self, part: usize) {
        let holds_data = matches!(self.disk.place, Place::Vault { data: true, .. });
        assert!(
            self.may_destroy || self.doomed || !holds_data,
            "the metadata of a vault is gone without an order"
        );
        self.doomed |= holds_data;
        self.disk.copies[part] = None;
        (self.memory.held, self.memory.none_fits) = (None, false);
        self.kernel.retain(|_, key| *key == Key::Present);
    }

    // The invariants.

    fn opens_somehow(&self, meta: &Meta) -> bool {
        meta.whole
            && (!meta.wrapping.custody().needs_tpm() || meta.share == self.disk.share.map(|share| share.id))
    }

    fn check(&mut self) {
        self.nothing_destroyed();
        self.openable_as_allowed();
    }

    /// Invariants 4 and 6: what held data is gone only by order.
    fn nothing_destroyed(&mut self) {
        let holds = |place: &Place| matches!(place, Place::Plain | Place::Vault { data: true, .. });
        let there = holds(&self.disk.place) || holds(&self.disk.staged);
        assert!(
            there || !self.had_data || self.may_destroy,
            "data is gone without an order: {:?}",
            self.disk
        );
        self.had_data = there;
    }

    /// Invariant 5: some copy opens its data, and each copy is wrapped as an accepted section or the default asks.
    fn openable_as_allowed(&self) {
        if let Place::Vault { content, data: true } = self.disk.place {
            let opens = |meta: &Meta| meta.content == content && self.opens_somehow(meta);
            let open = self.disk.copies.iter().flatten().any(opens);
            assert!(open || self.doomed, "nothing opens the vault: {:?}", self.disk);
        }
        for meta in self.disk.copies.iter().flatten() {
            assert!(
                self.allowed.contains(&meta.wrapping),
                "{:?} was never asked for: {:?}",
                meta,
                self.allowed
            );
        }
    }
}

fn needs_room(step: Step) -> bool {
    let frees =
        [StepKind::Unwrap, StepKind::AddKey, StepKind::Lock, StepKind::DeleteDir, StepKind::ForgetMetadata];
    !frees.contains(&step.kind())
}

fn name() -> Name {
    "berlin".parse().expect("a name")
}
