//! The making of a vault, and its resumption: share and metadata durable, key added, policy set on the empty directory, marked.
//! Nothing here removes a directory. Metadata that no key at hand opens goes only while there is no directory with a policy,
//! and so nothing was ever encrypted under it.

use super::keep::{no_key, shares_are_readable, shut, target, unwrap};
use super::seen::{Dir, Key, ShareKey, Tpm};
use super::step::{Act, Note, Op, Step, Wait};
use super::{Next, Staged, View};
use crate::plan::{Authority, Want};
use crate::report::State;
use crate::section::{Seal, Standing};
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
    view.seen.has_share() || view.seen.has_metadata()
}

fn may_begin(view: &View<'_>, want: &Want) -> bool {
    want.recreate
        || want.authority == Authority::Live
        || (want.authority == Authority::Builtin && view.id.is_default())
}

/// A share is made before its metadata. So metadata that is there without one is the controller's, and perhaps a made vault's of
/// which nobody here remembers that it was made: it is opened and finished as it is, never replaced, but by an order.
fn step(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    let (seen, seal) = (view.seen, want.policy.seal);
    let anew = want.recreate || !seen.has_metadata();
    if anew && want.policy.custody.needs_tpm() && seen.shares.of(seal).is_none() {
        return make_share(view, seal);
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

fn make_share(view: &View<'_>, seal: Seal) -> Result<Step, Wait> {
    match view.node.tpm {
        _ if view.node.can_seal(seal) => Ok(Step::MakeShare { seal, mark: Mark::Begun }),
        Tpm::Present { .. } if view.node.table_lost() => Err(Wait::Table),
        Tpm::Present { .. } if !view.node.measured => Err(Wait::NotMeasured),
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
        false if view.keys.has_share(ShareKey::Closed) => Err(Wait::Pcrs),
        false => Err(Wait::Tpm),
    }
}

fn open_metadata(view: &View<'_>, want: &Want) -> Result<Step, Wait> {
    if let Some(act) = unwrap(view) {
        return Ok(act.step);
    }
    let whole_key_set = target(view, want).is_some_and(|target| view.keys.reach(target));
    let of_no_use = want.recreate || (may_begin(view, want) && only_begun(view));
    match view.keys.none_fits && whole_key_set && of_no_use {
        true => Ok(Step::ForgetMetadata),
        false => Err(shut(view, want)),
    }
}

/// Its share tells that the vault was never made, so nothing was ever encrypted under its metadata. Where no share tells, it may
/// have been made, and its directory be elsewhere. And metadata under an epoch may still be opened, as long as the controller
/// gives no key for this vault.
fn only_begun(view: &View<'_>) -> bool {
    let of_an_epoch = view.seen.hints().any(|hint| hint.epoch().is_some());
    view.seen.mark() == Some(Mark::Begun)
        && shares_are_readable(view)
        && (!of_an_epoch || view.keys.current.is_some())
}
