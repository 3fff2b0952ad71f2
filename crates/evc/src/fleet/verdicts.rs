//! Verdicts on evidence, remembered by all that was judged: judging is pure, so what is remembered can't be out of date, and nothing has
//! to end it. Lost at any time, it is judged again.
//! It holds what `attest` found good, under the SHA-256 of every byte that went in: no key, no secret, nothing of a policy. It never holds a
//! decision: that depends on the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::evidence::{ATTESTATION_CERT, Refused, Shown, judge};
use crate::store::{CertRow, DeviceRow, Pcrs, Record, ReferenceRow, ReferenceState};

/// So many are remembered. Beyond them all are forgotten: each costs one verification to know again.
const MOST: usize = 4096;

/// Of good evidence, what it showed.
#[derive(Default)]
pub struct Verdicts(Mutex<HashMap<[u8; 32], Arc<Shown>>>);

impl Verdicts {
    /// As [`judge`].
    ///
    /// # Errors
    /// [`Refused`]: it is worth nothing. That is not remembered.
    pub(crate) fn judge(
        &self,
        record: &Record,
        device: &DeviceRow,
        certs: &[CertRow],
        references: &[ReferenceRow],
    ) -> Result<Arc<Shown>, Refused> {
        let judged = inputs(record, device, certs, references);
        if let Some(known) = self.held(|all| all.get(&judged).cloned()) {
            return Ok(known);
        }
        let shown = Arc::new(judge(record, device, certs, references)?);
        self.held(|all| {
            if all.len() >= MOST {
                all.clear();
            }
            all.insert(judged, shown.clone());
        });
        Ok(shown)
    }

    fn held<T>(&self, look: impl FnOnce(&mut HashMap<[u8; 32], Arc<Shown>>) -> T) -> T {
        // Whoever panicked had put a whole verdict in, or none.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Each part with its length before it: no two inputs make one text.
struct Inputs(Context);

impl Inputs {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn maybe(&mut self, bytes: Option<&[u8]>) {
        self.part(&[u8::from(bytes.is_some())]);
        self.part(bytes.unwrap_or_default());
    }

    fn pcrs(&mut self, Pcrs(values): &Pcrs) {
        self.part(&[values.len() as u8]);
        for (pcr, value) in values {
            self.part(&[*pcr]);
            self.part(value.as_bytes());
        }
    }
}

/// All that [`judge`] looks at.
fn inputs(record: &Record, device: &DeviceRow, certs: &[CertRow], references: &[ReferenceRow]) -> [u8; 32] {
    // Named one by one: a new field is not forgotten here.
    let Record { session, nonce, claims, attest_data, signature, device_signature, pcrs, before } = record;
    let mut inputs = Inputs(Context::new(&SHA256));
    for bytes in [&session[..], nonce, claims, attest_data, signature] {
        inputs.part(bytes);
    }
    for text in [device_signature, before] {
        inputs.maybe(text.as_ref().map(String::as_bytes));
    }
    inputs.pcrs(pcrs);
    inputs.part(format!("{:?}", device.tpm).as_bytes());
    inputs.part(&device.cert_der);
    for cert in certs.iter().filter(|cert| cert.kind == ATTESTATION_CERT) {
        inputs.part(b"ak");
        inputs.maybe(cert.public.as_deref());
    }
    for good in references.iter().filter(|row| row.state == ReferenceState::Approved) {
        inputs.part(b"reference");
        inputs.pcrs(&good.pcrs);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(inputs.0.finish().as_ref());
    digest
}
