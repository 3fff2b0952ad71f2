//! A vault that goes, and one that is locked though no policy speaks of it. Deletion is in an order that a power cut may fall
//! into anywhere: key out of the kernel, key files overwritten and unlinked, directory, share, and the record last, so a live section
//! resumes it. Something else at the path (another vault, a stranger, plain files) stops it, and the key files stay. While nothing
//! was heard of the TPM it does not end.
//!
//! Locking is done when the kernel says that the key is absent. Until then the state is `lock-incomplete`, with the processes that
//! hold files, and never with the names of these files.

use super::note::Note;
use super::step::{Act, Op, Step, StepKind, Wait};
use super::{Next, View, in_the_way};
use crate::condition::{Dir, Key, MetaCopy, Staged, State, TpmSeen};

pub(super) fn delete(view: &View<'_>) -> Next {
    let seen = view.seen;
    let copies = [seen.first, seen.second];
    let step = if seen.key == Key::Present {
        Step::Lock
    } else if seen.dir == Dir::Covered {
        return Next::noted(State::Failed, Note::Covered);
    } else if let Some(note) = in_the_way::of(view.id, seen) {
        // What stands there is not the vault that nobody lists any more. The metadata, by which this can be told, stays too.
        return Next::noted(State::Failed, note);
    } else if copies.iter().any(|copy| *copy != MetaCopy::Absent) {
        Step::ForgetMetadata
    } else if seen.dir != Dir::Absent || seen.staged != Staged::Nothing {
        Step::DeleteDir
    } else if seen.key == Key::Incomplete {
        // Files held open do not hold up the deletion; it only ends when the kernel has dropped them.
        return busy_or_lock(view, Op::Delete);
    } else if let Some(seal) = seen.share() {
        Step::DropShare(seal)
    } else if view.node.tpm == TpmSeen::Unknown {
        return Next::Wait(Wait::Tpm);
    } else {
        Step::RecordRemoved
    };
    Next::Do(Act { op: Op::Delete, step })
}

/// Of a vault that nobody vouches for: key files alone, planted or with a changed name, may name another vault's key, and lock nothing. Under a mount its
/// directory can't speak for it, and whoever mounts would keep it open: there they do.
pub(super) fn lock_own(view: &View<'_>, locked: Next) -> Next {
    let hidden = view.seen.dir == Dir::Covered && view.seen.has_metadata();
    if hidden || is_vouched_for(view) { lock(view, locked) } else { locked }
}

/// The same of one that can't be looked at, which is as good as hidden. A vault of a better claim keeps its key.
pub(super) fn lock_unseen(view: &View<'_>, waits: Next) -> Next {
    if view.seen.has_metadata() || is_vouched_for(view) { lock(view, waits) } else { waits }
}

fn is_vouched_for(view: &View<'_>) -> bool {
    view.seen.is_vault() || view.seen.has_share() || view.keys.held.is_some()
}

/// Takes the key out of the kernel, whatever else is there, and comes to rest as told.
pub(super) fn lock(view: &View<'_>, locked: Next) -> Next {
    match view.seen.key {
        Key::Present => Next::Do(Act { op: Op::Lock, step: Step::Lock }),
        Key::Incomplete => busy_or_lock(view, Op::Lock),
        Key::Absent => locked,
    }
}

fn busy_or_lock(view: &View<'_>, op: Op) -> Next {
    if view.setbacks.contains(StepKind::Lock) {
        Next::Wait(Wait::Busy)
    } else {
        Next::Do(Act { op, step: Step::Lock })
    }
}
