//! Quotes: the AK's signature over PCRs and qualifying data, together with the very values that were quoted.

use tss_esapi::structures::{Attest, AttestInfo, Data};
use tss_esapi::traits::Marshall;

use crate::keys;
use crate::shell::Shell;
use crate::signature::ecdsa_sha256;
use crate::{CommandError, Digest32, EcdsaSignature, Meaning, PcrSelection, PcrValues, QuoteError};

/// How often a quote is made anew because its PCRs moved before they were read.
const ATTEMPTS: u32 = 5;

/// A quote. What it proves is for `attest` to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST, without a size before it.
    pub attest: Vec<u8>,
    /// The AK's signature over the SHA-256 of `attest`.
    pub signature: EcdsaSignature,
    /// The values that the quote's digest is over; none where the TPM has no such bank: then it is over no PCR.
    pub pcr_values: Option<PcrValues>,
}

impl Shell {
    /// Quotes in the open: nothing in a quote is secret, and it is protected by its own signature.
    pub(crate) fn quote(
        &mut self,
        qualifying_data: &[u8; 32],
        selection: PcrSelection,
    ) -> Result<Quote, QuoteError> {
        for _ in 0..ATTEMPTS {
            let (attest, signature) = self.quote_once(qualifying_data, selection)?;
            // At whatever moments: the quote's own digest tells whether they are those quoted.
            let pcr_values = match self.read_pcrs_once(selection) {
                Ok((values, _)) => Some(values),
                Err(error) if error.meaning() == Some(Meaning::NoBank) => None,
                Err(error) => return Err(error.into()),
            };
            let composite = pcr_values.as_ref().map_or(Digest32::of(&[]), PcrValues::composite);
            if quoted_digest(&attest) == Some(&composite.0) {
                let attest = attest.marshall().map_err(|error| CommandError::new("Quote", error))?;
                return Ok(Quote { attest, signature, pcr_values });
            }
        }
        Err(QuoteError::Unsteady { attempts: ATTEMPTS })
    }

    fn quote_once(
        &mut self,
        qualifying_data: &[u8; 32],
        selection: PcrSelection,
    ) -> Result<(Attest, EcdsaSignature), QuoteError> {
        let key = self.identity_key(&keys::AK)?;
        let (attest, signature) = self.run_open("Quote", |context| {
            context.quote(key, Data::try_from(&qualifying_data[..])?, ecdsa_sha256(), selection.to_tss()?)
        })?;
        Ok((attest, EcdsaSignature::from_tpm(&signature, "Quote")?))
    }
}

fn quoted_digest(attest: &Attest) -> Option<&[u8]> {
    match attest.attested() {
        AttestInfo::Quote { info } => Some(info.pcr_digest().value()),
        _ => None,
    }
}
