//! A vault that is to be there: from its condition and what is wanted of it to the next step.

use super::note::Note;
use super::space;
use super::step::{Act, Finished, NoKey, Op, Step, StepKind, Wait};
use super::{Known, Next, Settled, View, in_the_way, make, recovery, refit, remove};
use crate::condition::{
    Condition, Dir, Hint, Key, Keys, MetaCopy, MetaPlace, Node, Part, Seen, ShareKey, Stage, Staged, State,
    TpmSeen,
};
use crate::custody::Wrapping;
use crate::ids::VaultId;
use crate::shares::Mark;
use crate::wanted::{Authority, Released, Want, Wish};

pub(super) fn next(view: &View<'_>, want: &Want) -> Next {
    if want.policy.custody.needs_tpm() && view.node.tpm == TpmSeen::Absent && !view.keys.recovered {
        return impossible(view, want);
    }
    if view.seen.dir == Dir::Covered {
        return covered(view, want);
    }
    match Condition::of(&view.facts(), want) {
        Condition::Broken(parts) if keys_may_tell(view, &parts) => try_keys(view, want, parts),
        Condition::Broken(_) if want.recreate => discard(view, want),
        Condition::Broken(parts) if shut(view, want) && locks(view.seen, &parts) => lock(view, want),
        Condition::Broken(parts) => missing(view, parts),
        Condition::Whole if want.recreate && want.shut_given_up && is_under_another(view, want) => {
            discard(view, want)
        }
        Condition::Whole if shut(view, want) => lock(view, want),
        Condition::Whole => whole(view, want),
        Condition::Foreign => make::foreign(view, want),
        Condition::Unmade(_) if let Some(note) = lease_over(view, want) => {
            Next::noted(view.seen.state(), note)
        }
        Condition::Unmade(stage) => make::next(view, want, stage),
    }
}

/// While it can't be looked at. That of key files that were gone when it was seen last is not locked: the kernel's key may be the last one.
pub(super) fn unseen(view: &View<'_>, want: &Want, waits: Next) -> Next {
    let locks = shut(view, want) && view.seen.has_metadata();
    if locks { remove::lock(view, waits) } else { waits }
}

/// Whether a vault that is to be there stands, and none of the keys that are at hand for it opens it: the key that it is wrapped under is another's, or of an
/// epoch that is over.
pub(crate) fn opens_by_another_key(id: VaultId, known: &Known, wish: &Wish, node: &Node) -> bool {
    let Known { seen, keys, setbacks, unseen, .. } = known;
    let view = View { id, wish, seen, keys, node, setbacks: *setbacks };
    match wish {
        Wish::Keep(want) => {
            !*unseen && seen.is_vault() && seen.has_metadata() && is_under_another(&view, want)
        }
        _ => false,
    }
}

/// It is wrapped under a key that nobody has here: keys that are were tried.
fn is_under_another(view: &View<'_>, want: &Want) -> bool {
    let is_shut = view.seen.key == Key::Absent && !view.keys.opens() && !untried(view);
    is_shut && why_closed(view, want).is_under_another(view.keys.any())
}

/// A controller's key is a part of what it is wrapped under, and the controller that speaks has none for it and asks for none: the key is another's, also where
/// its list is not judged to the end because the record lies in this very vault.
fn is_under_anothers(view: &View<'_>, want: &Want) -> bool {
    let none = want.released == Released::NotNeeded && !want.policy.custody.needs_controller();
    let stands = view.seen.is_vault() && want.heard;
    stands && none && view.seen.hints().any(|hint| hint.epoch().is_some())
}

/// It is to be locked: so it is wanted, or its lease is over.
fn shut(view: &View<'_>, want: &Want) -> bool {
    want.locked() || lease_over(view, want).is_some()
}

/// Nothing is known of what is wanted of it, and root gave its recovery key: no list is needed to give that to the kernel.
pub(super) fn opens_unasked(view: &View<'_>) -> bool {
    view.keys.recovered && view.seen.is_vault() && view.seen.key != Key::Present
}

