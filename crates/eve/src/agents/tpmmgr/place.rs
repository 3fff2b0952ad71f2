//! Where the node's TPM is and what the node's files say of it; and what to do about one that can't be used.

use std::fs::File;
use std::sync::Arc;

use tpm::{AuthLack, Meaning, OPEN_PATIENCE, OpenError, OwnerAuth, ProvisionError, Tcti, Tpm, TpmError};

/// How the TPM is reached, and what the node's files say of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) tcti: Tcti,
    /// Its owner's password, where the installer gave one.
    pub(super) owner: Option<Arc<OwnerAuth>>,
    /// The point of the device key that this node's certificate is of; none at first.
    pub(super) certified: Option<[u8; 65]>,
    /// Where the boot that P is bound to is kept.
    pub(super) boot: Arc<File>,
}

impl Place {
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
pub(crate) fn failing(error: &anyhow::Error) -> String {
    format!("{error:#}; {}", advice(error))
}

fn advice(error: &anyhow::Error) -> &'static str {
    let mut chain = error.chain();
    let lack = chain.find_map(|error| match error.downcast_ref::<TpmError>() {
        Some(TpmError::HierarchyAuth { hierarchy, lack }) => Some((*hierarchy, *lack)),
        _ => None,
    });
    match (lack, error.downcast_ref::<ProvisionError>()) {
        (Some(("owner", AuthLack::NotGiven)), _) => {
            "write it into config/tpm-owner-auth (0600) and start eve again, or take it away (`tpm2_changeauth -c o -p PASSWORD`)"
        }
        (Some(("owner", AuthLack::Refused)), _) => "mend config/tpm-owner-auth and start eve again",
        (Some(_), _) => {
            "endorsement keys can't be made under one: take it away (`tpm2_changeauth -c e -p PASSWORD`); it is looked at again all the time"
        }
        (None, Some(ProvisionError::Unexpected { .. })) => "it is looked at again all the time",
        _ if in_lockout(error) => {
            "too many wrong passwords were given to it, by whomever. Waiting heals that: leave it powered, for hours with some makes, and do not restart the node, which some TPMs count as one more. Who has the lockout password ends it at once: `tpm2_dictionarylockout --clear-lockout -p PASSWORD`; it is tried again all the time"
        }
        (None, Some(ProvisionError::NoEk)) => {
            "this TPM can't be used: for a new node write `none` into config/tcti to do without"
        }
        _ => {
            "see that the TPM is there and config/tcti names it, or reset it by a reboot; it is tried again all the time"
        }
    }
}

/// The TPM refuses all that asks for a password that is guarded from guessing. It counts down by itself.
fn in_lockout(error: &anyhow::Error) -> bool {
    error.chain().any(|error| {
        let opening = matches!(error.downcast_ref(), Some(OpenError::Failing { why: Meaning::Lockout, .. }));
        opening || error.downcast_ref().and_then(TpmError::meaning) == Some(Meaning::Lockout)
    })
}

#[cfg(test)]
mod tests {
    use tpm::{BadTcti, CommandError};

    use super::*;

    fn failed(meaning: Meaning) -> TpmError {
        CommandError { command: "CreatePrimary", meaning, rc: 0x921 }.into()
    }

    /// Seen-by-users 0.6: each way of failing is told with what to do; a TPM in lockout is never to be reset, for that may prolong it.
    #[test]
    fn a_tpm_that_fails_is_told_with_what_to_do() {
        const LOCKOUT: [&str; 2] = ["Waiting heals", "`tpm2_dictionarylockout --clear-lockout"];
        const RESET: [&str; 2] = ["config/tcti names it", "reset it by a reboot"];
        let tcti: Tcti = "device:/dev/tpmrm0".parse().expect("a TCTI");
        let opening = |why| OpenError::Failing { tcti: tcti.clone(), why, rc: 0x921 };
        let rows: [(anyhow::Error, [&str; 2]); 6] = [
            (failed(Meaning::Lockout).into(), LOCKOUT),
            (ProvisionError::from(failed(Meaning::Lockout)).into(), LOCKOUT),
            (anyhow::Error::from(failed(Meaning::Lockout)).context("the root bound to PCRs"), LOCKOUT),
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
        let all: Vec<anyhow::Error> = opens()
            .into_iter()
            .map(anyhow::Error::from)
            .chain(provisions().into_iter().map(Into::into))
            .chain(commands().into_iter().chain(auth).map(Into::into))
            .collect();
        let files = places().into_iter().map(|error| anyhow::Error::from(error).context("config/tcti"));
        let told = all.iter().map(failing).chain(files.map(|error| unusable(&error)));
        let places = ["TPM", "config/", "handle"];
        let wrong: Vec<String> = told.flat_map(|told| form::wrong_line(&eve, &places, &told)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
