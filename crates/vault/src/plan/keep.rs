//! A vault that is to be there: told apart here are a vault that is whole, one that was never made, and one that lost a part.

use super::seen::{Dir, Held, Hint, Key, Keys, MetaCopy, ShareKey, Tpm};
use super::step::{Act, Note, Op, Part, Step, StepKind, Wait};
use super::{Next, Staged, View, make, refit};
use crate::custody::Wrapping;
use crate::ids::Epoch;
use crate::plan::{Authority, Released, Settled, Want};
use crate::report::State;
use crate::section::Standing;
use crate::shares::Mark;

pub(super) fn next(view: &View<'_>, want: &Want) -> Next {
    if want.policy.custody.needs_tpm() && view.node.tpm == Tpm::Absent {
        return impossible(view, want);
    }
    let missing = missing(view, want);
    match missing.is_empty() {
        false if want.recreate => discard(view, want),
        false if want.locked() && view.seen.key != Key::Absent && opens_again(&missing) => lock(view, want),
        false => Next::Settled(Settled {
            state: State::Missing,
            notes: missing.into_iter().map(Note::Missing).collect(),
        }),
        true if view.seen.is_vault() => whole(view, want),
        true => make::next(view, want),
    }
}

/// An impossible custody fails, and takes nothing away from a vault that is open, unless that is to be locked.
fn impossible(view: &View<'_>, want: &Want) -> Next {
    let state = match view.seen.state() {
        State::Unlocked | State::LockIncomplete if want.locked() => return lock(view, want),
        State::Unlocked => State::Unlocked,
        _ => State::Failed,
    };
    Next::noted(state, Note::NoTpm(want.policy.custody))
}

/// Made: its share says so, or the signed section does. An ordered `recreate` voids the section's word, so that what the
/// order began is resumed; a lost table counts against the default vaults, which every node has made.
fn made(view: &View<'_>, want: &Want) -> bool {
    let share_says = matches!(view.seen.mark(), Some(Mark::Made | Mark::Lost));
    let section_says = want.created && !want.recreate;
    share_says || section_says || (view.id.is_default() && view.node.table_lost())
}

/// The parts that a made vault lacks. A directory under a policy counts as made: nothing is put in its place.
fn missing(view: &View<'_>, want: &Want) -> Vec<Part> {
    let seen = view.seen;
    let made = made(view, want);
    let there = made || seen.is_vault() || seen.dir == Dir::OtherVault;
    // A share is made before its metadata: metadata that needs one and is there without it has lost it.
    let shareless = seen.has_metadata() && !seen.has_share();
    let checks = [
        (Part::Table, made && view.id.is_default() && view.node.table_lost()),
        (Part::Directory, made && matches!(seen.dir, Dir::Absent | Dir::Empty | Dir::Plain)),
        (Part::Path, made && seen.dir == Dir::Stranger || seen.dir == Dir::OtherVault),
        (Part::Metadata, there && !seen.has_metadata()),
        (Part::KeyFiles, there && damaged(view, want)),
        (Part::Share, (there || shareless) && share_gone(view, want) && !view.node.table_lost()),
    ];
    checks.into_iter().filter_map(|(part, gone)| gone.then_some(part)).collect()
}

/// Whether all that is needed to give the key to the kernel anew is there: a directory that was moved away does not keep its
/// vault from being locked. With less, the kernel's key may be the last one.
fn opens_again(missing: &[Part]) -> bool {
    missing.iter().all(|part| matches!(part, Part::Directory | Part::Path))
}

/// What keys have shown of the metadata so far: whether a share of the TPM's is part of what it is wrapped under.
enum Shown {
    /// It is: by its hint, or because the controller's key of the very epoch does not open it alone.
    Part,
    /// Perhaps not: a key that is at hand, and was not tried, may open a copy alone.
    PerhapsNot,
    /// Nothing tells.
    Nothing,
}

fn shown(view: &View<'_>, want: &Want) -> Shown {
    let known = view.seen.hints().filter_map(Hint::epoch).any(|epoch| has_epoch(view.keys, epoch));
    match (known, view.keys.none_fits) {
        _ if view.seen.hints().any(|hint| hint == Hint::NoEpoch) => Shown::Part,
        (true, false) => Shown::PerhapsNot,
        (true, true) if want.policy.custody.needs_tpm() => Shown::Part,
        _ => Shown::Nothing,
    }
}

