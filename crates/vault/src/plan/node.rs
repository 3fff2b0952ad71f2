//! Steps of the node as a whole: what all vaults hang on. One is taken before the vaults that wait for it.

use std::collections::BTreeMap;

use super::{Hold, Known, in_the_way};
use crate::condition::{Dir, Node};
use crate::defaults::DEFAULT_VAULTS;
use crate::ids::VaultId;
use crate::wanted::{Desired, Wish};

/// One step for the node. Each is safe to repeat.
///
/// That a bundle goes into escrow is none of these: it is nothing that vaultmgr does, and sees done when it looks again, but a wish that it tells as
/// long as it has it. zedagent posts the bundle when there is a line, and the controller's word alone says that it holds it. What has to wait for
/// that word waits by [`Hold`] and [`crate::condition::Upcoming`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeStep {
    /// Begin an empty share table in place of the lost one, with these vaults entered as lost: they were made once, as far as
    /// anything tells, and are told as missing.
    BeginTable {
        /// In the order of their identities.
        lost: Vec<VaultId>,
    },
    /// Take away what is left of generations that are not in force: roots in the TPM first, then files. Until that is done the table in force is not changed.
    DropGenerations,
    /// Make the next generation in memory, so that its bundle can be put in escrow before it begins.
    PrepareGeneration,
    /// Seal every share anew under fresh roots, and take those away that were in force: with them what was dropped from the table is dead.
    NextGeneration,
}

/// What was left comes first: by it a change that was cut short is ended, or undone.
pub(super) fn step(
    desired: &Desired,
    known: &BTreeMap<VaultId, Known>,
    node: &Node,
    hold: Option<Hold>,
) -> Option<NodeStep> {
    match hold {
        Some(Hold::Leftovers) => Some(NodeStep::DropGenerations),
        Some(Hold::Unmade) => Some(NodeStep::PrepareGeneration),
        Some(Hold::Due) => Some(NodeStep::NextGeneration),
        _ => begin_table(desired, known, node),
    }
}

/// A lost table is begun anew only for a vault that an order wants made anew, and that can be.
fn begin_table(desired: &Desired, known: &BTreeMap<VaultId, Known>, node: &Node) -> Option<NodeStep> {
    if !node.table_lost() {
        return None;
    }
    let default = Known::default();
    let of_defaults = DEFAULT_VAULTS.iter().map(|(id, _)| (id, known.get(id).unwrap_or(&default)));
    let all: BTreeMap<_, _> = known.iter().chain(of_defaults).collect();
    let ordered = |id: VaultId, known: &Known| {
        let wish = desired.wish(id, node, known.seen.is_nothing());
        let anew = matches!(wish, Wish::Keep(want) if want.recreate);
        let free = known.seen.dir != Dir::Covered && in_the_way::of(id, &known.seen).is_none();
        anew && !known.unseen && !known.hoped && free
    };
    if !all.iter().any(|(id, known)| ordered(**id, known)) {
        return None;
    }
    let made = |(id, known): &(&VaultId, &Known)| {
        let traces = known.unseen || !known.seen.is_nothing() || id.is_default();
        traces && !ordered(**id, known)
    };
    Some(NodeStep::BeginTable { lost: all.into_iter().filter(made).map(|(id, _)| *id).collect() })
}
