//! The share table's two files: read, healed, written, kept aside. A table counts once it is whole and durable in both places, and the bytes
//! of the one before it are overwritten then. What was kept aside is taken up where nothing in place opens: the TPM that it is of is back.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use disk::Folder;
use fscrypt::scrub;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use vault::ids::Generation;
use vault::secret::TableKey;
use vault::shares::{MAX_TABLE_BYTES, Table, looks_whole};

use crate::agents::vaultmgr::generation::change::on_disk;
use crate::agents::vaultmgr::generation::roots::RootKeys;
use crate::agents::vaultmgr::generation::shares::SharesError;
use crate::agents::vaultmgr::hands::{durable, tree};
use crate::agents::vaultmgr::paths::Paths;

/// More tables than are ever lost.
const MAX_LOST: u32 = 1000;

/// How much higher the editions of a table that was begun anew are than those of any before it.
const BEGUN_ANEW: u64 = 1 << 32;

pub(super) fn folders(paths: &Paths) -> Result<[Folder; 2], disk::Error> {
    let [first, second] = paths.tables();
    Ok([open(paths, &first)?, open(paths, &second)?])
}

/// Those that can be used: one at least, to read by.
pub(super) fn usable_folders(paths: &Paths) -> Result<Vec<Folder>, disk::Error> {
    match paths.tables().map(|folder| open(paths, &folder)) {
        [Err(error), Err(_)] => Err(error),
        opened => Ok(opened.into_iter().flatten().collect()),
    }
}

pub(super) fn open(paths: &Paths, path: &Path) -> Result<Folder, disk::Error> {
    if is_covered(paths, path) {
        return Err(covered_on_the_way(paths, path));
    }
    let folder = paths.disk().folder(path)?;
    folder.check_ours("the folder of the share table").map(|()| folder)
}

/// What is written there would be gone with the mount, and what lies beneath is not seen.
pub(in crate::agents::vaultmgr) fn covered(path: &Path) -> disk::Error {
    disk::Error::Covered { name: tree::shown(path) }
}

/// The same of a folder that is covered, by what is mounted on the way to it.
pub(in crate::agents::vaultmgr) fn covered_on_the_way(paths: &Paths, folder: &Path) -> disk::Error {
    let over = folder.ancestors().filter(|at| is_covered(paths, at)).last();
    covered(over.unwrap_or(folder))
}

/// Whether something is mounted over a folder in persist, or on the way to it. It is asked for nothing: it may never answer. A link is no mount,
/// wherever it leads.
pub(in crate::agents::vaultmgr) fn is_covered(paths: &Paths, folder: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let within_it = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let Ok(within) = folder.strip_prefix(paths.persist()) else { return false };
    let reached = rustix::fs::open(paths.persist(), flags, Mode::empty())
        .and_then(|top| rustix::fs::openat2(top, within, flags, Mode::empty(), within_it));
    reached.err() == Some(Errno::XDEV)
}

/// A table that is authentic, with its bytes.
type Read = (Table, Vec<u8>);

/// The table in one file, if it is of this generation and authentic under its key.
pub(super) fn authentic(path: &Path, generation: Generation, key: &TableKey) -> Option<Read> {
    let bytes = durable::read(path, MAX_TABLE_BYTES).ok().flatten()?;
    let table = Table::decode(&bytes, key).ok().filter(|table| table.generation() == generation)?;
    Some((table, bytes))
}

fn newest_of(
    files: impl IntoIterator<Item = PathBuf>,
    generation: Generation,
    key: &TableKey,
) -> Option<Read> {
    let read = files.into_iter().filter_map(|path| authentic(&path, generation, key));
    read.reduce(|first, second| if second.0.edition() > first.0.edition() { second } else { first })
}

/// Of two that are authentic the newer. A table that can't be read or authenticated is as good as none here; its file stays until it is healed.
pub(super) fn in_place(paths: &Paths, generation: Generation, key: &TableKey) -> Option<Read> {
    newest_of(paths.table(generation), generation, key)
}

/// That, or where there is none the newest of those that were kept aside: the TPM that they are of is back.
pub(super) fn newest(paths: &Paths, generation: Generation, key: &TableKey) -> Option<Read> {
    in_place(paths, generation, key).or_else(|| newest_of(aside(paths, generation), generation, key))
}

/// The same, where nothing is concluded from what the disk does not give: a copy in its place that can't be read, while none opens, may be the newest.
///
/// # Errors
/// [`SharesError::Unread`].
pub(super) fn newest_of_all(
    paths: &Paths,
    generation: Generation,
    key: &TableKey,
) -> Result<Option<Read>, SharesError> {
    if let Some(read) = in_place(paths, generation, key) {
        return Ok(Some(read));
    }
    let mut places = paths.tables().into_iter().zip(paths.table(generation));
    places.try_for_each(|(folder, path)| readable(paths, &folder, &path))?;
    Ok(newest(paths, generation, key))
}

/// Whether what is in a table's place is known: it reads, or nothing is there.
fn readable(paths: &Paths, folder: &Path, path: &Path) -> Result<(), SharesError> {
    let unread = |source: io::Error| SharesError::Unread { shown: tree::shown(path), source };
    match open(paths, folder) {
        Err(disk::Error::Absent { .. }) => return Ok(()),
        opened => opened.map_err(|error| unread(io::Error::other(error)))?,
    };
    durable::read(path, MAX_TABLE_BYTES).map(drop).map_err(unread)
}

