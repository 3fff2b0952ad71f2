//! What a node says of itself and of its vaults, as it is shown. Its words are those of EVE and of `vault::report`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vault::report::{State, VaultReport};
use wire::info::{AttestationState, TpmPresence};

use crate::store::{Appraised, understood};

/// How a device's last evidence fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// When.
    pub at: String,
    /// From which address it came; of IPv6 its /64.
    pub from: Option<IpAddr>,
    /// The session that it names: the first digits of its key.
    pub session: Option<String>,
    /// The PCRs that were quoted, and of which bank.
    pub pcrs: Option<String>,
    /// What came of it.
    pub outcome: Appraised,
    /// What was not checked, or why it was refused; and what to do.
    pub words: Vec<String>,
    /// Of these, what it says of reference values, where it was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// Its session is the one that the device named last, since the controller started. Else its evidence is of before.
    #[serde(default)]
    pub of_now: bool,
}

/// What a device last reported of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// When it came.
    pub received: String,
    /// Its TPM.
    pub tpm: TpmPresence,
    /// Maker and version of its TPM.
    #[serde(default)]
    pub tpm_info: String,
    /// Where its attestation stands.
    pub attestation: AttestationState,
    /// What went wrong with it.
    #[serde(default)]
    pub attestation_error: Option<String>,
    /// The newest section that it accepted.
    #[serde(default)]
    pub accepted: Option<Accepted>,
    /// What is not checked or needs care.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Its default vaults, and those that no row is kept of.
    #[serde(default, deserialize_with = "understood")]
    pub vaults: Vec<VaultReport>,
    /// When it spoke of those last: while its vaultmgr does not report, what it said before stays.
    #[serde(default)]
    pub vaults_received: Option<String>,
}

/// A section's place in a device's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The life of the controller's database, in hexadecimal.
    pub incarnation: String,
    /// The version in it.
    pub version: u64,
    /// That life is the present one. Only when described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_this_life: Option<bool>,
}

/// What a vault's state is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateNow {
    /// The node has reported since, and not of this vault.
    Unknown,
    /// What it said last.
    #[serde(untagged)]
    Said(State),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IF-2: a command line of before reads a report as far as it understands it; a vault of a node of tomorrow hides none of the others.
    #[test]
    fn what_is_not_understood_of_a_node_hides_nothing_else() {
        let one = r#"{"id":"00000000-0000-0000-0000-000000000005","name":"v","state":"locked","created":true,"epoch":null,"wanted":"lock","last":null,"detail":[]}"#;
        let other = one.replace("\"locked\"", "\"melted\"");
        let told = format!(
            r#"{{"received":"2026-11-01T00:00:00Z","tpm":"notfound","attestation":"Complete","vaults":[{other},7,{one}]}}"#
        );
        let report: NodeReport = serde_json::from_str(&told).expect("read");
        assert_eq!(report.vaults.iter().map(|vault| vault.state).collect::<Vec<_>>(), [State::Locked]);
        assert_eq!((report.tpm, &*report.received), (TpmPresence::NotFound, "2026-11-01T00:00:00Z"));
    }

    /// Scripts read a state by its word, whichever kind it is.
    #[test]
    fn a_state_is_one_word() {
        for (state, word) in
            [(StateNow::Unknown, "unknown"), (StateNow::Said(State::LockIncomplete), "lock-incomplete")]
        {
            let json = serde_json::to_string(&state).expect("a word");
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<StateNow>(&json).ok(), Some(state));
        }
        assert_eq!(State::LockIncomplete.to_string(), "lock-incomplete");
    }
}