/// Its share is gone for certain: damaged, or lost with a table, or absent, where it is part of what the vault is wrapped under.
fn share_gone(view: &View<'_>, want: &Want) -> bool {
    let opens = view.keys.has_share(ShareKey::Open) || view.keys.has_share(ShareKey::Closed);
    match (view.seen.mark(), view.node.tpm, shown(view, want)) {
        _ if opens || view.keys.held.is_some_and(without_share) => false,
        (Some(Mark::Begun | Mark::Made), ..) => view.keys.has_share(ShareKey::Damaged),
        (Some(Mark::Lost), _, Shown::Nothing) => want.policy.custody.needs_tpm(),
        (None, Tpm::Unknown, _) => false,
        (_, _, shown) => matches!(shown, Shown::Part),
    }
}

/// Whether a copy opened by the controller's key alone.
fn without_share(held: Held) -> bool {
    [held.first, held.second].iter().flatten().any(|wrapping| !wrapping.custody().needs_tpm())
}

fn has_epoch(keys: &Keys, epoch: Epoch) -> bool {
    [keys.current, keys.last].contains(&Some(epoch))
}

/// Every key that the copies name was tried, and none opens one: what keys open of them is damaged. An older epoch's key would
/// not be at hand.
fn damaged(view: &View<'_>, want: &Want) -> bool {
    let keys = view.keys;
    let share = keys.has_share(ShareKey::Open);
    let tried = |hint| match hint {
        Hint::NoEpoch => share,
        Hint::Epoch(epoch) => has_epoch(keys, epoch) && (share || !want.policy.custody.needs_tpm()),
        Hint::Unknown => false,
    };
    let all = shares_are_readable(view) && view.seen.has_metadata() && view.seen.hints().all(tried);
    keys.none_fits && all
}

/// Whether no share of the TPM's is out of sight or out of reach for now.
pub(super) fn shares_are_readable(view: &View<'_>) -> bool {
    let out_of_sight = view.node.tpm == Tpm::Unknown || view.node.table_lost();
    !out_of_sight && !view.keys.has_share(ShareKey::Closed)
}

/// By an operator's order: what is left of a missing vault goes, then it is made anew. The share goes last, for with it
/// the vault stops counting as made. Another vault that stands at its path is not part of the order.
fn discard(view: &View<'_>, want: &Want) -> Next {
    let seen = view.seen;
    if seen.dir == Dir::OtherVault {
        return Next::noted(State::Missing, Note::PathTaken);
    }
    let copies = [seen.first, seen.second];
    let step = if view.node.table_lost() {
        Step::NewTable
    } else if seen.key == Key::Present {
        Step::Lock
    } else if copies.iter().any(|copy| *copy != MetaCopy::Absent) {
        Step::ForgetMetadata
    } else if seen.dir != Dir::Absent || seen.staged != Staged::Nothing {
        Step::DeleteDir
    } else if let Some(seal) = seen.share() {
        Step::DropShare(seal)
    } else {
        return make::next(view, want);
    };
    Next::Do(Act { op: Op::Recreate, step })
}

/// A vault with its directory, policy and at least one copy of its metadata.
fn whole(view: &View<'_>, want: &Want) -> Next {
    if want.locked() {
        return lock(view, want);
    }
    // Marked before it changes: a vault that is marked as begun has no wrapping but the one that it was begun under.
    let proved = view.keys.held.is_some() || view.seen.key == Key::Present;
    let mark = || marked(view).filter(|_| proved);
    let refit = || refit::step(view, want).filter(|_| view.seen.mark() != Some(Mark::Begun));
    let step = unwrap(view).or_else(|| tidy(view)).or_else(mark).or_else(refit);
    if let Some(act) = step {
        return Next::Do(act);
    }
    match view.seen.key {
        Key::Present => unlocked(view, want),
        _ if view.keys.held.is_some() => Next::Do(Act { op: Op::Unlock, step: Step::AddKey }),
        _ => Next::Wait(shut(view, want)),
    }
}

