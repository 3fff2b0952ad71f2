//! What a policy protects from, in words: the proposal's six threats.

use vault::coverage::{Cover, Threat, coverage};
use vault::policy::VaultPolicy;

use crate::api::{CoverView, ThreatView};

/// All six, with and without a TPM.
pub(crate) fn of_policy(policy: &VaultPolicy) -> Vec<ThreatView> {
    let without =
        coverage(policy, false).map(|(_, cover)| (!policy.node.custody.needs_tpm()).then(|| of(cover)));
    let both = coverage(policy, true).into_iter().zip(without).enumerate();
    both.map(|(at, ((threat, cover), without_tpm))| ThreatView {
        id: format!("TH-{}", at + 1),
        threat: named(threat).into(),
        with_tpm: of(cover),
        without_tpm,
    })
    .collect()
}

fn named(threat: Threat) -> &'static str {
    match threat {
        Threat::DriveRead => "the drive is read elsewhere",
        Threat::DrivePoses => "the drive elsewhere, posing as the device",
        Threat::StolenKnown => "the node is stolen, and you know it",
        Threat::StolenUnknown => "the node is stolen, and nobody knows",
        Threat::BootChanged => "what it boots was changed",
        Threat::KeyGuessed => "a key of two rotations ago is known",
    }
}

fn of(cover: Cover) -> CoverView {
    let (vault, because) = match cover {
        Cover::Closed(ground) => ("closed", ground.to_string()),
        Cover::Once(act) => ("once", act.to_string()),
        Cover::Opens(gap) => ("opens", gap.to_string()),
    };
    CoverView { vault: vault.into(), because }
}
