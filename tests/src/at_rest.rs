//! Folders in which a running node, or a controller, writes: looked at once no write is under way. While one is, a file has another name
//! beside it (`disk::scrub`), and may go between the look at the folder and the look at it.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use testkit::wait;

/// How the names of files begin that somebody is writing, or that a power cut left.
const UNDER_WAY: &str = ".tmp-eve-";

/// What lies in a folder, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// All files of a folder, with what is in them.
///
/// # Panics
/// Writes do not end, or a write that was cut short is never cleared away.
#[must_use]
pub fn files(folder: &Path) -> Files {
    let read = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), fs::read(path).ok()?));
    at_rest(folder, &|| listed(folder)?.into_iter().map(read).collect())
}

/// All that lies in a folder.
///
/// # Panics
/// As [`files`].
#[must_use]
pub fn paths(folder: &Path) -> Vec<PathBuf> {
    at_rest(folder, &|| listed(folder))
}

/// All regular files under a folder.
///
/// # Panics
/// As [`files`].
#[must_use]
pub fn under(folder: &Path) -> Vec<PathBuf> {
    at_rest(folder, &|| walked(folder))
}

fn at_rest<T>(folder: &Path, look: &dyn Fn() -> Option<T>) -> T {
    wait::until(&format!("{} at rest", folder.display()), look).expect("writes end")
}

/// `None` where a write is under way.
fn listed(folder: &Path) -> Option<Vec<PathBuf>> {
    let under_way = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(UNDER_WAY);
    let entries = fs::read_dir(folder).ok()?.collect::<Result<Vec<_>, _>>().ok()?;
    let path = |entry: DirEntry| (!under_way(&entry)).then(|| entry.path());
    entries.into_iter().map(path).collect()
}

/// `None`, too, where something went meanwhile.
fn walked(folder: &Path) -> Option<Vec<PathBuf>> {
    let of = |path: PathBuf| match fs::symlink_metadata(&path).ok()?.file_type() {
        kind if kind.is_dir() => walked(&path),
        kind if kind.is_file() => Some(vec![path]),
        _ => Some(Vec::new()),
    };
    Some(listed(folder)?.into_iter().map(of).collect::<Option<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_which_somebody_writes_is_not_at_rest() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).expect("made");
        fs::write(at("sub/b"), "x").expect("written");
        fs::write(at("a"), "y").expect("written");
        assert_eq!(under(dir.path()).len(), 2);
        assert_eq!(files(&at("sub")), Files::from([("b".to_owned(), b"x".to_vec())]));
        fs::write(at("sub/.tmp-eve-new-b"), "z").expect("written");
        assert!(listed(&at("sub")).is_none() && walked(dir.path()).is_none(), "it is being replaced");
        assert_eq!(listed(dir.path()).map(|all| all.len()), Some(2), "not here");
        assert!(listed(&at("none")).is_none());
    }
}
