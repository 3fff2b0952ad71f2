//! Why something was not done with the TPM: what follows, a connection opened anew, an answer on the bus or advice, is told by what it is, and
//! by no word of it.

use std::error::Error;
use std::io;

use tpm::{
    BadPolicy, BadSelection, DefineRootError, Meaning, OpenError, PinError, ProvisionError, QuoteError,
    ReadRootError, TpmError,
};

use crate::bus::messages::{Causes, TpmFault, TpmRefusal};

/// Why something was not done with the TPM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TpmFailure {
    /// Before it was asked.
    #[error(transparent)]
    Refused(#[from] TpmRefusal),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Command(#[from] TpmError),
    #[error(transparent)]
    Quote(#[from] QuoteError),
    #[error(transparent)]
    Root(#[from] DefineRootError),
    #[error("the root bound to PCRs")]
    PcrsRoot(#[source] DefineRootError),
    #[error(transparent)]
    Read(#[from] ReadRootError),
    #[error(transparent)]
    Selection(#[from] BadSelection),
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    #[error("config/ek.pub")]
    PinFile(#[source] io::Error),
    /// Said only where no certificate tells whose the TPM is.
    #[error(
        "config/ek.pub is damaged, and no config/device.cert.pem says whose this TPM is: restore it, or empty it if this is the TPM that the node was installed with"
    )]
    PinDamaged,
}

impl TpmFailure {
    /// What a command of the TPM's failed of, where one did.
    pub(super) fn command(&self) -> Option<&TpmError> {
        match self {
            Self::Command(error)
            | Self::Provision(ProvisionError::Tpm(error))
            | Self::Pin(PinError::Tpm(error))
            | Self::Quote(QuoteError::Tpm(error)) => Some(error),
            Self::Root(error) | Self::PcrsRoot(error) => of_root(error),
            Self::Read(error) => of_read(error),
            Self::Provision(ProvisionError::Unexpected { .. } | ProvisionError::NoEk)
            | Self::Pin(PinError::OtherEk)
            | Self::Quote(QuoteError::Unsteady { .. })
            | Self::Refused(_)
            | Self::Open(_)
            | Self::Selection(_)
            | Self::Policy(_)
            | Self::PinFile(_)
            | Self::PinDamaged => None,
        }
    }

    /// What whoever asked goes by.
    fn fault(&self) -> TpmFault {
        match self {
            Self::Root(error) | Self::PcrsRoot(error) => match error {
                DefineRootError::NvFull { .. } => TpmFault::NvFull,
                DefineRootError::Occupied { .. } => TpmFault::Occupied,
                DefineRootError::ReadBack { .. } | DefineRootError::Tpm(_) => of_command(self.command()),
            },
            Self::Open(OpenError::Unreachable { .. } | OpenError::Busy { .. }) => TpmFault::Silent,
            _ => of_command(self.command()),
        }
    }

    /// With its causes, in one line.
    pub(super) fn words(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn Error), |error| (*error).source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

fn of_command(error: Option<&TpmError>) -> TpmFault {
    match error {
        Some(TpmError::NoAnswer { .. } | TpmError::GivenUp) => TpmFault::Silent,
        Some(TpmError::HierarchyAuth { .. }) => TpmFault::Forbidden,
        Some(TpmError::Command(error)) => match error.meaning {
            Meaning::Busy | Meaning::Disconnected | Meaning::NoRoom => TpmFault::Silent,
            Meaning::NvFull => TpmFault::NvFull,
            Meaning::NvDefined => TpmFault::Occupied,
            Meaning::Lockout | Meaning::AuthRefused => TpmFault::Forbidden,
            _ => TpmFault::Other,
        },
        Some(TpmError::NotPinned) | None => TpmFault::Other,
    }
}

fn of_root(error: &DefineRootError) -> Option<&TpmError> {
    match error {
        DefineRootError::Tpm(error) => Some(error),
        DefineRootError::ReadBack { source: Some(error), .. } => of_read(error),
        DefineRootError::ReadBack { source: None, .. }
        | DefineRootError::Occupied { .. }
        | DefineRootError::NvFull { .. } => None,
    }
}

fn of_read(error: &ReadRootError) -> Option<&TpmError> {
    match error {
        ReadRootError::Tpm(error) => Some(error),
        ReadRootError::Absent
        | ReadRootError::Unwritten
        | ReadRootError::PcrsMoved
        | ReadRootError::Unsteady { .. }
        | ReadRootError::Damaged { .. } => None,
    }
}

/// On the bus.
impl From<TpmFailure> for TpmRefusal {
    fn from(failure: TpmFailure) -> Self {
        match failure {
            TpmFailure::Refused(refusal) => refusal,
            other => Self::Failed { fault: other.fault(), causes: Causes::of(&other) },
        }
    }
}
