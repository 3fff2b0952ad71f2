//! What a policy protects from, in words: the proposal's six threats.

use vault::coverage::{Cover, Threat, coverage, price};
use vault::policy::VaultPolicy;

use crate::api::{CoverView, ThreatView};

/// All six, with and without a TPM.
pub(crate) fn of_policy(policy: &VaultPolicy) -> Vec<ThreatView> {
    let of = |(threat, cover): (Threat, Cover)| of(cover, price(policy, threat));
    let without = coverage(policy, false).map(|row| (!policy.node.custody.needs_tpm()).then(|| of(row)));
    let both = coverage(policy, true).into_iter().zip(without).enumerate();
    both.map(|(at, (row, without_tpm))| ThreatView {
        id: format!("TH-{}", at + 1),
        threat: named(row.0).into(),
        with_tpm: of(row),
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

/// Beside what covers it, what a recovery key costs: nothing where it opens anyway.
fn of(cover: Cover, price: Option<usize>) -> CoverView {
    let (vault, because) = match cover {
        Cover::Closed(ground) => ("closed", ground.to_string()),
        Cover::Once(act) => ("once", act.to_string()),
        Cover::Opens(gap) => return CoverView { vault: "opens".into(), because: gap.to_string() },
    };
    let because = match price {
        None => because,
        Some(1) => format!("{because}; it opens for whoever has the recovery identity too"),
        Some(count) => {
            format!("{because}; it opens for whoever has one of the {count} recovery identities too")
        }
    };
    CoverView { vault: vault.into(), because }
}