/// Its policy asks for a lease, and none lasts. A default vault has none: in one of them lies what tells the node whom it belongs to. Nor
/// has one that was opened by its recovery key, which is there for a node without its controller, until it is locked.
fn lease_over(view: &View<'_>, want: &Want) -> Option<Note> {
    let leased = want.policy.lease.is_some() && !view.id.is_default() && !view.keys.recovered;
    match view.keys.leased_until {
        _ if !leased => None,
        None => Some(Note::NoLease),
        Some(_) => ran_out(view).then_some(Note::LeaseEnded),
    }
}

/// It had a lease, which is over: so much is known of a vault also while no list is in force. Or whether it has one is not known, for long enough.
pub(super) fn unlisted_lease_over(view: &View<'_>) -> Option<Note> {
    let Keys { leased_until, unknown_until, recovered, .. } = *view.keys;
    let (until, note) = match leased_until {
        Some(until) => (until, Note::LeaseEnded),
        None => (unknown_until?, Note::LeaseNotKnown),
    };
    let over = !view.id.is_default() && !recovered && until <= view.node.since_boot;
    over.then_some(note)
}

fn ran_out(view: &View<'_>) -> bool {
    view.keys.leased_until.is_some_and(|until| until <= view.node.since_boot)
}

/// What is gone is concluded from keys and names alone, and a key at hand was not tried: it may open all.
fn keys_may_tell(view: &View<'_>, parts: &[Part]) -> bool {
    let by_keys = parts.iter().all(|part| matches!(part, Part::Share | Part::KeyFiles));
    by_keys && view.seen.has_metadata() && untried(view)
}

/// Until they are, nothing is discarded.
fn try_keys(view: &View<'_>, want: &Want, parts: Vec<Part>) -> Next {
    match unwrap(view) {
        Some(act) => Next::Do(act),
        None if want.recreate => Next::Wait(view.setbacks.wait(StepKind::Unwrap)),
        None => missing(view, parts),
    }
}

fn missing(view: &View<'_>, parts: Vec<Part>) -> Next {
    let still = !locks(view.seen, &parts) && view.seen.key == Key::Present;
    let open = still.then_some(Note::OpenStill);
    let unnamed = (view.seen.is_vault() && parts.contains(&Part::Metadata)).then_some(Note::Unnamed);
    let notes = open.into_iter().chain(parts.into_iter().map(Note::Missing));
    let notes = notes
        .chain(unnamed)
        .chain(in_the_way::plain_at_path(view))
        .chain(in_the_way::other_staged(view))
        .collect();
    Next::Settled(Settled { state: State::Missing, notes })
}

/// A mount over a vault is no loss of it: nothing is mended, made or discarded by what is seen there. It locks all the same, but for the directory
/// itself, which the mount holds.
fn covered(view: &View<'_>, want: &Want) -> Next {
    match view.seen.key {
        // Without key files the kernel's key may be the last one.
        Key::Present | Key::Incomplete if shut(view, want) && view.seen.has_metadata() => {
            match remove::lock(view, Next::noted(State::Failed, Note::Covered)) {
                Next::Wait(_) => Next::noted(State::LockIncomplete, Note::Covered),
                next => next,
            }
        }
        _ => Next::noted(State::Failed, Note::Covered),
    }
}

/// An impossible custody fails, and takes nothing away from a vault that is open, unless that is to be locked.
fn impossible(view: &View<'_>, want: &Want) -> Next {
    let state = match view.seen.state() {
        State::Unlocked | State::LockIncomplete if shut(view, want) => return lock(view, want),
        State::Unlocked => State::Unlocked,
        _ => State::Failed,
    };
    Next::noted(state, Note::NoTpm(want.policy.custody))
}

/// Whether all that is needed to give the key to the kernel anew is there: a directory that was moved away does not keep its
/// vault from being locked. With less, the kernel's key may be the last one.
fn locks(seen: &Seen, missing: &[Part]) -> bool {
    seen.key != Key::Absent && missing.iter().all(|part| matches!(part, Part::Directory | Part::Path))
}

