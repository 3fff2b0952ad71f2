//! Whether anything measured the boot: PCRs that stand where a reset puts them say nothing of what runs, on whichever machine.

use crate::bank::PcrDigest;
use crate::checks::PcrValues;
use crate::references::called;
use serde::{Deserialize, Serialize};

/// What firmware measures itself into, and the code that it starts: a boot that leaves one of them untouched was not measured.
const BOOT: [u8; 2] = [0, 4];
/// PCRs that begin at all ones, and at zeros after a dynamic launch (TCG PC Client Platform TPM Profile, "PCR Initial and Reset Values").
const DYNAMIC: std::ops::RangeInclusive<u8> = 17..=22;
/// PCR 0 begins with the locality of TPM2_Startup, or 4 after an H-CRTM, in its last byte.
const LAST_LOCALITY: u8 = 4;

/// The PCR stands where a reset puts it, in whichever bank: nothing was extended into it since.
#[must_use]
pub fn at_reset(pcr: u8, value: &[u8]) -> bool {
    let Some((last, head)) = value.split_last() else { return true };
    let begins = if pcr == 0 { *last <= LAST_LOCALITY } else { *last == 0 };
    let all = |bytes: &[u8], are: u8| bytes.iter().all(|byte| *byte == are);
    (begins && all(head, 0)) || (DYNAMIC.contains(&pcr) && all(value, 0xff))
}

/// What shows that nothing measured a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unmeasured {
    /// These PCRs stand at their reset value.
    #[error("{} at the reset value", called(.0))]
    Untouched(Vec<u8>),
    /// No PCR was quoted.
    #[error("the TPM has no SHA-256 or SHA-384 bank of PCRs")]
    NoBank,
}

/// Whether nothing measured this boot, and what shows it: PCR 0 or 4 at its reset value, or all that there are. Most machines leave
/// some others untouched, so those alone prove nothing.
///
/// Does not establish, of a boot that was measured, by whom: whoever runs before the firmware's measuring can feign it.
#[must_use]
pub fn unmeasured(pcrs: &PcrValues) -> Option<Unmeasured> {
    let untouched = |(pcr, value): (&u8, &PcrDigest)| at_reset(*pcr, value.as_bytes()).then_some(*pcr);
    let all: Vec<u8> = pcrs.iter().filter_map(untouched).collect();
    let boot: Vec<u8> = all.iter().copied().filter(|pcr| BOOT.contains(pcr)).collect();
    match (all, boot) {
        _ if pcrs.is_empty() => Some(Unmeasured::NoBank),
        (all, _) if all.len() == pcrs.len() => Some(Unmeasured::Untouched(all)),
        (_, boot) => (!boot.is_empty()).then_some(Unmeasured::Untouched(boot)),
    }
}