fn unlocked(view: &View<'_>, want: &Want) -> Next {
    let tidying = [StepKind::RepairCopy, StepKind::DropStaged, StepKind::MarkMade];
    let failed = tidying.into_iter().filter(|kind| view.setbacks.contains(*kind));
    let notes =
        failed.map(|kind| Note::Waits(view.setbacks.wait(kind))).chain(refit::notes(view, want)).collect();
    Next::Settled(Settled { state: State::Unlocked, notes })
}

fn lock(view: &View<'_>, want: &Want) -> Next {
    if let Some(act) = marked(view) {
        return Next::Do(act);
    }
    match view.seen.key {
        Key::Present => Next::Do(Act { op: Op::Lock, step: Step::Lock }),
        Key::Incomplete if view.setbacks.contains(StepKind::Lock) => Next::Wait(Wait::Busy),
        Key::Incomplete => Next::Do(Act { op: Op::Lock, step: Step::Lock }),
        Key::Absent => locked(view, want),
    }
}

/// A locked vault still takes the newest epoch when it is given one, so that it does not fall behind by two.
fn locked(view: &View<'_>, want: &Want) -> Next {
    let due = refit::epoch_due(view, want);
    let step = tidy(view).or_else(|| due.then(|| unwrap(view).or_else(|| refit::step(view, want))).flatten());
    match (step, want.standing) {
        (Some(act), _) => Next::Do(act),
        (None, Standing::Removing) => Next::noted(State::Locked, Note::Removing),
        (None, Standing::Active) => Next::settled(State::Locked),
    }
}

/// What a crash or damage left behind. Its failure stops nothing else.
fn tidy(view: &View<'_>) -> Option<Act> {
    let staged = view.seen.staged != Staged::Nothing;
    let steps = [
        (staged, Act { op: Op::Create, step: Step::DropStaged }),
        (!view.seen.has_both_copies() || one_is_lame(view), Act { op: Op::Unlock, step: Step::RepairCopy }),
    ];
    steps.into_iter().find(|(due, act)| *due && !view.setbacks.contains(act.step.kind())).map(|(_, act)| act)
}

/// Both copies look whole and name the same epoch, and one of them alone opened: its twin's wrap is damaged.
fn one_is_lame(view: &View<'_>) -> bool {
    let alike = view.seen.first == view.seen.second;
    alike && view.keys.held.is_some_and(|held| held.first.is_some() != held.second.is_some())
}

fn marked(view: &View<'_>) -> Option<Act> {
    let begun = view.seen.mark() == Some(Mark::Begun);
    let act = Act { op: Op::Create, step: Step::MarkMade };
    (begun && !view.setbacks.contains(StepKind::MarkMade)).then_some(act)
}

/// Keeps the protector's own key at hand, also while the vault is open: so it can take whatever epoch comes next.
pub(super) fn unwrap(view: &View<'_>) -> Option<Act> {
    let Keys { held, none_fits, .. } = view.keys;
    let due = held.is_none() && !none_fits && view.keys.any() && !view.setbacks.contains(StepKind::Unwrap);
    due.then_some(Act { op: Op::Unlock, step: Step::Unwrap })
}

/// Why a vault that should open can't: what its metadata hints at decides what is said.
pub(super) fn shut(view: &View<'_>, want: &Want) -> Wait {
    let under = view.seen.hints().find_map(Hint::epoch);
    let by_share = under.is_none() || want.policy.custody.needs_tpm();
    let closed = view.keys.has_share(ShareKey::Closed);
    if view.setbacks.contains(StepKind::Unwrap) {
        return Wait::Retry(StepKind::Unwrap);
    }
    match view.node.tpm {
        Tpm::Unknown if by_share => Wait::Tpm,
        _ if by_share && closed => Wait::Pcrs,
        _ if by_share && view.node.table_lost() => Wait::Table,
        _ if view.keys.current.is_some() || under.is_none() => Wait::OtherEpoch { under },
        _ => no_key(want),
    }
}

/// Why the controller's key is not at hand.
pub(super) fn no_key(want: &Want) -> Wait {
    match &want.released {
        Released::Withheld(reason) if want.authority != Authority::Checkpoint => {
            Wait::Withheld(reason.clone())
        }
        _ => Wait::ControllerKey,
    }
}

/// The wrapping that the policy asks for, with the newest key at hand.
pub(super) fn target(view: &View<'_>, want: &Want) -> Option<Wrapping> {
    Wrapping::of(&want.policy, view.keys.current)
}
