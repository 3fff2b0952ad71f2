//! What is wanted: the newest authentic section, its authority, and the record of what earlier sections listed.
//!
//! | authority | comes from | may |
//! | --- | --- | --- |
//! | [`Authority::Live`] | a section signed for this device's key and this session, for the device that the record names, of no superseded incarnation, not older than any accepted; it waits until the TPM's roots are read | everything, if it follows the section accepted last; else unlock and lock |
//! | [`Authority::Checkpoint`] | the last accepted section, kept in the Config Vault | unlock, lock, resume |
//! | [`Authority::Builtin`] | no section at all | make, unlock and resume the two default vaults |

mod desired;
mod listing;
mod record;

use crate::cause::Cause;
use crate::condition::{Node, TpmSeen};
use crate::defaults;
use crate::ids::{Epoch, Name, VaultId};
use crate::section::{Entry, NodePolicy, Operation, Presence, Release};

pub use desired::{Desired, RecordSeen};
pub use listing::Listing;
pub use record::{Accepted, Chain, Head, NotTaken, OrderedAt, Record};

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
    Withheld(Cause),
    /// Nothing yet, of a default vault that no list speaks of.
    NotYet,
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
    pub standing: Presence,
    /// The controller has seen it made.
    pub created: bool,
    /// An operator ordered it made anew, empty, if it is missing.
    pub recreate: bool,
    /// And root on the node gave up what is in it, where it stands and is wrapped under a key that nobody has here.
    pub shut_given_up: bool,
    /// The controller's keys.
    pub released: Released,
    /// Which demand of the policies the evidence does not meet, so that no section, and no key, comes.
    pub lacks: Option<String>,
    /// What all this rests on.
    pub authority: Authority,
    /// The controller says so now, in this session, though it may not be judged to the end.
    pub heard: bool,
    /// The highest epoch that was accepted for it in this incarnation; none while the record of that was not read. Below what it is
    /// wrapped under it is only taken when that was of an incarnation before.
    pub floor: Option<Epoch>,
}

impl Want {
    /// Whether the vault is to be locked: by operation, or because its grace runs.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.operation == Operation::Lock || self.standing != Presence::Active
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
            shut_given_up: false,
            released,
            lacks: None,
            authority,
            heard: authority == Authority::Live,
            floor: None,
        }
    }

    fn of_default(id: VaultId, node: &Node, authority: Authority) -> Self {
        let policy = default_policy(node);
        let needs = policy.custody.needs_controller();
        let released = if needs { Released::NotYet } else { Released::NotNeeded };
        Self {
            name: defaults::name(id).unwrap_or_else(|| nameless(id)),
            policy,
            operation: Operation::Unlock,
            standing: Presence::Active,
            created: false,
            recreate: false,
            shut_given_up: false,
            released,
            lacks: None,
            authority,
            heard: authority == Authority::Live,
            floor: None,
        }
    }
}

/// The policy of default vaults that nobody changed (DF-3) on this node.
#[must_use]
pub fn default_policy(node: &Node) -> NodePolicy {
    defaults::policy(node.tpm != TpmSeen::Absent)
}

/// What is wanted of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// It is to be there.
    Keep(Want),
    /// An authentic, live section of an incarnation that listed it before names it as removed.
    Delete,
    /// It was deleted, and nothing of it is left.
    Gone,
    /// A live section neither lists it nor names it as removed, or none of this incarnation ever listed it: lock it, keep it.
    Orphan,
    /// A live section does not list it, and what earlier ones said can't be read: lock it, conclude no more.
    Unlisted,
    /// Nothing may be concluded, and root on the node, or an order of the controller's, wants it locked.
    Lock,
    /// Nothing may be concluded: leave it as it is.
    Leave,
}

/// A name for a vault that nobody told one of.
pub(crate) fn nameless(id: VaultId) -> Name {
    id.to_string().parse().expect("a UUID's text is a name: 36 of 0-9 a-f and hyphens")
}
