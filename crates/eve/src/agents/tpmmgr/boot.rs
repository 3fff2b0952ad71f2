//! The boot that P is bound to, PCR by PCR: the TPM keeps only a digest over all of them, and people ask which one moved. A file in
//! `config/`, believed only where it gives the very digest that lies in the TPM; without it nothing is lost but the names.

use anyhow::Context;
use tpm::{PcrBank, PcrPolicy, PcrValues, pcr_policy_digest};

use super::super::keep::Kept;

/// PCR values as text, a line `NUMBER HEX` for each.
fn text(values: &PcrValues) -> String {
    values.as_slice().iter().map(|(pcr, value)| format!("{pcr} {}\n", hex::encode(value))).collect()
}

/// The values in `bank`: whose they are is not written down, the TPM's digest says it.
fn parse(text: &[u8], bank: PcrBank) -> Option<PcrValues> {
    let line = |line: &str| {
        let (pcr, value) = line.split_once(' ')?;
        Some((pcr.parse().ok()?, hex::decode(value).ok()?))
    };
    let values: Option<Vec<_>> = std::str::from_utf8(text).ok()?.lines().map(line).collect();
    PcrValues::new(bank, values?).ok()
}

fn is_of(values: &PcrValues, policy: &PcrPolicy) -> bool {
    policy.branches().contains(&pcr_policy_digest(values))
}

/// Writes `now` down, if it is a boot that reads P and not written yet.
pub(super) fn keep_values(file: &Kept, policy: &PcrPolicy, now: &PcrValues) -> anyhow::Result<()> {
    let written = file.read().context("config/boot-pcrs")?;
    match text(now) {
        text if is_of(now, policy) && *written != text.as_bytes() => {
            file.write(text.as_bytes()).context("config/boot-pcrs")
        }
        _ => Ok(()),
    }
}

/// The PCRs that differ from the boot that P is bound to; none when nothing tells.
pub(super) fn differing(file: &Kept, policy: &PcrPolicy, now: &PcrValues) -> Vec<u8> {
    let bank = policy.selection().bank();
    let written = file.read().ok().and_then(|text| parse(&text, bank)).filter(|values| is_of(values, policy));
    let Some(then) = written else { return Vec::new() };
    now.as_slice()
        .iter()
        .filter(|(pcr, value)| then.get(*pcr) != Some(value.as_slice()))
        .map(|(pcr, _)| *pcr)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u8; 0] = [];

    fn values(four: u8) -> PcrValues {
        in_bank(PcrBank::Sha256, four)
    }

    fn in_bank(bank: PcrBank, four: u8) -> PcrValues {
        let value = |fill| vec![fill; bank.size()];
        PcrValues::new(bank, vec![(0, value(1)), (4, value(four)), (9, value(3))]).expect("values")
    }

    /// Seen-by-users 0.18: names come from the file, and only of the boot that the TPM's digest is of.
    #[test]
    fn the_pcr_that_moved_is_named_and_never_by_a_file_that_the_tpm_does_not_bear_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = super::super::super::keep::open(&disk::Disk::linux(), &dir.path().join("boot-pcrs"))
            .expect("opens");
        let policy = PcrPolicy::of_states(&[values(2)]).expect("a policy");
        assert_eq!(differing(&file, &policy, &values(7)), NONE, "nothing is written yet");
        keep_values(&file, &policy, &values(7)).expect("is passed over");
        assert_eq!(differing(&file, &policy, &values(7)), NONE, "another boot is not kept");
        keep_values(&file, &policy, &values(2)).expect("writes");
        assert_eq!(differing(&file, &policy, &values(7)), [4]);
        assert_eq!(differing(&file, &policy, &values(2)), NONE);
        let whole = file.read().expect("reads").to_vec();
        for damaged in [&whole[..whole.len() / 2], b"4 zz\n", b"", &text(&values(8)).into_bytes()] {
            file.write(damaged).expect("writes");
            assert_eq!(differing(&file, &policy, &values(7)), NONE, "{damaged:?}");
        }
        keep_values(&file, &policy, &values(2)).expect("heals");
        assert_eq!(differing(&file, &policy, &values(7)), [4]);
        let other = |four| in_bank(PcrBank::Sha384, four);
        let policy = PcrPolicy::of_states(&[other(2)]).expect("a policy");
        assert_eq!(differing(&file, &policy, &other(7)), NONE, "values of the other bank");
        keep_values(&file, &policy, &other(2)).expect("writes");
        assert_eq!(differing(&file, &policy, &other(7)), [4], "issue 7: in the SHA-384 bank as well");
    }
}
