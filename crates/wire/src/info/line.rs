//! One vault of a report: our status said in EVE's words.

use vault::report::{State, VaultReport};
use vault::section::Operation;

use super::{AtRest, PcrStatus};

/// One vault in EVE's words, and in ours if the device is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultLine {
    /// Its name, at most 256 bytes.
    pub name: String,
    /// In EVE's words.
    pub status: AtRest,
    /// What is wrong.
    pub error: Option<String>,
    /// Whether PCRs guard its key.
    pub pcrs: PcrStatus,
    /// The extension (50540).
    pub report: Option<VaultReport>,
}

impl VaultLine {
    /// Says a vault's status in EVE's words, and ours beside.
    #[must_use]
    pub fn of(report: VaultReport, pcrs: PcrStatus) -> Self {
        let status = at_rest(&report);
        let error = (status == AtRest::Error).then(|| words_of(&report));
        Self { name: report.name.to_string(), status, error, pcrs, report: Some(report) }
    }
}

/// A vault locked by order, or not made yet, is no error; one that should be open and is not, is.
fn at_rest(report: &VaultReport) -> AtRest {
    match report.state {
        State::Unlocked => AtRest::Enabled,
        State::Missing | State::Failed | State::LockIncomplete => AtRest::Error,
        State::Locked if report.wanted != Operation::Lock => AtRest::Error,
        State::Locked | State::Waiting | State::Creating | State::Removed | State::Orphan => AtRest::Unknown,
    }
}

fn words_of(report: &VaultReport) -> String {
    let error = report.last.as_ref().and_then(|last| last.error.clone());
    let words = error.unwrap_or_else(|| report.detail.join("; "));
    if words.is_empty() { format!("vault is {:?}", report.state).to_lowercase() } else { words }
}