/// By an operator's order: what is left of a missing vault goes, then it is made anew. The share goes last, for with it
/// the vault stops counting as made. Whatever else stands at its path is not part of the order.
fn discard(view: &View<'_>, want: &Want) -> Next {
    let seen = view.seen;
    if let Some(note) = in_the_way::of(view.id, seen) {
        return Next::noted(State::Missing, note);
    }
    if view.node.table_lost() {
        // The node begins another, which is a step of its own.
        return Next::Wait(Wait::Table);
    }
    let copies = [seen.first, seen.second];
    let step = if seen.key == Key::Present {
        Step::Lock
    } else if seen.staged == Staged::Copy {
        // While its key is known: under the next one it would count as another vault's.
        Step::DropCopy
    } else if copies.iter().any(|copy| *copy != MetaCopy::Absent) {
        Step::ForgetMetadata
    } else if seen.dir != Dir::Plain && (seen.dir != Dir::Absent || seen.staged != Staged::Nothing) {
        Step::DeleteDir
    } else if let Some(seal) = seen.share() {
        Step::DropShare(seal)
    } else {
        return make::next(view, want, Stage::of(&view.facts(), want));
    };
    Next::Do(Act { op: Op::Recreate, step })
}

/// A vault with its directory, policy and at least one copy of its metadata.
fn whole(view: &View<'_>, want: &Want) -> Next {
    // Marked before it changes: a vault that is marked as begun has no wrapping but the one that it was begun under.
    let proved = view.keys.opens() || view.seen.key == Key::Present;
    let mark = || marked(view).filter(|_| proved);
    let change = || changed(view, want).filter(|_| view.seen.mark() != Some(Mark::Begun));
    let step = unwrap(view)
        .or_else(|| leftover_step(view))
        .or_else(mark)
        .or_else(change)
        .or_else(|| space::step(view, want));
    if let Some(act) = step {
        return Next::Do(act);
    }
    match view.seen.key {
        Key::Present => unlocked(view, want),
        _ if view.keys.opens() => Next::Do(Act { op: Op::Unlock, step: Step::AddKey }),
        _ => Next::Wait(why_closed(view, want)),
    }
}

/// To its policy: first what wraps its own protector, then its recovery key.
fn changed(view: &View<'_>, want: &Want) -> Option<Act> {
    refit::step(view, want).or_else(|| recovery::anew(view, want)).or_else(|| recovery::step(view, want))
}

