//! Policy digests computed in software, equal to the TPM's own; so a policy can be written for a state that the TPM
//! is not in. Source: TPM 2.0 Library Part 3, TPM2_PolicyPCR and TPM2_PolicyOR.

use aws_lc_rs::digest::{Context as Hash, SHA256};

use crate::{Digest32, PcrSelection, PcrValues};

const POLICY_OR: u32 = 0x171;
const POLICY_PCR: u32 = 0x17f;

/// Most PCR states that one root may be read in (TPM2_PolicyOR takes 2 to 8 digests).
pub const MAX_BRANCHES: usize = 8;

/// The digest of a policy, SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyDigest(pub [u8; 32]);

/// The PCR states that may read a root: one to eight, all over one selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrPolicy {
    selection: PcrSelection,
    branches: Vec<PolicyDigest>,
}

/// Why some states are no [`PcrPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// None, or more than eight.
    #[error("a PCR policy has 1 to 8 states, not {0}")]
    Count(usize),
    /// Values over other PCRs than the first state's.
    #[error("all states of a PCR policy are over the same PCRs")]
    Mixed,
}

impl PcrPolicy {
    /// The policy that any of `states` satisfies.
    ///
    /// # Errors
    /// [`BadPolicy`].
    pub fn of_states(states: &[PcrValues]) -> Result<Self, BadPolicy> {
        let selection = states.first().ok_or(BadPolicy::Count(0))?.selection();
        if states.iter().any(|values| values.selection() != selection) {
            return Err(BadPolicy::Mixed);
        }
        Self::of_branches(selection, states.iter().map(pcr_policy_digest).collect())
    }

    /// The policy whose states have these digests.
    ///
    /// # Errors
    /// [`BadPolicy::Count`].
    pub fn of_branches(selection: PcrSelection, branches: Vec<PolicyDigest>) -> Result<Self, BadPolicy> {
        match branches.len() {
            1..=MAX_BRANCHES => Ok(Self { selection, branches }),
            count => Err(BadPolicy::Count(count)),
        }
    }

    /// The policy that no state satisfies: for a TPM without a bank of PCRs to bind to. What it guards is written, and never read.
    ///
    /// Its digest is a hash of words, so no session of any TPM reaches it.
    #[must_use]
    pub fn nobody(selection: PcrSelection) -> Self {
        let nobody = PolicyDigest(Digest32::of(b"eve-vault: no measured boot").0);
        Self { selection, branches: vec![nobody] }
    }

    /// Whether it is [`Self::nobody`]'s.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        *self == Self::nobody(self.selection)
    }

    /// The PCRs looked at.
    #[must_use]
    pub fn selection(&self) -> PcrSelection {
        self.selection
    }

    /// The states, each as the digest of its TPM2_PolicyPCR.
    #[must_use]
    pub fn branches(&self) -> &[PolicyDigest] {
        &self.branches
    }

    /// What TPM2_PolicyOR is given: a single state twice, as it takes no fewer than two.
    #[must_use]
    pub fn or_list(&self) -> Vec<PolicyDigest> {
        match self.branches.as_slice() {
            [one] => vec![*one, *one],
            many => many.to_vec(),
        }
    }

    /// The digest of the whole policy: `authPolicy` of the NV index.
    #[must_use]
    pub fn digest(&self) -> PolicyDigest {
        policy_or_digest(&self.or_list())
    }
}

/// Digest of TPM2_PolicyPCR over `values`: H(0³² ‖ command ‖ selection ‖ H(values)).
#[must_use]
pub fn pcr_policy_digest(values: &PcrValues) -> PolicyDigest {
    extend_zero(POLICY_PCR, &[&values.selection().marshal(), &values.composite().0])
}

/// Digest of TPM2_PolicyOR over `branches`: H(0³² ‖ command ‖ branches).
#[must_use]
pub fn policy_or_digest(branches: &[PolicyDigest]) -> PolicyDigest {
    let parts: Vec<&[u8]> = branches.iter().map(|branch| &branch.0[..]).collect();
    extend_zero(POLICY_OR, &parts)
}

/// Extends the policy digest of a fresh session, 32 zeros.
fn extend_zero(command: u32, parts: &[&[u8]]) -> PolicyDigest {
    let mut hash = Hash::new(&SHA256);
    hash.update(&[0; 32]);
    hash.update(&command.to_be_bytes());
    parts.iter().for_each(|part| hash.update(part));
    let mut digest = Digest32([0; 32]);
    digest.0.copy_from_slice(hash.finish().as_ref());
    PolicyDigest(digest.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PcrBank;

    fn values(fill: u8) -> PcrValues {
        in_bank(PcrBank::Sha256, fill)
    }

    fn in_bank(bank: PcrBank, fill: u8) -> PcrValues {
        let values = PcrSelection::EVE.iter().map(|i| (i, vec![fill; bank.size()]));
        PcrValues::new(bank, values.collect()).unwrap()
    }

    #[test]
    fn one_to_eight_states_over_the_same_pcrs() {
        let states: Vec<_> = (0..9).map(values).collect();
        assert_eq!(PcrPolicy::of_states(&[]), Err(BadPolicy::Count(0)));
        assert_eq!(PcrPolicy::of_states(&states), Err(BadPolicy::Count(9)));
        assert!(PcrPolicy::of_states(&states[..8]).is_ok());
        let fewer = PcrValues::new(PcrBank::Sha256, vec![(0, vec![0; 32])]).unwrap();
        for other in [fewer, in_bank(PcrBank::Sha384, 0)] {
            assert_eq!(PcrPolicy::of_states(&[values(0), other]), Err(BadPolicy::Mixed));
        }
    }

    #[test]
    fn a_single_state_is_given_twice() {
        let policy = PcrPolicy::of_states(&[values(1)]).unwrap();
        let branch = pcr_policy_digest(&values(1));
        assert_eq!(policy.or_list(), [branch, branch]);
        assert_eq!(policy.digest(), policy_or_digest(&[branch, branch]));
    }
}