/// Whether a whole table lies in either place of any generation, whoever's it is. What the disk does not give is none.
pub(super) fn has_whole(paths: &Paths) -> bool {
    let files = on_disk(paths).into_iter().flat_map(|generation| paths.table(generation));
    let read = |path: PathBuf| durable::read(&path, MAX_TABLE_BYTES).ok().flatten();
    files.filter_map(read).any(|bytes| looks_whole(&bytes))
}

/// What was kept aside of a generation, in both places.
fn aside(paths: &Paths, generation: Generation) -> Vec<PathBuf> {
    let lost = format!("{}.lost.", Paths::table_name(generation));
    let entries = paths.tables().into_iter().filter_map(|folder| disk::entries(&folder).ok()).flatten();
    let is_one = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&lost);
    let mut all: Vec<_> = entries.filter(is_one).map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// Writes the newer table where it is not, as it is. A disk that takes no write shuts nothing. Says whether nothing of another TPM's stands in its
/// place any more: while something does, it is put aside before anything is written there.
pub(super) fn heal(paths: &Paths, keys: &RootKeys) -> bool {
    let Some((_, bytes)) = newest(paths, keys.generation, &keys.table) else { return true };
    let ours = in_place(paths, keys.generation, &keys.table).is_some();
    let free = ours || told(keep_aside(paths, keys.generation), "is not put aside");
    let healed = free && told(write_where_lacking(paths, keys.generation, &bytes), "is not healed");
    if healed && !ours {
        told(wipe_aside(paths, keys), "that was kept aside is not wiped");
    }
    free
}

fn told<R, E: std::error::Error + 'static>(done: Result<R, E>, not: &str) -> bool {
    if let Err(error) = &done {
        tracing::warn!("one copy of the share table {not}: {}", crate::agents::vaultmgr::chain(error));
    }
    done.is_ok()
}

fn write_where_lacking(paths: &Paths, generation: Generation, bytes: &Vec<u8>) -> Result<(), disk::Error> {
    let (name, folders) = (Paths::table_name(generation), folders(paths)?);
    let lacks = |folder: &&Folder| folder.read(&name, MAX_TABLE_BYTES + 1).ok().as_ref() != Some(bytes);
    let lacking = folders.iter().filter(lacks).map(|folder| folder.replace(&name, bytes));
    scrub::scrub(lacking.collect::<Result<Vec<_>, _>>()?).map(drop)
}

/// What was taken up is in place now. Left aside it would come back, old, should that be lost; another TPM's stays.
fn wipe_aside(paths: &Paths, keys: &RootKeys) -> Result<(), disk::Error> {
    let ours = |path: &PathBuf| authentic(path, keys.generation, &keys.table).is_some();
    let all: Vec<PathBuf> = aside(paths, keys.generation).into_iter().filter(ours).collect();
    let (folders, mut retired) = (folders(paths)?, Vec::new());
    for (folder, place) in folders.iter().zip(paths.tables()) {
        let here = all.iter().filter(|path| path.parent() == Some(&place));
        let names = here.filter_map(|path| path.file_name()?.to_str());
        names.map(|name| folder.retire(name)).try_for_each(|one| one.map(|one| retired.push(one)))?;
    }
    scrub::scrub(retired).map(drop)
}

/// Writes it as a new edition. After an error the table before or this one is in force, whole, in each place.
pub(super) fn write(paths: &Paths, table: &mut Table, keys: &RootKeys) -> Result<(), SharesError> {
    table.follow(table.edition());
    let (name, bytes) = (Paths::table_name(table.generation()), table.encode(&keys.table));
    let folders = folders(paths)?;
    let replaced = folders.iter().map(|folder| folder.replace(&name, &bytes)).collect::<Result<Vec<_>, _>>();
    replaced.and_then(scrub::scrub).map(drop).map_err(|error| with_path(paths, error))
}

/// A file that is not ours alone is told by its path: of the two that bear the name, that which has another.
fn with_path(paths: &Paths, error: disk::Error) -> SharesError {
    let disk::Error::Unsafe { name } = &error else { return error.into() };
    let there =
        |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| !found.is_file() || found.nlink() > 1);
    match paths.tables().map(|folder| folder.join(name)).into_iter().find(there) {
        Some(path) => {
            SharesError::TwoNames { shown: tree::shown(&path), persist: tree::shown(&paths.persist()) }
        }
        None => error.into(),
    }
}

/// Both files, under names that are free in each place: what was kept aside before stays too. Returns an edition that no table of
/// before has reached.
pub(super) fn keep_aside(paths: &Paths, generation: Generation) -> Result<u64, SharesError> {
    let mut kept = 0;
    for path in paths.table(generation) {
        let mut aside = (1..=MAX_LOST).map(|n| path.with_extension(format!("{generation}.lost.{n}")));
        let (n, free) = (1..)
            .zip(&mut aside)
            .find(|(_, aside)| !aside.exists())
            .ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        kept = kept.max(n);
        match paths.disk().rename_to_free(&path, &free).map_err(io::Error::from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    Ok(kept * BEGUN_ANEW)
}
