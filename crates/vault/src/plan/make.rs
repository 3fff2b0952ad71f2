//! The making of a vault, and its resumption: share and metadata durable, key added, policy set on the empty directory, marked.
//! Nothing here removes a directory. Metadata that no key at hand opens goes only while there is no directory with a policy,
//! and so nothing was ever encrypted under it.

use super::keep::{no_key, target, unwrap};
use super::seen::{Dir, Key, ShareKey, Tpm};
use super::step::{Act, Note, Op, Step, Wait};
use super::{Next, Staged, View};
use crate::custody::Wrapping;
use crate::plan::{Authority, Want};
use crate::report::State;
use crate::section::Standing;
use crate::shares::Mark;

pub(super) fn next(view: &View<'_>, want: &Want) -> Next {
    if want.standing == Standing::Removing {
        return Next::noted(State::Waiting, Note::Removing);
    }
    if !begun(view) && !may_begin(view, want) {
        return Next::Wait(Wait::Contact);
    }
    if path_taken(view) {
        return Next::noted(State::Failed, Note::PathTaken);
    }
    match step(view, want) {
        Ok(step) => Next::Do(Act { op: if want.recreate { Op::Recreate } else { Op::Create }, step }),
        Err(wait) => Next::Wait(wait),
    }
}

/// Plain originals at the staging path may be the only copy while no vault stands at the vault's own: not ours to remove.
fn path_taken(view: &View<'_>) -> bool {
    match view.seen.dir {
        Dir::Plain => !view.id.is_default() || view.seen.staged == Staged::Plain,
        Dir::Absent | Dir::Empty => view.seen.staged == Staged::Plain,
        Dir::Stranger | Dir::OtherVault => true,
        Dir::Vault(_) => false,
    }
}

fn begun(view: &View<'_>) -> bool {
    view.seen.share.is_some() || view.seen.has_metadata()
}

fn may_begin(view: &View<'_>, want: &Want) -> bool {
    want.recreate
        || want.authority == Authority::Live
        || (want.authority == Authority::Builtin && view.id.is_default())
}

fn step(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    let seen = view.seen;
    if want.policy.custody.needs_tpm() && seen.share.is_none() {
        return make_share(view, want);
    }
    if !seen.has_metadata() {
        return make_metadata(view, want);
    }
    if !seen.has_both_copies() {
        return Ok(Step::RepairCopy);
    }
    if view.keys.held.is_none() {
        return open_metadata(view, want);
    }
    if seen.key != Key::Present {
        return Ok(Step::AddKey);
    }
    Ok(match seen.dir {
        Dir::Absent if seen.staged == Staged::Nothing => Step::MakeDir,
        Dir::Empty if seen.staged == Staged::Nothing => Step::SetPolicy(want.policy.encryption),
        Dir::Absent | Dir::Empty => Step::DropStaged,
        _ => Step::MoveIn(want.policy.encryption),
    })
}

fn make_share(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    let seal = want.policy.seal;
    match view.node.tpm {
        _ if view.node.can_seal(seal) => Ok(Step::MakeShare { seal, mark: Mark::Begun }),
        Tpm::Present { .. } if view.node.table_lost() => Err(Wait::Table),
        Tpm::Present { .. } => Err(Wait::Pcrs),
        Tpm::Unknown | Tpm::Absent => Err(Wait::Tpm),
    }
}

fn make_metadata(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    if !may_begin(view, want) {
        return Err(Wait::Contact);
    }
    let target = target(view, want).ok_or_else(|| no_key(want))?;
    match view.keys.reach(target) {
        true => Ok(Step::MakeMetadata(target)),
        false => Err(share_away(view)),
    }
}

fn open_metadata(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    if let Some(act) = unwrap(view) {
        return Ok(act.step);
    }
    let whole_key_set = target(view, want).is_some_and(|target| view.keys.reach(target));
    if view.keys.none_fits && whole_key_set && may_begin(view, want) {
        return Ok(Step::ForgetMetadata);
    }
    let tpm_alone = target(view, want) == Some(Wrapping::Tpm);
    Err(if tpm_alone || view.keys.current.is_some() { share_away(view) } else { no_key(want) })
}

fn share_away(view: &View<'_>) -> Wait {
    match view.keys.share {
        ShareKey::Closed => Wait::Pcrs,
        _ => Wait::Tpm,
    }
}
