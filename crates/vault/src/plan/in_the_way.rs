//! What stands where a vault is to go, or to be made anew, and is no part of that: another vault, a link, files that nobody encrypted. Each is
//! named with what to do, and never removed.

use super::View;
use super::note::Note;
use crate::condition::{Dir, Seen, Staged};
use crate::ids::VaultId;

/// What an order to make a vault anew, or to remove it, leaves alone, and waits for.
pub(super) fn of(id: VaultId, seen: &Seen) -> Option<Note> {
    match (seen.dir, seen.staged) {
        (Dir::OtherVault | Dir::Stranger, _) => Some(Note::PathTaken),
        (Dir::Plain, _) if !id.is_default() => Some(Note::PlainFiles),
        // Looked at once more and wiped they are by the vault's own key alone: in one that is missing they may be all that is left.
        (_, Staged::Plain) => Some(Note::PlainStaged(id)),
        (_, Staged::Other) => Some(Note::OtherStaged(id)),
        _ => None,
    }
}

/// What is to be said of another vault's directory among what was staged, also of a vault that it is not in the way of.
pub(super) fn other_staged(view: &View<'_>) -> Option<Note> {
    (view.seen.staged == Staged::Other).then_some(Note::OtherStaged(view.id))
}

/// What is to be said of plain files at the path of a vault that is missing.
pub(super) fn plain_at_path(view: &View<'_>) -> Option<Note> {
    let into_it = if view.id.is_default() { Note::PlainGoIn } else { Note::PlainFiles };
    (view.seen.dir == Dir::Plain).then_some(into_it)
}
