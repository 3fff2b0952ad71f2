//! Why a request was refused, sorted by who must act: the device, the operator, or whoever runs the controller.

use super::words::LifeRefusal;
use crate::custody::CustodyError;
use crate::store::{Failure, StoreError};

/// A refusal. Its text is its own layer; the cause is logged, never sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request is not what it should be.
    #[error("{problem}")]
    Bad {
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// Not signed as a device that is known here, or may register, signs.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// Without an operator's token that is known here.
    #[error("{0}")]
    NoToken(&'static str),
    /// Known, and not allowed.
    #[error("{problem}")]
    Forbidden {
        /// What is not allowed.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// It is not there.
    #[error("{what} is not known")]
    NotFound {
        /// What is not.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Another thing stands in the way.
    #[error("{problem}")]
    Conflict {
        /// What stands in the way.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// A vault's life does not go that way.
    #[error("{}", .0.problem())]
    Life(LifeRefusal),
    /// Busy: the same request may succeed soon.
    #[error("the controller is busy")]
    Busy,
    /// The controller's own keys can't be used.
    #[error("the controller's keys can't be used")]
    Custody(#[source] CustodyError),
    /// The controller's store failed.
    #[error("the controller's database failed")]
    Store(#[source] StoreError),
    /// Anything else of the controller's.
    #[error("the controller failed: {0}")]
    Internal(&'static str),
}

/// What to do about something.
pub trait Advice {
    /// In one sentence, for who reads the error.
    fn advice(&self) -> String;
}

impl Refusal {
    /// A request that is not what it should be.
    pub fn bad(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Bad { problem: problem.into(), advice: advice.into() }
    }

    /// A message of a device's that does not read.
    pub fn message(error: &dyn std::error::Error) -> Self {
        Self::bad(chain(error), "the device's software must be mended or brought up to date")
    }

    /// Something that stands in the way.
    pub fn conflict(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Conflict { problem: problem.into(), advice: advice.into() }
    }
}

impl Advice for Refusal {
    fn advice(&self) -> String {
        match self {
            Self::Bad { advice, .. }
            | Self::Forbidden { advice, .. }
            | Self::NotFound { advice, .. }
            | Self::Conflict { advice, .. } => advice.clone(),
            Self::Life(refusal) => refusal.advice(),
            Self::Unauthorized(_) => {
                "sign with the key of the certificate that is sent or was registered; a device that is not known here registers first".into()
            }
            Self::NoToken(_) => "give the operator's token: --token-file, or EVC_TOKEN_FILE".into(),
            Self::Busy => "try again in 5 s".into(),
            Self::Store(StoreError::Disk(_)) => {
                "the disk of the controller's data folder is full, can't be written, or fails: make room, or mend it; nothing was changed or released".into()
            }
            Self::Custody(_) | Self::Store(_) | Self::Internal(_) => {
                "see the controller's log; nothing was released".into()
            }
        }
    }
}

/// An error and its causes on one line.
#[must_use]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) | StoreError::Again => Self::Busy,
            StoreError::Taken => {
                Self::conflict("it is there already", "read what is there before you change it")
            }
            other => Self::Store(other),
        }
    }
}

impl Failure for Refusal {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl From<CustodyError> for Refusal {
    fn from(error: CustodyError) -> Self {
        match error {
            CustodyError::Session(cause) => Self::message(&cause),
            CustodyError::Store(cause) => cause.into(),
            other => Self::Custody(other),
        }
    }
}
