//! Why a key is withheld, for the operator: what is wrong and what to do.

use std::time::Duration;

use ::attest::Unchecked;
use vault::decide::{Unmet, Withheld};
use vault::policy::Check;

const LOST: &str = "`evc device found` takes the mark off, if it is in good hands again";
const DOUBLED: &str =
    "see `evc describe device`, take the copy away, then `evc device settle` with `--confirm`";

/// Why: in a few words, for a line; and with what to do, for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) short: String,
    pub(crate) whole: String,
}

impl Why {
    /// What is, and what to do about it.
    pub(crate) fn of(what: impl Into<String>, more: impl std::fmt::Display) -> Self {
        let short = what.into();
        Self { whole: format!("{short}; {more}"), short }
    }

    /// All of it is said in a line.
    pub(crate) fn plain(what: impl Into<String>) -> Self {
        let short = what.into();
        Self { whole: short.clone(), short }
    }

    /// With why it was so before.
    pub(crate) fn and_before(self, before: &Self) -> Self {
        let Self { short, whole } = self;
        Self { short, whole: format!("{whole}; before that: {}", before.whole) }
    }

    pub(crate) fn after(self, word: &str) -> Self {
        let Self { short, whole } = self;
        Self { short: format!("{word}: {short}"), whole: format!("{word}: {whole}") }
    }
}

pub(crate) fn withheld(why: &Withheld) -> Why {
    match why {
        Withheld::NoEvidence => {
            Why::of("this session has given no evidence yet", "it is challenged at each poll")
        }
        Withheld::OtherSession => {
            Why::of("the evidence is of an earlier session", "the new one is challenged at each poll")
        }
        Withheld::MustQuote => {
            Why::of("the node has to answer with a quote of its TPM and did not", "see that its TPM works")
        }
        Withheld::TooOld { age_s } => too_old(*age_s),
        Withheld::FromTheFuture => {
            Why::of("the evidence is newer than the controller's clock", "set the controller's clock right")
        }
        Withheld::WentBack { why } => Why::of(
            why.to_string(),
            "this is not the TPM, or not the quote, that is due: see what happened to the node",
        ),
        Withheld::NoTpm => {
            Why::of("the custody asks for a TPM and the node has none", "use `custody: controller`")
        }
        Withheld::Failed { check: Check::Pcrs, why } => unmet(why).after("pcrs"),
        Withheld::LockedByOperator => Why::plain("the policy says `operation: lock`"),
        Withheld::BeingRemoved => Why::of("the vault is being removed", "apply it again to keep it"),
        Withheld::Retained => Why::of("the vault was removed, and is retained", "apply it again to use it"),
        Withheld::DeviceLost => Why::of("the device is marked as lost", LOST),
        Withheld::DeviceDoubled => Why::of("the device may be two", DOUBLED),
        Withheld::KeyUnopened => key_unopened(),
    }
}

fn key_unopened() -> Why {
    let short = "the controller's key of the newest epoch is absent or does not open".to_owned();
    let whole = format!(
        "{short}: stop evc, and put back the newest good copy of evc.db with the `kek` that belongs to it"
    );
    Why { short, whole }
}

fn too_old(age_s: u64) -> Why {
    let age = humantime::format_duration(Duration::from_secs(age_s));
    Why::of(
        format!("the evidence is {age} old and was not renewed"),
        "see that the node reaches the controller",
    )
}

fn unmet(why: &Unmet) -> Why {
    match why {
        Unmet::NoTpm => Why::plain("a node without a TPM has no measured state"),
        Unmet::Found(finding) => Why { short: finding.in_short(), whole: finding.to_string() },
        Unmet::Unchecked(why @ Unchecked::NotMeasured(_)) => Why::of(
            format!("{why}, so any software would show the same"),
            "see that the node's firmware measures its boot into the TPM's SHA-256 or SHA-384 bank, or do without `require: [pcrs]`",
        ),
        Unmet::Unchecked(Unchecked::First | Unchecked::NoneApproved) => {
            Why::of("no reference value is approved for this device", "see `evc reference list`")
        }
    }
}