fn unlocked(view: &View<'_>, want: &Want) -> Next {
    let rest = [StepKind::RepairCopy, StepKind::DropCopy, StepKind::DropStaged, StepKind::MarkMade];
    let failed = rest.into_iter().chain(recovery::KINDS).filter(|kind| view.setbacks.contains(*kind));
    let notes = failed.map(|kind| Note::Waits(view.setbacks.wait(kind))).chain(refit::notes(view, want));
    let notes = notes.chain(space::note(view, want)).chain(in_the_way::other_staged(view)).collect();
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

/// A locked vault still takes the newest epoch when it is given one, so that it does not fall behind by two; and its recovery key follows
/// its policy, so that a recipient who was taken out is out.
fn locked(view: &View<'_>, want: &Want) -> Next {
    if let Some(note) = lease_over(view, want).filter(|_| !want.locked()) {
        // No key is opened for it before the controller speaks.
        return Next::noted(State::Locked, note);
    }
    let due = refit::epoch_due(view, want) || recovery::due(view, want).is_some();
    let change = || refit::step(view, want).or_else(|| recovery::step(view, want));
    let step = leftover_step(view).or_else(|| due.then(|| unwrap(view).or_else(change)).flatten());
    match (step, Note::of_removal(want.standing)) {
        (Some(act), _) => Next::Do(act),
        (None, Some(note)) => Next::noted(State::Locked, note),
        (None, None) => Next::settled(State::Locked),
    }
}

/// What a crash or damage left behind. Its failure stops nothing else.
fn leftover_step(view: &View<'_>) -> Option<Act> {
    let open = view.seen.key == Key::Present;
    let steps = [
        (view.seen.staged == Staged::Copy, Act { op: Op::Create, step: Step::DropCopy }),
        (view.seen.staged.is_originals(), Act { op: Op::Create, step: Step::DropStaged { open } }),
        (
            one_is_gone(view) || one_is_lame(view) || second_lags(view),
            Act { op: Op::Unlock, step: repair(view) },
        ),
    ];
    steps.into_iter().find(|(due, act)| *due && !view.setbacks.contains(act.step.kind())).map(|(_, act)| act)
}

/// From the copy that is whole; of two that look whole, from the one that opened.
fn repair(view: &View<'_>) -> Step {
    let first_is_lame = view.keys.held.is_some_and(|held| held.first.is_none() && held.second.is_some());
    let from = match view.seen.whole_copies() {
        (_, true) if first_is_lame => MetaPlace::Second,
        (whole, _) => whole.unwrap_or(MetaPlace::First),
    };
    Step::RepairCopy { from }
}

/// Of a vault that its recovery key alone opens both may be: then there is nothing to repair from.
fn one_is_gone(view: &View<'_>) -> bool {
    view.seen.has_metadata() && !view.seen.has_both_copies()
}

/// Both copies look whole and name the same epoch, and one of them alone opened: its twin's wrap is damaged.
fn one_is_lame(view: &View<'_>) -> bool {
    let alike = view.seen.first == view.seen.second;
    alike && view.keys.held.is_some_and(|held| held.first.is_some() != held.second.is_some())
}

/// What others added where the fscrypt tool looks is not in the second copy yet. It follows once a key has proved what is ours of
/// the first.
fn second_lags(view: &View<'_>) -> bool {
    view.seen.lags && view.keys.held.is_some_and(|held| held.first.is_some())
}

fn marked(view: &View<'_>) -> Option<Act> {
    let begun = view.seen.mark() == Some(Mark::Begun);
    let act = Act { op: Op::Create, step: Step::MarkMade };
    (begun && !view.setbacks.contains(StepKind::MarkMade)).then_some(act)
}

/// Keeps the protector's own key at hand, also while the vault is open: so it can take whatever epoch comes next.
pub(super) fn unwrap(view: &View<'_>) -> Option<Act> {
    let due = untried(view) && !view.setbacks.contains(StepKind::Unwrap);
    due.then_some(Act { op: Op::Unlock, step: Step::Unwrap })
}

pub(super) fn untried(view: &View<'_>) -> bool {
    let Keys { held, none_fits, .. } = view.keys;
    held.is_none() && !none_fits && view.keys.any()
}

/// Why a vault that should open can't: what its metadata hints at decides what is said.
pub(super) fn why_closed(view: &View<'_>, want: &Want) -> Wait {
    let under = view.seen.hints().find_map(Hint::epoch);
    let by_share = under.is_none() || want.policy.custody.needs_tpm();
    let closed = view.keys.has_share(ShareKey::Closed);
    if view.setbacks.contains(StepKind::Unwrap) {
        return Wait::Retry(StepKind::Unwrap);
    }
    match view.node.tpm {
        TpmSeen::Unknown if by_share => Wait::Tpm,
        _ if by_share && closed => Wait::Pcrs,
        _ if by_share && view.node.table_lost() => Wait::Table,
        _ if let Some(under) =
            under.filter(|_| view.seen.hints().any(|hint| view.keys.has_another(hint))) =>
        {
            Wait::OtherKey { under }
        }
        _ if let Some(under) = under.filter(|_| is_under_anothers(view, want)) => Wait::OtherKey { under },
        _ if let (Some(under), Some(newest)) = (under, view.keys.current)
            && under > newest
            && finished(view) != Finished::Never =>
        {
            Wait::NewerEpoch { under, newest }
        }
        _ if view.keys.current.is_some() || under.is_none() => {
            Wait::OtherEpoch { under, finished: finished(view) }
        }
        _ => no_key(want),
    }
}

fn finished(view: &View<'_>) -> Finished {
    match view.seen.mark() {
        _ if view.seen.is_vault() => Finished::Yes,
        Some(Mark::Begun) => Finished::Never,
        Some(_) => Finished::Yes,
        None => Finished::NotKnown,
    }
}

/// Why the controller's key is not at hand.
pub(super) fn no_key(want: &Want) -> Wait {
    match &want.released {
        _ if let Some(lacks) = &want.lacks => Wait::Withheld(NoKey::NoPolicyMet(lacks.clone())),
        Released::Withheld(why) if want.authority != Authority::Checkpoint => {
            Wait::Withheld(NoKey::Told(why.clone()))
        }
        Released::NotYet if want.authority != Authority::Checkpoint => Wait::Withheld(NoKey::NotYet),
        _ => Wait::ControllerKey,
    }
}

/// The wrapping that the policy asks for, with the newest key at hand.
pub(super) fn target(view: &View<'_>, want: &Want) -> Option<Wrapping> {
    Wrapping::of(&want.policy, view.keys.current)
}
