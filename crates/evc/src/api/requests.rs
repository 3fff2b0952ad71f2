//! What operators send.

use serde::{Deserialize, Serialize};
use vault::ids::Name;

pub use vault::life::Rotation;

/// Which certificate and serial may onboard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The certificate, as PEM.
    pub cert_pem: String,
    /// The serial, or `*`.
    pub serial: String,
    /// The name that the device gets.
    pub name: Option<String>,
}

/// A token that is to be good from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Under which policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Its name.
    pub policy: Name,
}

/// From which device, and which one of its vaults, to which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehoming {
    /// The device that gets it.
    pub to: String,
}
