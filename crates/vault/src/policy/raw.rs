//! A document as it lies in the file: the fields that are written, each in the group of the kind that has it, with its place. Not checked: `kind`
//! and the file of each kind do that. The kind may stand after the fields, so they are sorted by their names here, and judged once it is known.
//! What is not built yet is accepted here only to be named in the refusal.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::vault::RawVault;
use super::vault_policy::RawPolicy;

/// A text and where it stands.
pub(super) type Text = Option<Spanned<String>>;

/// Fields that belong together, none of which need be written.
pub(super) trait Fields: Default {
    /// Their names.
    const NAMES: &[&str];

    /// Takes in the value of a field, and says whether it is one of these.
    fn take<'de, A: MapAccess<'de>>(&mut self, field: &str, map: &mut A) -> Result<bool, A::Error>;

    /// The first that is written, and where.
    fn first(&self) -> Option<(&'static str, Location)>;
}

macro_rules! fields {
    ($(#[$doc:meta])* $group:ident { $($field:ident: $of:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $group {
            $(pub(super) $field: Option<serde_saphyr::Spanned<$of>>),+
        }

        impl $crate::policy::raw::Fields for $group {
            const NAMES: &[&str] = &[$(stringify!($field)),+];

            fn take<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                field: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                use $crate::policy::raw::Written;
                match field {
                    $(stringify!($field) => self.$field = Some(map.next_value::<Written<$of>>()?.0),)+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn first(&self) -> Option<(&'static str, serde_saphyr::Location)> {
                let all = [$(self.$field.as_ref().map(|field| (stringify!($field), field.referenced))),+];
                all.into_iter().flatten().min_by_key(|(_, at)| (at.line(), at.column()))
            }
        }
    };
}
pub(super) use fields;

fields! {
    /// The head of a document of any kind.
    RawHead { kind: String, name: String }
}
fields! {
    /// What no kind has yet.
    NotBuilt { rotate: IgnoredAny, geofence: IgnoredAny, ip: IgnoredAny }
}

/// A document of a kind that is not looked at yet.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) head: RawHead,
    pub(super) policy: RawPolicy,
    pub(super) vault: RawVault,
    pub(super) not_built: NotBuilt,
    /// Names that no field has.
    pub(super) unknown: Vec<Spanned<String>>,
}

impl Raw {
    fn take<'de, A: MapAccess<'de>>(&mut self, field: Spanned<String>, map: &mut A) -> Result<(), A::Error> {
        let name = field.value.as_str();
        let taken = self.head.take(name, map)?
            || self.policy.take(name, map)?
            || self.vault.take(name, map)?
            || self.not_built.take(name, map)?;
        if !taken {
            map.next_value::<IgnoredAny>()?;
            self.unknown.push(field);
        }
        Ok(())
    }
}

// By hand, since a derived enum of kinds would read into a buffer, and lose the places.
impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Document;
        impl<'de> Visitor<'de> for Document {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a document with a `kind`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                while let Some(field) = map.next_key()? {
                    raw.take(field, &mut map)?;
                }
                Ok(raw)
            }
        }
        from.deserialize_map(Document)
    }
}

/// The value of a key that is written.
pub(super) struct Written<T>(pub(super) Spanned<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    /// With none it would be taken for one that is left out, and so for its default, which may be the weaker choice.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Option<T>>::deserialize(from)?;
        match value {
            Some(value) => Ok(Self(Spanned { value, referenced, defined })),
            None => Err(D::Error::custom("this key has no value: write one, or leave the key out")),
        }
    }
}

pub(super) fn written<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Spanned<T>>, D::Error> {
    Written::deserialize(from).map(|Written(value)| Some(value))
}
