//! What failed in the last round of housekeeping, kept to be shown until a round goes well.

use std::sync::{Mutex, PoisonError};

/// A part of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// Graces are moved with a clock that jumped.
    Moving,
    /// Graces that are over end.
    Graces,
    /// What is kept of deleted devices goes when its grace is over.
    Deleted,
    /// The time is remembered.
    Time,
    /// What operators said gives the database another number.
    Number,
    /// What was deleted of keys goes from the database's log.
    Log,
}

impl Part {
    /// What was not done, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Moving => "graces are not moved with the clock that jumped, and none ends until they are",
            Self::Graces => "not every grace that is over has ended: its keys are kept",
            Self::Deleted => "not all that is kept of deleted devices is forgotten, though its grace is over",
            Self::Number => {
                "what operators said last gave evc.db no new number: if a copy from before is put back now, nothing shows that it is one"
            }
            Self::Time => "the time is not remembered",
            Self::Log => "keys that were deleted may still lie in evc.db-wal",
        }
    }
}

/// A line for each part that failed.
#[derive(Default)]
pub struct Unkept(Mutex<Vec<String>>);

impl Unkept {
    pub(crate) fn put(&self, lines: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    /// Of an act between two rounds.
    pub(crate) fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
