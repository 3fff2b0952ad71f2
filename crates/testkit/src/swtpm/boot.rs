//! What a test node's firmware and loader "measured": a named boot state, into PCRs 0 to 9.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, digest};

/// PCRs that a boot state is measured into.
const PCRS: std::ops::RangeInclusive<u8> = 0..=9;

/// A boot state: equal names give equal PCRs on every TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState {
    name: String,
    changes: Vec<(u8, String)>,
}

impl BootState {
    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), changes: Vec::new() }
    }

    /// The same, but that `what` was measured into one PCR in addition: an implant, an update.
    #[must_use]
    pub fn with_change(mut self, pcr: u8, what: &str) -> Self {
        self.changes.push((pcr, what.into()));
        self
    }

    /// `PCR:sha256=DIGEST,sha384=DIGEST`, as tpm2_pcrextend takes them, in the order of measuring. Firmware measures into each bank; a
    /// TPM passes over those that it does not have.
    pub(super) fn pcrextend_arguments(&self) -> Vec<String> {
        let boot = PCRS.map(|pcr| (pcr, format!("boot state {} pcr {pcr}", self.name)));
        boot.chain(self.changes.iter().cloned())
            .map(|(pcr, event)| {
                format!("{pcr}:sha256={},sha384={}", hex(&SHA256, &event), hex(&SHA384, &event))
            })
            .collect()
    }
}

/// TPM2_PCR_Extend of one PCR in the SHA-256 bank, as it goes over the wire: what a kernel or service measures while it runs.
#[must_use]
pub fn extend_command(pcr: u8, event: &str) -> Vec<u8> {
    const EMPTY_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
    const ONE_SHA256: [u8; 6] = [0, 0, 0, 1, 0x00, 0x0b];
    let digest = digest(&SHA256, event.as_bytes());
    let body = [&[0, 0, 0, pcr][..], &EMPTY_PASSWORD, &ONE_SHA256, digest.as_ref()].concat();
    let size = u32::try_from(10 + body.len()).expect("short");
    [&[0x80, 0x02][..], &size.to_be_bytes(), &0x182_u32.to_be_bytes(), &body].concat()
}

fn hex(hash: &'static Algorithm, event: &str) -> String {
    digest(hash, event.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
