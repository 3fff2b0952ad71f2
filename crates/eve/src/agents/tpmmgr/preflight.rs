//! The TPM that the files of `config/` lead to, opened for a look before there is a node. Makes nothing, and reads no key.

use std::path::Path;

use tpm::{OPEN_PATIENCE, Tpm};

use super::failure::TpmFailure;
use super::place::failing;
use super::taken::{Chosen, owner_auth};

/// Why there is none to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    /// A file of `config/` does not say which, or how.
    #[error(transparent)]
    Config(anyhow::Error),
    /// The TPM can't be used.
    #[error(transparent)]
    Tpm(#[from] TpmFailure),
}

impl Unopened {
    /// With its causes, and what to do.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Config(error) => format!("{error:#}"),
            Self::Tpm(failure) => failing(failure),
        }
    }
}

/// None: this node would have no TPM. What `eve run` would refuse is refused here.
pub(crate) fn tpm(root: &Path) -> Result<Option<Tpm>, Unopened> {
    let Chosen::Tpm(tcti) = Chosen::of(root).map_err(Unopened::Config)? else { return Ok(None) };
    let owner = owner_auth(root).map_err(Unopened::Config)?;
    Ok(Some(Tpm::open_as(&tcti, OPEN_PATIENCE, owner).map_err(TpmFailure::from)?))
}
