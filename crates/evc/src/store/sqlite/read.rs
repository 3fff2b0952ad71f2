//! Reads rows back into checked types; anything that does not read back is a damaged database, never a default. But what a node said of
//! itself in words, which decides nothing that releases or deletes, may be of a version with other words: then it is as if it was not said.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};
use uuid::Uuid;
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};

use crate::store::{ReferenceState, StoreError, Stored, Tpm, VaultStanding};

/// A type that a row reads back as.
pub(super) trait FromRow: Sized {
    fn from_row(row: &SqliteRow) -> Stored<Self>;
}

/// A count alone.
pub(super) struct Count(pub(super) u64);

impl FromRow for Count {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        number(row, "count").map(Self)
    }
}

/// A plain column.
pub(super) fn get<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    column: &'static str,
) -> Stored<T> {
    row.try_get(column).map_err(|e| StoreError::Damaged(format!("column {column}: {e}")))
}

/// A value kept as JSON: no map with keys that are not text.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("no map with keys that are not text")
}

pub(super) fn from_json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Stored<Option<T>> {
    let text: Option<&str> = get(row, column)?;
    text.map(serde_json::from_str).transpose().map_err(|_| damaged(column))
}

/// What is always there.
pub(super) fn kept<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Stored<T> {
    from_json(row, column)?.ok_or_else(|| damaged(column))
}

/// What a node said, as far as this version understands it.
pub(super) fn said<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Stored<Option<T>> {
    let text: Option<&str> = get(row, column)?;
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

pub(super) fn damaged(column: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} has an impossible value"))
}

/// A number that is never negative.
pub(super) fn number(row: &SqliteRow, column: &'static str) -> Stored<u64> {
    get::<i64>(row, column)?.try_into().map_err(|_| damaged(column))
}

/// Such a number, or none.
pub(super) fn some_number(row: &SqliteRow, column: &'static str) -> Stored<Option<u64>> {
    get::<Option<i64>>(row, column)?.map(|n| n.try_into().map_err(|_| damaged(column))).transpose()
}

pub(super) fn uuid(row: &SqliteRow, column: &'static str) -> Stored<Uuid> {
    Uuid::from_slice(get(row, column)?).map_err(|_| damaged(column))
}

pub(super) fn device(row: &SqliteRow) -> Stored<DeviceId> {
    uuid(row, "device").map(DeviceId)
}

pub(super) fn vault(row: &SqliteRow, column: &'static str) -> Stored<VaultId> {
    uuid(row, column).map(VaultId)
}

pub(super) fn epoch(row: &SqliteRow, column: &'static str) -> Stored<Epoch> {
    number(row, column).map(Epoch)
}

pub(super) fn bytes32(row: &SqliteRow, column: &'static str) -> Stored<[u8; 32]> {
    get::<&[u8]>(row, column)?.try_into().map_err(|_| damaged(column))
}

/// Such bytes, or none.
pub(super) fn some_bytes32(row: &SqliteRow, column: &'static str) -> Stored<Option<[u8; 32]>> {
    get::<Option<&[u8]>>(row, column)?.map(|bytes| bytes.try_into().map_err(|_| damaged(column))).transpose()
}

pub(super) fn name(row: &SqliteRow, column: &'static str) -> Stored<Name> {
    Name::try_from(get::<String>(row, column)?).map_err(|_| damaged(column))
}

pub(super) fn project(row: &SqliteRow) -> Stored<Project> {
    Project::try_from(get::<String>(row, "project")?).map_err(|_| damaged("project"))
}

pub(super) fn some_project(row: &SqliteRow) -> Stored<Option<Project>> {
    let told: Option<String> = get(row, "project")?;
    told.map(|text| Project::try_from(text).map_err(|_| damaged("project"))).transpose()
}

pub(super) fn some_name(row: &SqliteRow, column: &'static str) -> Stored<Option<Name>> {
    get::<Option<String>>(row, column)?
        .map(|text| Name::try_from(text).map_err(|_| damaged(column)))
        .transpose()
}

/// For binding: SQLite's integers are signed. Times, epochs and versions stay far below the bound.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For binding: the 16 bytes of an identity.
pub(super) fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

macro_rules! words {
    ($type:ty, $($word:literal = $value:path),+) => {
        impl Word for $type {
            fn word(self) -> &'static str {
                match self { $($value => $word),+ }
            }
            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($value),)+ _ => None }
            }
        }
    };
}

/// A closed list that is stored as a word.
pub(super) trait Word: Sized {
    fn word(self) -> &'static str;
    fn from_word(word: &str) -> Option<Self>;
}
words!(Tpm, "unknown" = Tpm::Unknown, "present" = Tpm::Present, "absent" = Tpm::Absent);
words!(
    VaultStanding,
    "active" = VaultStanding::Active,
    "removing" = VaultStanding::Removing,
    "gone" = VaultStanding::Gone
);
words!(
    ReferenceState,
    "pending" = ReferenceState::Pending,
    "approved" = ReferenceState::Approved,
    "rejected" = ReferenceState::Rejected
);

pub(super) fn word<T: Word>(row: &SqliteRow, column: &'static str) -> Stored<T> {
    T::from_word(get(row, column)?).ok_or_else(|| damaged(column))
}
