//! What of a bundle is to be written back where both copies on the disk are gone: the share table, and the key files of vaults. What reads on the
//! disk, and opens, stays, whatever the bundle says: it is newer. Nothing is brought back of what is to be erased, and nothing that the TPM's own root, or the
//! vault's directory, does not speak for.

use std::collections::BTreeMap;

use super::{Bundle, VaultFiles};
use crate::condition::{Dir, Facts, MetaCopy, Node, TableSeen, TpmSeen, damaged};
use crate::ids::{Generation, VaultId};
use crate::plan::{Known, is_not_here, opens_by_another_key};
use crate::secret::TableKey;
use crate::section::Seal;
use crate::shares::{Mark, Table, TableError};
use crate::wanted::{Desired, Wish};

/// Why the bundle's share table is not taken in place of the lost one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtherTable {
    /// Of other roots than the TPM has now: what was erased since is not brought back.
    #[error(
        "the share table in the bundle is of generation {bundle}, and the TPM has the roots of generation {tpm}"
    )]
    Generation {
        /// The table's.
        bundle: Generation,
        /// The TPM's.
        tpm: Generation,
    },
    /// Another TPM's, or damaged.
    #[error("the share table in the bundle")]
    Table(#[from] TableError),
}

impl Bundle {
    /// The share table in it, for the generation whose roots the TPM gives, authenticated by their key. What was dropped from the lost one after
    /// the bundle was made is not known, so others may have been.
    ///
    /// # Errors
    /// [`OtherTable`]: the lost table stays lost.
    pub fn table_for(&self, tpm: Generation, key: &TableKey) -> Result<Table, OtherTable> {
        let table = Table::decode(self.table(), key)?;
        match table.generation() {
            same if same == tpm => Ok(table.brought_back()),
            bundle => Err(OtherTable::Generation { bundle, tpm }),
        }
    }
}

/// Vaults that were made, as far as anything tells, after the bundle: neither its table nor the rest of it knows them, so their shares went with a newer table.
#[must_use]
pub fn made_since(bundle: &Bundle, table: &Table, known: &BTreeMap<VaultId, Known>) -> Vec<VaultId> {
    let has_line = |id: VaultId| Seal::ALL.iter().any(|seal| table.entry(id, *seal).is_some());
    let made = |known: &Known| {
        let Known { seen, unseen, .. } = known;
        let copies = [seen.first, seen.second];
        !*unseen && (seen.is_vault() || copies.iter().any(|copy| *copy != MetaCopy::Absent))
    };
    let since = |(id, known): &(&VaultId, &Known)| {
        made(known) && !has_line(**id) && !bundle.vaults().contains_key(*id)
    };
    known.iter().filter(since).map(|(id, _)| *id).collect()
}

/// The key of the policy that a vault's directory stands under; nothing where none stands there.
pub type DirKey = [u8; 16];

/// Whether a bundle can help a vault: it was made, and its directory is there, or may be.
#[must_use]
pub fn can_help(known: &Known) -> bool {
    let seen = &known.seen;
    known.unseen || seen.is_vault() && seen.mark().is_none_or(|mark| mark == Mark::Made)
}

/// Whether a vault was made and its directory is away: nothing opens it to tell whether its key files are good, and a bundle may help once the directory
/// is put back.
#[must_use]
pub fn is_away(known: &Known) -> bool {
    let seen = &known.seen;
    !known.unseen && seen.dir == Dir::Absent && seen.mark() == Some(Mark::Made)
}

/// Whether it is away, and without key files: what a bundle has of it is all that there is.
#[must_use]
pub fn hangs_on_a_bundle(known: &Known) -> bool {
    is_away(known) && !known.seen.has_metadata()
}

