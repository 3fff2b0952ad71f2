//! Bringing a whole vault to its policy: custody, epoch and seal (VC-2, VC-6, DF-4). Re-wraps 32 bytes, never contents (VC-4).
//! Only a live section has it done. Custody, epoch and seal are one wrapping, and change in one re-wrap: the share that the new one
//! needs is made before, the share that only the old one needed goes after. So the vault opens by the old wrapping or by the new one
//! at every instant, and by no third. A share is fresh for each seal: what was sealed less strictly opens nothing later.
//! Metadata without a share is the controller's, and metadata under an epoch may be opened by a key that is yet to come: both are
//! replaced by an order alone.

use super::View;
use super::keep::{no_key, target, why_closed};
use super::note::Note;
use super::step::{Act, Op, Step, Wait};
use crate::condition::{Dir, Hint, OpenedBy};
use crate::custody::Wrapping;
use crate::section::Seal;
use crate::shares::Mark;
use crate::wanted::{Authority, Want};

/// The next step towards the policy, if one is due, possible, and did not just fail.
pub(super) fn step(view: &View<'_>, want: &Want) -> Option<Act> {
    let held = view.keys.held.filter(|_| want.authority == Authority::Live)?;
    let step = due(view, reachable(view, want)?, held)?;
    (!view.setbacks.contains(step.kind())).then_some(Act { op: Op::ChangeKey, step })
}

/// What the policy asks for, with the newest key at hand, if the vault may be taken there.
pub(super) fn reachable(view: &View<'_>, want: &Want) -> Option<Wrapping> {
    target(view, want).filter(|target| falls(view, want, *target).is_none())
}

fn due(view: &View<'_>, target: Wrapping, held: OpenedBy) -> Option<Step> {
    if is_there(target, held) && !misnamed(view, target) {
        return spare(view, target).map(Step::DropShare);
    }
    match target.seal().filter(|seal| shareless(view, *seal)) {
        Some(seal) => view.node.can_seal(seal).then_some(Step::MakeShare { seal, mark: Mark::Made }),
        None => view.keys.reach(target).then_some(Step::Rewrap(target)),
    }
}

/// An epoch below the one it is wrapped under is taken only where it is known that no older controller speaks.
fn falls(view: &View<'_>, want: &Want, target: Wrapping) -> Option<Wait> {
    let under = view.seen.hints().filter_map(Hint::epoch).max()?;
    let given =
        target.epoch().filter(|given| *given < under && want.floor.is_none_or(|floor| floor >= under))?;
    Some(Wait::LowerEpoch { given, under })
}

fn is_there(target: Wrapping, held: OpenedBy) -> bool {
    held == OpenedBy { first: Some(target), second: Some(target) }
}

/// A copy opened by the key of `target`, and its name says another, or does not read: it was changed. A later life would go by it.
fn misnamed(view: &View<'_>, target: Wrapping) -> bool {
    view.seen.hints().any(|hint| !view.keys.is_named(hint, target))
}

/// The mark of a share that was lost is none.
pub(super) fn shareless(view: &View<'_>, seal: Seal) -> bool {
    matches!(view.seen.shares.of(seal), None | Some(Mark::Lost))
}

/// A share, or the mark of a lost one, that nothing is wrapped under.
fn spare(view: &View<'_>, target: Wrapping) -> Option<Seal> {
    let not_needed = |seal: &Seal| target.seal() != Some(*seal) && view.seen.shares.of(*seal).is_some();
    Seal::ALL.into_iter().find(not_needed)
}

/// Whether a locked vault is to change to a wrapping with the controller's newest key, which is at hand.
pub(super) fn epoch_due(view: &View<'_>, want: &Want) -> bool {
    let Some(target) = target(view, want).filter(|target| target.epoch().is_some()) else { return false };
    let makes_share = target.seal().is_some_and(|seal| shareless(view, seal) && view.node.can_seal(seal));
    let possible = makes_share || view.keys.reach(target);
    let other =
        view.seen.hints().any(|hint| !view.keys.is_named(hint, target)) || spare(view, target).is_some();
    want.authority == Authority::Live && possible && other && falls(view, want, target).is_none()
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
    if let Some(wait) = falls(view, want, target) {
        return Some(Note::ChangeDue(wait));
    }
    let Some(held) = view.keys.held else { return Some(Note::ChangeDue(why_closed(view, want))) };
    match due(view, target, held) {
        // A step that is due and was not taken has just failed.
        Some(step) => Some(Note::ChangeDue(Wait::Retry(step.kind()))),
        None => (!is_there(target, held)).then(|| Note::ChangeDue(share_away(view, want))),
    }
}

fn share_away(view: &View<'_>, want: &Want) -> Wait {
    match want.policy.seal {
        Seal::Pcrs if shareless(view, Seal::Pcrs) && !view.node.measured => Wait::NotMeasured,
        Seal::Pcrs if shareless(view, Seal::Pcrs) => Wait::SealShut,
        Seal::Pcrs => Wait::Pcrs,
        Seal::Tpm => Wait::Tpm,
    }
}
