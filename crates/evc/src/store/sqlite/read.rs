//! Reads rows back into checked types; anything that does not read back is a damaged database, never a default. But what a node said of
//! itself in words, which decides nothing that releases or deletes, may be of a version with other words: then it is as if it was not said.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use vault::decide::TpmPin;
use vault::ids::{DeviceId, Epoch, Generation, Name, Project, VaultId};

use super::connections::failed;
use crate::store::{
    Alarm, DamagedRow, NodeWord, OrDamaged, ReferenceState, RowKind, StoreError, Stored, VaultStanding,
};

/// A type that a row reads back as.
pub(super) trait FromRow: Sized {
    /// What it is of.
    const KIND: RowKind = RowKind::Other;
    /// Its columns, in the order in which [`Self::from_row`] reads them.
    const COLUMNS: &'static str;
    /// # Errors
    /// [`StoreError::Damaged`].
    fn from_row(row: &mut Columns<'_>) -> Stored<Self>;
}

/// A row, read column by column from its first.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column, which always has a value.
    pub(super) fn read<T>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Option<T>) -> Stored<T> {
        let column = self.next;
        self.next += 1;
        let value = self.row.get_ref(column).map_err(failed)?;
        read(value).ok_or_else(|| self.damaged(column))
    }

    /// The next column, which may have none.
    pub(super) fn read_some<T>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Option<T>) -> Stored<Option<T>> {
        self.read(|value| match value {
            ValueRef::Null => Some(None),
            value => read(value).map(Some),
        })
    }

    /// What a node said. Of what is no text it is as if it was not said, as of words that nobody knows.
    pub(super) fn told<T: DeserializeOwned>(&mut self) -> Stored<NodeWord<T>> {
        self.read(|value| Some(plain(value).unwrap_or_default())).map(NodeWord::kept)
    }

    fn damaged(&self, column: usize) -> StoreError {
        damaged(self.row.as_ref().column_name(column).unwrap_or("?"))
    }

    /// What the row is, whose column that was read last does not read.
    pub(super) fn damaged_row(&self, kind: RowKind) -> DamagedRow {
        let (id, name) = match kind {
            RowKind::Allowance => ("cert_digest", "serial"),
            RowKind::Bundle => ("digest", "name"),
            _ => ("id", "name"),
        };
        let column = self.row.as_ref().column_name(self.next.saturating_sub(1)).unwrap_or("?").to_owned();
        let content = self.content();
        DamagedRow {
            kind,
            device: self.text("device"),
            id: self.text(id),
            name: self.text(name),
            column,
            content,
        }
    }

    fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for column in 0..self.row.as_ref().column_count() {
            match self.row.get_ref(column) {
                Ok(ValueRef::Integer(number)) => number.hash(&mut hasher),
                Ok(ValueRef::Real(number)) => number.to_bits().hash(&mut hasher),
                Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.hash(&mut hasher),
                Ok(ValueRef::Null) | Err(_) => column.hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// The same row, from its first column.
    pub(super) fn anew(&self) -> Self {
        Self::of(self.row)
    }

    /// What stands in a column, as people write it; nothing: there is no such column, or nothing in it.
    fn text(&self, column: &str) -> Option<String> {
        match self.row.get_ref(column).ok()? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => {
                Some(Uuid::from_slice(bytes).map_or_else(|_| hex::encode(bytes), |id| id.to_string()))
            }
        }
    }
}

/// A row that somebody decides by.
///
/// # Errors
/// [`StoreError::Damaged`], with what row it is.
pub(super) fn whole<T: FromRow>(row: &Row<'_>) -> Stored<T> {
    OrDamaged::<T>::from_row(&mut Columns::of(row))?.whole()
}

/// A row of a list: one that does not read keeps none of the others back.
impl<T: FromRow> FromRow for OrDamaged<T> {
    const KIND: RowKind = T::KIND;
    const COLUMNS: &'static str = T::COLUMNS;
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        match T::from_row(row) {
            Err(StoreError::Damaged(_)) => Ok(Self::Damaged(row.damaged_row(T::KIND))),
            read => read.map(Self::Whole),
        }
    }
}

pub(super) fn damaged(column: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} has an impossible value"))
}

/// A value as it is.
pub(super) fn plain<T: FromSql>(value: ValueRef<'_>) -> Option<T> {
    T::column_result(value).ok()
}

pub(super) fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

