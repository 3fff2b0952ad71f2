//! The share table's two files: read, healed, written, kept aside. A table counts once it is whole and durable in both places, and the bytes
//! of the one before it are overwritten then.

use std::io;

use disk::Folder;
use fscrypt::scrub;
use vault::ids::Generation;
use vault::secret::TableKey;
use vault::shares::{MAX_TABLE_BYTES, Table};

use crate::agents::vaultmgr::generation::roots::RootKeys;
use crate::agents::vaultmgr::generation::shares::SharesError;
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::paths::Paths;

/// More tables than are ever lost.
const MAX_LOST: u32 = 1000;

/// How much higher the editions of a table that was begun anew are than those of any before it.
const BEGUN_ANEW: u64 = 1 << 32;

pub(super) fn folders(paths: &Paths) -> Result<[Folder; 2], disk::Error> {
    let open = |folder: &std::path::PathBuf| {
        let folder = paths.disk().folder(folder)?;
        folder.check_ours("the folder of the share table").map(|()| folder)
    };
    let [first, second] = paths.tables();
    Ok([open(&first)?, open(&second)?])
}

/// What is authentic of one generation in each place, with its bytes.
fn authentic(paths: &Paths, generation: Generation, key: &TableKey) -> [Option<(Table, Vec<u8>)>; 2] {
    paths.table(generation).map(|path| {
        let bytes = durable::read(&path, MAX_TABLE_BYTES).ok().flatten()?;
        let table = Table::decode(&bytes, key).ok().filter(|table| table.generation() == generation)?;
        Some((table, bytes))
    })
}

/// The newer of both. A table that can't be read or authenticated is as good as none here; its file stays until it is healed.
pub(super) fn newest(paths: &Paths, generation: Generation, key: &TableKey) -> Option<(Table, Vec<u8>)> {
    let [first, second] = authentic(paths, generation, key);
    let newer =
        |second: &(Table, _)| first.as_ref().is_none_or(|first| second.0.edition() > first.0.edition());
    second.filter(newer).or(first)
}

/// Writes the newer table where it is not, as it is. A disk that takes no write shuts nothing.
pub(super) fn heal(paths: &Paths, keys: &RootKeys) {
    let Some((_, bytes)) = newest(paths, keys.generation, &keys.table) else { return };
    let name = Paths::table_name(keys.generation);
    let healed = folders(paths).and_then(|folders| {
        let lacks = |folder: &&Folder| folder.read(&name, MAX_TABLE_BYTES + 1).ok().as_ref() != Some(&bytes);
        let lacking = folders.iter().filter(lacks).map(|folder| folder.replace(&name, &bytes));
        scrub::scrub(lacking.collect::<Result<Vec<_>, _>>()?)
    });
    if let Err(error) = healed {
        tracing::warn!(
            "one copy of the share table is not healed: {}",
            crate::agents::vaultmgr::chain(&error)
        );
    }
}

/// Writes it as a new edition. After an error the table before or this one is in force, whole, in each place.
pub(super) fn write(paths: &Paths, table: &mut Table, keys: &RootKeys) -> Result<(), SharesError> {
    table.follow(table.edition());
    let (name, bytes) = (Paths::table_name(table.generation()), table.encode(&keys.table));
    let folders = folders(paths)?;
    let replaced = folders.iter().map(|folder| folder.replace(&name, &bytes));
    scrub::scrub(replaced.collect::<Result<Vec<_>, _>>()?)?;
    Ok(())
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
