//! What operators are told of what is in the way of an act: a row for each, and its words below.

use vault::ids::{Generation, Name};
use vault::life::Unfit;
use vault::report::State;

use super::Words;
use super::evidence::coarse;
use super::identity::not_let_in;
use super::notes::at_stake;
use crate::custody::SealedRow;
use crate::fleet::evidence::BadEvidence;
use crate::service::{AtStake, InTheWay, Irrevocable};
use crate::store::{UnixSeconds, VaultStanding};

/// What is said to whoever takes a device away that has vaults.
const KEEP: &str = "move them to the device that it became (`evc rehome vault`), or delete them first and wait for their end, but for `config` and `image`; `--force` keeps their keys for a grace (`evc device deleted`), and then throws them away: what is under those opens nowhere";

/// Most damaged rows that are named.
const NAMED: usize = 5;

pub(super) fn in_the_way(cause: &InTheWay) -> Words {
    match cause {
        InTheWay::Taken => taken(),
        InTheWay::OthersName { name } => others_name(name),
        InTheWay::AllowedOtherwise => allowed_otherwise(),
        InTheWay::AllowedElsewhere => allowed_elsewhere(),
        InTheWay::EncryptionOfVaults { policy } => encryption_of_vaults(policy),
        InTheWay::LeaseOfDefault { policy, vault } => lease_of_default(policy, vault),
        InTheWay::LimitOfConfig { policy, vault } => limit_of_config(policy, vault),
        InTheWay::Unfit { policy, device, why } => unfit(policy, device, *why),
        InTheWay::PolicyInUse { policy, vault, device } => policy_in_use(policy, vault, device),
        InTheWay::PolicyOfDeleted { policy, vault, device } => policy_of_deleted(policy, vault, device),
        InTheWay::PolicyOfRule { policy, rule } => policy_of_rule(policy, rule),
        InTheWay::HasVaults { device, vaults } => has_vaults(device, vaults),
        InTheWay::HasBundle { device, received_at } => has_bundle(device, *received_at),
        InTheWay::Unmeasured { reference, device, why } => unmeasured(*reference, device, why),
        InTheWay::BundleInForce { device, generation } => bundle_in_force(device, *generation),
        InTheWay::BundleOver { device, generation, in_force } => bundle_over(device, *generation, *in_force),
        InTheWay::NothingAlike { device, lacking } => nothing_alike(device, lacking),
        InTheWay::SameReference { id } => same_reference(*id),
        InTheWay::CourierOver { device, is_lost } => courier_over(device, *is_lost),
        InTheWay::CourierRefused { device, is_lost, why } => courier_refused(device, *is_lost, why),
        InTheWay::VaultTwice { vault, device, line } => vault_twice(vault, device, *line),
        InTheWay::NotLetIn { device, wished, cause } => not_let_in(device, *wished, cause),
        InTheWay::KeyShut { vault, device } => key_shut(vault, device),
        InTheWay::NotConfirmed { name, act } => not_confirmed(name, act),
    }
}

fn not_confirmed(name: &Name, act: &Irrevocable) -> Words {
    let (problem, thing) = match act {
        Irrevocable::Recreate => (format!("what is in vault `{name}` is lost when it is made anew"), "vault"),
        Irrevocable::Rehome { device } => {
            (format!("the keys of vault `{name}` leave the device `{device}` for good"), "vault")
        }
        Irrevocable::ForgetBundles => {
            (format!("what is forgotten of device `{name}` can't be given back any more"), "device")
        }
        Irrevocable::ForgetDevice => {
            (format!("keys and bundles of device `{name}` can't be given back any more then"), "device")
        }
        Irrevocable::Repin => {
            (format!("whoever has the device key of `{name}` can show the next attestation key"), "device")
        }
        Irrevocable::Identify => (
            format!(
                "what was sent to `{name}` under its identity of now is forgotten, and nothing is released to it before it gave evidence anew; where this database is older than its node, not before that is begun anew"
            ),
            "device",
        ),
        Irrevocable::Force { node } => (at_stake(*node), "vault"),
        Irrevocable::Settle => (
            format!("keys go out again to whoever speaks as `{name}`, and what was seen of it is forgotten"),
            "device",
        ),
        Irrevocable::DeleteDevice { vaults } => (keys_go(vaults), "device"),
    };
    Words::new(problem, format!("give the {thing} twice: --confirm {name}"))
}

