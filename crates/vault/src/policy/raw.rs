//! A document as it lies in the file: every field of every kind, with its place. Not checked; `check` does that.
//! One type for all kinds, since a tagged enum would lose the places. What is not built yet is accepted here only to be named in the refusal.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// A text and where it stands.
pub(super) type Text = Option<Spanned<String>>;
/// Something of which only the place counts.
pub(super) type Place = Option<Spanned<IgnoredAny>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) kind: Spanned<String>,
    pub(super) name: Spanned<String>,
    pub(super) device: Text,
    pub(super) policy: Text,
    pub(super) encryption: Text,
    pub(super) custody: Text,
    pub(super) seal: Text,
    pub(super) attest: Option<Spanned<RawAttest>>,
    pub(super) on_removal: Option<Spanned<RawRemoval>>,
    pub(super) operation: Text,
    pub(super) rotate: Place,
    pub(super) geofence: Place,
    pub(super) ip: Place,
    pub(super) lease: Place,
    pub(super) storage_limit: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAttest {
    pub(super) every: Text,
    pub(super) require: Option<Vec<Spanned<String>>>,
    pub(super) on_failure: Text,
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
