//! Whether firmware measured this boot, and in which bank of PCRs that shows: what is quoted, and sealed to (decision 25).

use tpm::{Meaning, PcrBank, PcrSelection, Tpm};

use super::failure::TpmFailure;

/// What the PCRs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The bank that is quoted and sealed to.
    pub(crate) bank: PcrBank,
    /// Firmware measured the boot into it.
    pub(crate) boot: bool,
}

impl Measured {
    /// The SHA-256 bank where the TPM has it, else the SHA-384 one. A boot that only the latter shows is taken from there. Without either
    /// the SHA-256 bank is asked for, so that a quote says that it is not there.
    pub(crate) fn by(tpm: &mut Tpm) -> Result<Self, TpmFailure> {
        let mut first = None;
        for bank in PcrBank::ALL {
            match shows_a_boot(tpm, bank)? {
                Some(true) => return Ok(Self { bank, boot: true }),
                Some(false) => first = first.or(Some(bank)),
                None => {}
            }
        }
        Ok(Self { bank: first.unwrap_or(PcrBank::Sha256), boot: false })
    }

    /// Its bank as appraisal calls it.
    pub(crate) fn appraised_as(self) -> attest::PcrBank {
        match self.bank {
            PcrBank::Sha256 => attest::PcrBank::Sha256,
            PcrBank::Sha384 => attest::PcrBank::Sha384,
        }
    }
}

/// Whether PCRs 0 and 4 of this bank do not stand at their reset value; none where the TPM has no such bank, or does not know its hash.
fn shows_a_boot(tpm: &mut Tpm, bank: PcrBank) -> Result<Option<bool>, TpmFailure> {
    let pcrs = match tpm.read_pcrs(PcrSelection::new([0, 4])?.in_bank(bank)) {
        Err(error) if matches!(error.meaning(), Some(Meaning::NoBank | Meaning::Unsupported)) => {
            return Ok(None);
        }
        pcrs => pcrs?,
    };
    Ok(Some(!pcrs.as_slice().iter().any(|(pcr, value)| attest::at_reset(*pcr, value))))
}
