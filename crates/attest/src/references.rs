//! Reference values: PCR values that an operator approved, against those that were quoted.

use serde::{Deserialize, Serialize};

use crate::appraisal::{Finding, Unchecked, Verdict};
use crate::bank::PcrDigest;
use crate::checks::PcrValues;
use crate::measured::unmeasured;

/// One PCR that differs from a reference value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its number.
    pub pcr: u8,
    /// As approved; absent when the reference value does not have it.
    pub was: Option<PcrDigest>,
    /// As quoted; absent when it was not quoted.
    pub is: Option<PcrDigest>,
}

/// The PCRs are exactly those of one of the `approved` reference values. [`Verdict::NotChecked`] when there is none, and always of a
/// boot that nothing measured ([`unmeasured`]): PCRs at their reset value are the same under any software. A value of one bank meets
/// none of another.
///
/// Does not establish that these values were quoted ([`crate::composite`]), nor what software they stand for: an operator said
/// that they are good.
#[must_use]
pub fn references(approved: &[PcrValues], pcrs: &PcrValues) -> Verdict {
    if let Some(why) = unmeasured(pcrs) {
        return Verdict::NotChecked(Unchecked::NotMeasured(why));
    }
    let nearest = approved.iter().map(|good| differences(good, pcrs)).min_by_key(Vec::len);
    match nearest {
        None => Verdict::NotChecked(Unchecked::NoneApproved),
        Some(differences) if differences.is_empty() => Verdict::Passed,
        Some(differences) => {
            let numbers: Vec<u8> = differences.iter().map(|d| d.pcr).collect();
            Verdict::Failed(Finding::Pcrs { pcrs: list(&numbers), differences })
        }
    }
}

fn differences(good: &PcrValues, pcrs: &PcrValues) -> Vec<Difference> {
    let mut numbers: Vec<u8> = good.keys().chain(pcrs.keys()).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let difference = |pcr| Difference { pcr, was: good.get(&pcr).copied(), is: pcrs.get(&pcr).copied() };
    numbers.into_iter().map(difference).filter(|d| d.was != d.is).collect()
}

/// Numbers as text.
pub(crate) fn list(numbers: &[u8]) -> String {
    numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// PCRs by their numbers, as people write one and several.
#[must_use]
pub fn called(numbers: &[u8]) -> String {
    called_by(&list(numbers))
}

/// The same of numbers that are text already.
fn called_by(numbers: &str) -> String {
    format!("PCR{} {numbers}", if is_one(numbers) { "" } else { "s" })
}

pub(crate) fn differ(numbers: &str) -> String {
    format!("{} differ{}", called_by(numbers), if is_one(numbers) { "s" } else { "" })
}

fn is_one(numbers: &str) -> bool {
    !numbers.contains(',')
}

pub(crate) fn describe(differences: &[Difference]) -> String {
    let short = |value: &Option<PcrDigest>| match value {
        None => "absent".to_owned(),
        Some(v) => v.as_bytes()[..4].iter().map(|b| format!("{b:02x}")).collect(),
    };
    let one = |d: &Difference| format!("PCR {} was {} is {}", d.pcr, short(&d.was), short(&d.is));
    differences.iter().map(one).collect::<Vec<_>>().join("; ")
}
