//! What becomes of a vault that its operator removes (IF-5, KO-7).

use std::time::Duration;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::BadFile;
use super::parts::{Checked, duration};

/// How long a vault that left the operator's files is kept, locked, when its policy does not say.
pub const DEFAULT_DELETE_AFTER: Duration = Duration::from_secs(72 * 3600);
/// Bounds of `on_removal.delete_after`, and of the same where it is said when a vault is deleted.
pub const DELETE_AFTER: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(366 * 86_400));

/// What becomes of a vault that its operator removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub enum Removal {
    /// It is kept this long, locked, in whole seconds; then its node erases it.
    DeleteAfter(Duration),
    /// It is kept, locked, until it is wanted again or its operator says after how long it is to be erased.
    Retain,
}

/// As it is stored: seconds, as before there was another way, or a word.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Seconds(u64),
    Word(Word),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Retain,
}

impl From<Removal> for Stored {
    fn from(removal: Removal) -> Self {
        match removal {
            Removal::DeleteAfter(grace) => Self::Seconds(grace.as_secs()),
            Removal::Retain => Self::Word(Word::Retain),
        }
    }
}

impl From<Stored> for Removal {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Seconds(seconds) => Self::DeleteAfter(Duration::from_secs(seconds)),
            Stored::Word(Word::Retain) => Self::Retain,
        }
    }
}

/// `{ delete_after: 72h }`, or the word `retain`.
pub(super) enum RawRemoval {
    Map(RawRemovalMap),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemovalMap {
    pub(super) delete_after: Spanned<String>,
}

impl<'de> Deserialize<'de> for RawRemoval {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct MapOrWord;
        impl<'de> Visitor<'de> for MapOrWord {
            type Value = RawRemoval;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`{ delete_after: 72h }`")
            }
            fn visit_str<E>(self, word: &str) -> Result<RawRemoval, E> {
                Ok(RawRemoval::Word(word.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRemoval, A::Error> {
                let read = serde::de::value::MapAccessDeserializer::new(map);
                RawRemovalMap::deserialize(read).map(RawRemoval::Map)
            }
        }
        from.deserialize_any(MapOrWord)
    }
}

pub(super) fn removal(raw: Option<Spanned<RawRemoval>>) -> Checked<Removal> {
    let Some(raw) = raw else { return Ok(Removal::DeleteAfter(DEFAULT_DELETE_AFTER)) };
    let advice = "write `on_removal: { delete_after: 72h }` or `on_removal: retain`";
    match raw.value {
        RawRemoval::Map(map) => {
            duration(&map.delete_after, "on_removal.delete_after", DELETE_AFTER).map(Removal::DeleteAfter)
        }
        RawRemoval::Word(word) if word == "retain" => Ok(Removal::Retain),
        RawRemoval::Word(word) => {
            Err(BadFile::at(raw.referenced, format!("`{word}` is not a way of removal"), advice))
        }
    }
}
