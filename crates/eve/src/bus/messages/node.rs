//! The node itself: its processes, its network, its TPM.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::bus::Agent;

/// The first second of the year 10000, which no text of RFC 3339 has.
const TOO_LATE: u64 = 253_402_300_800;

/// A time that an agent told, as RFC 3339; none of one that has no such text.
#[must_use]
pub fn rfc3339(unix_s: u64) -> Option<String> {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_s)).filter(|_| unix_s < TOO_LATE)?;
    Some(humantime::format_rfc3339_seconds(at).to_string())
}

/// The agents' processes (supervisor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents(pub Vec<AgentLine>);

/// One agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Which.
    pub agent: Agent,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// How often it was started anew after it died.
    pub restarts: u32,
    /// Since when it runs and does not turn, in seconds of Unix time.
    pub silent_since_unix_s: Option<u64>,
}

impl Agents {
    /// Of those that do not answer, for people.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.0.iter().filter_map(AgentLine::note).collect()
    }
}

impl AgentLine {
    /// Since when it does not answer: RFC 3339.
    #[must_use]
    pub fn silent_since(&self) -> Option<String> {
        rfc3339(self.silent_since_unix_s?)
    }

    fn note(&self) -> Option<String> {
        let (agent, since) = (self.agent, self.silent_since()?);
        let meanwhile = if agent == Agent::Vaultmgr { NO_LOCKS } else { "" };
        Some(format!("{agent} does not answer since {since}{meanwhile}; {ENDED_SOON}"))
    }
}

/// What vaultmgr's silence means.
const NO_LOCKS: &str = ": meanwhile no vault is locked, by an order or by the end of its lease";
/// What becomes of an agent that does not answer, and what to do where that does not help.
const ENDED_SOON: &str = "eve ends it by force within 3 minutes, and starts it again; if this stays, it hangs in the kernel: see the kernel's log, then boot the node anew";

/// Addresses and location (nim).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Interfaces that are up.
    pub ports: Vec<Port>,
    /// Where the node is, if it is told.
    pub location: Option<Location>,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// A position and where it is known from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// `fixed`: told by the installer.
    pub source: String,
}

impl Eq for Location {}

/// The node's TPM (tpmmgr).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TpmStatus {
    /// The node has none; its device key is in a file.
    Absent {
        /// The device key's public point, SEC 1.
        device_key: Vec<u8>,
    },
    /// It is provisioned and answers.
    Ready {
        /// PCRs 0 and 4 do not stand at their reset value.
        measured: bool,
        identity: Box<TpmIdentity>,
    },
    /// It is configured or was there, and can't be used; why, and what to do.
    Failing { why: String },
}

/// Said of a TPM whose endorsement key is this node's, and whose device key is another.
pub const CLEARED: &str = "CLEARED since this node was registered: what only it could open is gone; to go on as a new device, remove config/device.cert.pem, give it another serial number in config/serial, allow that at the controller, and start eve again";

impl TpmStatus {
    /// Of a TPM that a test needs to be told of.
    #[cfg(test)]
    pub(crate) fn sample(other_tpm: bool) -> Self {
        let (point, bytes) = (|| vec![4; 65], || Bytes(vec![1]));
        let (device_key, ak, ecdh) = (point(), point(), point());
        let (ak_public, ek_public, ek_cert) = (bytes(), bytes(), None);
        let identity =
            TpmIdentity { device_key, ak, ak_public, ecdh, ek_public, ek_cert, other_tpm, cleared: false };
        Self::Ready { identity: Box::new(identity), measured: true }
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Absent { .. } => "none: the device key is in a file".to_owned(),
            Self::Failing { why } => format!("failing: {why}"),
            Self::Ready { identity, .. } if identity.other_tpm => {
                format!("another node's: {}", super::TpmRefusal::OtherTpm)
            }
            Self::Ready { identity, .. } if identity.cleared => CLEARED.to_owned(),
            Self::Ready { measured: true, .. } => "ready".to_owned(),
            Self::Ready { measured: false, .. } => "ready, boot not measured".to_owned(),
        }
    }
}

/// The public halves of a TPM's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmIdentity {
    /// Device key, SEC 1 point.
    pub device_key: Vec<u8>,
    /// Attestation key, SEC 1 point.
    pub ak: Vec<u8>,
    /// Attestation key, TPMT_PUBLIC.
    pub ak_public: Bytes,
    /// ECDH key, SEC 1 point.
    pub ecdh: Vec<u8>,
    /// Endorsement key, TPMT_PUBLIC.
    pub ek_public: Bytes,
    /// Its certificate, DER, if the TPM holds one.
    pub ek_cert: Option<Bytes>,
    /// The endorsement key is not the one that the node was installed with: no roots are read or written.
    pub other_tpm: bool,
    /// The endorsement key is this node's and the device key is not the certified one: the TPM was cleared.
    pub cleared: bool,
}
