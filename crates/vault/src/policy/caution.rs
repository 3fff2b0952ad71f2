//! What an operator should know of a policy that is good as it is.

use super::VaultPolicy;
use crate::section::Seal;

/// One thing that he should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caution {
    /// The share is sealed to a measured boot: after an update the vault opens by its node's bundle in escrow alone, once the boot is approved.
    SealedToBoot,
    /// Whoever has an identity of one of so many recipients, and the node's disk, opens the vault by nothing else.
    Recovery(usize),
    /// Of the evidence nothing is required but whose it is, and of which session.
    NothingRequired,
}

impl VaultPolicy {
    /// All that he should know.
    #[must_use]
    pub fn cautions(&self) -> Vec<Caution> {
        let unasked = self.node.custody.needs_controller() && self.attest.require.is_empty();
        let recipients = self.node.recovery.all().len();
        let all = [
            (self.node.seal == Seal::Pcrs, Caution::SealedToBoot),
            (unasked, Caution::NothingRequired),
            (recipients > 0, Caution::Recovery(recipients)),
        ];
        all.into_iter().filter_map(|(holds, caution)| holds.then_some(caution)).collect()
    }
}
