//! What keeps a step that is due from being taken now, though the vault itself is ready for it.

use super::step::{Step, Wait};
use super::{Act, Next};

impl Next {
    /// As far as it can be carried out.
    ///
    /// `disk_went`: another filesystem than the one that is held lies at the path of persist. What is held of a disk that went still locks, and nothing
    /// else is done by its paths; when it is back it goes on. `table_lent`: an errand is out that changes the share table, which has to stay as it is
    /// until then. Each is asked only where it matters.
    #[must_use]
    pub fn within_reach(self, disk_went: impl FnOnce() -> bool, table_lent: impl FnOnce() -> bool) -> Self {
        match self {
            Self::Do(Act { step, .. }) if step != Step::Lock && disk_went() => {
                Self::Wait(Wait::Retry(step.kind()))
            }
            Self::Do(Act { step, .. }) if step.changes_table() && table_lent() => Self::Wait(Wait::Tpm),
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
    use super::*;
    use crate::plan::{Op, StepKind};
    use crate::section::{Encryption, Seal};
    use crate::shares::Mark;

    const MAKE: Step = Step::MakeShare { seal: Seal::Tpm, mark: Mark::Begun };

    fn next(step: Step, disk_went: bool, table_lent: bool) -> Next {
        Next::Do(Act { op: Op::Unlock, step }).within_reach(|| disk_went, || table_lent)
    }

    /// Invariant 4: nothing is made, wiped or written by the paths of a disk that went. What is open is locked all the same.
    #[test]
    fn a_disk_that_went_is_locked_and_nothing_else() {
        for (step, kind) in [
            (MAKE, StepKind::MakeShare),
            (Step::DeleteDir, StepKind::DeleteDir),
            (Step::ForgetMetadata, StepKind::ForgetMetadata),
            (Step::AddKey, StepKind::AddKey),
            (Step::SetPolicy(Encryption::Adiantum), StepKind::SetPolicy),
        ] {
            assert_eq!(next(step, true, false), Next::Wait(Wait::Retry(kind)), "{step:?}");
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

    /// What waits, or rests, is as it is; and nobody looks for what would hold it up.
    #[test]
    fn what_is_not_due_is_not_held_up() {
        let asked = || -> bool { panic!("nobody asks") };
        assert_eq!(Next::Wait(Wait::Busy).within_reach(asked, asked), Next::Wait(Wait::Busy));
    }
}
