//! The device key, as client and zedagent use it: tpmmgr signs.

use std::time::Duration;

use wire::{SignError, Signature, Signer};

use crate::bus::Bus;
use crate::bus::messages::{Bytes, Sign};

/// How long a signature may take: a hardware TPM may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Signs by tpmmgr.
pub(super) struct BusSigner<'a>(pub(super) &'a Bus);

impl Signer for BusSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Signature, SignError> {
        let ask = Sign { payload: Bytes(payload.to_vec()) };
        let signed = self.0.call_patiently(&ask, PATIENCE).map_err(|error| SignError(Box::new(error)))?;
        Signature::try_from(signed.signature.0).map_err(|error| SignError(Box::new(error)))
    }
}
