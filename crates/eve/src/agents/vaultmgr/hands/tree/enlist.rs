//! A tree put into a project: what users made before there was one. A directory goes before what is in it, so that nothing that is made meanwhile
//! is left out. Users hold what they like and nest as deep as they like: that ends no walk, it is left out, counted and told.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::OFlags;

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::Join;

use super::{Entry, Folder, Kind, Trouble, Work};

const NOT_JOINED: &str = "can't be counted to its vault's project";
/// How many of those left out are named.
const NAMED: usize = 3;

/// What could not be put into the project. A folder that can't be entered stands for all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Uncounted {
    count: u64,
    first: Vec<String>,
}

impl Uncounted {
    fn note(&mut self, trouble: &Trouble) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(chain(trouble));
        }
    }

    /// What is to be said of it; none: all is counted.
    pub(crate) fn words(&self) -> Option<String> {
        let what = match self.count {
            0 => return None,
            1 => "1 file or folder is".to_owned(),
            count => format!("{count} files or folders are"),
        };
        let first = self.first.join("; ");
        Some(format!(
            "storage limit in force, and {what} not counted to it: {first}. End what holds them, take immutable marks off (`chattr -i`), move what nests too deep, or raise a limit that is reached; it is tried again by itself within {} minutes",
            super::RECOUNT.as_secs() / 60
        ))
    }
}

struct Enlisting<'a> {
    into: (u32, Join),
    work: &'a Work,
    files: bool,
    left: Uncounted,
}

/// Puts the directory and what is in it into the project: all folders first, so that what is made from then on is bounded also where the limit
/// leaves no room for all the files of before. Links, pipes and devices take no space to speak of, and stay. What is left out is handed back.
///
/// # Errors
/// The top can't be opened, or the work was stopped. What was done stays, and is not done twice.
pub(crate) fn enlist(top: &Path, into: (u32, Join), work: &Work) -> Result<Uncounted, Trouble> {
    work.begin(0);
    pass(top, into, work, false)?;
    pass(top, into, work, true)
}

fn pass(top: &Path, into: (u32, Join), work: &Work, files: bool) -> Result<Uncounted, Trouble> {
    let folder = Folder::top(top).map_err(Trouble::of(top, "can't be opened"))?;
    let mut enlisting = Enlisting { into, work, files, left: Uncounted::default() };
    enlisting.folder(&folder)?;
    Ok(enlisting.left)
}

impl Enlisting<'_> {
    /// Fails only where the work was stopped.
    fn folder(&mut self, folder: &Folder) -> Result<(), Trouble> {
        self.work.pace().map_err(Trouble::of(&folder.path, "was left for later"))?;
        self.join(folder, true, &folder.path);
        for name in self.or_left(folder.names()).unwrap_or_default() {
            let Some(entry) = self.or_left(folder.entry(&name)).flatten() else { continue };
            match entry.kind() {
                // Whatever folder has the name by now is as good.
                Kind::Folder => match self.or_left(folder.folder(&name)) {
                    Some(inner) => self.folder(&inner)?,
                    None => continue,
                },
                Kind::File if self.files => self.file(&entry),
                Kind::File | Kind::Link | Kind::Socket | Kind::Special => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry) {
        let file = entry.open(OFlags::RDONLY | OFlags::NONBLOCK);
        if let Some(file) = self.or_left(file.map_err(Trouble::of(&entry.path, NOT_JOINED))) {
            self.join(file, false, &entry.path);
        }
        self.work.file();
    }

    fn join(&mut self, file: impl AsFd, directory: bool, path: &Path) {
        let (project, join) = self.into;
        self.or_left(join(file.as_fd(), project, directory).map_err(Trouble::of(path, NOT_JOINED)));
    }

    fn or_left<T>(&mut self, done: Result<T, Trouble>) -> Option<T> {
        done.inspect_err(|trouble| self.left.note(trouble)).ok()
    }
}
