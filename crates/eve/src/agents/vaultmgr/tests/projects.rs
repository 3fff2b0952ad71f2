//! Project quotas as values: the kernels that these tests run on have none, or may have none. The real ones are tried in a VM.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use vault::space::{Keeps, Project, Space, StorageLimit};

use crate::agents::vaultmgr::hands::crypt::Join;

/// Of one filesystem; none while it keeps none. And whether files can't be put into any.
#[derive(Clone, Default)]
pub(super) struct Projects(Rc<RefCell<Option<BTreeMap<PathBuf, Space>>>>, Rc<Cell<bool>>);

impl Projects {
    /// From now on it keeps them.
    pub(super) fn keep(&self) {
        self.0.borrow_mut().get_or_insert_default();
    }

    /// Files that are there already can't be put into a project.
    pub(super) fn refuse_files(&self, refuse: bool) {
        self.1.set(refuse);
    }

    pub(super) fn join(&self) -> Join {
        if self.1.get() {
            |_, _, directory| if directory { Ok(()) } else { Err(Errno::EPERM.into()) }
        } else {
            |_, _, _| Ok(())
        }
    }

    pub(super) fn space(&self, path: &Path) -> Space {
        let kept = self.0.borrow();
        let Some(all) = kept.as_ref() else { return Space::default() };
        all.get(path).copied().unwrap_or(Space { keeps: Keeps::Bounds, ..Space::default() })
    }

    pub(super) fn enlist(&self, path: &Path) {
        self.change(path, |space| space.project = Project::Own);
    }

    pub(super) fn limit(&self, path: &Path, limit: Option<StorageLimit>) {
        self.change(path, |space| space.limit = limit);
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut Space)) {
        let mut space = self.space(path);
        change(&mut space);
        self.0.borrow_mut().iter_mut().for_each(|all| _ = all.insert(path.to_owned(), space));
    }
}
