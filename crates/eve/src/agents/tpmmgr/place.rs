//! Where the node's TPM is and what the node's files say of it; and what to do about one that can't be used.

use std::io::ErrorKind;
use std::sync::Arc;

use tpm::{AuthLack, Meaning, OPEN_PATIENCE, OpenError, OwnerAuth, ProvisionError, Tcti, Tpm, TpmError};

use super::failure::TpmFailure;
use crate::agents::keep::Kept;

/// How the TPM is reached, and what the node's files say of it.
#[derive(Debug, Clone)]
pub(crate) struct TpmConfig {
    pub(super) tcti: Tcti,
    /// Its owner's password, where the installer gave one.
    pub(super) owner: Option<Arc<OwnerAuth>>,
    /// The point of the device key that this node's certificate is of; none at first.
    pub(super) certified: Option<[u8; 65]>,
    /// Where the boot that P is bound to is kept.
    pub(super) boot: Arc<Kept>,
}

impl TpmConfig {
    pub(super) fn open(&self) -> Result<Tpm, tpm::OpenError> {
        Tpm::open_as(&self.tcti, OPEN_PATIENCE, self.owner.clone())
    }
}

/// Why the files of `config/` lead to no TPM, and what to do. Each names itself.
pub(super) fn unusable(error: &anyhow::Error) -> String {
    format!(
        "{error:#}; no vault that needs the TPM or the device key opens until that is mended, and then it goes on by itself"
    )
}

/// Why a TPM can't be used, and what to do.
pub(crate) fn failing(failure: &TpmFailure) -> String {
    format!("{}; {}", failure.words(), advice(failure))
}

fn advice(failure: &TpmFailure) -> &'static str {
    match (failure.command(), failure) {
        (Some(TpmError::HierarchyAuth { hierarchy: "owner", lack: AuthLack::NotGiven }), _) => {
            "write it into config/tpm-owner-auth (0600) and start eve again, or take it away (`tpm2_changeauth -c o -p PASSWORD`)"
        }
        (Some(TpmError::HierarchyAuth { hierarchy: "owner", lack: AuthLack::Refused }), _) => {
            "mend config/tpm-owner-auth and start eve again"
        }
        (Some(TpmError::HierarchyAuth { .. }), _) => {
            "endorsement keys can't be made under one: take it away (`tpm2_changeauth -c e -p PASSWORD`); it is looked at again all the time"
        }
        (_, TpmFailure::Provision(ProvisionError::Unexpected { .. }) | TpmFailure::PinDamaged) => {
            "it is looked at again all the time"
        }
        (_, TpmFailure::PinFile(error)) if is_told(error.kind()) => "after that it goes on",
        (_, TpmFailure::PinFile(_)) => "mend that file or its disk; it is looked at again all the time",
        (command, failure) if in_lockout(command, failure) => {
            "too many wrong passwords were given to it, by whomever. Waiting heals that: leave it powered, for hours with some makes, and do not restart the node, which some TPMs count as one more. Who has the lockout password ends it at once: `tpm2_dictionarylockout --clear-lockout -p PASSWORD`; it is tried again all the time"
        }
        (_, TpmFailure::Provision(ProvisionError::NoEk)) => {
            "this TPM can't be used: for a new node write `none` into config/tcti to do without"
        }
        _ => {
            "see that the TPM is there and config/tcti names it, or reset it by a reboot; it is tried again all the time"
        }
    }
}

/// What to do about it is in the words of who keeps the file.
fn is_told(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied | ErrorKind::AlreadyExists)
}

/// The TPM refuses all that asks for a password that is guarded from guessing. It counts down by itself.
fn in_lockout(command: Option<&TpmError>, failure: &TpmFailure) -> bool {
    let opening = matches!(failure, TpmFailure::Open(OpenError::Failing { why: Meaning::Lockout, .. }));
    opening || command.and_then(TpmError::meaning) == Some(Meaning::Lockout)
}

