//! What a node holds for true: which root and which section count, and what earlier ones said. Everything that comes from outside is
//! heard here, one thing at a time, and answered with what is to be done about it; nothing is done here.
//!
//! Invariants: nothing counts before it is known for whom it is and from whom (the device's key, the pinned root, the session); an
//! older section never takes the place of a newer one; a section that is not known to follow what this node accepted last opens and
//! locks, and neither deletes, makes nor re-keys; an order beside a challenge locks, and does nothing else; none is known to before the record was read, or known never to have been; what this life
//! accepted is not forgotten for an older record.

mod answer;
mod hear;
mod ordered;
mod recorded;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use attest::SessionKey;

use crate::ids::{DeviceId, DeviceKey, Name, SectionVersion, VaultId};
use crate::shares::RootPin;
use crate::wanted::{
    Accepted, Authority, Chain, Desired, Head, Listing, OrderedAt, Record, RecordSeen, Want,
};

pub use answer::{Beside, LockOrders, Said, Signed, SignedAnswer};
pub use words::{About, Doubt, Saying};

/// The node's TPM and what was pinned beside its shares, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roots {
    /// Not read yet, or the TPM fails: nothing tells whom this node belongs to.
    #[default]
    Unread,
    /// The node has no TPM: the pin is in the record.
    NoTpm,
    /// Roots are written and no share table opens under them: the pin went with it. No section counts until root on the node
    /// has begun another table.
    Lost,
    /// The table is open; what is pinned in it.
    Open(Option<RootPin>),
}

/// What the node keeps of the section that it accepted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it and those before it said.
    pub record: Record,
    /// Its place in the chain.
    pub chain: Chain,
    /// The controller's root that it hangs on.
    pub root: RootPin,
    /// Its bytes, verified anew whenever they are read.
    pub signed: Signed,
    /// Vaults that the controller ordered locked since, beside a challenge.
    pub ordered: BTreeSet<VaultId>,
    /// The place of those orders in this device's history. None: there are none, or they were kept by a program of before, or given to another
    /// device that this node was taken for.
    pub ordered_at: Option<OrderedAt>,
}

impl Kept {
    /// Whether what it says of the section that was accepted last is what that section, verified anew, says itself. If not, it was
    /// damaged: encryption at rest finds no change.
    #[must_use]
    pub fn agrees_with(&self, answer: &SignedAnswer) -> bool {
        let Said::Section(section, digest) = &answer.said else { return false };
        let accepted = &self.record.accepted;
        let named = (accepted.device, accepted.version) == (section.device, section.version);
        named && self.chain.head.is_none_or(|head| head == *digest)
    }
}

/// What was found when the Config Vault was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFound {
    /// A record.
    Read(Box<Kept>),
    /// None: it is a new Config Vault.
    Nothing,
    /// One whose bytes are not what we write: as good as none, and told.
    Damaged,
}

/// Whose word on the escrow it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Of the controller that is pinned beside the shares.
    Pinned,
    /// It may be: a bundle that it gives back tells.
    Perhaps,
    /// Of another, or of nobody that is pinned yet: it counts for nothing.
    Another,
}

/// What comes from outside.
#[derive(Debug, Clone)]
pub enum Heard {
    /// The TPM was heard of; the device key, if it was told.
    Tpm(Roots, Option<DeviceKey>),
    /// A signed answer whose chain and signature hold.
    Answer(Authority, Box<SignedAnswer>),
    /// The Config Vault is open, and was not before.
    RecordOpened(RecordFound),
    /// The Config Vault is open as before: what could not be written is to be tried again.
    RecordOpen,
    /// The Config Vault is closed: what the record said is remembered, and nothing is concluded by it.
    RecordClosed,
    /// The Config Vault is open, and the disk does not give the record in it: it stays unread.
    RecordNotGiven,
    /// There is no Config Vault yet, and so no record. One that is missing may come back, with the record in it.
    NoConfigVault,
    /// Names of a record that was put aside: people know an orphan by them, and nothing is decided by it.
    Former(BTreeMap<VaultId, Name>),
    /// A record was written.
    Saved(Box<Kept>),
    /// Root on the node accepts the controller of this root, in place of the one that was pinned.
    RootAccepted(RootPin),
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the record, durably, and tell when it is written.
    Save(Box<Kept>),
    /// Pin this root beside the TPM's shares.
    Pin(RootPin),
    /// Put the record aside: another controller was accepted.
    DropRecord,
    /// Open the keys that this section releases, in place of those at hand.
    TakeKeys(Box<crate::section::Section>),
    /// Drop all the controller's keys.
    DropKeys,
    /// Verify these bytes anew and tell them as a checkpoint's answer.
    Verify(Signed),
    /// What failed may be tried again: something outside changed.
    StartAfresh,
    /// Say this of the node until it is settled.
    Tell(About, Saying),
    /// It is settled.
    Settle(About),
    /// For the log alone.
    Log(Saying),
}

