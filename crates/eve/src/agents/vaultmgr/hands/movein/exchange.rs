//! The exchange of the originals for their copy. Linux lets nobody give a directory another parent who may not write in it, and
//! vaultmgr may change owners, and not write past them: so both are taken for it, and what is then in the place is given back to the
//! owner that it had. Invariant: what is taken has its rights among the stamps, durably, so a power cut leaves nothing with a wrong owner.

use std::io;
use std::path::Path;

use super::stamps::Stamps;
use super::{MoveError, Places};
use crate::agents::vaultmgr::hands::tree::{self, Folder, Trouble, Work};

const NOT_EXCHANGED: &str = "can't be exchanged for its copy in the vault: if it is marked immutable or append-only take that off (chattr -i -a), and it is moved by itself";
const EXCHANGED: &str = "was exchanged while it was moved into the vault; stop what writes there";
const NOT_GIVEN: &str = "can't be given back to its owner; it is tried again by itself";

/// The copy and the originals change places at once; durable when it returns. A copy that came to nothing does not fill the disk.
pub(super) fn exchange(places: &Places, from: &Folder, to: &Folder) -> Result<(), MoveError> {
    let exchanged = taken(places, from, to);
    give_back(places)?;
    if exchanged.is_err() && is(&places.staging, to) {
        drop(tree::remove(&places.staging, &Work::default()));
    }
    exchanged
}

fn taken(places: &Places, from: &Folder, to: &Folder) -> Result<(), MoveError> {
    let failed = |error: io::Error| Trouble::of(&places.place, NOT_EXCHANGED)(error);
    let swap = || Ok(places.disk.exchange(&places.place, &places.staging)?);
    for folder in [from, to] {
        folder.take_apart().map_err(failed)?;
    }
    swap().map_err(failed)?;
    // Who owns a folder above may have exchanged it for another.
    if is(&places.staging, from) && is(&places.place, to) {
        return Ok(());
    }
    swap().map_err(failed)?;
    Err(Trouble::new(&places.place, EXCHANGED).into())
}

fn is(path: &Path, folder: &Folder) -> bool {
    let ino = |folder: &Folder| folder.stat().map(|stat| stat.stx_ino).ok();
    Folder::top(path).is_ok_and(|there| ino(&there).is_some() && ino(&there) == ino(folder))
}

/// What is in the place, original or copy, has its owner and mode again, now or after a power cut. Others than we took are left alone.
pub(crate) fn give_back(places: &Places) -> Result<(), MoveError> {
    let top = match Folder::top(&places.place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top?.as_entry()?,
    };
    if !top.is_taken_apart() {
        return Ok(());
    }
    // Stamps are written before anything is taken: one that they don't name was so before.
    let Some(rights) = Stamps::read(&places.stamps).rights(&top.stat) else { return Ok(()) };
    Ok(top.give(rights).map_err(Trouble::of(&places.place, NOT_GIVEN))?)
}
