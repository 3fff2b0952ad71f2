//! Trees that other users change while we are in them. They are walked by descriptors only: a name is looked up once, in an open
//! directory, and what was opened there is what is looked at, copied, compared, wiped. No link is followed and no mount entered,
//! so whatever is exchanged meanwhile, nothing outside the tree is read or written.

mod data;
mod empty;
mod enlist;
mod entry;
mod folder;
mod inodes;
mod remove;
mod wipe;
mod work;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vault::text::quoted;

pub(crate) use data::{copy_data, same_data};
#[cfg(test)]
pub(crate) use enlist::Uncounted;
pub(crate) use enlist::enlist;
pub(crate) use entry::{Entry, Kind, Rights};
pub(crate) use folder::Folder;
pub(crate) use inodes::{Inodes, inodes};
pub(crate) use remove::{remove, remove_in, stands};
#[cfg(test)]
pub(crate) use wipe::NOT_WIPED;
pub(crate) use wipe::{HELD, HELD_UNKNOWN, Left, wipe};
pub(crate) use work::{BetweenPieces, GiveWay, Work, size};

/// Folders nest no deeper than this where a tree is gone through by calls within calls. Each level keeps two descriptors at most, of which a process
/// has about a thousand, and two default vaults may be moved in at once.
pub(crate) const DEEPEST: usize = 200;
/// The stack of a thread that goes through such a tree: a level takes about 10 KiB of it where nothing is optimized, and all levels less than half.
pub(crate) const STACK: usize = 8 << 20;
/// How long what could not be counted to a project is left before it is tried again: a whole tree is walked for it.
pub(crate) const RECOUNT: Duration = Duration::from_secs(15 * 60);

/// What could not be done to one thing of a tree, with its path: whoever reads it is to find it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", shown(.path))]
pub(crate) struct Trouble {
    /// Where it is, or was a moment ago.
    pub(crate) path: PathBuf,
    /// What is the matter, and what to do where that is known.
    pub(crate) what: &'static str,
    /// What the kernel says.
    pub(crate) source: Option<io::Error>,
}

impl Trouble {
    /// What the kernel did not let us do there.
    pub(crate) fn of<E: Into<io::Error>>(path: &Path, what: &'static str) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self { path, what, source: Some(source.into()) }
    }
    /// What stands there is not what can be worked on.
    pub(crate) fn new(path: &Path, what: &'static str) -> Self {
        Self { path: path.to_owned(), what, source: None }
    }
}

/// A path as a sentence quotes it: names are given by whoever made the file.
pub(crate) fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod enlisted;
#[cfg(test)]
pub(crate) mod tests;