/// Whether the record of earlier sections was read in this life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Memory {
    /// Not yet: the Config Vault has not been open.
    #[default]
    Unread,
    /// There was none.
    Nothing,
    /// As it was last read or written.
    Read(Box<Kept>),
}

impl Memory {
    fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Read(kept) => Some(kept),
            Self::Unread | Self::Nothing => None,
        }
    }
}

/// What a node holds for true.
#[derive(Debug, Clone)]
pub struct Belief {
    session: SessionKey,
    device_key: Option<DeviceKey>,
    roots: Roots,
    memory: Memory,
    /// The Config Vault is open, and the record is unread all the same.
    not_given: bool,
    /// Accepted in this life, and not in the record yet.
    unsaved: Option<Box<Kept>>,
    /// A live answer that came before it could be judged to the end: before the roots, or before the record, were read.
    early: Option<Box<SignedAnswer>>,
    /// The last live answer of a controller that this node does not belong to: root may accept that one yet, and it says nothing twice.
    anothers: Option<Box<SignedAnswer>>,
    /// What was said last in this session did not count in full, so it is to be said again.
    unheard: bool,
    /// The newest section of this life that came before the record was read, whatever came after it.
    unread: Option<Accepted>,
    /// The root that root on the node accepted in this life: another one's record, if it is read later, does not count.
    accepted_root: Option<RootPin>,
    /// Orders that came before it could be told for whom they are.
    early_orders: Option<(RootPin, LockOrders)>,
    /// The place of the newest orders that hold.
    ordered_at: Option<OrderedAt>,
    /// Devices, other than its own, by whose orders it locked since the last section of its own history.
    obeyed_as: BTreeSet<DeviceId>,
    /// Such devices of before: a section of its own history came since.
    no_more_as: BTreeSet<DeviceId>,
    desired: Desired,
}

impl Belief {
    /// At the start of a life: nothing is known, and sections for `session` alone are live.
    #[must_use]
    pub fn new(session: SessionKey) -> Self {
        Self {
            session,
            device_key: None,
            roots: Roots::Unread,
            memory: Memory::Unread,
            not_given: false,
            unsaved: None,
            early: None,
            anothers: None,
            unheard: false,
            unread: None,
            accepted_root: None,
            early_orders: None,
            ordered_at: None,
            obeyed_as: BTreeSet::new(),
            no_more_as: BTreeSet::new(),
            desired: Desired::default(),
        }
    }

