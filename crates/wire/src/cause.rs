//! Causes between `vault::cause` and their codes. What is not known keeps its code and its words.

use vault::cause::Cause;

use crate::error::DecodeError;
use crate::limits::{MAX_WORDS, cut, text};
use crate::pb::vault as pb;

/// The code, and the words for who does not know it.
pub(crate) fn cause_to(cause: &Cause) -> (i32, String) {
    let code = match cause {
        Cause::EvidenceWanted => pb::Cause::EvidenceWanted,
        Cause::EvidenceOutOfDate => pb::Cause::EvidenceOutOfDate,
        Cause::Pcrs => pb::Cause::Pcrs,
        Cause::Evidence => pb::Cause::Evidence,
        Cause::NoTpm => pb::Cause::NoTpm,
        Cause::LockedByOperator => pb::Cause::LockedByOperator,
        Cause::BeingRemoved => pb::Cause::BeingRemoved,
        Cause::Retained => pb::Cause::Retained,
        Cause::DeviceLost => pb::Cause::DeviceLost,
        Cause::DeviceDoubled => pb::Cause::DeviceDoubled,
        Cause::KeyUnopened => pb::Cause::KeyUnopened,
        Cause::NoBundle => pb::Cause::NoBundle,
        Cause::BundleUnopened => pb::Cause::BundleUnopened,
        Cause::Other { code, words } => return (*code, cut(words, MAX_WORDS)),
    };
    (code.into(), cause.to_string())
}

/// The words beside a code that is known are not looked at, but for their bounds.
pub(crate) fn cause(field: &'static str, code: i32, words: String) -> Result<Cause, DecodeError> {
    let words = text(field, words, MAX_WORDS)?;
    Ok(match pb::Cause::try_from(code) {
        Ok(pb::Cause::EvidenceWanted) => Cause::EvidenceWanted,
        Ok(pb::Cause::EvidenceOutOfDate) => Cause::EvidenceOutOfDate,
        Ok(pb::Cause::Pcrs) => Cause::Pcrs,
        Ok(pb::Cause::Evidence) => Cause::Evidence,
        Ok(pb::Cause::NoTpm) => Cause::NoTpm,
        Ok(pb::Cause::LockedByOperator) => Cause::LockedByOperator,
        Ok(pb::Cause::BeingRemoved) => Cause::BeingRemoved,
        Ok(pb::Cause::Retained) => Cause::Retained,
        Ok(pb::Cause::DeviceLost) => Cause::DeviceLost,
        Ok(pb::Cause::DeviceDoubled) => Cause::DeviceDoubled,
        Ok(pb::Cause::KeyUnopened) => Cause::KeyUnopened,
        Ok(pb::Cause::NoBundle) => Cause::NoBundle,
        Ok(pb::Cause::BundleUnopened) => Cause::BundleUnopened,
        Ok(pb::Cause::Unspecified) | Err(_) => Cause::Other { code, words },
    })
}

/// One that may be absent: then there is neither a code nor a word.
pub(crate) fn cause_if_any(
    field: &'static str,
    code: i32,
    words: String,
) -> Result<Option<Cause>, DecodeError> {
    (code != 0 || !words.is_empty()).then(|| cause(field, code, words)).transpose()
}
