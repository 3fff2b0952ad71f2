//! What becomes of a vault that its operator removes (IF-5, KO-7).

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