    /// What follows from it for the vaults.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Whether the controller is to say again what it said: it did not count in full when it came, and what it rested on may be another by now.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.unheard
    }

    /// The root of the controller that the node belongs to, as far as it is known.
    #[must_use]
    pub fn root(&self) -> Option<RootPin> {
        self.pin().or(self.accepted_root)
    }

    /// What the share table says of the controller's orders to lock; taken up when it was read.
    pub fn remember_locked(&mut self, locked: BTreeSet<VaultId>) {
        self.desired.locked = locked;
    }

    /// What a live section, or an order beside a challenge, says of a default vault's lock; nothing while there is none. One that a section
    /// does not list is as at first.
    #[must_use]
    pub fn orders_locked(&self, id: VaultId) -> Option<bool> {
        if self.desired.ordered.contains(&id) {
            return Some(true);
        }
        self.live().map(|live| live.vaults.get(&id).is_some_and(Want::locked))
    }

    /// Orders of root on the node: they only take away from what the controller wants, or mend what is missing.
    pub fn orders(&mut self) -> Orders<'_> {
        Orders(&mut self.desired)
    }

    /// The section that the next one is to follow, for the controller; none while the record was not read in this life.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        if self.memory == Memory::Unread {
            return None;
        }
        let newest = self.unsaved.as_deref().or(self.memory.kept())?;
        let Accepted { device, version, .. } = newest.record.accepted;
        Some(Head { device, version, digest: newest.chain.head? })
    }

    /// The newest section that was accepted, in this life or before.
    #[must_use]
    pub fn accepted(&self) -> Option<SectionVersion> {
        let newest = self.unsaved.as_deref().or(self.memory.kept())?;
        Some(newest.record.accepted.version)
    }

    /// The record without a vault that was deleted, to be written and then told as saved; none while it is not open.
    #[must_use]
    pub fn without(&self, removed: VaultId) -> Option<Box<Kept>> {
        let mut kept = Box::new(self.memory.kept().filter(|_| self.is_readable())?.clone());
        kept.record.removed(removed);
        Some(kept)
    }

    /// Whether the record is still to be read.
    #[must_use]
    pub fn waits_for_record(&self) -> bool {
        self.memory == Memory::Unread
    }

    /// Whether the TPM's roots are still to be read.
    #[must_use]
    pub fn waits_for_roots(&self) -> bool {
        self.roots == Roots::Unread
    }

    fn is_readable(&self) -> bool {
        self.desired.record != RecordSeen::Unreadable
    }

    fn live(&self) -> Option<&Listing> {
        self.desired.listing.as_ref().filter(|listing| listing.authority == Authority::Live)
    }

    /// Whether a section that was kept here is for a device key that this node's TPM does not have, while the table that is open under that
    /// TPM's roots says that the node is still this one. Without a TPM the record alone tells whom the node belongs to.
    #[must_use]
    pub fn is_of_another_node(&self, kept: &SignedAnswer) -> bool {
        let Said::Section(section, _) = &kept.said else { return false };
        matches!(self.roots, Roots::Open(_)) && self.device_key.is_some_and(|key| key != section.device_key)
    }

    /// Whether the node belongs to another controller than that of `root`, as far as it is known. With a lost table it may not be.
    #[must_use]
    pub fn is_anothers(&self, root: RootPin) -> bool {
        self.root().is_some_and(|pin| pin != root)
    }

    /// Whose word on the escrow an authentic answer of that root is. With a lost table the pin is gone too: then the one in the bundle's table tells.
    #[must_use]
    pub fn voice(&self, root: RootPin) -> Voice {
        match self.roots {
            Roots::Open(Some(pin)) if pin == root => Voice::Pinned,
            Roots::Lost if !self.is_anothers(root) => Voice::Perhaps,
            _ => Voice::Another,
        }
    }

    /// The root accepted at first contact: in the share table, else in the record.
    fn pin(&self) -> Option<RootPin> {
        let in_table = match self.roots {
            Roots::Open(pin) => pin,
            Roots::Unread | Roots::NoTpm | Roots::Lost => None,
        };
        in_table.or_else(|| self.memory.kept().map(|kept| kept.root))
    }
}

/// Orders of root on the node.
#[derive(Debug)]
pub struct Orders<'a>(&'a mut Desired);

impl Orders<'_> {
    /// Those of an earlier life of this boot.
    pub fn take_up(&mut self, held: BTreeMap<VaultId, crate::section::Operation>) {
        self.0.held = held;
    }
    /// Keep it locked until it is released.
    pub fn lock(&mut self, id: VaultId) {
        self.0.held.insert(id, crate::section::Operation::Lock);
    }
    /// As the controller wants it.
    pub fn release(&mut self, id: VaultId) {
        self.0.held.remove(&id);
    }
    /// Make it anew if it is missing; until [`Self::leave`].
    pub fn recreate(&mut self, id: VaultId) {
        self.0.recreate.insert(id);
    }
    /// The same, and also if it stands and no key at hand opens it.
    pub fn replace(&mut self, id: VaultId) {
        self.recreate(id);
        self.0.shut_given_up.insert(id);
    }
    /// No more.
    pub fn leave(&mut self, id: VaultId) {
        self.0.recreate.remove(&id);
        self.0.shut_given_up.remove(&id);
    }
}
