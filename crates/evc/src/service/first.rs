//! Tells a first start from a start whose database was lost. What an earlier life left in the folder (its key-encryption key, root, token, URL)
//! is of a database; where that is absent, empty or without a life of its own, nothing starts, and nothing is overwritten.
//! A first start that was cut short left its mark: it served nobody, so what it made is of no worth and is made anew.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use disk::Disk;

use super::folder::at;
use super::start::{DATABASE, KEK, ROOT, StartError, TOKEN};
use crate::custody::write_private;

/// There from before the first file is made until the first commit.
const MARK: &str = "first-start";
/// Written by `evc serve`, at each start.
const URL: &str = "url";
/// What only a controller that once started leaves behind. The logs are part of a database, and opening another one in its place would
/// throw them away.
const LEFT: [&str; 6] = [KEK, ROOT, TOKEN, URL, "evc.db-wal", "evc.db-journal"];
/// What a first start makes.
const MADE: [&str; 3] = [KEK, ROOT, TOKEN];

/// Before the database is opened, which would make one: refuses where there is none, or one of no bytes, and an earlier life left something.
pub(crate) fn refuse_without_database(data: &Path) -> Result<(), StartError> {
    let empty = fs::metadata(data.join(DATABASE)).map_or(true, |meta| meta.len() == 0);
    if empty { refuse_an_earlier_life(data, &LEFT) } else { Ok(()) }
}

/// Begins a first start: the database is there and knows of none.
pub(crate) fn begin(disk: &Disk, data: &Path) -> Result<(), StartError> {
    refuse_an_earlier_life(data, &LEFT[..4])?;
    let mark = data.join(MARK);
    match write_private(disk, &mark, &[]) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(at(&mark, error)),
        _ => {}
    }
    MADE.iter().try_for_each(|name| remove(disk, &data.join(name)))
}

/// It is committed: from now on what lies there is of this database.
pub(crate) fn ended(disk: &Disk, data: &Path) -> Result<(), StartError> {
    remove(disk, &data.join(MARK))
}

fn refuse_an_earlier_life(data: &Path, names: &[&'static str]) -> Result<(), StartError> {
    // Not `exists`: a link to nowhere is there too.
    let there = |name: &str| fs::symlink_metadata(data.join(name)).is_ok();
    let left: Vec<&str> = names.iter().copied().filter(|name| there(name)).collect();
    if left.is_empty() || there(MARK) {
        return Ok(());
    }
    Err(StartError::DatabaseLost { folder: data.display().to_string(), left: left.join(", ") })
}

/// One that is absent is removed.
fn remove(disk: &Disk, path: &Path) -> Result<(), StartError> {
    disk.unlink(path).map_err(|error| at(path, error.into()))
}