/// Keys that are put away open nothing, and are gone after a time.
fn keys_go(vaults: &[AtStake]) -> String {
    let each: Vec<String> = vaults.iter().map(goes).collect();
    let each = if each.is_empty() { "it has none here".to_owned() } else { each.join(", ") };
    format!(
        "the controller's keys go with the device, whatever their graces: {each}; what is open there stays open until it is locked or boots, and opens nowhere after that but by `evc onboard add --give-back`, as long as they are kept"
    )
}

fn goes(AtStake { name, known }: &AtStake) -> String {
    let said = |state: &Option<State>| match state {
        Some(state) => format!("its node said {state}"),
        None => "not reported yet".into(),
    };
    match known {
        None => format!("`{name}` (damaged)"),
        Some((VaultStanding::Active, state)) => format!("`{name}` ({})", said(state)),
        Some((VaultStanding::Retained, state)) => format!("`{name}` (retained; {})", said(state)),
        Some((_, state)) => format!("`{name}` (removed; {})", said(state)),
    }
}

fn taken() -> Words {
    Words::new(
        "a device, vault or allowance of that name is there already",
        "see `evc get devices`, `evc get vaults` and `evc onboard list`; then give another name, or the same again",
    )
}

fn others_name(name: &Name) -> Words {
    Words::new(
        format!("the name `{name}` is another device's, or kept for one"),
        "give another name; `evc get devices` and `evc onboard list` show which device or serial has this one; where that serial was typed wrongly, `evc onboard remove` frees its name",
    )
}

fn allowed_otherwise() -> Words {
    Words::new(
        "this certificate and serial were allowed before, with another name or other labels",
        "see `evc onboard list -o wide`; withdraw it with `evc onboard remove` first",
    )
}

fn allowed_elsewhere() -> Words {
    Words::new(
        "this certificate and serial are allowed already, elsewhere at this controller",
        "allow another serial, or make another onboarding certificate",
    )
}

fn encryption_of_vaults(policy: &Name) -> Words {
    Words::new(
        format!("policy `{policy}` has vaults, and the encryption of a vault can't be changed"),
        "write a new policy and make new vaults under it",
    )
}

fn lease_of_default(policy: &Name, vault: &Name) -> Words {
    Words::new(
        format!("policy `{policy}` has a lease, and `{vault}` is a default vault, which can't have one"),
        "write another policy for it, without `lease`",
    )
}

fn limit_of_config(policy: &Name, vault: &Name) -> Words {
    Words::new(
        format!(
            "policy `{policy}` has a storage limit, and `{vault}` can't have one: its node keeps there what it was told"
        ),
        "write another policy for it, without `storage_limit`",
    )
}

fn policy_in_use(policy: &Name, vault: &Name, device: &Name) -> Words {
    Words::new(
        format!("vault `{vault}` of device `{device}` names policy `{policy}`"),
        "delete its vaults or give them another policy first",
    )
}

fn policy_of_deleted(policy: &Name, vault: &Name, device: &Name) -> Words {
    Words::new(
        format!(
            "vault `{vault}` of the deleted device `{device}` names policy `{policy}`, and is kept for its grace"
        ),
        format!(
            "wait until it is over (`evc device deleted`), or delete what is kept for good: `evc device forget {device:#} --confirm {device:#}`"
        ),
    )
}

fn policy_of_rule(policy: &Name, rule: &Name) -> Words {
    Words::new(
        format!("rule `{rule}` names policy `{policy}`"),
        "delete the rule (`evc delete rule`), or apply it with another policy first",
    )
}

fn has_bundle(device: &Name, received_at: UnixSeconds) -> Words {
    Words::new(
        format!(
            "device `{device}` has a bundle in escrow, of {}: after an update of its system its own vaults open by that alone",
            crate::clock::text(received_at)
        ),
        format!(
            "keep the device; or, where it is never to come back, take `evc delete device {device:#} --force --confirm {device:#}`"
        ),
    )
}

fn bundle_in_force(device: &Name, generation: Generation) -> Words {
    Words::new(
        format!(
            "the bundle of generation {generation} is the newest of device `{device}`: without it a vault that is sealed to a measured boot opens no more after an update"
        ),
        "leave it; `evc escrow list` with the device shows older ones, and `evc delete device` forgets all of them with their device",
    )
}

fn bundle_over(device: &Name, generation: Generation, in_force: Generation) -> Words {
    Words::new(
        format!(
            "the bundle is of generation {generation}, which is over: the TPM of device `{device}` has the secrets of generation {in_force}, and nothing of the bundle opens there any more"
        ),
        format!(
            "choose one of generation {in_force}, where `evc escrow list {device:#}` shows any; else open the vault by its recovery key (`eve vault recover` on the node), or put back a disk or key files of now"
        ),
    )
}

