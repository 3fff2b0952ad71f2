//! Vaults that were made, and are not on this disk as they were: their directory, or both copies of their key files, are not here. The disk may be another one
//! than that which they lie on, and a directory may have been moved. While they may come back nothing ends that would open them then: key files in a
//! bundle are of use while its generation lasts, and so is a table on a disk that was taken out.

use super::Known;
use crate::condition::{Dir, Seen};
use crate::shares::Mark;
use crate::wanted::Wish;

/// Whether it was made, as its share or the list says, and is not here whole. What nobody wants any more, and what an order has made anew, is not
/// waited for.
#[must_use]
pub fn is_not_here(known: &Known, wish: &Wish) -> bool {
    let seen = &known.seen;
    // What is mounted over a directory took nothing away.
    let stands = seen.is_vault() || seen.dir == Dir::Covered;
    was_made(seen, wish) && !(stands && seen.has_metadata())
}

/// Whether it was made, and is not to be seen: something is mounted over its directory, or it could not be looked at.
pub(super) fn is_hidden(known: &Known, wish: &Wish) -> bool {
    let Known { seen, unseen, .. } = known;
    was_made(seen, wish) && (*unseen || seen.dir == Dir::Covered && seen.has_metadata())
}

fn was_made(seen: &Seen, wish: &Wish) -> bool {
    match wish {
        Wish::Delete | Wish::Gone => false,
        Wish::Keep(want) if want.recreate => false,
        Wish::Keep(want) if want.created => true,
        _ => seen.mark() == Some(Mark::Made),
    }
}
