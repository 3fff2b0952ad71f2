//! Counts what is asked of the TPM, so that a bench can show that one vault and thirty-two cost the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one [`Tpm`](crate::Tpm) has asked for since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commands {
    /// Calls into the TSS that send a command to the TPM.
    pub calls: u64,
    /// Reads of a root out of NV, whatever came of them. (The list of PCR states beside P is no root.)
    pub root_reads: u64,
}

/// The same, shared between the worker that counts and the handle that tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<[AtomicU64; 2]>);

impl Counts {
    pub(crate) fn call(&self) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn root_read(&self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Commands {
        let [calls, root_reads] = [0, 1].map(|i: usize| self.0[i].load(Ordering::Relaxed));
        Commands { calls, root_reads }
    }
}
