//! What the check leans on: each guard can be taken away, at a joint of the shipped functions, and then the check must fail.

use vault::condition::{Key, OpenedBy};
use vault::plan::Known;
use vault::shares::Dropped;

/// A guard that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A key goes out only to evidence that was appraised as good.
    Appraisal,
    /// None goes out to a device that is lost.
    Lost,
    /// Only two epochs go out.
    TwoEpochs,
    /// A rotation waits for the node.
    RotationWaits,
    /// What a database is told of a node that is further on than it.
    Ledger,
    /// That a node was further on stays noted, whatever is told since.
    Marked,
    /// And comes off by fresh evidence and the chain.
    MarkEnds,
    /// A section that was sent so long ago that the ledger has no room for it is no sign of another database.
    SentBefore,
    /// A word of before that is sent again is numbered once.
    Again,
    /// What is not listed is not thereby removed.
    Absence,
    /// A grace that runs is not over.
    Grace,
    /// What is retained has no grace that ends.
    Retained,
    /// A vault that is gone is remembered until its node has erased it.
    Remembered,
    /// A node that is elsewhere in the chain is told anew.
    Astray,
    /// What a node tells that it has covers the section that was sent last.
    LastSent,
    /// Locks are ordered beside a challenge.
    Orders,
    /// A section counts only if it follows the one accepted last.
    Follows,
    /// Each copy is looked at by itself: which key opened it, and what its name says.
    Proof,
    /// What was dropped and is not dead is told.
    Dropped,
    /// A key in the kernel is seen there.
    KernelKey,
}

impl Guard {
    /// What the plan is shown without it.
    pub(crate) fn twist(self) -> fn(&mut Known) {
        match self {
            Self::Proof => |known| {
                known.keys.held = known.keys.held.map(|OpenedBy { first, second }| {
                    let one = first.or(second);
                    OpenedBy { first: one, second: one }
                });
                known.seen.second = known.seen.first;
            },
            Self::Dropped => |known| known.seen.dropped = Dropped::None,
            Self::KernelKey => |known| known.seen.key = Key::Absent,
            _ => |_| {},
        }
    }
}
