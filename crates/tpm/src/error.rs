//! What can go wrong with the TPM, sorted by what the caller does next. Response codes (TPM 2.0 Library Part 2,
//! section 6.6; TSS 2.0 Overview for the layers above) become a [`Meaning`]; the raw code stays as a fact.

use std::time::Duration;

use crate::{Generation, SlotState, Tcti};

mod meaning;
pub use meaning::Meaning;

/// One command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the TPM's command {command} failed: {meaning} (response code {rc:#x})")]
pub struct CommandError {
    /// The command's name in TPM 2.0 Library Part 3, without its prefix.
    pub command: &'static str,
    /// What the code means.
    pub meaning: Meaning,
    /// The code as the stack gave it; 0 if the stack's wrapper itself refused.
    pub rc: u32,
}

impl CommandError {
    /// Reads the code out of what tss-esapi returned.
    pub(crate) fn new(command: &'static str, error: tss_esapi::Error) -> Self {
        let rc = meaning::raw_code(error);
        Self { command, meaning: Meaning::of(rc), rc }
    }

    /// A failure that the TPM did not put into a code, such as an answer of the wrong shape.
    pub(crate) fn malformed(command: &'static str) -> Self {
        Self { command, meaning: Meaning::Malformed, rc: 0 }
    }
}

/// Why an operation on an open TPM did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmError {
    /// The TPM answered with an error, or could not be asked.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No answer in time. This `Tpm` is of no more use: drop it and open another.
    #[error("no answer from the TPM in {} s", .waited.as_secs())]
    NoAnswer {
        /// How long was waited.
        waited: Duration,
    },
    /// An earlier operation never ended. Drop this `Tpm` and open another.
    #[error("the connection to the TPM was given up after an earlier command hung")]
    GivenUp,
    /// A hierarchy has a password that is not known here, so nothing was tried.
    #[error("the TPM's {hierarchy} hierarchy has a password, and {lack}")]
    HierarchyAuth {
        /// `owner` or `endorsement`.
        hierarchy: &'static str,
        /// Why none was tried.
        lack: AuthLack,
    },
    /// No EK is pinned yet, so nothing that is secret may be said; call `pin_ek` first.
    #[error("no endorsement key is pinned")]
    NotPinned,
}

/// Why a hierarchy's password is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthLack {
    /// None was given.
    #[error("none is given")]
    NotGiven,
    /// The one that was given was refused once, and is not tried again.
    #[error("the one given was refused; it is not tried again")]
    Refused,
}

impl TpmError {
    /// What the TPM meant, where it spoke.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Command(error) => Some(error.meaning),
            _ => None,
        }
    }
}

/// Why the TPM could not be opened. None of these means that the node has no TPM.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device or port isn't there, or refuses; retry with a back-off, then tell the operator.
    #[error("TPM {tcti} can't be reached")]
    Unreachable {
        /// Which one.
        tcti: Tcti,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody else holds it, or it hangs; retry with a back-off.
    #[error("TPM {tcti} is busy or hangs: no answer in {} s", .waited.as_secs())]
    Busy {
        /// Which one.
        tcti: Tcti,
        /// How long was waited.
        waited: Duration,
    },
    /// It answers, but not as a TPM in working order (failure mode, not started, garbage); tell the operator.
    #[error("TPM {tcti} is failing: {why} (response code {rc:#x})")]
    Failing {
        /// Which one.
        tcti: Tcti,
        /// What it said.
        why: Meaning,
        /// The code, 0 if it answered no code.
        rc: u32,
    },
}

