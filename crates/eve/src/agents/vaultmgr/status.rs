//! What vaultmgr tells: the status of each vault, and what holds for the whole node. Nothing is changed by it.

use std::collections::BTreeMap;
use std::fmt::Display;

use attest::SessionKey;
use vault::condition::{Node, Seen, TableSeen, TpmSeen};
use vault::ids::{SectionVersion, VaultId};
use vault::lease::SinceBoot;
use vault::plan::{Hold, Known, View, one};
use vault::report::{Reasons, VaultReport, report};
use vault::section::Seal;
use vault::wanted::Head;

use crate::agents::vaultmgr::fitting::{fitted, whole};
use crate::agents::vaultmgr::generation::shares::ShareStore;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;
use crate::bus::messages::VaultStatus;

/// All that is told of the node, and all that is told of a vault depends on beside what is its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OfNode {
    /// Without the vaults.
    status: VaultStatus,
    node: Node,
    hold: Option<Hold>,
}

impl<C: Crypt> Manager<C> {
    /// The newest section that was accepted, now or in an earlier life.
    pub(crate) fn accepted(&self) -> Option<SectionVersion> {
        self.belief.accepted()
    }

    /// The section that the next one is to follow.
    pub(crate) fn head(&self) -> Option<Head> {
        self.belief.head()
    }

    /// What holds for the whole node: why a configuration was refused, why the TPM is waited for.
    pub(crate) fn notes(&self) -> Vec<String> {
        let residue = self.crypt.residue().map(str::to_owned);
        self.notes.lines().into_iter().chain(self.crypt.unusable()).chain(residue).collect()
    }

    /// The public half of this life's session.
    pub(crate) fn session_key(&self) -> SessionKey {
        self.session.session_key()
    }

    /// The status of these, and what each made one's share is sealed to, the looser while it has two; none where it has no share. While the
    /// share table is not read nothing is known of that. Of each what is known is looked together once: of many, that is most of the work.
    pub(crate) fn told_of(
        &self,
        ids: impl IntoIterator<Item = VaultId>,
    ) -> (Vec<VaultReport>, BTreeMap<VaultId, Option<Seal>>) {
        let node = self.node_to_plan();
        let known = |id| (id, self.known(id));
        let known: Vec<(VaultId, Known)> = ids.into_iter().map(known).collect();
        let seals = known.iter().filter_map(|(id, known)| Some((*id, sealed_to(&node, &known.seen)?)));
        (known.iter().map(|(id, known)| self.report_of(*id, &node, known)).collect(), seals.collect())
    }

    /// What is to be said while the disk is not at its path any more. Keys and key files are reached by what is held of it, vaults and tables
    /// by their paths: so nothing but locks is done then.
    pub(crate) fn disk_went(&self) -> Option<String> {
        self.crypt.is_away().then(|| crate::agents::vaultmgr::hands::away::went(&self.paths))
    }

    /// All that is told, as it fits the bus.
    pub(crate) fn vault_status(&self) -> VaultStatus {
        let (vaults, seals) = self.told_of(self.everything());
        fitted(VaultStatus { vaults, seals, ..self.node_status() })
    }

    /// How the node is now, at whatever time: what ends with the time is looked at then.
    pub(crate) fn of_node(&self) -> OfNode {
        let node = Node { since_boot: SinceBoot::default(), ..self.node_to_plan() };
        OfNode { status: self.node_status(), node, hold: self.hold }
    }

    /// What is told of the node alone.
    fn node_status(&self) -> VaultStatus {
        let went = self.disk_went();
        let disk_away = went.is_some();
        // What is mounted over the disk is asked for nothing: it may never answer.
        let read_only = if disk_away { None } else { self.read_only().map(str::to_owned) };
        let notes = went.into_iter().chain(self.notes()).chain(read_only).collect();
        let generation = self.shares.as_ref().and_then(ShareStore::generation);
        VaultStatus {
            accepted: self.accepted(),
            head: self.head(),
            ordered: self.belief.own_ordered_at(),
            generation,
            leases: self.leases.until().clone(),
            drill: self.escrow.drilled(),
            notes,
            disk_away,
            unheard: self.unverified || self.belief.is_unheard(),
            root: self.belief.root().map(|root| root.0),
            ..VaultStatus::default()
        }
    }

    /// The status of one vault.
    pub(crate) fn report(&self, id: VaultId) -> VaultReport {
        self.report_of(id, &self.node_to_plan(), &self.known(id))
    }

    fn report_of(&self, id: VaultId, node: &Node, known: &Known) -> VaultReport {
        let (wish, next) = one(self.belief.desired(), id, known, node);
        let Known { seen, keys, setbacks, unseen, .. } = known;
        let view = View { id, wish: &wish, seen, keys, node, setbacks: *setbacks };
        let slot = self.slots.get(&id);
        let past = slot.map(VaultMemory::remembered).unwrap_or_default();
        let no_pcrs = self.shares.as_ref().and_then(ShareStore::without_pcrs);
        let no_pcrs = no_pcrs.map(|why| why as &dyn Display);
        let reasons = Reasons { no_pcrs, hold: self.hold };
        let mut report = report(&view, self.belief.desired().name(id), &next, past, reasons);
        let facts = slot.map(|slot| slot.facts.clone()).unwrap_or_default();
        let left: Vec<String> =
            slot.map(|slot| [&slot.left[..], slot.uncounted()].concat()).unwrap_or_default();
        if *unseen {
            report.detail = facts
        } else {
            report.detail.extend(facts.into_iter().chain(left))
        }
        report.detail.extend(self.crypt.unwiped(id));
        report.detail.extend(self.left_out_of_escrow(id));
        report.holds_escrow_up = self.holds_escrow_up(id);
        whole(self.with_progress(report))
    }
}

/// What a made vault's share is sealed to, where it is known.
fn sealed_to(node: &Node, seen: &Seen) -> Option<Option<Seal>> {
    let table_read = match node.tpm {
        TpmSeen::Absent => true,
        TpmSeen::Unknown => false,
        TpmSeen::Present { table, .. } => table == TableSeen::Open,
    };
    let made = seen.has_share() || seen.has_metadata();
    (table_read && made).then(|| seen.share())
}
