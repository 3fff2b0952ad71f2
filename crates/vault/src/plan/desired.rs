//! What is wanted: the newest authentic section, its authority, and the record of what earlier sections listed.
//! Here alone it is decided what a vault's absence from the list means (IF-5).

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use super::seen::{Node, Tpm};
use crate::ids::{CONFIG_VAULT, DeviceId, Epoch, IMAGE_VAULT, Name, SectionVersion, VaultId};
use crate::section::{Custody, Encryption, Entry, NodePolicy, Operation, Release, Seal, Section, Standing};

/// What a wish rests on, and so how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// No section: the built-in defaults. Makes, unlocks and resumes default vaults; never re-keys.
    Builtin,
    /// A section kept from an earlier session: unlocks, locks and resumes.
    Checkpoint,
    /// A section for this session: everything.
    Live,
}

/// What the controller gave of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// None are part of this custody.
    NotNeeded,
    /// The current epoch and the one published before.
    Keys {
        /// The newest.
        current: Epoch,
        /// The one before, or the same.
        last: Epoch,
    },
    /// Nothing now, and why.
    Withheld(String),
}

/// A vault that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Its user's name.
    pub name: Name,
    /// What the node carries out.
    pub policy: NodePolicy,
    /// Lock, unlock or change key.
    pub operation: Operation,
    /// Whether it stays.
    pub standing: Standing,
    /// The controller has seen it made.
    pub created: bool,
    /// An operator ordered it made anew, empty, if it is missing.
    pub recreate: bool,
    /// The controller's keys.
    pub released: Released,
    /// What all this rests on.
    pub authority: Authority,
}

impl Want {
    /// Whether the vault is to be locked: by operation, or because its grace runs.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.operation == Operation::Lock || self.standing == Standing::Removing
    }

    fn listed(entry: &Entry, authority: Authority) -> Self {
        let released = match &entry.release {
            Release::NotNeeded => Released::NotNeeded,
            Release::Keys { current, last } => Released::Keys { current: current.epoch, last: last.epoch },
            Release::Withheld { reason } => Released::Withheld(reason.clone()),
        };
        Self {
            name: entry.name.clone(),
            policy: entry.policy.clone(),
            operation: entry.operation,
            standing: entry.standing,
            created: entry.created,
            recreate: entry.recreate && authority == Authority::Live,
            released,
            authority,
        }
    }

    fn of_default(id: VaultId, node: &Node, authority: Authority) -> Self {
        let policy = default_policy(node);
        let needs = policy.custody.needs_controller();
        let released = if needs { Released::Withheld(NO_CONTACT.to_owned()) } else { Released::NotNeeded };
        Self {
            name: default_name(id),
            policy,
            operation: Operation::Unlock,
            standing: Standing::Active,
            created: false,
            recreate: false,
            released,
            authority,
        }
    }
}

const NO_CONTACT: &str = "the controller has released no key for it yet";

/// The policy of default vaults that nobody changed (DF-3): the TPM's share alone, in any state; without a TPM the controller's key.
#[must_use]
pub fn default_policy(node: &Node) -> NodePolicy {
    let custody = if node.tpm == Tpm::Absent { Custody::Controller } else { Custody::Tpm };
    NodePolicy { encryption: Encryption::Aes256Xts, custody, seal: Seal::Tpm }
}

fn default_name(id: VaultId) -> Name {
    let name = if id == CONFIG_VAULT { "config" } else { "image" };
    name.parse().expect("both are names")
}

/// What is wanted of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// It is to be there.
    Keep(Want),
    /// An authentic, live section of an incarnation that listed it before lists it no more.
    Delete,
    /// It was deleted, and nothing of it is left.
    Gone,
    /// A live section lists it not, and none of this incarnation ever did: lock it, keep it.
    Orphan,
    /// Nothing may be concluded, and root on the node wants it locked.
    Lock,
    /// Nothing may be concluded: leave it as it is.
    Leave,
}

/// The newest accepted section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Live, or from a checkpoint.
    pub authority: Authority,
    /// The device it is for.
    pub device: DeviceId,
    /// Its place in the device's history.
    pub version: SectionVersion,
    /// The vaults.
    pub vaults: BTreeMap<VaultId, Want>,
}

impl Listing {
    /// Reads a checked section.
    #[must_use]
    pub fn of(section: &Section, authority: Authority) -> Self {
        let vaults = section.vaults.iter().map(|entry| (entry.id, Want::listed(entry, authority))).collect();
        Self { authority, device: section.device, version: section.version, vaults }
    }