#[cfg(test)]
mod tests {
    use tpm::{
        BadPolicy, BadSelection, BadTcti, CommandError, DefineRootError, Generation, PinError, QuoteError,
        ReadRootError, SlotState,
    };

    use super::*;
    use crate::bus::messages::TpmRefusal;

    fn command(meaning: Meaning) -> CommandError {
        CommandError { command: "CreatePrimary", meaning, rc: 0x921 }
    }

    fn failed(meaning: Meaning) -> TpmError {
        command(meaning).into()
    }

    fn read_back(error: ReadRootError) -> DefineRootError {
        DefineRootError::ReadBack { generation: Generation(1), source: Some(Box::new(error)) }
    }

    /// Seen-by-users 0.6: each way of failing is told with what to do; a TPM in lockout is never to be reset, for that may prolong it.
    #[test]
    fn a_tpm_that_fails_is_told_with_what_to_do() {
        const LOCKOUT: [&str; 2] = ["Waiting heals", "`tpm2_dictionarylockout --clear-lockout"];
        const RESET: [&str; 2] = ["config/tcti names it", "reset it by a reboot"];
        let tcti: Tcti = "device:/dev/tpmrm0".parse().expect("a TCTI");
        let opening = |why| OpenError::Failing { tcti: tcti.clone(), why, rc: 0x921 };
        let rows: [(TpmFailure, [&str; 2]); 7] = [
            (failed(Meaning::Lockout).into(), LOCKOUT),
            (ProvisionError::from(failed(Meaning::Lockout)).into(), LOCKOUT),
            (TpmFailure::PcrsRoot(failed(Meaning::Lockout).into()), LOCKOUT),
            (TpmFailure::Root(read_back(failed(Meaning::Lockout).into())), LOCKOUT),
            (opening(Meaning::Lockout).into(), LOCKOUT),
            (opening(Meaning::FailureMode).into(), RESET),
            (failed(Meaning::Disconnected).into(), RESET),
        ];
        for (error, words) in rows {
            let told = failing(&error);
            assert!(words.iter().all(|words| told.contains(words)), "{told}");
            assert_eq!(told.contains("reset it"), words == RESET, "{told}");
        }
    }

