//! What a policy protects from: the proposal's six threats, each with its reason. A pure reading of the policy and of what the node is;
//! attacks in `tests/` show each cell. It never says of a node that it is safe now: an operator's mark and a rotation are acts.

use crate::policy::{Check, VaultPolicy};
use crate::section::Seal;

/// A threat of the proposal's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Threat {
    /// TH-1: the drive in another machine, read offline.
    DriveRead,
    /// TH-2: the drive in another machine, which poses to the controller as the device.
    DrivePoses,
    /// TH-3: the whole node elsewhere, and the theft is known.
    StolenKnown,
    /// TH-4: the whole node elsewhere, and nobody knows.
    StolenUnknown,
    /// TH-5: something was put into what the node boots.
    BootChanged,
    /// TH-6: a key that wrapped the vault two rotations ago is known.
    KeyGuessed,
}

/// All six, as the proposal numbers them.
pub const THREATS: [Threat; 6] = [
    Threat::DriveRead,
    Threat::DrivePoses,
    Threat::StolenKnown,
    Threat::StolenUnknown,
    Threat::BootChanged,
    Threat::KeyGuessed,
];

/// How a vault fares under one threat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cover {
    /// It stays closed.
    Closed(Ground),
    /// It stays closed once somebody has done his part.
    Once(Act),
    /// It opens.
    Opens(Gap),
}

/// Why it stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Ground {
    /// No key lies on the drive unwrapped.
    #[error("the drive holds ciphertext and wrapped keys alone")]
    WrappedKeys,
    /// The device key, which signs what the controller believes, is in the TPM.
    #[error("the controller believes none but this TPM")]
    DeviceKeyInTpm,
    /// A share of the key is in the TPM.
    #[error("a share of its key is in the TPM")]
    ShareInTpm,
    /// The controller's key goes to approved measurements alone.
    #[error("the controller gives its key to approved measurements alone")]
    PcrsRequired,
    /// The TPM gives its share in the measured state alone.
    #[error("the TPM gives its share to the measured boot alone")]
    PcrsSealed,
}

/// Whose act it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Act {
    /// The operator withholds the controller's key.
    #[error("once the device is marked lost, and restarts")]
    Mark,
    /// The node held the key of an epoch that is given out no more.
    #[error("once its key was rotated twice while the node was away, and it restarts")]
    TwoRotationsAway,
    /// What is known wraps nothing any more.
    #[error("once its key was rotated since")]
    Rotation,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Gap {
    /// Its device key is a file.
    #[error("without a TPM its identity is a file on that drive")]
    IdentityOnDrive,
    /// Nothing outside the node is asked.
    #[error("it opens wherever its node starts: the controller has no part in its key")]
    NoController,
    /// What was booted does not matter.
    #[error("no measurement is asked for: neither `require: [pcrs]` nor `seal: pcrs`")]
    AnyBoot,
    /// A key of the TPM's alone is never replaced.
    #[error("its key is of the TPM alone, and no rotation replaces it")]
    NeverRotated,
}

/// What a policy protects a vault of one node from. `tpm`: the node has one.
#[must_use]
pub fn coverage(policy: &VaultPolicy, tpm: bool) -> [(Threat, Cover); 6] {
    THREATS.map(|threat| (threat, cover(policy, tpm, threat)))
}

/// What a recovery key costs under one threat: so many recipients, of whose identities any one opens the vault beside what covers it. Under the
/// last threat it costs nothing: a rotation replaces it.
#[must_use]
pub fn price(policy: &VaultPolicy, threat: Threat) -> Option<usize> {
    let recipients = policy.node.recovery.all().len();
    (recipients > 0 && threat != Threat::KeyGuessed).then_some(recipients)
}

fn cover(policy: &VaultPolicy, tpm: bool, threat: Threat) -> Cover {
    let custody = policy.node.custody;
    match threat {
        Threat::DriveRead => Cover::Closed(Ground::WrappedKeys),
        Threat::DrivePoses if custody.needs_tpm() => Cover::Closed(Ground::ShareInTpm),
        Threat::DrivePoses if tpm => Cover::Closed(Ground::DeviceKeyInTpm),
        Threat::DrivePoses => Cover::Opens(Gap::IdentityOnDrive),
        Threat::StolenKnown if custody.needs_controller() => Cover::Once(Act::Mark),
        Threat::StolenUnknown if custody.needs_controller() => Cover::Once(Act::TwoRotationsAway),
        Threat::StolenKnown | Threat::StolenUnknown => Cover::Opens(Gap::NoController),
        Threat::BootChanged => boot_changed(policy),
        Threat::KeyGuessed if custody.needs_controller() => Cover::Once(Act::Rotation),
        Threat::KeyGuessed => Cover::Opens(Gap::NeverRotated),
    }
}

fn boot_changed(policy: &VaultPolicy) -> Cover {
    let custody = policy.node.custody;
    if custody.needs_controller() && policy.attest.require.contains(&Check::Pcrs) {
        return Cover::Closed(Ground::PcrsRequired);
    }
    let sealed = custody.needs_tpm() && policy.node.seal == Seal::Pcrs;
    if sealed { Cover::Closed(Ground::PcrsSealed) } else { Cover::Opens(Gap::AnyBoot) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Document, read};

    fn letters(yaml: &str, tpm: bool) -> String {
        let text = format!("kind: VaultPolicy\nname: p\nencryption: aes-256-xts\n{yaml}");
        let Document::Policy(policy) = read(&text).expect("a policy").remove(0).document else {
            panic!("a policy")
        };
        let letter = |(_, cover)| match cover {
            Cover::Closed(_) => 'P',
            Cover::Once(_) => 'o',
            Cover::Opens(_) => 'n',
        };
        coverage(&policy, tpm).map(letter).into_iter().collect()
    }

    /// TH-1 to TH-5: whoever has the drive, and an identity that is kept elsewhere, opens it; without recovery nobody pays for it.
    #[test]
    fn th1_to_th5_recovery_has_its_price() {
        let one =
            "recovery: { recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p] }";
        for (rest, paid) in [("", [None; 6]), (one, [Some(1), Some(1), Some(1), Some(1), Some(1), None])] {
            let text = format!("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n{rest}");
            let Document::Policy(policy) = read(&text).expect("a policy").remove(0).document else {
                panic!("a policy")
            };
            assert_eq!(THREATS.map(|threat| price(&policy, threat)), paid, "{rest}");
        }
    }

    /// TH-1 to TH-6: the proposal's columns, from top to bottom, and ours beside them. `o` is `P` in the columns in which the operator has
    /// marked the device, or has rotated, and `n` in the others.
    #[test]
    fn th1_to_th6_columns() {
        let controller = "custody: controller";
        let both = "custody: tpm+controller";
        let attested = format!("{both}\nattest: {{ every: 15m, require: [pcrs], on_failure: withhold }}");
        assert_eq!(letters("custody: tpm\nseal: tpm", true), "PPnnnn", "TPM key");
        assert_eq!(letters(controller, false), "Pnoono", "controller key, no TPM");
        assert_eq!(letters(controller, true), "PPoono", "controller key, TPM identity");
        assert_eq!(letters(&format!("{both}\nseal: tpm"), true), "PPoono", "both");
        assert_eq!(letters(&format!("{attested}\nseal: tpm"), true), "PPooPo", "both, attested");
        assert_eq!(letters("custody: tpm\nseal: pcrs", true), "PPnnPn", "TPM key, measured");
    }
}
