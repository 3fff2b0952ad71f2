//! A tree put into a project, all of it: what users made before there was one. A directory goes before what is in it, so that nothing that is
//! made meanwhile is left out.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::OFlags;

use crate::agents::vaultmgr::hands::crypt::Join;

use super::{Folder, Kind, Trouble, Work};

const NOT_JOINED: &str = "can't be counted to its vault's project";

/// Puts the directory and all folders and files in it into the project. Links, pipes and devices take no space to speak of, and stay.
///
/// # Errors
/// The first thing that could not be, or the work was stopped. What was done stays, and is not done twice.
pub(crate) fn enlist(top: &Path, into: (u32, Join), work: &Work) -> Result<(), Trouble> {
    let folder = Folder::top(top).map_err(Trouble::of(top, "can't be opened"))?;
    work.begin(0);
    inner(&folder, into, work)
}

fn inner(folder: &Folder, into: (u32, Join), work: &Work) -> Result<(), Trouble> {
    work.pace().map_err(Trouble::of(&folder.path, "was left for later"))?;
    join(folder, into, true, &folder.path)?;
    for name in folder.names()? {
        let Some(entry) = folder.entry(&name)? else { continue };
        match entry.kind() {
            Kind::Folder => inner(&folder.into(&name, &entry)?, into, work)?,
            Kind::File => {
                let file = entry.open(OFlags::RDONLY | OFlags::NONBLOCK);
                let file = file.map_err(Trouble::of(&entry.path, NOT_JOINED))?;
                join(file, into, false, &entry.path)?;
                work.file();
            }
            Kind::Link | Kind::Socket | Kind::Special => {}
        }
    }
    Ok(())
}

fn join(file: impl AsFd, (project, join): (u32, Join), directory: bool, path: &Path) -> Result<(), Trouble> {
    join(file.as_fd(), project, directory).map_err(Trouble::of(path, NOT_JOINED))
}
