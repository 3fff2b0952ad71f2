//! Shares that were dropped from the table, and are dead only when their generation has ended: in a copy of the disk that was taken earlier they
//! open as long as its roots lie in the TPM. A generation ends when each share can be taken into the next one, so that none is left behind; when each
//! vault that was made is here, or was given up by an order, so that nothing that may come back is shut out; and when no vault is about to take a step of its own, so that several deletions share one end.

use std::collections::BTreeMap;

use super::absent::may_lack_share;
use super::away::{is_hidden, is_not_here};
use super::{Known, Next, Note};
use crate::condition::{Node, Seen, ShareKey, TableSeen, TpmSeen, Upcoming};
use crate::ids::{CONFIG_VAULT, VaultId};
use crate::shares::{Dropped, Mark};
use crate::wanted::{Desired, RecordSeen, Wish};

/// Why what was dropped is not dead yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// Nothing was heard of the TPM.
    #[error("it waits for the TPM")]
    Tpm,
    /// There is no table to carry over.
    #[error("it waits for the node's share table, which is lost")]
    Table,
    /// The next generation's bundle goes to the controller first.
    #[error("the TPM's next secrets are about to be prepared")]
    Unmade,
    /// The controller has not said that it holds it.
    #[error("it waits until the controller holds the TPM's next secrets in escrow")]
    Escrow,
    /// What it was sealed under is still there.
    #[error("the TPM's secrets of before are being taken away")]
    Leftovers,
    /// An errand is out.
    #[error("the TPM is asked, and has not answered yet")]
    Asked,
    /// The step is due.
    #[error("the TPM's secrets are about to be changed")]
    Due,
    /// The step failed.
    #[error("the change of the TPM's secrets failed, see the node's notes, and is tried again")]
    Retry,
    /// Others may drop more.
    #[error("it waits for steps of other vaults")]
    Steps,
    /// The root that is bound to PCRs can't be read, so shares under it can't be carried over.
    #[error(
        "it waits for the secret that is bound to the measured state: for a boot in which the TPM gives it, or for the bundle in escrow; where its NV index is gone and no bundle is held, have the vaults with `seal: pcrs` made anew, or remove them"
    )]
    Pcrs,
    /// One share can't be carried over.
    #[error(
        "the share of vault {0} is damaged and would be left behind: bring the share table back from a backup, or remove that vault or have it made anew"
    )]
    Damaged(VaultId),
    /// A share that went with a table may be brought back as long as the roots are there.
    #[error(
        "the share of vault {0} is lost, and would be so for ever: bring it back, or remove that vault or have it made anew"
    )]
    Lost(VaultId),
    /// A share that the table has no line of may lie in a newer one, which opens as long as the roots are there.
    #[error(
        "the share of vault {0} is not in the share table, which may be older than the vault: bring the newer table back, open the vault if it needs no share, or remove it or have it made anew (an orphan is taken in first: `evc adopt vault`)"
    )]
    Absent(VaultId),
    /// Made, and not here: this may be another disk than the one that it lies on.
    #[error(
        "vault {0} was made, and its directory or both copies of its key files are not on this disk: if the disk that is mounted at persist is not the one that belongs to this node, shut down and put the right one back; if it is, put back what was moved, or let the key files come back from escrow; only if the vault is given up, have it made anew (`eve vault recreate` with its name, or `evc recreate vault`) or remove it (`evc delete vault`; an orphan is taken in first: `evc adopt vault`)"
    )]
    Away(VaultId),
    /// What vaults there are is not known.
    #[error(
        "it waits for the Config Vault, or for a list of vaults from the controller: before that it is not known which vaults there are"
    )]
    Unheard,
}

impl Hold {
    /// Nothing is wrong: the node's own next steps, or the controller's next word, end it.
    #[must_use]
    pub const fn ends_by_itself(self) -> bool {
        matches!(
            self,
            Self::Unmade
                | Self::Escrow
                | Self::Leftovers
                | Self::Asked
                | Self::Due
                | Self::Steps
                | Self::Unheard
        )
    }
}

/// What is known of the node's own steps without a look at any vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeGlance {
    /// One may be due: the whole plan says which.
    PlanIt,
    /// None is to be taken now; and why what was dropped is not dead yet, where something may have been.
    Rests(Option<Hold>),
}

impl NodeGlance {
    /// Nothing is taken while an errand is out (`asked`), and none soon after one failed.
    #[must_use]
    pub fn of(node: &Node, asked: bool) -> Self {
        let may_be = node.table_lost() || node.past.is_something();
        if may_be && !node.past.setback && !asked {
            return Self::PlanIt;
        }
        Self::Rests(match node.tpm {
            TpmSeen::Unknown => Some(Hold::Tpm),
            TpmSeen::Present { table: TableSeen::Lost, .. } => Some(Hold::Table),
            _ if !may_be => None,
            _ if asked => Some(Hold::Asked),
            _ => Some(Hold::Retry),
        })
    }
}

