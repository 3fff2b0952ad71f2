//! Whether anything measured the boot: PCRs that stand where a reset puts them say nothing of what runs, on whichever machine.

use crate::checks::PcrValues;

/// What firmware measures itself into, and the code that it starts: a boot that leaves one of them untouched was not measured.
const BOOT: [u8; 2] = [0, 4];
/// PCRs that begin at all ones, and at zeros after a dynamic launch (TCG PC Client Platform TPM Profile, "PCR Initial and Reset Values").
const DYNAMIC: std::ops::RangeInclusive<u8> = 17..=22;
/// PCR 0 begins with the locality of TPM2_Startup, or 4 after an H-CRTM, in its last byte.
const LAST_LOCALITY: u8 = 4;

/// The PCR stands where a reset puts it: nothing was extended into it since.
#[must_use]
pub fn at_reset(pcr: u8, value: &[u8; 32]) -> bool {
    let (head, last) = (&value[..31], value[31]);
    let begins = if pcr == 0 { last <= LAST_LOCALITY } else { last == 0 };
    (begins && head == [0; 31]) || (DYNAMIC.contains(&pcr) && *value == [0xff; 32])
}

/// Which PCRs show that nothing measured this boot; none when something did. They are PCR 0 or 4 at their reset value, or all that
/// there are. Most machines leave some others untouched, so those alone prove nothing.
///
/// Does not establish, of a boot that was measured, by whom: whoever runs before the firmware's measuring can feign it.
#[must_use]
pub fn unmeasured(pcrs: &PcrValues) -> Vec<u8> {
    let untouched: Vec<u8> =
        pcrs.iter().filter(|(pcr, value)| at_reset(**pcr, value)).map(|(pcr, _)| *pcr).collect();
    if untouched.len() == pcrs.len() {
        return untouched;
    }
    untouched.into_iter().filter(|pcr| BOOT.contains(pcr)).collect()
}
