//! Where the node's TPM is and what the node's files say of it; and what to do about one that can't be used.

use std::fs::File;
use std::sync::Arc;

use tpm::{AuthLack, OPEN_PATIENCE, OwnerAuth, ProvisionError, Tcti, Tpm, TpmError};

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
pub(super) fn failing(error: &anyhow::Error) -> String {
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
        (None, Some(ProvisionError::NoEk)) => {
            "this TPM can't be used: for a new node write `none` into config/tcti to do without"
        }
        _ => {
            "see that the TPM is there and config/tcti names it, or reset it by a reboot; it is tried again all the time"
        }
    }
}