    form::every! {
        opens: OpenError {
            OpenError::Unreachable { .. } => {
                OpenError::Unreachable { tcti: tcti(), source: std::io::ErrorKind::NotFound.into() }
            },
            OpenError::Busy { .. } => OpenError::Busy { tcti: tcti(), waited: OPEN_PATIENCE },
            OpenError::Failing { .. } => OpenError::Failing { tcti: tcti(), why: Meaning::FailureMode, rc: 0x101 },
        }
        provisions: ProvisionError {
            ProvisionError::Unexpected { .. } => {
                ProvisionError::Unexpected { handle: 0x8101_0001, spare: 0x8101_7700, last: 0x8101_7707 }
            },
            ProvisionError::NoEk => ProvisionError::NoEk,
            ProvisionError::Tpm(_) => failed(Meaning::Other).into(),
        }
        commands: TpmError {
            TpmError::Command(_) => failed(Meaning::Other),
            TpmError::NoAnswer { .. } => TpmError::NoAnswer { waited: OPEN_PATIENCE },
            TpmError::GivenUp => TpmError::GivenUp,
            TpmError::HierarchyAuth { .. } => {
                TpmError::HierarchyAuth { hierarchy: "owner", lack: AuthLack::NotGiven }
            },
            TpmError::NotPinned => TpmError::NotPinned,
        }
        lacks: AuthLack { AuthLack::NotGiven => AuthLack::NotGiven, AuthLack::Refused => AuthLack::Refused }
        pins: PinError { PinError::OtherEk => PinError::OtherEk, PinError::Tpm(_) => failed(Meaning::Other).into() }
        quotes: QuoteError {
            QuoteError::Unsteady { .. } => QuoteError::Unsteady { attempts: 3 },
            QuoteError::Tpm(_) => failed(Meaning::Other).into(),
        }
        defines: DefineRootError {
            DefineRootError::Occupied { .. } => {
                DefineRootError::Occupied { generation: Generation(1), state: SlotState::Foreign }
            },
            DefineRootError::NvFull { .. } => {
                DefineRootError::NvFull { generation: Generation(1), source: command(Meaning::Other) }
            },
            DefineRootError::ReadBack { .. } => read_back(ReadRootError::PcrsMoved),
            DefineRootError::Tpm(_) => failed(Meaning::Other).into(),
        }
        reads: ReadRootError {
            ReadRootError::Absent => ReadRootError::Absent,
            ReadRootError::Unwritten => ReadRootError::Unwritten,
            ReadRootError::PcrsMoved => ReadRootError::PcrsMoved,
            ReadRootError::Unsteady { .. } => ReadRootError::Unsteady { attempts: 3 },
            ReadRootError::Damaged { .. } => ReadRootError::Damaged { what: "its length" },
            ReadRootError::Tpm(_) => failed(Meaning::Other).into(),
        }
        failures: TpmFailure {
            TpmFailure::Refused(_) => TpmRefusal::OtherTpm.into(),
            TpmFailure::Open(_) => OpenError::Busy { tcti: tcti(), waited: OPEN_PATIENCE }.into(),
            TpmFailure::Provision(_) => ProvisionError::NoEk.into(),
            TpmFailure::Pin(_) => PinError::OtherEk.into(),
            TpmFailure::Command(_) => TpmError::GivenUp.into(),
            TpmFailure::Quote(_) => QuoteError::Unsteady { attempts: 3 }.into(),
            TpmFailure::Root(_) => read_back(ReadRootError::PcrsMoved).into(),
            TpmFailure::PcrsRoot(_) => TpmFailure::PcrsRoot(read_back(ReadRootError::PcrsMoved)),
            TpmFailure::Read(_) => ReadRootError::PcrsMoved.into(),
            TpmFailure::Selection(_) => BadSelection::Empty.into(),
            TpmFailure::Policy(_) => BadPolicy::Mixed.into(),
            TpmFailure::PinFile(_) => TpmFailure::PinFile(std::io::ErrorKind::StorageFull.into()),
            TpmFailure::PinDamaged => TpmFailure::PinDamaged,
        }
        places: BadTcti {
            BadTcti::Kind => BadTcti::Kind,
            BadTcti::Device => BadTcti::Device,
            BadTcti::Fields => BadTcti::Fields,
            BadTcti::Host => BadTcti::Host,
            BadTcti::Port => BadTcti::Port,
            BadTcti::TooLong => BadTcti::TooLong,
        }
    }

    fn tcti() -> Tcti {
        "device:/dev/tpmrm0".parse().expect("a TCTI")
    }

    /// Whatever a TPM, or a file about it, does wrong is told by what it is, where, and what to do.
    #[test]
    fn every_error_of_the_tpm_says_what_is_and_what_to_do() {
        let eve = crate::cli::command();
        let auth = ["owner", "endorsement"].into_iter().flat_map(|hierarchy| {
            lacks().into_iter().map(move |lack| TpmError::HierarchyAuth { hierarchy, lack })
        });
        let all: Vec<TpmFailure> = (opens().into_iter().map(TpmFailure::from))
            .chain(provisions().into_iter().map(Into::into))
            .chain(commands().into_iter().chain(auth).map(Into::into))
            .chain(pins().into_iter().map(Into::into))
            .chain(quotes().into_iter().map(Into::into))
            .chain(defines().into_iter().map(Into::into))
            .chain(reads().into_iter().map(Into::into))
            .chain(failures())
            .collect();
        let files = places().into_iter().map(|error| anyhow::Error::from(error).context("config/tcti"));
        let told = all.iter().map(failing).chain(files.map(|error| unusable(&error)));
        let places = ["TPM", "config/", "handle"];
        let wrong: Vec<String> = told.flat_map(|told| form::wrong_line(&eve, &places, &told)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
