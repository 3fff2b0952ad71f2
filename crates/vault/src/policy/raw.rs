//! A document as it lies in the file: every field of every kind, with its place. Not checked; `check` does that.
//! One type for all kinds, since a tagged enum would lose the places. What is not built yet is accepted here only to be named in the refusal.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
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
    #[serde(default, deserialize_with = "written")]
    pub(super) device: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) devices: Option<Spanned<BTreeMap<String, Spanned<Option<String>>>>>,
    #[serde(default, deserialize_with = "written")]
    pub(super) policy: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) encryption: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) custody: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) seal: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) attest: Option<Spanned<RawAttest>>,
    #[serde(default, deserialize_with = "written")]
    pub(super) on_removal: Option<Spanned<RawRemoval>>,
    #[serde(default, deserialize_with = "written")]
    pub(super) operation: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) rotate: Place,
    #[serde(default, deserialize_with = "written")]
    pub(super) geofence: Place,
    #[serde(default, deserialize_with = "written")]
    pub(super) ip: Place,
    #[serde(default, deserialize_with = "written")]
    pub(super) lease: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) storage_limit: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAttest {
    #[serde(default, deserialize_with = "written")]
    pub(super) every: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) require: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default, deserialize_with = "written")]
    pub(super) on_failure: Text,
}

/// A key that is written has a value: with none it would be taken for one that is left out, and so for its default, which may be the
/// weaker choice.
fn written<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Spanned<T>>, D::Error> {
    let Spanned { value, referenced, defined } = Spanned::<Option<T>>::deserialize(from)?;
    match value {
        Some(value) => Ok(Some(Spanned { value, referenced, defined })),
        None => Err(D::Error::custom("this key has no value: write one, or leave the key out")),
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
