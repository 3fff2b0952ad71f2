//! A courier's files, as operators send and get them.

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Name};

/// For how long the node's answer will be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exporting {
    /// In seconds; nothing: 7 days.
    #[serde(default)]
    pub good_for_s: Option<u32>,
}

/// A file of a node's, for the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importing {
    /// In base64.
    pub file: String,
}

/// A file of the controller's, for a node, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CourierFile {
    /// The device's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Its name.
    pub device_name: Name,
    /// How the session begins that it is for, in hexadecimal; nothing: none is known, and only the challenge counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The number of the section in it; nothing: none is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<u64>,
    /// For so many vaults a key is in it, sealed to that session.
    pub releases: usize,
    /// So many vaults are ordered to be locked, where there is no section.
    pub orders: usize,
    /// Which demand the session's evidence does not meet, coarsely, while it satisfies no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// The device is marked as lost: no key goes to it.
    pub lost: bool,
    /// What was brought was taken before: nothing was changed by it now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Until when evidence over its challenge is taken.
    pub answer_until: String,
    /// The file, in base64.
    pub file: String,
}
