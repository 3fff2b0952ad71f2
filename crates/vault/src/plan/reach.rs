//! What keeps a step that is due from being taken now, though the vault itself is ready for it.

use super::step::{Step, Wait};
use super::{Act, Next};
use crate::condition::Node;

impl Next {
    /// As far as it can be carried out. What is held of a disk that went still locks, and nothing else is done by its paths; when it is back it goes
    /// on. A table that is lent has to stay as it is until it is back.
    pub(super) fn within_reach(self, node: &Node) -> Self {
        match self {
            Self::Do(Act { step, .. }) if step != Step::Lock && node.disk_went => Self::Wait(Wait::Disk),
            Self::Do(Act { step, .. }) if step.changes_table() && node.table_lent => Self::Wait(Wait::Tpm),
            next => next,
        }
    }
}

impl Step {
    /// Whether it writes the share table.
    fn changes_table(self) -> bool {
        match self {
            Self::MakeShare { .. } | Self::MarkMade | Self::DropShare(_) => true,
            Self::MakeMetadata { .. }
            | Self::RepairCopy { .. }
            | Self::Unwrap
            | Self::Rewrap(_)
            | Self::AddKey
            | Self::MakeDir
            | Self::SetPolicy(_)
            | Self::Bound(_)
            | Self::Count
            | Self::MoveIn(_)
            | Self::DropCopy
            | Self::DropStaged { .. }
            | Self::WriteByHeart
            | Self::Lock
            | Self::ForgetMetadata
            | Self::DeleteDir
            | Self::RecordRemoved
            | Self::MakeRecovery(_)
            | Self::DropRecovery
            | Self::NewProtector(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::condition::{Escrow, Past, TpmSeen};
    use crate::lease::SinceBoot;
    use crate::plan::Op;
    use crate::section::{Encryption, Seal};
    use crate::shares::Mark;

    const MAKE: Step = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun };

    const NODE: Node = Node {
        tpm: TpmSeen::Absent,
        measured: true,
        past: Past::NOTHING,
        escrow: Escrow::Nothing,
        since_boot: SinceBoot(Duration::ZERO),
        disk_went: false,
        table_lent: false,
    };

    fn next(step: Step, disk_went: bool, table_lent: bool) -> Next {
        Next::Do(Act { op: Op::Unlock, step }).within_reach(&Node { disk_went, table_lent, ..NODE })
    }

    /// Invariant 4: nothing is made, wiped or written by the paths of a disk that went. What is open is locked all the same.
    #[test]
    fn a_disk_that_went_is_locked_and_nothing_else() {
        let set = Step::SetPolicy(Encryption::Adiantum);
        for step in [MAKE, Step::DeleteDir, Step::ForgetMetadata, Step::AddKey, set] {
            assert_eq!(next(step, true, false), Next::Wait(Wait::Disk), "{step:?}");
            assert_eq!(next(step, false, false), Next::Do(Act { op: Op::Unlock, step }), "{step:?}");
        }
        assert_eq!(next(Step::Lock, true, true), Next::Do(Act { op: Op::Unlock, step: Step::Lock }));
    }

    /// Invariant 5: the share table stays as it is while an errand changes the roots that it lies under. What does not touch it goes on.
    #[test]
    fn what_writes_the_table_waits_while_it_is_lent() {
        for step in [MAKE, Step::MarkMade, Step::DropShare(Seal::Pcrs)] {
            assert_eq!(next(step, false, true), Next::Wait(Wait::Tpm), "{step:?}");
        }
        for step in [Step::Lock, Step::AddKey, Step::ForgetMetadata, Step::Unwrap] {
            assert_eq!(next(step, false, true), Next::Do(Act { op: Op::Unlock, step }), "{step:?}");
        }
    }

    /// What waits, or rests, is as it is.
    #[test]
    fn what_is_not_due_is_not_held_up() {
        let node = Node { disk_went: true, table_lent: true, ..NODE };
        assert_eq!(Next::Wait(Wait::Busy).within_reach(&node), Next::Wait(Wait::Busy));
    }
}