    /// The same once its word is not live any more: it locks, unlocks and resumes, and orders nothing.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.authority = Authority::Checkpoint;
        for want in self.vaults.values_mut() {
            (want.authority, want.recreate) = (Authority::Checkpoint, false);
        }
        self
    }
}

/// The record, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecordSeen {
    /// The Config Vault is closed, or the record is damaged: nothing may be deleted.
    #[default]
    Unreadable,
    /// The Config Vault is open, and no section was ever accepted.
    Nothing,
    /// It was read.
    Read(Record),
}

/// All that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// The newest accepted section. Nothing: withheld, or none yet.
    pub listing: Option<Listing>,
    /// What earlier ones said.
    pub record: RecordSeen,
    /// Orders of root on the node, until this life of vaultmgr ends: lock or unlock.
    pub held: BTreeMap<VaultId, Operation>,
    /// Orders of root on the node: make this missing vault anew.
    pub recreate: BTreeSet<VaultId>,
}

impl Desired {
    /// Every vault that is listed or remembered.
    pub fn vaults(&self) -> impl Iterator<Item = VaultId> + '_ {
        let listed = self.listing.iter().flat_map(|listing| listing.vaults.keys());
        let remembered = match &self.record {
            RecordSeen::Read(record) => Some(record),
            RecordSeen::Unreadable | RecordSeen::Nothing => None,
        };
        let remembered = remembered.into_iter().flat_map(|r| r.listed.keys().chain(r.removed.keys()));
        listed.chain(remembered).copied()
    }

    /// What is wanted of one vault. `nothing`: no trace of it is left on the node.
    #[must_use]
    pub fn wish(&self, id: VaultId, node: &Node, nothing: bool) -> Wish {
        match self.want(id, node) {
            Some(want) => Wish::Keep(self.with_orders(id, want)),
            None => self.absent(id, nothing),
        }
    }

    fn want(&self, id: VaultId, node: &Node) -> Option<Want> {
        let listed = self.listing.as_ref().and_then(|listing| listing.vaults.get(&id));
        let live = self.listing.as_ref().is_some_and(|listing| listing.authority == Authority::Live);
        let authority = if live { Authority::Live } else { Authority::Builtin };
        listed.cloned().or_else(|| id.is_default().then(|| Want::of_default(id, node, authority)))
    }

    fn with_orders(&self, id: VaultId, mut want: Want) -> Want {
        // The controller's lock can't be lifted here; its unlock can be held back.
        if self.held_locked(id) {
            want.operation = Operation::Lock;
        }
        want.recreate |= self.recreate.contains(&id);
        want
    }

    fn held_locked(&self, id: VaultId) -> bool {
        self.held.get(&id) == Some(&Operation::Lock)
    }

    /// Absence from the list: deletes only by a live section of an incarnation that listed the vault before, at a version
    /// not older than any accepted.
    fn absent(&self, id: VaultId, nothing: bool) -> Wish {
        let live = self.listing.as_ref().filter(|listing| listing.authority == Authority::Live);
        match (live, &self.record) {
            (Some(live), RecordSeen::Read(record)) if record.authorizes(live, id) => Wish::Delete,
            (_, RecordSeen::Read(record)) if nothing && record.removed.contains_key(&id) => Wish::Gone,
            (None, _) | (_, RecordSeen::Unreadable) if self.held_locked(id) => Wish::Lock,
            (None, _) | (_, RecordSeen::Unreadable) => Wish::Leave,
            (Some(_), _) => Wish::Orphan,
        }
    }

    /// The name that a vault is known by.
    #[must_use]
    pub fn name(&self, id: VaultId) -> Name {
        let listed = self.listing.as_ref().and_then(|l| l.vaults.get(&id)).map(|want| want.name.clone());
        let recorded = match &self.record {
            RecordSeen::Read(record) => record.listed.get(&id).or_else(|| record.removed.get(&id)).cloned(),
            RecordSeen::Unreadable | RecordSeen::Nothing => None,
        };
        listed.or(recorded).unwrap_or_else(|| nameless(id))
    }
}

fn nameless(id: VaultId) -> Name {
    match id {
        CONFIG_VAULT | IMAGE_VAULT => default_name(id),
        _ => id.to_string().parse().expect("a UUID's text is a name: 36 of 0-9 a-f and hyphens"),
    }
}
