//! Why an exchange with the controller did not come about, by what follows from it.

use std::error::Error;

use wire::SignError;

use crate::http::{LineError, Refusal};

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nobody answered who is believed, or the controller refused.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It was a registration.
    #[error("registering as serial `{}`", vault::text::quoted(.serial))]
    Registering { serial: String, source: LineError },
    /// The controller was not asked.
    #[error("this node's key did not sign")]
    NotSigned(#[source] Box<dyn Error + Send + Sync>),
    /// What is here, or what came, is not what it should be.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<SignError> for Failed {
    fn from(SignError(cause): SignError) -> Self {
        Self::NotSigned(cause)
    }
}

impl Failed {
    /// The controller's refusal, where it is one.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Line(LineError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// Nothing was said to the controller: what failed is here.
    pub(super) fn not_asked(&self) -> bool {
        matches!(self, Self::NotSigned(_) | Self::Line(LineError::Config(_)))
    }

    /// The controller does not know this device.
    pub(super) fn unknown_device(&self) -> bool {
        self.refusal().is_some_and(Refusal::unknown_device)
    }

    /// The error with its causes, in one line.
    pub(super) fn words(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn Error), |error| (*error).source());
        let mut words: Vec<String> = causes.map(ToString::to_string).collect();
        words.dedup();
        words.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PlaceError;

    form::every! {
        all: Failed {
            Failed::Line(_) => Failed::Line(PlaceError::Proxy.into()),
            Failed::Registering { .. } => {
                Failed::Registering { serial: "SN\u{1b}[2J-1".into(), source: PlaceError::NoCertificate.into() }
            },
            Failed::NotSigned(_) => Failed::NotSigned("the TPM does not answer: see `eve status`".into()),
            Failed::Other(_) => Failed::Other(anyhow::anyhow!("config/serial is empty: write the serial there")),
        }
    }

    /// Issue 8, errors: whichever it is, it is in plain words with where it is and what to do; a serial is somebody else's text.
    #[test]
    fn why_the_controller_was_not_reached_says_where_and_what_to_do() {
        let told = all().iter().map(Failed::words).collect::<Vec<_>>();
        let wrong: Vec<_> = told
            .iter()
            .flat_map(|told| form::wrong_line(&crate::cli::command(), &["config/", "TPM"], told))
            .collect();
        assert_eq!(wrong, [""; 0]);
        assert!(told.iter().any(|told| told.contains("`SN\\u001b[2J-1`")), "{told:?}");
    }
}