/// Whether a vault hangs on what is in escrow, which a bundle that is made now would lack: it was made, and nothing of it is here.
#[must_use]
pub fn is_in_escrow_alone(id: VaultId, known: &Known, desired: &Desired, node: &Node) -> bool {
    let Known { seen, unseen, .. } = known;
    let is_bare = !*unseen && !seen.is_vault() && !seen.has_metadata();
    is_bare && is_not_here(known, &desired.wish(id, node, seen.is_nothing()))
}

/// Whether the bundle is of another disk: none of the vaults of which it has the key files stands here under its key. One that was made anew since
/// does not, too; where that is so of all, the shares in the bundle tell, or nothing does. An empty disk is so: what is wanted there an order says.
pub fn is_of_another_disk(bundle: &Bundle, dir_key: impl Fn(VaultId) -> Option<DirKey>) -> bool {
    let is_same =
        |(id, files): (&VaultId, &VaultFiles)| Some(hex::encode(dir_key(*id)?) == files.policy.name);
    let all = bundle.vaults();
    !all.is_empty() && !all.iter().filter_map(is_same).any(|same| same)
}

/// The vaults whose key files lie whole in neither place, or open no more, damaged or of an epoch that is over, though they were made, and that
/// nobody wants erased: those that a bundle can help.
#[must_use]
pub fn lacking(desired: &Desired, known: &BTreeMap<VaultId, Known>, node: &Node) -> Vec<VaultId> {
    let lacks = |(id, known): &(&VaultId, &Known)| {
        let seen = &known.seen;
        let erased = matches!(desired.wish(**id, node, false), Wish::Delete | Wish::Gone);
        can_help(known)
            && !known.unseen
            && !erased
            && (!seen.has_metadata() || opens_no_more(**id, known, desired, node))
    };
    known.iter().filter(lacks).map(|(id, _)| *id).collect()
}

/// Both copies read as files, and what a key opens of them is damaged, each key that they name having been tried; or they are of an epoch that is over: a
/// disk that was put back has such, and the bundle has newer ones.
fn opens_no_more(id: VaultId, known: &Known, desired: &Desired, node: &Node) -> bool {
    let Known { seen, keys, .. } = known;
    let wish = desired.wish(id, node, false);
    let is_damaged = match &wish {
        Wish::Keep(want) => damaged(&Facts { id, seen, keys, node }, want),
        _ => false,
    };
    is_damaged || is_over(known) && opens_by_another_key(id, known, &wish, node)
}

/// Whether its key files are of an epoch below the given ones. Newer ones, or another controller's, are never written over by what a bundle has: the
/// database that gives their keys may come back.
fn is_over(known: &Known) -> bool {
    let Known { seen, keys, .. } = known;
    let oldest = keys.last.or(keys.current);
    let of = || seen.hints().filter_map(|hint| hint.epoch());
    oldest.is_some_and(|oldest| of().next().is_some() && of().all(|epoch| epoch < oldest))
}

/// Whether the node is to ask its bundle back for files: the share table opens no more, or vaults lack their key files.
#[must_use]
pub fn asks_for_files(desired: &Desired, known: &BTreeMap<VaultId, Known>, node: &Node) -> bool {
    match node.tpm {
        TpmSeen::Unknown | TpmSeen::Absent => false,
        TpmSeen::Present { table: TableSeen::Lost, .. } => true,
        TpmSeen::Present { table: TableSeen::Open, .. } => !lacking(desired, known, node).is_empty(),
    }
}

/// The key files to write back: of vaults that lack theirs, and whose directory stands under the very key that the bundle's policy is of.
#[must_use]
pub fn key_files<'b>(
    bundle: &'b Bundle,
    lacking: &[VaultId],
    dir_key: impl Fn(VaultId) -> Option<DirKey>,
) -> Vec<(VaultId, &'b VaultFiles)> {
    let fits = |id: &VaultId| {
        let files = bundle.vaults().get(id)?;
        let key = dir_key(*id)?;
        (hex::encode(key) == files.policy.name).then_some((*id, files))
    };
    lacking.iter().filter_map(fits).collect()
}

#[cfg(test)]
mod tests;
