//! All that is wanted of a node. Here alone it is decided what a vault's absence from the list means (IF-5): it never deletes.
//!
//! A user vault is deleted only if a live section that follows the last one names it as removed, a section of the same incarnation
//! listed it before, and the record of that can be read. A vault that is merely not listed, or was never listed under this
//! incarnation, is locked and kept as an orphan. Without a section it is left as it is, but for a lock that root or the controller ordered. The two
//! default vaults return to their default policy, and are never deleted by absence.

use std::collections::{BTreeMap, BTreeSet};

use super::{Authority, Listing, Record, Want, Wish, nameless};
use crate::condition::Node;
use crate::defaults;
use crate::ids::{Name, VaultId};
use crate::section::Operation;

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
    /// Names by which a record that was put aside, another controller's, had listed vaults. They decide nothing.
    pub former: BTreeMap<VaultId, Name>,
    /// Orders of root on the node: lock or unlock.
    pub held: BTreeMap<VaultId, Operation>,
    /// Default vaults that the controller ordered locked when it last ordered anything of them, by the share table: it lies twice, and is
    /// authentic where the record of sections was taken away.
    pub locked: BTreeSet<VaultId>,
    /// Vaults that the controller ordered locked beside a challenge, until a live section says what is wanted of them.
    pub ordered: BTreeSet<VaultId>,
    /// Which demand of the policies this session's evidence does not meet, so that no section comes.
    pub lacks: Option<String>,
    /// Orders of root on the node: make this missing vault anew.
    pub recreate: BTreeSet<VaultId>,
    /// Of these root gives up what no key at hand opens too.
    pub shut_given_up: BTreeSet<VaultId>,
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
        let by_default = || {
            let want = Want::of_default(id, node, authority);
            let operation = if !live && self.locked.contains(&id) { Operation::Lock } else { want.operation };
            Want { operation, ..want }
        };
        listed.cloned().or_else(|| id.is_default().then(by_default))
    }

    fn with_orders(&self, id: VaultId, mut want: Want) -> Want {
        // The controller's lock can't be lifted here; its unlock can be held back.
        if self.kept_locked(id) {
            want.operation = Operation::Lock;
        }
        want.heard = self.listing.as_ref().is_some_and(Listing::is_of_this_session);
        want.lacks.clone_from(&self.lacks);
        want.recreate |= self.recreate.contains(&id);
        want.shut_given_up = self.shut_given_up.contains(&id);
        want
    }

    /// By root on the node, or by an order of the controller's beside a challenge.
    pub(crate) fn kept_locked(&self, id: VaultId) -> bool {
        self.held.get(&id) == Some(&Operation::Lock) || self.ordered.contains(&id)
    }

    /// Absence from the list locks. Only what a live section names as removed is deleted, and only if a section of the same
    /// incarnation had listed it before; while the record of those can't be read nothing is.
    fn absent(&self, id: VaultId, nothing: bool) -> Wish {
        let live = self.listing.as_ref().filter(|listing| listing.authority == Authority::Live);
        match (live, &self.record) {
            (Some(live), RecordSeen::Read(record)) if record.authorizes(live, id) => Wish::Delete,
            (_, RecordSeen::Read(record)) if nothing && record.removed.contains_key(&id) => Wish::Gone,
            // No list speaks of it, and there is nothing to keep: the record remembers so many removals and no more.
            (Some(_), RecordSeen::Read(_)) if nothing => Wish::Gone,
            (None, _) if self.kept_locked(id) => Wish::Lock,
            (None, _) => Wish::Leave,
            (Some(_), RecordSeen::Unreadable) => Wish::Unlisted,
            (Some(_), _) => Wish::Orphan,
        }
    }

    /// The name that a vault is known by.
    #[must_use]
    pub fn name(&self, id: VaultId) -> Name {
        let listed = self.listing.as_ref().and_then(|l| l.vaults.get(&id)).map(|want| want.name.clone());
        let recorded = match &self.record {
            RecordSeen::Read(record) => record.name(id).cloned(),
            RecordSeen::Unreadable | RecordSeen::Nothing => None,
        };
        let known = listed.or(recorded).or_else(|| defaults::name(id));
        let known = known.or_else(|| self.former.get(&id).cloned());
        known.map_or_else(|| nameless(id), |name| defaults::called(id, name))
    }
}
