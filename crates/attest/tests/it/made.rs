//! Evidence made in software, field by field, so that each field can be wrong.

use attest::{Input, PcrDigest, PcrValues, SessionKey, qualifying_data};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

pub(crate) const SELECTION: u32 = 0x7FDF; // EVE's 0-4, 6-14.
pub(crate) const GOOD_ATTRIBUTES: u32 = 0x5_0472;

/// An attestation key outside of any TPM.
pub(crate) struct Ak {
    pair: EcdsaKeyPair,
    pub(crate) attributes: u32,
    pub(crate) scheme: u16,
}

impl Ak {
    pub(crate) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { pair, attributes: GOOD_ATTRIBUTES, scheme: 0x18 }
    }

    /// TPM2B_PUBLIC.
    pub(crate) fn public(&self) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let mut area = [0x0023_u16.to_be_bytes(), 0x000B_u16.to_be_bytes()].concat();
        area.extend(self.attributes.to_be_bytes());
        area.extend([0, 0]); // No policy.
        for word in [0x0010, self.scheme, 0x000B, 0x0003, 0x0010_u16] {
            area.extend(word.to_be_bytes()); // Symmetric, scheme, its hash, curve, KDF.
        }
        for coordinate in [&point[1..33], &point[33..65]] {
            sized(&mut area, coordinate);
        }
        let mut public = Vec::new();
        sized(&mut public, &area);
        public
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

/// TPMS_ATTEST of a quote.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) magic: u32,
    pub(crate) kind: u16,
    pub(crate) qualifying: Vec<u8>,
    pub(crate) clock: u64,
    pub(crate) resets: u32,
    pub(crate) restarts: u32,
    pub(crate) safe: bool,
    pub(crate) firmware: u64,
    pub(crate) banks: Vec<(u16, u32)>,
    pub(crate) composite: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

impl Statement {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_be_bytes().to_vec();
        out.extend(self.kind.to_be_bytes());
        sized(&mut out, &[0; 34]);
        sized(&mut out, &self.qualifying);
        out.extend(self.clock.to_be_bytes());
        out.extend(self.resets.to_be_bytes());
        out.extend(self.restarts.to_be_bytes());
        out.push(self.safe.into());
        out.extend(self.firmware.to_be_bytes());
        out.extend(u32::try_from(self.banks.len()).unwrap().to_be_bytes());
        for (bank, mask) in &self.banks {
            out.extend(bank.to_be_bytes());
            out.push(3);
            out.extend(&mask.to_le_bytes()[..3]);
        }
        sized(&mut out, &self.composite);
        out.extend(&self.tail);
        out
    }
}

/// A whole piece of evidence, good until something in it is changed.
pub(crate) struct Evidence {
    pub(crate) ak: Ak,
    pub(crate) statement: Statement,
    pub(crate) pcrs: PcrValues,
    pub(crate) nonce: [u8; 32],
    pub(crate) session: SessionKey,
    pub(crate) claims: Vec<u8>,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) approved: Vec<PcrValues>,
}

impl Evidence {
    pub(crate) fn good() -> Self {
        let (nonce, session, claims) = ([7; 32], SessionKey([9; 32]), b"claims".to_vec());
        let pcrs: PcrValues =
            (0..24u8).filter(|n| SELECTION & (1 << n) != 0).map(|n| (n, [n + 1; 32].into())).collect();
        let statement = Statement {
            magic: 0xFF54_4347,
            kind: 0x8018,
            qualifying: qualifying_data(&nonce, &session, &claims).to_vec(),
            clock: 5000,
            resets: 4,
            restarts: 1,
            safe: true,
            firmware: 0x1234,
            banks: vec![(0x000B, SELECTION)],
            composite: composite(&pcrs),
            tail: Vec::new(),
        };
        Self { ak: Ak::new(), statement, pcrs, nonce, session, claims, before: None, approved: Vec::new() }
    }

    /// The same of a TPM that measures into its SHA-384 bank.
    pub(crate) fn of_sha384() -> Self {
        let mut evidence = Self::good();
        evidence.pcrs.iter_mut().for_each(|(pcr, value)| *value = [pcr + 1; 48].into());
        evidence.statement.banks = vec![(0x000C, SELECTION)];
        evidence.statement.composite = composite(&evidence.pcrs);
        evidence
    }

    pub(crate) fn appraise(&self) -> Result<attest::Appraisal, attest::NotAppraised> {
        let attest_data = self.statement.bytes();
        self.appraise_as(&attest_data, &self.ak.sign(&attest_data))
    }

    pub(crate) fn appraise_as(
        &self,
        attest_data: &[u8],
        signature: &[u8],
    ) -> Result<attest::Appraisal, attest::NotAppraised> {
        attest::appraise(&Input {
            ak: &self.ak.public(),
            attest_data,
            signature,
            pcrs: &self.pcrs,
            nonce: &self.nonce,
            session: &self.session,
            claims: &self.claims,
            selection: SELECTION,
            before: self.before.as_deref(),
            approved: &self.approved,
        })
    }
}

pub(crate) fn composite(pcrs: &PcrValues) -> Vec<u8> {
    let all: Vec<u8> = pcrs.values().flat_map(PcrDigest::as_bytes).copied().collect();
    digest(&SHA256, &all).as_ref().to_vec()
}
