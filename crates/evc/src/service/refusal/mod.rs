//! Why a request was refused, sorted by who must act: the device, the operator, or whoever runs the controller. A variant for each thing that
//! somebody does differently, with the facts as data. What is said of it, [`crate::words`] says; its code and status, [`crate::http`].

mod devices;
mod operators;

use std::error::Error;

use vault::policy::BadFile;

use crate::custody::CustodyError;
use crate::store::{Failure, StoreError};

pub use devices::{Barred, Message, NotAdmitted, Stale, Unproved, Which};
pub use operators::{AtStake, BadRequest, Form, InTheWay, Irrevocable, LifeRefusal, NoToken, Unknown};
pub(crate) use operators::{in_life, key_shut};

/// A refusal. Its text is its own layer; the cause is logged, never sent.
#[derive(Debug)]
pub enum Refusal {
    /// A body did not come in as it should.
    Body(Body),
    /// A device's message does not read.
    Message(Message),
    /// A device's message proves of no device that is known here that it sent it.
    Unproved(Unproved),
    /// A device registers, and is not let in.
    NotAdmitted(NotAdmitted),
    /// A device is known, and may not do this.
    Barred(Barred),
    /// A device says what is over.
    Stale(Stale),
    /// An operator's request is not what it should be.
    Request(BadRequest),
    /// An operator's file is not what it should be.
    File(BadFile),
    /// A document of an operator's file can't be met.
    Document {
        /// The line of its name, from 1.
        line: u64,
        /// The column of its name, from 1.
        column: u64,
        /// Why.
        cause: Box<Refusal>,
    },
    /// Without an operator's token that is known here.
    NoToken(NoToken),
    /// It is not there.
    Unknown(Unknown),
    /// Another thing stands in an operator's way.
    InTheWay(InTheWay),
    /// A vault's life does not go that way.
    Life(LifeRefusal),
    /// Busy: the same request may succeed soon.
    Busy,
    /// The controller's own keys can't be used.
    Custody(CustodyError),
    /// The controller's store failed.
    Store(StoreError),
    /// Anything else of the controller's.
    Fault(Fault),
}

/// How a body came in otherwise than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// It ended before its end.
    Cut,
    /// It was taken in, and can't be read.
    Unread,
    /// It is longer than what is taken.
    TooLong {
        /// In bytes.
        most: usize,
    },
}

/// What the controller itself did wrong, or found wrong with what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A device's row is gone, of which another one was read.
    NoDevice,
    /// A vault's row is there, and its device's is not.
    VaultWithoutDevice,
    /// A device's certificate, as stored, does not read.
    Certificate,
    /// An answer could not be signed.
    Signing,
    /// A configuration is out of the bounds that every configuration has.
    Configuration,
    /// A request came without the address that it is from.
    Source,
}

impl Refusal {
    /// Of a request that a device sent under its own path: whether its signature had been verified, and the path found to be its own. What
    /// may come of anybody who names a device is no.
    #[must_use]
    pub(crate) fn is_of_proved_sender(&self) -> bool {
        match self {
            Self::Barred(cause) => !matches!(cause, Barred::OthersPath),
            Self::Message(cause) => {
                matches!(cause, Message::Payload(_) | Message::Session(_) | Message::AttestationKey(_))
            }
            Self::Stale(_) => true,
            _ => false,
        }
    }

    /// As one of a document whose name stands at that line and column, from 1: where it is the operator who must mend it.
    #[must_use]
    pub fn of_document(self, (line, column): (u64, u64)) -> Self {
        match self {
            Self::Request(_) | Self::Unknown(_) | Self::InTheWay(_) | Self::Life(_) => {
                Self::Document { line, column, cause: Box::new(self) }
            }
            other => other,
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Custody(cause) => Some(cause),
            Self::Store(cause) => Some(cause),
            Self::Body(_)
            | Self::Message(_)
            | Self::Unproved(_)
            | Self::NotAdmitted(_)
            | Self::Barred(_)
            | Self::Stale(_)
            | Self::Request(_)
            | Self::File(_)
            | Self::Document { .. }
            | Self::NoToken(_)
            | Self::Unknown(_)
            | Self::InTheWay(_)
            | Self::Life(_)
            | Self::Busy
            | Self::Fault(_) => None,
        }
    }
}

/// An error and its causes on one line.
#[must_use]
pub(crate) fn chain(error: &dyn Error) -> String {
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
            StoreError::Taken => Self::InTheWay(InTheWay::Taken),
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
            CustodyError::Session(cause) => Message::Session(cause).into(),
            CustodyError::Store(cause) => cause.into(),
            other => Self::Custody(other),
        }
    }
}

/// Each cause is a refusal of its own kind.
macro_rules! causes {
    ($($kind:ident($cause:ty)),+ $(,)?) => {
        $(impl From<$cause> for Refusal {
            fn from(cause: $cause) -> Self {
                Self::$kind(cause)
            }
        })+
    };
}

causes! {
    Body(Body),
    Message(Message),
    Unproved(Unproved),
    NotAdmitted(NotAdmitted),
    Barred(Barred),
    Stale(Stale),
    Request(BadRequest),
    File(BadFile),
    NoToken(NoToken),
    Unknown(Unknown),
    InTheWay(InTheWay),
    Life(LifeRefusal),
    Fault(Fault),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F4: a device has its own line of the log for what only it can be told.
    #[test]
    fn what_anybody_can_be_told_is_of_no_proved_sender() {
        let proved = |refusal: Refusal| refusal.is_of_proved_sender();
        let payload = wire::config::ConfigRequest::decode(b"\xff").expect_err("none");
        assert!(
            proved(Stale::Report.into()) && proved(Barred::OthersReport.into()) && proved(payload.into())
        );
        let envelope = wire::envelope::DeviceEnvelope::parse(b"x").expect_err("none");
        for refusal in [
            envelope.into(),
            Barred::OthersPath.into(),
            Unproved::Signature.into(),
            Unproved::Removed.into(),
            Refusal::Busy,
            StoreError::Disk("full".into()).into(),
        ] {
            assert!(!proved(refusal));
        }
    }
}
