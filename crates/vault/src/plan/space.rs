//! Bounding the space of a vault, as its policy asks. It never stands in the way: a vault whose limit can't be set is made, opened and
//! re-keyed without it, and that is said. The Config Vault has no limit: in it lies what the node was told, which must always be written.

use super::View;
use super::note::Note;
use super::step::{Act, Op, Step};
use crate::condition::{Key, Staged};
use crate::ids::CONFIG_VAULT;
use crate::space::{Project, StorageLimit};
use crate::wanted::{Authority, Want};

fn wanted(view: &View<'_>, want: &Want) -> Option<StorageLimit> {
    want.policy.storage_limit.filter(|_| view.id != CONFIG_VAULT)
}

/// The step towards the limit that is wanted, if one is possible and did not just fail.
fn towards(view: &View<'_>, limit: Option<StorageLimit>) -> Option<Step> {
    let step = Step::Bound(limit);
    (view.seen.space.can_be_bounded() && !view.setbacks.contains(step.kind())).then_some(step)
}

/// Of the empty directory that a vault is made on: it gets a project even with no limit, so that all of it is counted and can be bounded later.
pub(super) fn of_empty(view: &View<'_>, want: &Want) -> Option<Step> {
    let limit = wanted(view, want);
    let there = view.seen.space.project == Project::Own && view.seen.space.limit == limit;
    towards(view, limit).filter(|_| !there)
}

/// Of a vault that is open: what is in it can then be given to its project. Not while plain files are on their way into it, which is another
/// long work on the same files.
pub(super) fn step(view: &View<'_>, want: &Want) -> Option<Act> {
    let limit = wanted(view, want);
    let at_rest = matches!(view.seen.staged, Staged::Nothing | Staged::Other);
    let live = want.authority == Authority::Live;
    let open = at_rest && view.seen.key == Key::Present;
    let step =
        if limit == view.seen.space.limit { count(view) } else { towards(view, limit).filter(|_| live) };
    step.filter(|_| open).map(|step| Act { op: Op::Limit, step })
}

/// Once a limit is in force, not before: what users hold of their files would put it off for as long as they like.
fn count(view: &View<'_>) -> Option<Step> {
    let space = view.seen.space;
    let due = space.uncounted && space.limit.is_some() && space.unbounded().is_none();
    (due && !view.setbacks.contains(Step::Count.kind())).then_some(Step::Count)
}

/// What is to be said of a limit that bounds nothing.
pub(super) fn note(view: &View<'_>, want: &Want) -> Option<Note> {
    let space = view.seen.space;
    let limit = wanted(view, want)?;
    match space.unbounded() {
        Some(why) => Some(Note::LimitNotEnforced(why)),
        None => (space.limit != Some(limit)).then_some(Note::LimitDue(limit)),
    }
}
