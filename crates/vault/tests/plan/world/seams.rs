//! Where a driver of its own takes hold of this world: the model check (`tests/model`), which brings its own controller and network. Each
//! seam is one thing that can happen to a node, or one look at it; what follows is the world's.

use vault::plan::View;
use vault::report::{Reasons, VaultReport, report};
use vault::wanted::OrderedAt;

use super::*;

/// A copy of a node's disk, and what the world remembers of it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    disk: Disk,
    recorded: BTreeMap<Incarnation, u64>,
    ever_listed: BTreeSet<Incarnation>,
    allowed: Vec<Wrapping>,
    wrapped: Option<(Option<Incarnation>, Epoch)>,
    had_data: bool,
    unopenable: bool,
    doomed: bool,
}

/// What a node says of itself when it asks for its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) session: SessionKey,
    /// Whether PCRs are as approved.
    pub(crate) measured: bool,
    pub(crate) head: Option<Head>,
    pub(crate) ordered: Option<OrderedAt>,
    pub(crate) accepted: Option<SectionVersion>,
    /// None of a vault that is in no list, and of which there is no trace.
    pub(crate) report: Option<VaultReport>,
}

impl World {
    /// Another life of vaultmgr, with a key pair of its own. A boot empties the kernel; the Config Vault may open later.
    pub(crate) fn live_again(&mut self, session: SessionKey, life: NewLife) {
        self.session = session;
        match life {
            NewLife::Killed => self.restart(),
            NewLife::Booted { measured } => self.boot(measured),
            NewLife::Unread => self.start_unread(),
        }
        self.check();
    }

    /// A signed answer arrives.
    pub(crate) fn answered(&mut self, answer: &SignedAnswer) {
        if !self.answers.iter().any(|known| known.signed == answer.signed) {
            self.answers.push(answer.clone());
        }
        self.hear_live(answer.clone());
        self.check();
    }

    /// The Config Vault opens. Says whether it was closed.
    pub(crate) fn opens_record(&mut self) -> bool {
        let was = !self.record_readable;
        self.record_opened();
        self.check();
        was
    }

    /// The next step, as the plan says, or its first parts. Says whether one was due; at rest, apps write.
    pub(crate) fn step_on(&mut self, parts: usize) -> bool {
        let due = self.is_due();
        if due {
            self.half_step(parts);
        }
        if !self.is_due() {
            self.settle();
            self.check();
        }
        due
    }

    pub(crate) fn is_due(&self) -> bool {
        self.node_next().is_some() || matches!(self.ask(), (_, Next::Do(_)))
    }

    pub(crate) fn word(&self) -> Word {
        let (wish, next) = self.ask();
        let (seen, keys, node) = (self.seen(), self.keys(), self.node());
        let setbacks = self.memory.setbacks;
        let view = View { id: self.id, wish: &wish, seen: &seen, keys: &keys, node: &node, setbacks };
        let mut report =
            report(&view, name(), &next, vault::report::Remembered::default(), Reasons::default());
        report.detail.clear();
        Word {
            session: self.session,
            measured: self.pcrs,
            head: self.memory.belief.head(),
            ordered: self.memory.belief.own_ordered_at(),
            accepted: self.memory.belief.accepted(),
            report: (!seen.is_nothing() || self.memory.belief.desired().vaults().any(|id| id == self.id))
                .then_some(report),
        }
    }

    /// A copy of the disk; none while the TPM's roots are between two generations.
    pub(crate) fn image(&self) -> Option<Image> {
        let Self { disk, recorded, ever_listed, allowed, wrapped, had_data, unopenable, doomed, .. } =
            self.clone();
        disk.roots.others.is_none().then_some(Image {
            disk,
            recorded,
            ever_listed,
            allowed,
            wrapped,
            had_data,
            unopenable,
            doomed,
        })
    }

    /// An older copy of the disk takes its place, and the node boots from it. The TPM stays as it is. Of shares that were made after the copy
    /// the node knows nothing, and what it tells of is no disk but this.
    pub(crate) fn put_back(&mut self, image: Image, session: SessionKey) {
        let mut roots = self.disk.roots.clone();
        roots.in_force.retain(|share| image.disk.roots.in_force.contains(share));
        let Image { disk, recorded, ever_listed, allowed, wrapped, had_data, unopenable, doomed } = image;
        self.table_lost = self.has_tpm && disk.generation != roots.generation;
        self.disk = Disk { roots, ..disk };
        (self.recorded, self.ever_listed, self.allowed) = (recorded, ever_listed, allowed);
        (self.wrapped, self.had_data, self.doomed) = (wrapped, had_data, doomed);
        self.unopenable = unopenable || self.table_lost;
        self.session = session;
        self.boot(true);
        self.check();
    }

    /// A fault of the shell's, tried on purpose.
    pub(crate) fn twisted(mut self, twist: fn(&mut Known)) -> Self {
        self.twist = twist;
        self
    }

    /// What a node keeps of its place in the chain, whether or not it can be read now.
    pub(crate) fn head_on_disk(&self) -> Option<SectionDigest> {
        self.disk.record.as_ref()?.chain.head
    }

    /// Somebody removes the record, and vaultmgr starts: what it knew of earlier sections is over, and it can be taken to an older key, once.
    pub(crate) fn lose_record(&mut self, session: SessionKey) {
        self.disk.record = None;
        self.recorded.clear();
        self.ever_listed.clear();
        self.wrapped = None;
        self.live_again(session, NewLife::Killed);
    }

    /// The keys that the controller has of the vault.
    pub(crate) fn controller_has(&mut self, keys: BTreeMap<u64, u32>) {
        self.database.put_keys(keys);
    }

    pub(crate) fn between_generations(&self) -> bool {
        self.disk.roots.others.is_some()
    }

    pub(crate) fn lost_its_table(&self) -> bool {
        self.table_lost
    }

    pub(crate) fn reads_record(&self) -> bool {
        self.record_readable
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.pcrs
    }

    /// Of the vault, anywhere on the disk.
    pub(crate) fn has_data(&self) -> bool {
        let Disk { place, staged, away, .. } = &self.disk;
        [place, staged, away].into_iter().any(|place| place.holds_ours())
    }

    /// The controller's keys at hand.
    pub(crate) fn keys_at_hand(&self) -> Option<[(Epoch, u32); 2]> {
        self.memory.keys.map(|ring| [ring.current, ring.last])
    }

    /// By which of the controller's keys each copy opens; none where no key of its is part of it.
    pub(crate) fn wrapped_by(&self) -> [Option<Option<u32>>; 2] {
        self.disk.copies.map(|copy| copy.map(|meta| meta.key))
    }

    /// All that decides what comes next. Answers are found by their bytes, which are a digest of what they say.
    pub(crate) fn told(&self, out: &mut impl std::fmt::Write) -> std::fmt::Result {
        let Self { disk, kernel, memory, recorded, ever_listed, allowed, wrapped, .. } = self;
        write!(out, "{disk:?}{kernel:?}{memory:?}{recorded:?}{ever_listed:?}{allowed:?}{wrapped:?}")?;
        let flags =
            (self.pcrs, self.table_lost, self.record_readable, self.had_data, self.doomed, self.unopenable);
        write!(out, "{flags:?}{:?}{:?}", self.session, self.fresh)
    }
}

/// How a life of vaultmgr begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewLife {
    /// Vaultmgr alone ended: the kernel keeps its keys.
    Killed,
    /// The node booted; whether PCRs are the measured ones.
    Booted { measured: bool },
    /// It booted, and the Config Vault is closed yet.
    Unread,
}
