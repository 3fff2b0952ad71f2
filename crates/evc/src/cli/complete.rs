//! Names for a shell to complete: asked of the controller that the environment names, with little patience. Where none answers nothing is
//! offered, and nothing is said: who presses Tab reads no error.

use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::args::Reach;
use super::client::Client;
use crate::api::calls::{DEVICES, POLICIES, RULES, VAULTS};
use crate::api::{DeviceView, List, PolicyView, RuleView, VaultView};

/// Longer than this nobody waits for a completion.
const PATIENCE: Duration = Duration::from_millis(800);
/// Most names that are offered.
const MOST: u32 = 200;

/// Names of devices.
pub(super) fn devices() -> Vec<CompletionCandidate> {
    let all: Option<Vec<DeviceView>> = client().and_then(|client| client.ask(&DEVICES, &[], &first()).ok());
    offered(all.into_iter().flatten().map(|device| device.name.to_string()))
}

/// Names of vaults.
pub(super) fn vaults() -> Vec<CompletionCandidate> {
    let all: Option<Vec<VaultView>> = client().and_then(|client| client.ask(&VAULTS, &[], &first()).ok());
    let all = all.into_iter().flatten().map(|vault| vault.name.to_string());
    offered(all.chain(["config".to_owned(), "image".to_owned()]))
}

/// Names of policies.
pub(super) fn policies() -> Vec<CompletionCandidate> {
    let all: Option<Vec<PolicyView>> = client().and_then(|client| client.ask(&POLICIES, &[], &first()).ok());
    offered(all.into_iter().flatten().map(|policy| policy.name.to_string()))
}

/// Names of rules.
pub(super) fn rules() -> Vec<CompletionCandidate> {
    let all: Option<Vec<RuleView>> = client().and_then(|client| client.ask(&RULES, &[], &first()).ok());
    offered(all.into_iter().flatten().map(|rule| rule.name.to_string()))
}

/// The one that somebody named: whoever presses Tab in some folder asks nobody that the folder names.
fn client() -> Option<Client> {
    let reach = Reach::default();
    let named = reach.names_data() || reach.url().is_some();
    if named { Client::patient(&reach, PATIENCE).ok() } else { None }
}

fn first() -> List {
    List { limit: Some(MOST), ..List::default() }
}

fn offered(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
