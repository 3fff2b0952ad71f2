//! Whether a policy can ever be met on a device. That turns on nothing of a device but its TPM.

use crate::decide::TpmPin;
use crate::ids::{CONFIG_VAULT, VaultId};
use crate::policy::{Check, VaultPolicy};

/// That a policy can be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Yes,
    /// It asks for a TPM, and the device has not told yet whether it has one.
    NotKnownYet,
}

/// Why a policy can never be met on a device without a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A part of the key is a TPM's.
    #[error("its custody needs a TPM")]
    Custody,
    /// A device without a TPM quotes no PCRs.
    #[error("it requires measured PCRs")]
    Pcrs,
}

/// Holds a policy against a device's TPM.
///
/// # Errors
/// [`Unfit`]: its vault would never open there.
pub fn fits(policy: &VaultPolicy, tpm: TpmPin) -> Result<Fit, Unfit> {
    match (unmet_without_tpm(policy), tpm) {
        (None, _) | (Some(_), TpmPin::Present) => Ok(Fit::Yes),
        (Some(_), TpmPin::Unknown) => Ok(Fit::NotKnownYet),
        (Some(unfit), TpmPin::Absent) => Err(unfit),
    }
}

fn unmet_without_tpm(policy: &VaultPolicy) -> Option<Unfit> {
    if policy.node.custody.needs_tpm() {
        return Some(Unfit::Custody);
    }
    policy.attest.require.contains(&Check::Pcrs).then_some(Unfit::Pcrs)
}

/// Why a policy is none for a default vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitDefault {
    /// It has a lease: the node opens its default vaults by itself.
    #[error("it has a lease")]
    Lease,
    /// It has a storage limit, and the Config Vault holds what the node has to write.
    #[error("it has a storage limit")]
    Limit,
}

/// Holds a policy against a default vault: none has a lease, and the Config Vault no storage limit.
///
/// # Errors
/// [`UnfitDefault`].
pub fn fits_default(policy: &VaultPolicy, vault: VaultId) -> Result<(), UnfitDefault> {
    match &policy.node {
        node if node.lease.is_some() => Err(UnfitDefault::Lease),
        node if node.storage_limit.is_some() && vault == CONFIG_VAULT => Err(UnfitDefault::Limit),
        _ => Ok(()),
    }
}
