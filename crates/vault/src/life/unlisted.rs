//! Vaults that are open under a key that a database does not have: by a list of a newer copy of it, or of another controller. Whether their node can
//! still wrap them anew, or the next lock closes them for good.

use super::{Gone, Listed, Orphan};
use crate::condition::State;
use crate::ids::{Incarnation, SectionVersion};
use crate::ledger::Older;
use crate::report::VaultReport;

/// What is known of the list that a node goes by: the present life of the database, the list that the node accepted last, and whether a newer copy of
/// this database made that, or may have.
pub type GoesBy = (Incarnation, Option<SectionVersion>, Option<Older>);

/// Whether a vault that a node speaks of, and that this database has no row of, is on a list that this database does not have.
#[must_use]
pub fn is_unlisted(told: &VaultReport) -> bool {
    let is_there = matches!(told.state, State::Unlocked | State::LockIncomplete | State::Locked);
    is_there && !told.id.is_default()
}

/// Whether a default vault, of which this database has no row, is under a key of a controller's all the same.
#[must_use]
pub fn lacks_key(told: &VaultReport) -> bool {
    told.id.is_default() && told.epoch.is_some()
}

/// Whether an unlisted vault, or a default one that [lacks its key](lacks_key), is open for the last time: its node does not say by what it opened it. It
/// was started since, and may have its key no more. Then it wraps it under no other, and what locks it closes it.
#[must_use]
pub fn is_last_time(told: &VaultReport) -> bool {
    told.state == State::Unlocked && told.epoch.is_some() && told.opened.is_none()
}

impl Listed {
    /// The same of one that is listed: by its node's word the key given here is another one, or it is at an epoch that was never made here, or at that from which it was taken in.
    #[must_use]
    pub fn is_last_time(&self, told: &VaultReport) -> bool {
        let has_no_key = self.is_under_anothers(told) && told.opened.is_none();
        told.state == State::Unlocked && (has_no_key || told.under_anothers_key)
    }
}

impl Gone {
    /// Whether what its node has under its identity may be another thing than what was removed here. An orphan, once the node took a list without it: it
    /// knows of none that the vault was on, and never erases it. And a vault that is open, of a node that may go by a newer list: it may have been kept again.
    #[must_use]
    pub fn makes_way(&self, orphan: &Orphan, (here, accepted, older): GoesBy) -> bool {
        if orphan.listed { orphan.open && older.is_some() } else { self.is_told(here, accepted) }
    }
}
