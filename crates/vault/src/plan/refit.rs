//! Bringing a whole vault to its policy: custody, epoch and seal (VC-2, VC-6, DF-4). Re-wraps 32 bytes, never contents (VC-4).
//! Only a live section has it done. The vault opens by the old wrapping or the new one at every instant.

use super::View;
use super::keep::{no_key, shut, target};
use super::seen::{Dir, Held, Hint, ShareKey};
use super::step::{Act, Note, Op, Step, Wait};
use crate::custody::Wrapping;
use crate::plan::{Authority, Want};
use crate::section::Seal;
use crate::shares::Mark;

/// The next step towards the policy, if one is due, possible, and did not just fail.
pub(super) fn step(view: &View<'_>, want: &Want) -> Option<Act> {
    let held = view.keys.held.filter(|_| want.authority == Authority::Live)?;
    let step = rewrap(view, want, held).or_else(|| share(view, want, held))?;
    (!view.setbacks.contains(step.kind())).then_some(Act { op: Op::ChangeKey, step })
}

fn rewrap(view: &View<'_>, want: &Want, held: Held) -> Option<Step> {
    let target = target(view, want)?;
    let there = held == Held { first: Some(target), second: Some(target) };
    let needs_share = target.custody().needs_tpm() && view.seen.share.is_none();
    let seal = want.policy.seal;
    match (there, needs_share) {
        (true, _) => None,
        (_, true) => view.node.can_seal(seal).then_some(Step::MakeShare { seal, mark: Mark::Made }),
        (_, false) => view.keys.reach(target).then_some(Step::Rewrap(target)),
    }
}

/// The share goes once nothing is wrapped under it, and so does the mark of a lost one, which stands where a new one is to
/// be; it is sealed anew when the policy asks for the other seal.
fn share(view: &View<'_>, want: &Want, held: Held) -> Option<Step> {
    view.seen.share?;
    let by_controller = |wrapping| matches!(wrapping, Some(Wrapping::Controller(_)));
    if !want.policy.custody.needs_tpm() || view.seen.mark() == Some(Mark::Lost) {
        let unused = by_controller(held.first) && by_controller(held.second);
        return unused.then_some(Step::DropShare);
    }
    let due = other_seal(view, want) && view.keys.share == ShareKey::Open;
    (due && view.node.can_seal(want.policy.seal)).then_some(Step::Reseal(want.policy.seal))
}

/// Whether a locked vault is to take a newer epoch that is at hand.
pub(super) fn epoch_due(view: &View<'_>, want: &Want) -> bool {
    let target = target(view, want).filter(|target| view.keys.reach(*target) && target.epoch().is_some());
    let behind = |target| view.seen.hints().any(|hint| hint != Hint::of(target));
    want.authority == Authority::Live && target.is_some_and(behind)
}

/// What is to be said of an open vault.
pub(super) fn notes(view: &View<'_>, want: &Want) -> Vec<Note> {
    let fixed = match view.seen.dir {
        Dir::Vault(is) if is != want.policy.encryption => {
            Some(Note::EncryptionFixed { asked: want.policy.encryption, is })
        }
        _ => None,
    };
    unfinished(view, want).into_iter().chain(fixed).collect()
}

/// A change that is due and can't be made now, or a key that is withheld while the vault stays open.
fn unfinished(view: &View<'_>, want: &Want) -> Option<Note> {
    if want.authority != Authority::Live {
        return None;
    }
    let Some(target) = target(view, want) else { return Some(Note::Waits(no_key(want))) };
    let Some(held) = view.keys.held else { return Some(Note::ChangeDue(shut(view, want))) };
    let there = held == Held { first: Some(target), second: Some(target) } && !other_seal(view, want);
    match rewrap(view, want, held).or_else(|| share(view, want, held)) {
        // A step that is due and was not taken has just failed.
        Some(step) => Some(Note::ChangeDue(Wait::Retry(step.kind()))),
        None => (!there).then(|| Note::ChangeDue(share_away(want))),
    }
}

fn other_seal(view: &View<'_>, want: &Want) -> bool {
    want.policy.custody.needs_tpm() && view.seen.share.is_some_and(|share| share.seal != want.policy.seal)
}

fn share_away(want: &Want) -> Wait {
    match want.policy.seal {
        Seal::Pcrs => Wait::Pcrs,
        Seal::Tpm => Wait::Tpm,
    }
}
