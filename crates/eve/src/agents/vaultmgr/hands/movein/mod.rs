//! Plain files that lay in a default vault's place before it was one (DF-5): copied into a new directory under the policy, compared
//! byte by byte, exchanged with the old at once; then looked at once more, and wiped. Others may write to them all the time, by a
//! name or through what they hold open. Invariants: until the exchange the originals are untouched; an original is wiped only when
//! what is in it is in the vault, or was and gave way to something newer there; nothing but these files is ever read.

mod arriving;
mod compare;
mod copy;
mod exchange;
mod names;
mod settle;
mod stamps;
mod survey;

use std::io;
use std::path::PathBuf;

use disk::Disk;

use crate::agents::vaultmgr::hands::tree::{self, Folder, Left, Trouble, Work};
use compare::{Comparison, Look};
pub(crate) use exchange::give_back;
pub(crate) use settle::settle;
use stamps::Stamps;
use survey::Survey;

/// How often what was written meanwhile is copied anew before it is given up for now.
const ROUNDS: usize = 8;
const SPECIAL: &str = "is a device or a pipe, which can't be moved into a vault; move it away";
/// By a user's key or another vault's: without that key its names are not what they look like, and with it the copy would be under another.
const ENCRYPTED: &str = "is encrypted under another key than the vault's (fscrypt), and is not moved into the vault; move it away, which needs no key (mv), and copy what is in it into the vault where both are open";
const NOT_COMPARED: &str = "can't be compared with its copy";
const CHANGES: &str =
    "is written to while it is copied into the vault, again and again; stop what writes there";

/// Why plain files were not moved in. They are where they were, and nothing of them is lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// One of them.
    #[error(transparent)]
    One(#[from] Trouble),
    /// The whole of them.
    #[error("plain files can't be moved into the vault; it is tried again by itself")]
    Whole(#[from] io::Error),
    /// Somebody could write to them after they were moved, and it would be lost.
    #[error("plain files are in use: {}; end these, and the files are moved by themselves", .0.join("; "))]
    Held(Vec<String>),
    /// Copied or not, the disk would be full.
    #[error(
        "there are {needs} of plain files to move into the vault and {free} are free on the persist filesystem; make room"
    )]
    NoRoom {
        /// What they take, in words.
        needs: String,
        /// What there is, in words.
        free: String,
    },
    /// Both the original and its copy were written to, or one that has no stamp differs: a person has to look.
    #[error(
        "these differ from what is in the vault now, and only you can tell which is right; take from them what is missing there, then remove them: {0}"
    )]
    Differs(Left),
    /// What can't be wiped.
    #[error("of the plain files these can't be wiped: {0}")]
    NotWiped(Left),
}

/// The paths of one move.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// What they lie on.
    pub(crate) disk: Disk,
    /// Where the plain files are, and then the vault.
    pub(crate) place: PathBuf,
    /// Where the copy is, and then the plain files.
    pub(crate) staging: PathBuf,
    /// Originals that only wait to be wiped.
    pub(crate) going: PathBuf,
    /// What is carried into the vault, until it is there.
    pub(crate) arriving: PathBuf,
    /// What both were when they were the same.
    pub(crate) stamps: PathBuf,
}

/// Copies all of `place` into the empty directory `staging`, until both are the same and nobody holds anything of it to write to,
/// and exchanges the two.
pub(crate) fn move_in(places: &Places, work: &Work) -> Result<(), MoveError> {
    exchange::give_back(places)?;
    let copied = copy_beside(places, work);
    // What was copied must not fill the disk until the next try; the removal of what was copied once is the next plan's. After the exchange the originals are there: those are settled.
    let (from, to) = copied.inspect_err(|_| drop(tree::remove(&places.staging, work)))?;
    exchange::exchange(places, &from, &to)
}

/// The originals and their copy, which are the same.
fn copy_beside(places: &Places, work: &Work) -> Result<(Folder, Folder), MoveError> {
    let survey = Survey::of(&places.place)?.fit()?;
    survey.fits(&places.place)?;
    survey.in_use(&places.place, None)?;
    work.begin(survey.bytes);
    let (from, to) = (Folder::top(&places.place)?, Folder::top(&places.staging)?);
    copy_until_same(&from, &to, places, work)?;
    Ok((from, to))
}

/// The last look before the exchange takes no longer than it must: what is written after it is found by [`mod@settle`].
fn copy_until_same(from: &Folder, to: &Folder, places: &Places, work: &Work) -> Result<(), MoveError> {
    let mut stamps = Stamps::default();
    let mut differs = None;
    for _ in 0..ROUNDS {
        copy::tree(from, to, &mut stamps, work)?;
        rustix::fs::syncfs(to).map_err(io::Error::from)?;
        differs = compare(from, to, &mut stamps, Look::Bytes, work)?;
        if differs.is_some() {
            continue;
        }
        stamps.note_folders(&from.stat()?, &to.stat()?);
        stamps.write(&places.disk, &places.stamps)?;
        Survey::of(&from.path)?.fit()?.in_use(&from.path, Some(from))?;
        differs = compare(from, to, &mut stamps, Look::Stamps, work)?;
        if differs.is_none() {
            return Ok(());
        }
    }
    Err(Trouble::new(&differs.unwrap_or_else(|| from.path.clone()), CHANGES).into())
}

fn compare(
    from: &Folder,
    to: &Folder,
    stamps: &mut Stamps,
    look: Look,
    work: &Work,
) -> Result<Option<PathBuf>, Trouble> {
    let mut comparison = Comparison { stamps, look, work, differs: None };
    comparison.tree(from, to)?;
    Ok(comparison.differs)
}

#[cfg(test)]
mod tests;
