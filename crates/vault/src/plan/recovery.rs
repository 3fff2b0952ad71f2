//! The recovery key of a vault: made, replaced and taken away as its policy says, like a wrap (design.md section 4). Only a live section has it
//! done, and only while the vault's own protector is at hand: so what may be the last way in is never taken away. A key that was used, one
//! under other recipients, one from before a rotation, and what a cut or damage left of one are replaced by a fresh one.
//!
//! A vault that was opened by its recovery key and that its custody opens no more gets another protector of its own, under the custody that a
//! live section asks for: with a fresh share of the TPM's, or with the controller's newest key.

use super::View;
use super::keep::untried;
use super::note::{Note, RecoveryKept};
use super::refit;
use super::step::{Act, Op, Step, StepKind};
use crate::condition::{Recovery, RecoveryHint};
use crate::custody::Wrapping;
use crate::recovery::RecipientsDigest;
use crate::shares::Mark;
use crate::wanted::{Authority, Want, Wish};

/// The steps that are taken here.
pub(super) const KINDS: [StepKind; 3] =
    [StepKind::MakeRecovery, StepKind::DropRecovery, StepKind::NewProtector];

/// The next step towards the recovery key that the policy asks for, if one is due, possible, and did not just fail.
pub(super) fn step(view: &View<'_>, want: &Want) -> Option<Act> {
    let step = due(view, want).filter(|_| view.keys.held.is_some())?;
    (!view.setbacks.contains(step.kind())).then_some(Act { op: Op::ChangeKey, step })
}

/// What is to be done once the vault's own protector is at hand.
pub(super) fn due(view: &View<'_>, want: &Want) -> Option<Step> {
    if want.authority != Authority::Live {
        return None;
    }
    match (want.policy.recovery.digest(), kept(view, want)) {
        (None, None) | (Some(_), Some(RecoveryKept::Ready)) => None,
        (None, Some(_)) => Some(Step::DropRecovery),
        (Some(recipients), _) => Some(Step::MakeRecovery(made(view, want, recipients))),
    }
}

/// What one that is made now is named as.
fn made(view: &View<'_>, want: &Want, recipients: RecipientsDigest) -> RecoveryHint {
    RecoveryHint { recipients, epoch: refit::reachable(view, want).and_then(Wrapping::epoch) }
}

/// How it is, beside what the policy asks for.
fn kept(view: &View<'_>, want: &Want) -> Option<RecoveryKept> {
    let Some(wanted) = want.policy.recovery.digest() else {
        return (view.seen.recovery != Recovery::Nothing).then_some(RecoveryKept::Unasked);
    };
    // While no key of the controller's is at hand, nothing tells of a rotation.
    let rotated = |is: RecoveryHint| refit::reachable(view, want).is_some_and(|now| now.epoch() != is.epoch);
    Some(match view.seen.recovery {
        Recovery::Nothing => RecoveryKept::NotYet,
        Recovery::Parts => RecoveryKept::Damaged,
        Recovery::Ready(is) | Recovery::Used(is) if !is.recipients.may_be(wanted) => RecoveryKept::Other,
        Recovery::Used(_) => RecoveryKept::Used,
        Recovery::Ready(is) if rotated(is) => RecoveryKept::Old,
        Recovery::Ready(_) => RecoveryKept::Ready,
    })
}

/// For a vault that its recovery key alone opens: the share that its custody needs, then a protector under it.
pub(super) fn anew(view: &View<'_>, want: &Want) -> Option<Act> {
    let alone = view.keys.recovered && view.keys.held.is_none() && !untried(view);
    let target = refit::reachable(view, want).filter(|_| alone && want.authority == Authority::Live)?;
    let step = match target.seal().filter(|seal| refit::shareless(view, *seal)) {
        Some(seal) => view.node.can_seal(seal).then_some(Step::MakeShare { seal, mark: Mark::Made }),
        None => view.keys.reach(target).then_some(Step::NewProtector(target)),
    }?;
    (!view.setbacks.contains(step.kind())).then_some(Act { op: Op::ChangeKey, step })
}

/// What is to be said of it, whatever else is.
pub(crate) fn note(view: &View<'_>) -> Option<Note> {
    match view.wish {
        Wish::Keep(want) => Some(Note::Recovery(want.policy.recovery.all().len(), kept(view, want)?)),
        _ => (view.seen.recovery != Recovery::Nothing).then_some(Note::Recovery(0, RecoveryKept::Some)),
    }
}
