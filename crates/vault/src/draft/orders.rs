//! What is ordered to be locked: where the section that says so is withheld, or is none to the node.

use super::{Facts, Line};
use crate::decide::{Bar, ChallengeWay};
use crate::ids::{CONFIG_VAULT, VaultId};
use crate::section::{MAX_ORDERS, Operation};

/// What is locked in the section that is withheld (by its operator, while it is removed, or because its device is lost), and what no section
/// can lock.
pub(super) fn orders(facts: &Facts<'_>, lines: &[Line], challenge: ChallengeWay) -> Vec<VaultId> {
    let is_withheld = challenge == ChallengeWay::InPlace;
    let locked = lines.iter().filter(|line| is_withheld && line.entry.operation == Operation::Lock);
    let locked: Vec<_> = locked.map(|line| line.entry.id).collect();
    let beside = held_elsewhere(facts).unwrap_or_else(|| unread_of_lost(facts, is_withheld));
    let others = beside.into_iter().filter(|id| !locked.contains(id));
    locked.iter().copied().chain(others).take(MAX_ORDERS).collect()
}

/// A lost device whose node holds to the lists of another one has vaults that stand in no list of this one, and opens them by those. Those
/// that it is to erase are among them: of a list that it does not take it erases none.
fn held_elsewhere(facts: &Facts<'_>) -> Option<Vec<VaultId>> {
    let Facts { told, asking, .. } = facts;
    if asking.barred != Some(Bar::Lost) || told.held_to(asking.device).is_none() {
        return None;
    }
    Some(beside_list(facts))
}

/// Those of a lost device whose rows do not read stand in no line, by which they would be locked. A section that goes out does without them: what
/// it does not list is locked.
fn unread_of_lost(facts: &Facts<'_>, is_withheld: bool) -> Vec<VaultId> {
    let is_lost = facts.asking.barred == Some(Bar::Lost);
    if is_lost && is_withheld { facts.unread.clone() } else { Vec::new() }
}

/// What a node has, or may have, that stands in no list of this device. The Config Vault holds its own record.
pub(super) fn beside_list(Facts { listed, gone, unread, told, .. }: &Facts<'_>) -> Vec<VaultId> {
    let here = |id: &VaultId| listed.iter().any(|vault| vault.subject.vault == *id);
    let strays =
        told.strays.iter().map(|vault| vault.id).filter(|id| !gone.contains(id) && !unread.contains(id));
    let known = gone.iter().chain(unread).copied();
    known.chain(strays).filter(|id| *id != CONFIG_VAULT && !here(id)).collect()
}
