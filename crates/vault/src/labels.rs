//! Labels of devices, and the selectors that name devices by them. A selector is labels too: it names each device that has all of them.
//! Written by operators, so bounded here: of characters that need no quotes in YAML, a URL or a shell.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most labels of one device.
pub const MOST: usize = 32;
/// Longest key, and longest value.
const LONGEST: usize = 63;

/// A key or a value: 1 to 63 ASCII letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Word(String);

/// Why a text is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    /// Of other characters, empty, or too long.
    #[error(
        "a label's key and value are 1 to 63 letters, digits, `.`, `_` and `-`, and begin with a letter or digit"
    )]
    Word,
    /// No `=` in it.
    #[error("write a label as `key=value`")]
    NoValue,
    /// One key with two values.
    #[error("a key stands there twice: a device has one value of it")]
    Twice,
    /// More than [`MOST`].
    #[error("a device has at most {MOST} labels")]
    TooMany,
}

impl Word {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = BadLabels;
    fn try_from(text: String) -> Result<Self, BadLabels> {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if first && plain && text.len() <= LONGEST { Ok(Self(text)) } else { Err(BadLabels::Word) }
    }
}

impl FromStr for Word {
    type Err = BadLabels;
    fn from_str(text: &str) -> Result<Self, BadLabels> {
        text.to_owned().try_into()
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels: each key once, at most [`MOST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Word, Word>", into = "BTreeMap<Word, Word>")]
pub struct Labels(BTreeMap<Word, Word>);

impl Labels {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Word, &Word)> {
        self.0.iter()
    }

    /// Whether a device with these is named by a selector: it has each of the selector's. One of none names nothing, so that a selector which
    /// was forgotten is not the whole fleet.
    #[must_use]
    pub fn are_named_by(&self, selector: &Self) -> bool {
        !selector.is_empty() && selector.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }

    /// With those set and these keys taken away.
    ///
    /// # Errors
    /// [`BadLabels::Twice`]: a key is to be set and taken away; [`BadLabels::TooMany`].
    pub fn changed(&self, set: &Self, taken: &[Word]) -> Result<Self, BadLabels> {
        if taken.iter().any(|key| set.0.contains_key(key)) {
            return Err(BadLabels::Twice);
        }
        let mut all = self.0.clone();
        all.retain(|key, _| !taken.contains(key));
        all.extend(set.0.clone());
        all.try_into()
    }

    /// From texts like `key=value`.
    ///
    /// # Errors
    /// [`BadLabels`].
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, BadLabels> {
        let mut all = BTreeMap::new();
        for text in texts {
            let (key, value) = text.split_once('=').ok_or(BadLabels::NoValue)?;
            if all.insert(key.parse()?, value.parse()?).is_some() {
                return Err(BadLabels::Twice);
            }
        }
        all.try_into()
    }
}

impl TryFrom<BTreeMap<Word, Word>> for Labels {
    type Error = BadLabels;
    fn try_from(all: BTreeMap<Word, Word>) -> Result<Self, BadLabels> {
        if all.len() > MOST { Err(BadLabels::TooMany) } else { Ok(Self(all)) }
    }
}

impl From<Labels> for BTreeMap<Word, Word> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

/// `key=value,key=value`; nothing: no labels.
impl FromStr for Labels {
    type Err = BadLabels;
    fn from_str(text: &str) -> Result<Self, BadLabels> {
        Self::of(text.split(',').filter(|_| !text.is_empty()))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.parse().expect("labels")
    }

    #[test]
    fn a_selector_names_who_has_all_of_it_and_none_of_it_nobody() {
        let device = labels("site=berlin,tier=gold");
        for (selector, named) in [
            ("site=berlin", true),
            ("tier=gold,site=berlin", true),
            ("site=berlin,line=3", false),
            ("site=Berlin", false),
            ("", false),
        ] {
            assert_eq!(device.are_named_by(&labels(selector)), named, "{selector}");
        }
        assert!(!labels("").are_named_by(&labels("")));
    }

    #[test]
    fn what_is_no_label_is_refused_with_its_reason() {
        let long = format!("{}=x", "k".repeat(64));
        for (text, why) in [
            ("site", BadLabels::NoValue),
            ("site=", BadLabels::Word),
            ("=x", BadLabels::Word),
            ("a b=x", BadLabels::Word),
            ("-a=x", BadLabels::Word),
            ("a=\u{e9}", BadLabels::Word),
            ("a=x,", BadLabels::NoValue),
            ("a=x,a=y", BadLabels::Twice),
            (long.as_str(), BadLabels::Word),
        ] {
            assert_eq!(text.parse::<Labels>(), Err(why), "{text}");
        }
        let many: Vec<String> = (0..=MOST).map(|n| format!("k{n}=x")).collect();
        assert_eq!(many.join(",").parse::<Labels>(), Err(BadLabels::TooMany));
    }

    #[test]
    fn labels_are_set_and_taken_away() {
        let was = labels("site=berlin,tier=gold");
        let is = was.changed(&labels("site=paris"), &["tier".parse().expect("a word")]);
        assert_eq!(is, Ok(labels("site=paris")));
        let both = was.changed(&labels("site=paris"), &["site".parse().expect("a word")]);
        assert_eq!(both, Err(BadLabels::Twice));
        assert_eq!(serde_json::to_string(&was).expect("text"), r#"{"site":"berlin","tier":"gold"}"#);
        assert!(serde_json::from_str::<Labels>(r#"{"a b":"x"}"#).is_err());
    }
}
