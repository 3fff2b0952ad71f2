//! What a device reports of itself: `ZInfoMsg` of kind device, with the vault part.
//! Fields 1 to 4 of each vault are filled as EVE does, so that any EVE controller shows them; ours stands beside (50540, 50530).

mod line;

use std::collections::HashSet;

use ::attest::SessionKey;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use vault::escrow::drill::DrillAnswer;
use vault::ids::{DeviceId, Generation, SectionVersion};

use crate::config::timestamp;
use crate::error::DecodeError;
use crate::limits::{MAX_TEXT, MAX_WORDS, at_most, cut, decode, known, text};
use crate::pb::info as pb;
use crate::report;

pub use self::line::VaultLine;

/// Most vaults of one report: those of a section, the default two, and as many orphans.
const MAX_VAULT_LINES: usize = vault::shares::MAX_SHARES;

/// What a device posts to `/info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// About the device.
    Device(Box<DeviceInfo>),
    /// About something that we do not read: apps, networks, volumes of stock EVE.
    Other {
        /// Who says it, as text: not checked.
        device: String,
        /// `ztype`.
        kind: i32,
    },
}

/// A device's report of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Who says it; the envelope says who signed it.
    pub device: DeviceId,
    /// By the device's clock, seconds since 1970.
    pub at_unix_s: u64,
    /// Its TPM.
    pub tpm: TpmPresence,
    /// Maker and version of its TPM, for people; at most 256 bytes.
    pub tpm_info: String,
    /// Where its attestation stands.
    pub attestation: AttestationState,
    /// What went wrong with it, if something did.
    pub attestation_error: Option<String>,
    /// Its vaults.
    pub vaults: Vec<VaultLine>,
    /// The extension; absent from stock EVE.
    pub node: Option<NodeReport>,
}

/// The node as vaultmgr and tpmmgr see it (ZInfoDevice 50530).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// The session that speaks: one life of vaultmgr.
    pub session: Option<SessionKey>,
    /// The newest section that vaultmgr accepted.
    pub accepted: Option<SectionVersion>,
    /// The device that it was for, as its controller knew the node then. A node of before does not say.
    pub accepted_for: Option<DeviceId>,
    /// What is not checked or needs care, in human words.
    pub notes: Vec<String>,
    /// Greater than that of every earlier report of the session: so none of those is taken for news again.
    pub counter: u64,
    /// The disk of persist is not there: what is said of the default vaults is all that is known of any.
    pub disk_away: bool,
    /// How the last drill of the escrow went that this session made.
    pub drill: Option<DrillAnswer>,
    /// The generation of the TPM's roots in force, while its share table is open. A node of before does not say.
    pub generation: Option<Generation>,
    /// Whether firmware measured this boot into the TPM; none: no TPM answers, or the node is of before this was told.
    pub measured: Option<bool>,
}

/// `HwSecurityModuleStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TpmPresence {
    /// Not known.
    Unknown,
    /// None there.
    NotFound,
    /// There, not used.
    Disabled,
    /// There and used.
    Enabled,
}

/// `AttestationState`: of EVE's state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // EVE's words, explained in its documentation.
pub enum AttestationState {
    None,
    NonceWait,
    QuoteWait,
    EscrowWait,
    AttestWait,
    AttestEscrowWait,
    RestartWait,
    Complete,
}

/// `DataSecAtRestStatus`: a vault in EVE's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtRest {
    /// Not known, or not open and not meant to be.
    Unknown,
    /// Not encrypted.
    Disabled,
    /// Open.
    Enabled,
    /// Not open and should be, or worse.
    Error,
}

/// `PCRStatus`: whether PCRs guard a vault's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PcrStatus {
    /// Not said.
    Unknown,
    /// They do.
    Enabled,
    /// They do not.
    Disabled,
}

impl DeviceInfo {
    /// Its bytes; the payload of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = pb::ZInfoMsg {
            ztype: pb::ZInfoTypes::ZiDevice.into(),
            dev_id: self.device.to_string(),
            at_time_stamp: Some(timestamp(self.at_unix_s)),
            info_content: Some(pb::z_info_msg::InfoContent::Dinfo(self.into())),
        };
        message.encode_to_vec()
    }
}

impl From<&DeviceInfo> for pb::ZInfoDevice {
    fn from(info: &DeviceInfo) -> Self {
        let error = info.attestation_error.as_deref().map(|error| error_info(error, info.at_unix_s));
        let vaults = info.vaults.iter().map(|line| vault_info(line, info.at_unix_s)).collect();
        Self {
            hsm_status: tpm_to(info.tpm),
            hsm_info: cut(&info.tpm_info, MAX_TEXT),
            data_sec_at_rest_info: Some(pb::DataSecAtRest { vault_list: vaults }),
            attestation_info: Some(pb::AttestationInfo { state: attestation_to(info.attestation), error }),
            vault_node: info.node.as_ref().map(Into::into),
        }
    }
}

fn error_info(error: &str, at_unix_s: u64) -> pb::ErrorInfo {
    pb::ErrorInfo {
        description: cut(error, MAX_WORDS),
        timestamp: Some(timestamp(at_unix_s)),
        severity: pb::Severity::Error.into(),
    }
}