/// Nothing: all that was dropped is dead, and nothing is left over.
pub(super) fn hold(
    desired: &Desired,
    known: &BTreeMap<VaultId, Known>,
    vaults: &[(VaultId, Wish, Next)],
    node: &Node,
) -> Option<Hold> {
    match node.tpm {
        TpmSeen::Absent => return None,
        TpmSeen::Unknown => return Some(Hold::Tpm),
        TpmSeen::Present { table: TableSeen::Lost, .. } => return Some(Hold::Table),
        TpmSeen::Present { table: TableSeen::Open, .. } => {}
    }
    let past = node.past;
    let stepping = || vaults.iter().any(|(_, _, next)| matches!(next, Next::Do(_)));
    if !past.is_something() {
        None
    } else if past.setback {
        Some(Hold::Retry)
    } else if past.others {
        Some(Hold::Leftovers)
    } else {
        left_behind(known, vaults, node)
            .or_else(|| unheard(desired, known))
            .or_else(|| stepping().then_some(Hold::Steps))
            .or(Some(due(past.next)))
    }
}

fn due(next: Upcoming) -> Hold {
    match next {
        Upcoming::Free | Upcoming::Held => Hold::Due,
        Upcoming::Unmade => Hold::Unmade,
        Upcoming::Made => Hold::Escrow,
    }
}

fn left_behind(
    known: &BTreeMap<VaultId, Known>,
    vaults: &[(VaultId, Wish, Next)],
    node: &Node,
) -> Option<Hold> {
    let of = |is: &dyn Fn(&Known) -> bool| known.iter().find(|(_, known)| is(known)).map(|(id, _)| *id);
    let closed = matches!(node.tpm, TpmSeen::Present { pcrs: false, .. }) && !node.past.anew;
    let damaged = || of(&|known| known.keys.has_share(ShareKey::Damaged));
    let lost = || of(&|known| known.seen.shares.all().contains(&Some(Mark::Lost)));
    let pcrs = closed.then_some(Hold::Pcrs);
    pcrs.or_else(|| damaged().map(Hold::Damaged))
        .or_else(|| lost().map(Hold::Lost))
        .or_else(|| absent(known, vaults, node))
        .or_else(|| away(known, vaults))
}

/// What nothing on this disk shows, and may come back with another one, or with a bundle of this generation. What can't be looked at may be all there: that is
/// told of the vault itself, with what to do.
fn away(known: &BTreeMap<VaultId, Known>, vaults: &[(VaultId, Wish, Next)]) -> Option<Hold> {
    let unknown = Known::default();
    let hold = |(id, wish, _): &(VaultId, Wish, Next)| match known.get(id).unwrap_or(&unknown) {
        hidden if is_hidden(hidden, wish) => Some(Hold::Steps),
        known => is_not_here(known, wish).then_some(Hold::Away(*id)),
    };
    vaults.iter().filter_map(hold).max_by_key(|hold| matches!(hold, Hold::Away(_)))
}

/// The record lies in the Config Vault, and no list came: vaults without a share, which it alone names, may be away too.
fn unheard(desired: &Desired, known: &BTreeMap<VaultId, Known>) -> Option<Hold> {
    let config_opens = known.get(&CONFIG_VAULT).is_some_and(|config| config.keys.held.is_some());
    let is = desired.listing.is_none() && desired.record == RecordSeen::Unreadable && !config_opens;
    is.then_some(Hold::Unheard)
}

/// Whose share would be left behind because the table does not know of it. Of what no list that is in force speaks of it is not known yet whether it
/// needs one: that ends by itself.
fn absent(known: &BTreeMap<VaultId, Known>, vaults: &[(VaultId, Wish, Next)], node: &Node) -> Option<Hold> {
    let unknown = Known::default();
    let of = |id: &VaultId| known.get(id).unwrap_or(&unknown);
    let may = vaults.iter().filter(|(id, wish, _)| may_lack_share(*id, of(id), wish, node));
    let hold = |(id, wish, _): &(VaultId, Wish, Next)| match wish {
        Wish::Leave => Hold::Steps,
        _ => Hold::Absent(*id),
    };
    may.map(hold).max_by_key(|hold| matches!(hold, Hold::Absent(_)))
}

/// What is said of a vault that is gone.
pub(super) fn note(seen: &Seen) -> Note {
    match seen.dropped {
        Dropped::None => Note::Erased,
        Dropped::Perhaps | Dropped::Yes => Note::Erasing,
    }
}