/// A number that is never negative.
pub(super) fn number(value: ValueRef<'_>) -> Option<u64> {
    value.as_i64().ok()?.try_into().ok()
}

pub(super) fn uuid(value: ValueRef<'_>) -> Option<Uuid> {
    Uuid::from_slice(value.as_blob().ok()?).ok()
}

pub(super) fn device(value: ValueRef<'_>) -> Option<DeviceId> {
    uuid(value).map(DeviceId)
}

pub(super) fn vault(value: ValueRef<'_>) -> Option<VaultId> {
    uuid(value).map(VaultId)
}

pub(super) fn epoch(value: ValueRef<'_>) -> Option<Epoch> {
    number(value).map(Epoch)
}

pub(super) fn generation(value: ValueRef<'_>) -> Option<Generation> {
    number(value)?.try_into().ok().map(Generation)
}

pub(super) fn bytes32(value: ValueRef<'_>) -> Option<[u8; 32]> {
    value.as_blob().ok()?.try_into().ok()
}

pub(super) fn name(value: ValueRef<'_>) -> Option<Name> {
    text(value)?.parse().ok()
}

pub(super) fn project(value: ValueRef<'_>) -> Option<Project> {
    text(value)?.parse().ok()
}

/// What is kept as JSON.
pub(super) fn from_json<T: DeserializeOwned>(value: ValueRef<'_>) -> Option<T> {
    serde_json::from_str(text(value)?).ok()
}

/// What begins a value that is kept packed. JSON begins otherwise.
const PACKED: u8 = 1;

/// What is kept packed; or as JSON, as builds of before kept it (migration 84).
pub(super) fn unpacked<T: DeserializeOwned>(value: ValueRef<'_>) -> Option<T> {
    let bytes = value.as_blob().ok()?;
    match bytes.split_first()? {
        (&PACKED, packed) => postcard::take_from_bytes(packed).ok().filter(|(_, rest)| rest.is_empty()),
        _ => serde_json::from_slice(bytes).ok().map(|value| (value, &[][..])),
    }
    .map(|(value, _)| value)
}

/// A value that is read and written with each attestation: in few bytes, by postcard.
pub(super) fn packed(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![PACKED]).expect("all lengths are known")
}

pub(super) fn word<T: Word>(value: ValueRef<'_>) -> Option<T> {
    T::from_word(text(value)?)
}

/// How many rows there are.
pub(super) struct Count(pub(super) u64);

impl FromRow for Count {
    const COLUMNS: &'static str = "count(*)";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read(number).map(Self)
    }
}

/// A project as its column has it, whether it reads or not; nothing after the last.
pub(super) struct InColumn(pub(super) Option<Vec<u8>>);

impl FromRow for InColumn {
    const COLUMNS: &'static str = "project";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read_some(|value| Some(value.as_bytes().ok()?.to_vec())).map(Self)
    }
}

/// That there is a row.
pub(super) struct There;

impl FromRow for There {
    const COLUMNS: &'static str = "1";
    fn from_row(_: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self)
    }
}

/// A value kept as JSON: no map with keys that are not text.
/// An alarm; what an earlier build wrote, in words, is one too, and so is whatever else stands there.
pub(super) fn alarm(value: ValueRef<'_>) -> Option<Alarm> {
    let kept = text(value)?;
    let gave = serde_json::from_str(kept).map(|(at, cause)| Alarm::Gave { at, cause });
    Some(gave.unwrap_or_else(|_| Alarm::Told(kept.to_owned())))
}

/// For its column.
pub(super) fn alarm_text(alarm: &Alarm) -> String {
    match alarm {
        Alarm::Gave { at, cause } => json(&(at, cause)),
        Alarm::Told(words) => words.clone(),
    }
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("no map with keys that are not text")
}

/// For binding: SQLite's integers are signed. Times, epochs and versions stay far below the bound.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For binding: the 16 bytes of an identity.
pub(super) fn blob(id: Uuid) -> [u8; 16] {
    id.into_bytes()
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
words!(TpmPin, "unknown" = TpmPin::Unknown, "present" = TpmPin::Present, "absent" = TpmPin::Absent);
words!(
    VaultStanding,
    "active" = VaultStanding::Active,
    "removing" = VaultStanding::Removing,
    "retained" = VaultStanding::Retained,
    "gone" = VaultStanding::Gone
);
words!(
    ReferenceState,
    "pending" = ReferenceState::Pending,
    "approved" = ReferenceState::Approved,
    "rejected" = ReferenceState::Rejected
);