fn nothing_alike(device: &Name, lacking: &[u8]) -> Words {
    Words::new(
        format!(
            "no reference value of device `{device}` is approved that these could be like, and they lack {}",
            ::attest::called(lacking)
        ),
        "give all PCRs that are appraised, or say with `--like` which reference value the others are of",
    )
}

fn key_shut(vault: &Name, device: &Name) -> Words {
    Words::new(
        format!(
            "a key of vault `{vault}` of device `{device}` does not open, and its node may need it: its row in evc.db is damaged"
        ),
        format!(
            "nothing was changed. Put back the newest copy of evc.db in which it is whole (docs/operations.md); or, if there is none, give the vault up first: `evc delete vault {vault:#} --device {device:#} --delete-after 0s --confirm {vault:#}`"
        ),
    )
}

/// Of keys that went over as they are.
pub(crate) fn of_shut(rows: &[SealedRow]) -> Option<String> {
    let named: Vec<String> = rows.iter().take(NAMED).map(|row| format!("`{row}`")).collect();
    let more = rows.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    (!named.is_empty()).then(|| {
        format!(
            "damaged rows of keys went over as they are: {}{more}. Their epochs are over, and none of these keys goes out to any node",
            named.join(", ")
        )
    })
}

fn same_reference(id: i64) -> Words {
    Words::new(
        format!("these are the values of reference {id} already"),
        "see `evc reference list`; `evc reference approve` says that they are good",
    )
}

fn courier_over(device: &Name, is_lost: bool) -> Words {
    Words::new(
        format!(
            "the challenge that this file answers is over: device `{device}` answered it, or another one, already, or its time is up; nothing was changed{}",
            and_lost(is_lost)
        ),
        of_lost(device, is_lost).unwrap_or_else(|| format!(
            "if it was taken before, `evc export {device:#} FILE` gives the answer again; else carry a new file of that command to the node, and bring its evidence over that"
        )),
    )
}

fn courier_refused(device: &Name, is_lost: bool, why: &BadEvidence) -> Words {
    Words::new(
        format!(
            "the evidence of device `{device}` in this file is refused: {}{}",
            coarse(why),
            and_lost(is_lost)
        ),
        of_lost(device, is_lost).unwrap_or_else(|| format!(
            "see `evc describe device {device:#}`; then carry a new file of `evc export {device:#} FILE` to the node"
        )),
    )
}

fn and_lost(is_lost: bool) -> &'static str {
    if is_lost { "; and the device is marked as lost" } else { "" }
}

/// No evidence brings a key to one that is lost: what its node can still be brought is the order to lock.
fn of_lost(device: &Name, is_lost: bool) -> Option<String> {
    is_lost.then(|| format!(
        "no key goes to it, whatever it shows: `evc export {device:#} FILE` writes the order to lock its vaults, for `eve import` on the node; if it is in good hands again: `evc device found {device:#}`, and then carry a new file of that export"
    ))
}

fn vault_twice(vault: &Name, device: &Name, line: u64) -> Words {
    Words::new(
        format!(
            "vault `{vault}` of device `{device}` is in the file twice, at line {line} first: by the device's name, and by its UUID"
        ),
        "keep one of the two documents",
    )
}

fn unfit(policy: &Name, device: &Name, why: Unfit) -> Words {
    let asks = match why {
        Unfit::Custody => "asks for a TPM",
        Unfit::Pcrs => "requires measured PCRs",
    };
    Words::new(
        format!("policy `{policy}` {asks}, and device `{device}` has no TPM"),
        "use a policy with `custody: controller` and no `require: [pcrs]` for this device",
    )
}

fn has_vaults(device: &Name, vaults: &[Name]) -> Words {
    let names: Vec<String> = vaults.iter().map(|name| format!("`{name}`")).collect();
    Words::new(format!("device `{device}` has vaults: {}", names.join(", ")), KEEP)
}

fn unmeasured(reference: i64, device: &Name, why: &::attest::Unmeasured) -> Words {
    Words::new(
        format!("reference {reference} is of a boot that nothing measured: {why}, as under any software"),
        format!(
            "see that the node's firmware measures its boot into the TPM's SHA-256 or SHA-384 bank, then `evc reference learn {device:#}`; or do without `require: [pcrs]`"
        ),
    )
}