/// Why the identity keys are not all there.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A key's own persistent handle and all of its spare ones hold something that is not ours. It is left as it is: an operator must
    /// decide.
    #[error(
        "persistent handle {handle:#010x}, and all of {spare:#010x} to {last:#010x}, hold keys of another system; free one that nothing needs: `tpm2_evictcontrol -c HANDLE`"
    )]
    Unexpected {
        /// The key's own handle.
        handle: u32,
        /// First of the spare ones.
        spare: u32,
        /// Last of them.
        last: u32,
    },
    /// No template of an EK that is known here.
    #[error("this TPM makes no endorsement key of ECC P-384, ECC P-256 or RSA-2048")]
    NoEk,
    /// The TPM failed.
    #[error("the identity keys could not be made or read")]
    Tpm(#[from] TpmError),
}

/// Why the EK was not pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// This TPM's EK is another one: another TPM, a cleared seed, or somebody on the bus. Nothing secret is said to it.
    #[error("the endorsement key of this TPM is not the pinned one")]
    OtherEk,
    /// The TPM failed.
    #[error("the endorsement key could not be made")]
    Tpm(#[from] TpmError),
}

/// Why there is no quote.
#[derive(Debug, thiserror::Error)]
pub enum QuoteError {
    /// PCRs were extended again and again between quote and reading; retry later.
    #[error("the PCRs did not hold still for {attempts} quotes")]
    Unsteady {
        /// How many quotes were made.
        attempts: u32,
    },
    /// The TPM failed.
    #[error("no quote was made")]
    Tpm(#[from] TpmError),
}

/// Why a root was not written. What had been begun was taken away again as far as the TPM let us.
#[derive(Debug, thiserror::Error)]
pub enum DefineRootError {
    /// The slot is in use (or holds something foreign); undefine the older generation first.
    #[error("the slot of {generation} is {state} already{}", how_to_free(*.state, *.generation))]
    Occupied {
        /// The generation that was to be written.
        generation: Generation,
        /// What is there.
        state: SlotState,
    },
    /// No NV space left.
    #[error("no NV space for the root of {generation}")]
    NvFull {
        /// The generation that was to be written.
        generation: Generation,
        /// What the TPM said.
        source: CommandError,
    },
    /// Written, but not read back the same (or not readable in the present PCR state).
    #[error("the root of {generation} was not read back as written")]
    ReadBack {
        /// The generation that was to be written.
        generation: Generation,
        /// Why, if reading failed; none if other bytes came back.
        source: Option<Box<ReadRootError>>,
    },
    /// The TPM failed.
    #[error("a root could not be written")]
    Tpm(#[from] TpmError),
}

/// Why a root was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadRootError {
    /// No such NV index.
    #[error("no root is defined there")]
    Absent,
    /// Defined, never written: a change that was cut short.
    #[error("the root was never written")]
    Unwritten,
    /// The measured state is none of those that may read it. Not damage: another boot may read it again.
    #[error("the PCRs are in no state that may read the root")]
    PcrsMoved,
    /// PCRs, of whatever selection, were extended again and again while the root was read: nothing is known of those that it is bound
    /// to. Retry later.
    #[error("PCRs were extended during each of {attempts} tries to read the root")]
    Unsteady {
        /// How often it was tried.
        attempts: u32,
    },
    /// There, but not one of ours or not whole.
    #[error("the root is damaged: {what}")]
    Damaged {
        /// In which way.
        what: &'static str,
    },
    /// The TPM failed.
    #[error("the root could not be read")]
    Tpm(#[from] TpmError),
}

fn how_to_free(state: SlotState, generation: Generation) -> String {
    let [first, last] = crate::slots::indices(generation.slot_set());
    match state {
        SlotState::Foreign => format!(
            ": an NV index of another system lies within {first:#010x} to {last:#010x}; where nothing needs it, `tpm2_nvundefine INDEX` frees it"
        ),
        _ => String::new(),
    }
}

/// A command's error inside an operation's.
macro_rules! from_command {
    ($($operation:ident),*) => {$(
        impl From<CommandError> for $operation {
            fn from(error: CommandError) -> Self {
                Self::Tpm(error.into())
            }
        }
    )*};
}
from_command!(ProvisionError, PinError, QuoteError, DefineRootError, ReadRootError);
