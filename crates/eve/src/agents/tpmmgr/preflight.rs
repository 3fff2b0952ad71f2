//! The TPM that the files of `config/` lead to, opened for a look before there is a node. Makes nothing, and reads no key.

use std::path::Path;

use anyhow::Context;
use tpm::{OPEN_PATIENCE, Tcti, Tpm};

use super::place::failing;
use super::taken::owner_auth;
use crate::paths;

/// None: this node would have no TPM.
///
/// # Errors
/// There is one that can't be used, or it can't be told which; in words, with what to do.
pub(crate) fn tpm(root: &Path) -> Result<Option<Tpm>, String> {
    let tcti = named(root).map_err(|error| format!("{error:#}"))?;
    let opened = tcti.map(|tcti| {
        let owner = owner_auth(root)?;
        Ok(Tpm::open_as(&tcti, OPEN_PATIENCE, owner)?)
    });
    opened.transpose().map_err(|error: anyhow::Error| failing(&error))
}

fn named(root: &Path) -> anyhow::Result<Option<Tcti>> {
    let configured = match std::fs::read_to_string(paths::tcti(root)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        text => Some(text.context("config/tcti")?),
    };
    Tcti::find(configured.as_deref()).context("config/tcti")
}
