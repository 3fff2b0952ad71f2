//! An attestation key in software that writes quotes as a TPM would: for tests, since only `attest` makes an appraisal, and only of a quote.
//! Structures: TPM 2.0 Library, Part 2, TPM2B_PUBLIC and TPMS_ATTEST.

use attest::{PcrBank, PcrDigest, PcrValues, SessionKey, qualifying_data};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// The key, and the counters that a quote tells.
pub(crate) struct FakeTpm {
    key: EcdsaKeyPair,
    pub(crate) reset_count: u32,
    pub(crate) clock_ms: u64,
    pub(crate) firmware: u64,
}

impl FakeTpm {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self { key, reset_count: 5, clock_ms: 1000, firmware: 1 }
    }

    /// TPM2B_PUBLIC of a restricted signing key that never leaves its TPM.
    pub(crate) fn ak(&self) -> Vec<u8> {
        // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
        let attributes: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 18;
        let mut area = vec![0x00, 0x23, 0x00, 0x0b];
        area.extend(attributes.to_be_bytes());
        area.extend([0x00, 0x00]);
        area.extend([0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10]);
        let point = self.key.public_key().as_ref();
        area.extend(sized(&point[1..33]));
        area.extend(sized(&point[33..]));
        sized(&area)
    }

    /// TPMS_ATTEST and its signature, for a nonce, session and claims.
    pub(crate) fn quote(
        &self,
        nonce: &[u8; 32],
        session: &SessionKey,
        claims: &[u8],
        pcrs: &PcrValues,
    ) -> (Vec<u8>, Vec<u8>) {
        let mask = pcrs.keys().fold(0_u32, |mask, pcr| mask | 1 << pcr);
        let values: Vec<u8> = pcrs.values().flat_map(PcrDigest::as_bytes).copied().collect();
        let of_sha384 = pcrs.values().any(|value| value.bank() == PcrBank::Sha384);
        let mut quote = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18];
        quote.extend(sized(&[0; 34]));
        quote.extend(sized(&qualifying_data(nonce, session, claims)));
        quote.extend(self.clock_ms.to_be_bytes());
        quote.extend(self.reset_count.to_be_bytes());
        quote.extend([0, 0, 0, 0, 1]);
        quote.extend(self.firmware.to_be_bytes());
        quote.extend([0, 0, 0, 1, 0x00, if of_sha384 { 0x0c } else { 0x0b }, 3]);
        quote.extend(&mask.to_le_bytes()[..3]);
        quote.extend(sized(digest(&SHA256, &values).as_ref()));
        let signature = self.key.sign(&SystemRandom::new(), &quote).expect("signed").as_ref().to_vec();
        (quote, signature)
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes()[..], bytes].concat()
}
