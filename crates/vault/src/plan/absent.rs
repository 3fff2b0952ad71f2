//! Vaults whose share the table does not have: nothing says that it was lost, for a table that is older than its vaults knows nothing of them. One that
//! is put back by hand is so, and one from a bundle that was made before them. Absence proves nothing, so what may need a share counts as
//! needing it until a key has opened it without.

use super::Known;
use crate::condition::{Facts, Hint, Node, ShareKey, TableSeen, TpmSeen, damaged, share_gone};
use crate::ids::VaultId;
use crate::wanted::{Desired, Want, Wish};

/// Whether what this vault is wrapped under may be a share that the table does not have. Of one that is erased, or made anew by an order, nothing is kept.
pub(super) fn may_lack_share(id: VaultId, known: &Known, wish: &Wish, node: &Node) -> bool {
    let Known { seen, keys, .. } = known;
    match wish {
        Wish::Delete | Wish::Gone => false,
        Wish::Keep(want) if want.recreate => false,
        _ if keys.held.is_some() => false,
        Wish::Keep(want) if seen.has_share() => {
            let facts = Facts { id, seen, keys, node };
            keys.has_share(ShareKey::Open) && !keys.leads_to_damage && damaged(&facts, want)
        }
        Wish::Keep(want) => needs_share(known, want),
        Wish::Orphan | Wish::Unlisted | Wish::Lock | Wish::Leave => {
            !seen.has_share() && (known.unseen || seen.has_metadata() || seen.is_vault())
        }
    }
}

/// It has no line at all: it was made, as far as anything tells, and its names or its policy speak of a share.
fn needs_share(known: &Known, want: &Want) -> bool {
    let Known { seen, unseen, .. } = known;
    let made = want.created || *unseen || seen.has_metadata() || seen.is_vault();
    is_named(known) || made && want.policy.custody.needs_tpm()
}

fn is_named(known: &Known) -> bool {
    known.seen.hints().any(|hint| hint == Hint::NoEpoch)
}

/// Whether a vault certainly has no line in the table, which is open, and was made with one: a name says so, its keys do, or the list that saw it made.
/// A bundle may have the line, and while it may none takes the bundle's place.
#[must_use]
pub fn lacks_line(id: VaultId, known: &Known, desired: &Desired, node: &Node) -> bool {
    let Known { seen, keys, unseen, .. } = known;
    let open = matches!(node.tpm, TpmSeen::Present { table: TableSeen::Open, .. });
    let facts = Facts { id, seen, keys, node };
    let opened = keys.held.is_some();
    open && !*unseen
        && !seen.has_share()
        && !opened
        && match desired.wish(id, node, seen.is_nothing()) {
            Wish::Delete | Wish::Gone => false,
            Wish::Keep(want) if seen.has_metadata() => is_named(known) || share_gone(&facts, &want),
            Wish::Keep(want) => (want.created || seen.is_vault()) && want.policy.custody.needs_tpm(),
            Wish::Orphan | Wish::Unlisted | Wish::Lock | Wish::Leave => is_named(known),
        }
}
