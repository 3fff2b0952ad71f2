//! The TPM that the files of `config/` lead to, opened for a look before there is a node. Makes nothing, and reads no key.

use std::path::Path;

use anyhow::Context;
use tpm::{OPEN_PATIENCE, Tcti, Tpm};

use super::failure::TpmFailure;
use super::place::failing;
use super::taken::owner_auth;
use crate::paths;

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

/// None: this node would have no TPM.
pub(crate) fn tpm(root: &Path) -> Result<Option<Tpm>, Unopened> {
    let Some(tcti) = named(root).map_err(Unopened::Config)? else { return Ok(None) };
    let owner = owner_auth(root).map_err(Unopened::Config)?;
    Ok(Some(Tpm::open_as(&tcti, OPEN_PATIENCE, owner).map_err(TpmFailure::from)?))
}

fn named(root: &Path) -> anyhow::Result<Option<Tcti>> {
    let configured = match std::fs::read_to_string(paths::tcti(root)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        text => Some(text.context("config/tcti")?),
    };
    Tcti::find(configured.as_deref()).context("config/tcti")
}
