//! `eve controller accept`: root's word that another controller takes the place of the one that this node belonged to.

use std::time::Duration;

use anyhow::{Context, bail};
use cli::say;
use wire::Certificate;

use super::args::Root;
use crate::bus::messages::AcceptController;
use crate::paths;

const PATIENCE: Duration = Duration::from_secs(120);

/// Says which controller it would be, and accepts it once its root's fingerprint is given.
pub(super) fn accept(root: &Root, fingerprint: Option<&str>) -> anyhow::Result<()> {
    let file = paths::root_certificate(&root.root);
    let pem = std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
    let installed =
        Certificate::from_pem(&pem).with_context(|| format!("{} is no certificate", file.display()))?;
    let digest = installed.digest().0;
    if fingerprint != Some(hex::encode(digest).as_str()) {
        bail!(
            "the controller of the installed root certificate is accepted by its fingerprint. The vaults that it does not list are locked \
             and kept; those in whose key another controller has a part, also beside the TPM, open no more but by a recovery key: copy out first what is open of these.\n  what to do: compare it with the controller's, and run\n  \
             eve controller accept --fingerprint {}",
            hex::encode(digest)
        );
    }
    root.bus().call(&AcceptController { root: digest }, PATIENCE)?;
    say("accepted: its next list of vaults is taken as at a first contact\n")
}