fn vault_info(line: &VaultLine, at_unix_s: u64) -> pb::VaultInfo {
    pb::VaultInfo {
        name: cut(&line.name, MAX_TEXT),
        status: at_rest_to(line.status),
        vault_err: line.error.as_deref().map(|error| error_info(error, at_unix_s)),
        pcr_status: pcrs_to(line.pcrs),
        vault_report: line.report.as_ref().map(Into::into),
    }
}

impl Info {
    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: the peer's fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: pb::ZInfoMsg = decode(bytes)?;
        let device = text("devId", message.dev_id, MAX_TEXT)?;
        if message.ztype != pb::ZInfoTypes::ZiDevice as i32 {
            return Ok(Self::Other { device, kind: message.ztype });
        }
        let Some(pb::z_info_msg::InfoContent::Dinfo(info)) = message.info_content else {
            return Err(DecodeError::Missing { field: "dinfo" });
        };
        let device =
            device.parse().map_err(|_| DecodeError::Invalid { field: "devId", why: "is no UUID" })?;
        let at_unix_s = message.at_time_stamp.map_or(0, |at| u64::try_from(at.seconds).unwrap_or(0));
        device_info(device, at_unix_s, info).map(|info| Self::Device(Box::new(info)))
    }
}

fn device_info(device: DeviceId, at_unix_s: u64, raw: pb::ZInfoDevice) -> Result<DeviceInfo, DecodeError> {
    let attestation = raw.attestation_info.unwrap_or_default();
    let vaults = raw.data_sec_at_rest_info.unwrap_or_default().vault_list;
    at_most("vaultList", vaults.len(), MAX_VAULT_LINES)?;
    Ok(DeviceInfo {
        device,
        at_unix_s,
        tpm: tpm(raw.hsm_status)?,
        tpm_info: words("HSMInfo", &raw.hsm_info)?,
        attestation: attestation_state(attestation.state)?,
        attestation_error: attestation.error.map(|error| words("error", &error.description)).transpose()?,
        vaults: each_once(vaults.into_iter().map(vault_line).collect::<Result<_, _>>()?)?,
        node: raw.vault_node.map(report::node_report).transpose()?,
    })
}

/// No vault is reported twice: which of the two would be believed?
fn each_once(lines: Vec<VaultLine>) -> Result<Vec<VaultLine>, DecodeError> {
    let mut seen = HashSet::new();
    let twice = lines.iter().filter_map(|line| line.report.as_ref()).any(|report| !seen.insert(report.id));
    if twice { Err(DecodeError::Invalid { field: "vaultList", why: "has a vault twice" }) } else { Ok(lines) }
}

fn vault_line(raw: pb::VaultInfo) -> Result<VaultLine, DecodeError> {
    Ok(VaultLine {
        name: words("vault name", &raw.name)?,
        status: at_rest_from(raw.status)?,
        error: raw.vault_err.map(|error| words("vaultErr", &error.description)).transpose()?,
        pcrs: pcrs(raw.pcr_status)?,
        report: raw.vault_report.map(report::vault_report).transpose()?,
    })
}

/// Stock EVE's errors may have several lines: taken, on one line, cut.
fn words(field: &'static str, words: &str) -> Result<String, DecodeError> {
    at_most(field, words.len(), 64 * MAX_WORDS)?;
    Ok(cut(words, MAX_WORDS))
}

/// Writes both directions of a list of EVE's.
macro_rules! list {
    ($to:ident, $from:ident, $ours:ident, $theirs:ident, $field:literal, $($variant:ident = $other:ident),+) => {
        fn $to(value: $ours) -> i32 {
            match value { $($ours::$variant => pb::$theirs::$other.into()),+ }
        }
        fn $from(value: i32) -> Result<$ours, DecodeError> {
            Ok(match known($field, value)? { $(pb::$theirs::$other => $ours::$variant),+ })
        }
    };
}
list!(
    tpm_to,
    tpm,
    TpmPresence,
    HwSecurityModuleStatus,
    "HSMStatus",
    Unknown = Unknown,
    NotFound = Notfound,
    Disabled = Disabled,
    Enabled = Enabled
);
list!(
    at_rest_to,
    at_rest_from,
    AtRest,
    DataSecAtRestStatus,
    "status",
    Unknown = DatasecAtRestUnknown,
    Disabled = DatasecAtRestDisabled,
    Enabled = DatasecAtRestEnabled,
    Error = DatasecAtRestError
);
list!(
    pcrs_to,
    pcrs,
    PcrStatus,
    PcrStatus,
    "pcrStatus",
    Unknown = PcrUnknown,
    Enabled = PcrEnabled,
    Disabled = PcrDisabled
);
list!(
    attestation_to,
    attestation_state,
    AttestationState,
    AttestationState,
    "state",
    None = Unspecified,
    NonceWait = NonceWait,
    QuoteWait = TpmQuoteWait,
    EscrowWait = TpmEscrowWait,
    AttestWait = AttestWait,
    AttestEscrowWait = AttestEscrowWait,
    RestartWait = RestartWait,
    Complete = Complete
);
