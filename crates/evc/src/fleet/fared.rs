//! How a device's last evidence fared, as it is kept for the operator.

use std::net::IpAddr;

use ::attest::SessionKey;
use serde::{Deserialize, Serialize};

use super::evidence::{Came, Refused, Shown};
use crate::api::Appraised;
use crate::store::{DeviceRow, UnixSeconds};
use crate::words::evidence::{in_full, not_checked};

/// How a device's last evidence fared, for the operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fared {
    /// When.
    pub at: UnixSeconds,
    /// From which address it came; of IPv6 its /64.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// The session that it names: the first digits of its key.
    #[serde(default)]
    pub session: Option<String>,
    /// The PCRs that were to be quoted, of the SHA-256 bank.
    #[serde(default)]
    pub pcrs: Option<String>,
    /// What came of it.
    pub outcome: Appraised,
    /// What was not checked, or why it was refused; and what to do.
    pub words: Vec<String>,
}

impl Fared {
    pub(crate) fn of(fared: Result<&Shown, &Refused>, session: SessionKey, came: Came) -> Self {
        let (outcome, words) = match fared {
            Ok(Shown::Quoted(appraisal)) => (Appraised::Quoted, not_checked(appraisal)),
            Ok(Shown::DeviceSigned(_)) => {
                (Appraised::DeviceSigned, vec!["no TPM: nothing is measured".to_owned()])
            }
            Err(why) => (Appraised::Refused, vec![in_full(why)]),
        };
        let pcrs = (outcome == Appraised::Quoted).then(|| listed(crate::service::APPRAISED_PCRS.0));
        let session = Some(hex::encode(&session.0[..4]));
        Self { at: came.at, from: came.from, session, pcrs, outcome, words }
    }

    /// Of a device's last evidence; nothing, too, where that is of another version of this software.
    pub(crate) fn last(row: &DeviceRow) -> Option<Self> {
        serde_json::from_str(row.verdict.as_deref()?).ok()
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain fields")
    }
}

/// The bits of a selection, as numbers.
fn listed(selection: u32) -> String {
    let chosen = (0..24_u8).filter(|pcr| selection & (1 << pcr) != 0);
    chosen.map(|pcr| pcr.to_string()).collect::<Vec<_>>().join(", ")
}
