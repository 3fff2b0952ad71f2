//! What a VaultPolicy demands of attestation: how often, and which checks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::BadFile;
use super::parts::{Checked, duration, later};
use super::raw::{Text, written};
use crate::section::Custody;

/// How often evidence is renewed when the policy does not say.
pub const DEFAULT_ATTEST_EVERY: Duration = Duration::from_secs(15 * 60);
/// Bounds of `attest.every`.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));

/// A check of the evidence that a policy may demand before a key is released (AC-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The quoted PCRs match an approved reference value.
    Pcrs,
}

/// What a policy demands of attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// Evidence older than this is asked for anew, in whole seconds.
    #[serde(with = "seconds")]
    pub every: Duration,
    /// The checks that must have passed; none asks for identity and session alone.
    pub require: BTreeSet<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAttest {
    #[serde(default, deserialize_with = "written")]
    pub(super) every: Text,
    #[serde(default, deserialize_with = "written")]
    pub(super) require: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default, deserialize_with = "written")]
    pub(super) on_failure: Text,
}

pub(super) fn attest(raw: Option<Spanned<RawAttest>>, custody: Custody) -> Checked<Attest> {
    let Some(raw) = raw else { return Ok(Attest { every: DEFAULT_ATTEST_EVERY, require: BTreeSet::new() }) };
    let place = raw.referenced;
    let require = checks(raw.value.require.map(|list| list.value).unwrap_or_default())?;
    if !require.is_empty() && !custody.needs_controller() {
        let problem =
            "`attest.require` has no key to withhold with `custody: tpm`, which opens without the controller";
        return Err(BadFile::at(place, problem, "write `custody: tpm+controller`, or leave `require` out"));
    }
    on_failure(raw.value.on_failure)?;
    let every =
        raw.value.every.map_or(Ok(DEFAULT_ATTEST_EVERY), |text| duration(&text, "attest.every", EVERY))?;
    Ok(Attest { every, require })
}

fn checks(list: Vec<Spanned<String>>) -> Checked<BTreeSet<Check>> {
    let mut checks = BTreeSet::new();
    for text in list {
        let check = match text.value.as_str() {
            "pcrs" => Check::Pcrs,
            "geofence" | "ip" => {
                let what = format!("attest.require: [{}]", text.value);
                return Err(later(text.referenced, &what, "require `pcrs`, or nothing"));
            }
            other => {
                return Err(BadFile::at(
                    text.referenced,
                    format!("`{other}` is not a check"),
                    "write `require: [pcrs]` or `[]`",
                ));
            }
        };
        if !checks.insert(check) {
            return Err(BadFile::at(
                text.referenced,
                format!("`{}` is required twice", text.value),
                "name each check once",
            ));
        }
    }
    Ok(checks)
}

fn on_failure(text: Text) -> Checked<()> {
    let Some(text) = text else { return Ok(()) };
    let advice = "write `on_failure: withhold`";
    match text.value.as_str() {
        "withhold" => Ok(()),
        "lock" | "erase" => {
            Err(later(text.referenced, &format!("attest.on_failure: {}", text.value), advice))
        }
        other => {
            Err(BadFile::at(text.referenced, format!("`{other}` is not an answer to a failure"), advice))
        }
    }
}

/// Durations as whole seconds, so that the canonical form has one spelling.
mod seconds {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}
