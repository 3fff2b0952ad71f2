//! Names for a shell to complete: asked of the node that the environment names, with little patience. Where none answers, or who asks is not
//! root, nothing is offered, and nothing is said: who presses Tab reads no error.

use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::args::Reach;
use super::table;
use crate::bus::messages::Vaults;

/// Longer than this nobody waits for a completion.
const PATIENCE: Duration = Duration::from_millis(800);

/// Names of vaults.
pub(super) fn vaults() -> Vec<CompletionCandidate> {
    let told = Reach::default().root().bus().call(&Vaults, PATIENCE);
    let there = table::present(told.map(|status| status.vaults).unwrap_or_default());
    cli::offered(there.iter().map(|vault| vault.name.to_string()))
}
