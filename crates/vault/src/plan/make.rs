//! The making of a vault, and its resumption: share and metadata durable, key added, policy set on the empty directory, marked.
//! Nothing here removes a directory. Metadata that no key at hand opens goes only while there is no directory with a policy,
//! and so nothing was ever encrypted under it.
//!
//! The order: share (marked *begun*), both copies of the key files, key in the kernel, directory, policy, share marked *made*. What is
//! half made is resumed. Plain files in a default vault's place are copied in until both trees are the same and nobody could write
//! to the originals; then the two are exchanged at once, looked at once more, and the originals are wiped.

use super::keep::{no_key, target, unwrap, why_closed};
use super::note::Note;
use super::space;
use super::step::{Act, Op, Step, StepKind, Wait};
use super::{Next, View, in_the_way};
use crate::condition::{Dir, ShareKey, Site, Stage, Staged, State, TpmSeen, shares_are_readable};
use crate::section::Seal;
use crate::shares::Mark;
use crate::wanted::{Authority, Want};

pub(super) fn next(view: &View<'_>, want: &Want, stage: Stage) -> Next {
    if let Some(note) = Note::of_removal(want.standing) {
        return Next::noted(State::Waiting, note);
    }
    if !begun(view) && !may_begin(view, want) {
        return Next::Wait(Wait::Contact);
    }
    match step(view, want, stage) {
        Ok(step) => Next::Do(Act { op: if want.recreate { Op::Recreate } else { Op::Create }, step }),
        Err(wait) => Next::Wait(wait),
    }
}

/// What stands in its place is somebody's, or what was staged beside it.
pub(super) fn foreign(view: &View<'_>, want: &Want) -> Next {
    if let Some(note) = Note::of_removal(want.standing) {
        return Next::noted(State::Waiting, note);
    }
    let is_free = matches!(view.seen.dir, Dir::Absent | Dir::Empty | Dir::Plain);
    let staged = in_the_way::other_staged(view).filter(|_| is_free);
    Next::noted(State::Failed, staged.unwrap_or(Note::PathTaken))
}

fn begun(view: &View<'_>) -> bool {
    view.seen.has_share() || view.seen.has_metadata()
}

fn may_begin(view: &View<'_>, want: &Want) -> bool {
    want.recreate
        || want.authority == Authority::Live
        || (want.authority == Authority::Builtin && view.id.is_default())
}

fn step(view: &View<'_>, want: &Want, stage: Stage) -> Result<Step, Wait> {
    let encryption = want.policy.encryption;
    match stage {
        Stage::Shareless(seal) => make_share(view, seal),
        Stage::Keyless => make_metadata(view, want),
        Stage::Single { whole } => Ok(Step::RepairCopy { from: whole }),
        Stage::Closed => open_metadata(view, want),
        Stage::Opened => Ok(Step::AddKey),
        Stage::Keyed(Site::Bare) => Ok(Step::MakeDir),
        Stage::Keyed(Site::Empty) => Ok(space::of_empty(view, want).unwrap_or(Step::SetPolicy(encryption))),
        // It is the copy that is being made, or its making failed and is tried again soon.
        Stage::Keyed(Site::Half) if is_being_moved(view) => Ok(Step::MoveIn(encryption)),
        Stage::Keyed(Site::Half) => Ok(Step::DropCopy),
        Stage::Keyed(Site::Leftover) => Ok(Step::DropStaged { open: true }),
        Stage::Keyed(Site::Plain) => Ok(Step::MoveIn(encryption)),
    }
}

fn is_being_moved(view: &View<'_>) -> bool {
    view.seen.dir == Dir::Plain && view.setbacks.contains(StepKind::MoveIn)
}

fn make_share(view: &View<'_>, seal: Seal) -> Result<Step, Wait> {
    match view.node.tpm {
        _ if view.node.can_seal(seal) => Ok(Step::MakeShare { seal, mark: Mark::Begun }),
        TpmSeen::Present { .. } if view.node.table_lost() => Err(Wait::Table),
        TpmSeen::Present { .. } if !view.node.measured => Err(Wait::NotMeasured),
        TpmSeen::Present { .. } => Err(Wait::SealShut),
        TpmSeen::Unknown | TpmSeen::Absent => Err(Wait::Tpm),
    }
}

fn make_metadata(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    if !may_begin(view, want) {
        return Err(Wait::Contact);
    }
    let target = target(view, want).ok_or_else(|| no_key(want))?;
    if view.keys.reach(target) {
        Ok(Step::MakeMetadata { wrapping: target, encryption: want.policy.encryption })
    } else if view.keys.has_share(ShareKey::Closed) {
        Err(Wait::Pcrs)
    } else {
        Err(Wait::Tpm)
    }
}

fn open_metadata(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    if let Some(act) = unwrap(view) {
        return Ok(act.step);
    }
    let whole_key_set = target(view, want).is_some_and(|target| view.keys.reach(target));
    let of_no_use = want.recreate || (may_begin(view, want) && only_begun(view));
    if view.keys.none_fits && whole_key_set && of_no_use {
        // A copy goes while its key is known: under the next one it would count as another vault's.
        Ok(if view.seen.staged == Staged::Copy { Step::DropCopy } else { Step::ForgetMetadata })
    } else {
        Err(why_closed(view, want))
    }
}

/// Its share tells that the vault was never made, and its metadata needs that share alone: nothing was ever encrypted under it. Where
/// no share tells, it may have been made, and its directory be elsewhere. And metadata under an epoch opens as soon as a controller
/// gives that key again: it goes by an order alone.
fn only_begun(view: &View<'_>) -> bool {
    let of_an_epoch = view.seen.hints().any(|hint| hint.epoch().is_some());
    view.seen.mark() == Some(Mark::Begun) && shares_are_readable(&view.facts()) && !of_an_epoch
}
