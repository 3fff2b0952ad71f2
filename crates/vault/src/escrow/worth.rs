//! Whether key files as they lie on the disk may go into a bundle, where they could take the place of better ones that are in escrow.

use super::BundleId;
use crate::condition::{Facts, Node, TpmSeen, share_gone};
use crate::ids::VaultId;
use crate::plan::{Known, opens_by_another_key};
use crate::wanted::{Authority, Desired, Wish};

/// What is known of a vault's key files that were just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesSeen {
    /// They are as those that are known to be good.
    pub alike: bool,
    /// A key opened them in this life.
    pub opened: bool,
    /// The vault's directory is away, so that no key will tell.
    pub away: bool,
    /// No key will ever tell: see [`stays_shut`].
    pub shut: bool,
    /// A bundle could help the vault, were they damaged.
    pub can_help: bool,
}

/// What they are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// They go into the next bundle.
    Good,
    /// They may be damaged: they wait for a key that tells.
    Untold,
    /// They go into no bundle and keep none from being made; what is in escrow of them stays.
    LeftOut,
}

/// Whether nothing opens a vault to tell whether its key files are good, so that nothing is to wait for that: it is an orphan, its share is gone for
/// certain, or the controller gives other keys than the one that it is wrapped under. While the share table is lost or unread none is: a bundle may bring it back.
#[must_use]
pub fn stays_shut(id: VaultId, known: &Known, desired: &Desired, node: &Node) -> bool {
    let Known { seen, keys, .. } = known;
    if known.unseen || node.tpm == TpmSeen::Unknown || node.table_lost() {
        return false;
    }
    let wish = desired.wish(id, node, false);
    match &wish {
        Wish::Orphan => true,
        Wish::Keep(want) if share_gone(&Facts { id, seen, keys, node }, want) => true,
        Wish::Keep(want) => want.authority == Authority::Live && opens_by_another_key(id, known, &wish, node),
        Wish::Delete | Wish::Gone | Wish::Unlisted | Wish::Lock | Wish::Leave => false,
    }
}

/// What a key opened is good, and so is what is like that. What may be damaged waits, unless a bundle could not help its vault anyway.
#[must_use]
pub fn worth(files: FilesSeen) -> Worth {
    match files {
        FilesSeen { alike: true, .. } | FilesSeen { opened: true, .. } => Worth::Good,
        FilesSeen { away: true, .. } | FilesSeen { shut: true, .. } => Worth::LeftOut,
        FilesSeen { can_help: false, .. } => Worth::Good,
        FilesSeen { can_help: true, .. } => Worth::Untold,
    }
}

/// Whether files that no key opened in this life are good all the same: with them the bundle would be the very one that is `held` in escrow,
/// and what went into that was good; or there was no bundle before, so that there are no better ones.
#[must_use]
pub fn vouched(is_first: bool, would_be: Option<BundleId>, held: Option<BundleId>) -> bool {
    is_first || held.is_some() && would_be == held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    /// KO-1, invariant 4: of all that may be known, only what a key told, what is like it, and what no bundle could help goes in.
    #[test]
    fn what_may_be_damaged_takes_no_good_files_place() {
        let all = (0..32).map(|bits| FilesSeen {
            alike: bits & 1 != 0,
            opened: bits & 2 != 0,
            away: bits & 4 != 0,
            can_help: bits & 8 != 0,
            shut: bits & 16 != 0,
        });
        let of = |wanted| all.clone().filter(|files| worth(*files) == wanted).collect::<Vec<_>>();
        let untold = FilesSeen { alike: false, opened: false, away: false, can_help: true, shut: false };
        assert_eq!(of(Worth::Untold), [untold]);
        let left_out = of(Worth::LeftOut);
        let is_left_out = |files: &FilesSeen| !files.alike && !files.opened && (files.away || files.shut);
        assert_eq!((left_out.len(), left_out.iter().all(is_left_out)), (6, true), "{left_out:?}");
        assert_eq!(of(Worth::Good).len(), 25);
    }

    #[test]
    fn nothing_is_vouched_for_by_a_bundle_that_is_not_there() {
        let id = |byte| BundleId { generation: Generation(1), digest: [byte; 32] };
        for (is_first, would_be, held, good) in [
            (true, None, None, true),
            (false, None, None, false),
            (false, Some(id(1)), None, false),
            (false, None, Some(id(1)), false),
            (false, Some(id(1)), Some(id(1)), true),
            (false, Some(id(2)), Some(id(1)), false),
        ] {
            assert_eq!(vouched(is_first, would_be, held), good, "{is_first} {would_be:?} {held:?}");
        }
    }
}
