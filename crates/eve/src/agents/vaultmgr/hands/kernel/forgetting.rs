//! All key files of a vault overwritten and unlinked, in both places. What can't be is told with what to do, and is tried again; nothing of it is
//! unlinked unwiped.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fscrypt::{MetaDir, MetaError};
use vault::ids::VaultId;

use super::parts::{wipe, wipe_all};
use super::{CryptError, Kernel, MetaPlace, failed};
use crate::agents::vaultmgr::hands::label;
use crate::agents::vaultmgr::hands::tree::{self, Work};

/// The folders of one place.
const FOLDERS: [&str; 2] = ["protectors", "policies"];

impl Kernel {
    /// Whether a place without key files has bytes of some that could not be wiped: it is no place that is bare.
    pub(super) fn has_unwiped(&self, vault: VaultId, place: MetaPlace) -> bool {
        let left = || self.second(vault).is_ok_and(|second| second.has_leftovers());
        self.unwiped.contains(&vault) || place == MetaPlace::Second && left()
    }

    /// What an earlier life could not overwrite in the first place lies there under a name of none: it tells whose it was, and that vault is
    /// not gone.
    pub(super) fn read_unwiped(&mut self) {
        let left = self.first().map(MetaDir::left_protectors).unwrap_or_default();
        for left in left {
            let Some(label) = label::read(left.name()) else { continue };
            self.names.entry(label.vault).or_default().protectors.insert(left.descriptor());
            self.unwiped.insert(label.vault);
        }
    }

    pub(super) fn forget_all(&mut self, vault: VaultId) -> Result<(), CryptError> {
        self.unwiped.insert(vault);
        self.wipe_both(vault)?;
        self.unwiped.remove(&vault);
        Ok(())
    }

    fn wipe_both(&mut self, vault: VaultId) -> Result<(), CryptError> {
        let ages = self.ages.forget(vault);
        ages.map_err(|error| self.not_wiped(self.ages.places(), error.into()))?;
        // What lies there is not known while it can't be read.
        self.first().map_err(failed("wiping the key files, of which all are to be seen first"))?;
        // One that can't be opened is there all the same, with its keys: it is not removed unwiped, and while it is there the first is what tells
        // whose it is.
        let second = match self.second(vault) {
            Err(MetaError::Absent { .. }) => None,
            second => Some(second.map_err(|error| self.not_opened(vault, error))?),
        };
        // Of a second copy that was put back nothing may be known yet.
        let names = match self.names.get(&vault).cloned() {
            None if second.is_none() => return Ok(()),
            names => names.unwrap_or_default(),
        };
        self.proved.remove(&vault);
        self.opened.take();
        let doomed = self.doomed(vault, names, second.as_ref()).map_err(failed("listing metadata"))?;
        // A part of a copy goes before the first: what is a second name of the first's is not overwritten under that name, and is under the other.
        match &second {
            None => self.wipe_rest(vault)?,
            Some(second) => {
                self.drop_twins(second).map_err(failed("unlinking the second name of a key file"))?
            }
        }
        let first = self.persist.join(".fscrypt");
        let wiped = self.first().and_then(|first| wipe(first, &doomed));
        wiped.map_err(|error| self.not_wiped([first.as_path()], error))?;
        if let Some(second) = second {
            // What an earlier life could not overwrite has no name of a key file any more.
            let wiped = second.sweep().and_then(|()| wipe_all(&second, &doomed));
            wiped.map_err(|error| self.not_wiped([second.path()], error))?;
        }
        self.wipe_rest(vault)?;
        self.names.remove(&vault);
        self.left.remove(&vault);
        Ok(())
    }

    /// In a whole second copy too a file may be a second name of the first's: that name goes, and the file is overwritten under the other.
    fn drop_twins(&self, second: &MetaDir) -> Result<(), disk::Error> {
        for folder in FOLDERS {
            let first = inodes(&self.persist.join(".fscrypt").join(folder));
            let is_twin =
                |entry: &std::fs::DirEntry| inode(entry).is_some_and(|inode| first.contains(&inode));
            let there = disk::entries(&second.path().join(folder)).unwrap_or_default();
            there
                .iter()
                .filter(|entry| is_twin(entry))
                .try_for_each(|twin| self.disk.unlink(&twin.path()))?;
        }
        Ok(())
    }

    /// Overwrites and removes what is left in the folder of a second copy, which is of a copy of which a part is gone.
    fn wipe_rest(&self, vault: VaultId) -> Result<(), CryptError> {
        let wiped = tree::wipe(&self.metas.join(vault.to_string()), &Work::default());
        let left = wiped.map_err(failed("removing the folder of the second copy"))?.left;
        if left.is_empty() {
            return Ok(());
        }
        Err(CryptError::new(format!("of the second copy of the key files these can't be wiped: {left}")))
    }

    fn not_opened(&self, vault: VaultId, error: MetaError) -> CryptError {
        let place = tree::shown(&self.metas.join(vault.to_string()));
        if matches!(error, MetaError::Covered { .. }) {
            let words = "opening the second copy of the key files, without which nothing of the vault is erased; it goes on by itself then";
            return CryptError::because(words, error);
        }
        let advice = match &error {
            MetaError::Io { .. } => "see what `dmesg` says of the disk and mend it; or, to have the rest erased without, move away".to_owned(),
            _ => format!("give {place} and what is in it back to root alone (mode 700), or remove"),
        };
        CryptError::because(
            &format!(
                "opening the second copy of the key files, without which nothing of the vault is erased: {advice} {place}; it goes on by itself then"
            ),
            error,
        )
    }

    /// A file that has another name is not overwritten: what it holds would stay there, or it is somebody else's too.
    fn not_wiped<'p>(&self, places: impl IntoIterator<Item = &'p Path>, error: MetaError) -> CryptError {
        let places: Vec<&Path> = places.into_iter().collect();
        let shown = places.iter().map(|place| tree::shown(place)).collect::<Vec<_>>().join(" ");
        let what = match &error {
            MetaError::Unsafe { name } => match places.iter().find_map(|place| named(place, name)) {
                Some(path) => self.of_two_names(&path),
                None => format!("see what stands at {name} in {shown}, and move that away"),
            },
            MetaError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!(
                    "a file may be marked immutable or append-only: take that off (`chattr -R -i -a {shown}`)"
                )
            }
            MetaError::Covered { .. } => "what is mounted there is unmounted first".to_owned(),
            _ => "see what `dmesg` says of the disk, and mend it".to_owned(),
        };
        CryptError::because(&format!("wiping the key files: {what}; it goes on by itself then"), error)
    }

    pub(super) fn of_two_names(&self, path: &Path) -> String {
        let (path, persist) = (tree::shown(path), tree::shown(&self.persist));
        format!(
            "{path} has another name too, under which its keys would stay: `find {persist} -xdev -samefile {path}` lists them; remove the others"
        )
    }
}

/// Where a file of that name lies in one place.
fn named(place: &Path, name: &str) -> Option<PathBuf> {
    let within = FOLDERS.map(|folder| place.join(folder).join(name));
    within.into_iter().chain([place.join(name)]).find(|path| path.symlink_metadata().is_ok())
}

fn inodes(folder: &Path) -> BTreeSet<(u64, u64)> {
    disk::entries(folder).unwrap_or_default().iter().filter_map(inode).collect()
}

fn inode(entry: &std::fs::DirEntry) -> Option<(u64, u64)> {
    entry.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}
