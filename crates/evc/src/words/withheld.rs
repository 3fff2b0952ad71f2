//! Why a key is withheld, for the operator: what is wrong and what to do.

use std::time::Duration;

use ::attest::Unchecked;
use vault::decide::{Unmet, Withheld};
use vault::policy::Check;

const LOST: &str =
    "the device is marked as lost; `evc device found` takes the mark off, if it is in good hands again";
const DOUBLED: &str = "the device may be two: see `evc describe device`, take the copy away, then `evc device settle` with `--confirm`";
const KEY_UNOPENED: &str = "the controller's key of the newest epoch is absent or does not open: stop evc, and put back the newest good copy of evc.db with the `kek` that belongs to it";

pub(crate) fn withheld(why: &Withheld) -> String {
    match why {
        Withheld::NoEvidence => {
            "this session has given no evidence yet; it is challenged at each poll".into()
        }
        Withheld::OtherSession => {
            "the evidence is of an earlier session; the new one is challenged at each poll".into()
        }
        Withheld::MustQuote => {
            "the node has to answer with a quote of its TPM and did not; see that its TPM works".into()
        }
        Withheld::TooOld { age_s } => too_old(*age_s),
        Withheld::FromTheFuture => {
            "the evidence is newer than the controller's clock; set the controller's clock right".into()
        }
        Withheld::WentBack { why } => {
            format!(
                "{why}; this is not the TPM, or not the quote, that is due: see what happened to the node"
            )
        }
        Withheld::NoTpm => {
            "the custody asks for a TPM and the node has none; use `custody: controller`".into()
        }
        Withheld::Failed { check: Check::Pcrs, why } => format!("pcrs: {}", unmet(why)),
        Withheld::LockedByOperator => "the policy says `operation: lock`".into(),
        Withheld::BeingRemoved => "the vault is being removed; apply it again to keep it".into(),
        Withheld::Retained => "the vault was removed, and is retained; apply it again to use it".into(),
        Withheld::DeviceLost => LOST.into(),
        Withheld::DeviceDoubled => DOUBLED.into(),
        Withheld::KeyUnopened => KEY_UNOPENED.into(),
    }
}

fn too_old(age_s: u64) -> String {
    let age = humantime::format_duration(Duration::from_secs(age_s));
    format!("the evidence is {age} old and was not renewed; see that the node reaches the controller")
}

fn unmet(why: &Unmet) -> String {
    match why {
        Unmet::NoTpm => "a node without a TPM has no measured state".into(),
        Unmet::Found(finding) => finding.to_string(),
        Unmet::Unchecked(why @ Unchecked::NotMeasured(_)) => format!(
            "{why}, so any software would show the same; see that the node's firmware measures its boot into the TPM's SHA-256 or SHA-384 bank, or do without `require: [pcrs]`"
        ),
        Unmet::Unchecked(Unchecked::First | Unchecked::NoneApproved) => {
            "no reference value is approved for this device; see `evc reference list`".into()
        }
    }
}
