//! A poll as it was signed. It says nothing of when that was: so one that says what the last one said goes as it was signed then. No TPM is asked
//! for another signature, and a controller that told it that nothing is new knows it by its bytes.
//! One that failed is not kept: whatever was wrong with it, the next one is signed anew.

use wire::envelope::seal_from_device;
use wire::{CertDigest, Certificate, SignError, Signer};

pub(super) struct SealedPoll {
    payload: Vec<u8>,
    by: CertDigest,
    body: Vec<u8>,
}

impl SealedPoll {
    /// The one before, where it says the same and is of the same certificate; else a new one.
    ///
    /// # Errors
    /// [`SignError`] of the signer.
    pub(super) fn of(
        before: Option<Self>,
        payload: Vec<u8>,
        cert: &Certificate,
        signer: &dyn Signer,
    ) -> Result<Self, SignError> {
        let by = cert.digest();
        if let Some(same) = before.filter(|before| before.payload == payload && before.by == by) {
            return Ok(same);
        }
        let body = seal_from_device(&payload, cert, signer)?;
        Ok(Self { payload, by, body })
    }

    /// As it is sent.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use wire::envelope::DeviceEnvelope;
    use wire::{FileSigner, Signature};

    use super::*;

    /// Signs, and counts how often.
    struct Counting<'a>(&'a FileSigner, std::cell::Cell<usize>);

    impl Signer for Counting<'_> {
        fn sign(&self, payload: &[u8]) -> Result<Signature, SignError> {
            self.1.set(self.1.get() + 1);
            self.0.sign(payload)
        }
    }

    fn own() -> (Certificate, FileSigner) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(Vec::new()).and_then(|params| params.self_signed(&key));
        let cert = Certificate::from_der(cert.expect("signed").der()).expect("reads");
        (cert, FileSigner::from_der(&key.serialize_der()).expect("of P-256"))
    }

    /// What says the same is not signed again; what says something else, what comes from another certificate, and what failed, is. Each is good.
    #[test]
    fn a_poll_is_signed_when_it_says_something_else() {
        let [(cert, key), (other, other_key)] = [own(), own()];
        let (signer, other_signer) = (Counting(&key, 0.into()), Counting(&other_key, 0.into()));
        let mut last = None;
        for (payload, renewed, forgets, signs, why) in [
            ("one", false, false, 1, "the first"),
            ("one", false, false, 0, "the same"),
            ("two", false, false, 1, "another"),
            ("one", false, false, 1, "and back"),
            ("one", false, true, 1, "it failed"),
            ("one", true, false, 1, "of another certificate"),
            ("one", true, false, 0, "the same of that"),
        ] {
            let before = last.take().filter(|_| !forgets);
            let (cert, signer) = if renewed { (&other, &other_signer) } else { (&cert, &signer) };
            signer.1.set(0);
            let sealed = SealedPoll::of(before, payload.into(), cert, signer).expect("signed");
            assert_eq!(signer.1.get(), signs, "{why}");
            let opened = DeviceEnvelope::parse(sealed.body()).and_then(|envelope| envelope.verify(cert));
            assert_eq!(opened.as_deref(), Ok(payload.as_bytes()), "{why}");
            last = Some(sealed);
        }
    }
}
