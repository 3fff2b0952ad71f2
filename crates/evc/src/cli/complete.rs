//! Names for a shell to complete: asked of the controller that the environment names, with little patience. Where none answers nothing is
//! offered, and nothing is said: who presses Tab reads no error. What is offered goes into a shell's line: texts of others go through [`offered`].

use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use cli::offered;

use super::args::Reach;
use super::client::{Client, Rows};
use crate::api::calls::{ALLOWANCES, DEVICES, KNOCKS, POLICIES, REFERENCES, RULES, VAULTS};
use crate::api::{Allowance, DeviceView, Knock, List, Listed, PolicyView, Reference, RuleView, VaultView};

/// Longer than this nobody waits for a completion.
const PATIENCE: Duration = Duration::from_millis(800);
/// Most names that are offered.
const MOST: u32 = 200;

/// Names of devices.
pub(super) fn devices() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&DEVICES, &[], &first()).ok());
    offered(whole(all).map(|device: DeviceView| device.name.to_string()))
}

/// Names of vaults.
pub(super) fn vaults() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&VAULTS, &[], &first()).ok());
    let all = whole(all).map(|vault: VaultView| vault.name.to_string());
    offered(all.chain(["config".to_owned(), "image".to_owned()]))
}

/// Names of policies.
pub(super) fn policies() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&POLICIES, &[], &first()).ok());
    offered(whole(all).map(|policy: PolicyView| policy.name.to_string()))
}

/// Names of rules.
pub(super) fn rules() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&RULES, &[], &first()).ok());
    offered(whole(all).map(|rule: RuleView| rule.name.to_string()))
}

/// Numbers of reference values, each with its device.
pub(super) fn references() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&REFERENCES, &[], &first()).ok());
    let shown = |row: Reference| {
        let device = row.device_name.map_or_else(|| row.device.to_string(), |name| name.to_string());
        CompletionCandidate::new(row.id.to_string()).help(Some(device.into()))
    };
    whole(all).map(shown).collect()
}

/// Serials that may onboard.
pub(super) fn serials() -> Vec<CompletionCandidate> {
    let all = client().and_then(|client| client.ask(&ALLOWANCES, &[], &first()).ok());
    offered(whole(all).map(|allowed: Allowance| allowed.serial))
}

/// Serials of who wanted to register, and may not.
pub(super) fn knocks() -> Vec<CompletionCandidate> {
    let all: Option<Vec<Knock>> = client().and_then(|client| client.call(&KNOCKS, &[]).ok());
    offered(all.into_iter().flatten().map(|knock| knock.serial))
}

/// The one that somebody named: whoever presses Tab in some folder asks nobody that the folder names.
fn client() -> Option<Client> {
    let reach = Reach::default();
    let named = reach.names_data() || reach.url().is_some();
    if named { Client::patient(&reach, PATIENCE).ok() } else { None }
}

fn whole<T>(all: Option<Vec<Listed<T>>>) -> impl Iterator<Item = T> {
    Rows::from(all.unwrap_or_default()).whole.into_iter()
}

fn first() -> List {
    List { limit: Some(MOST), ..List::default() }
}
