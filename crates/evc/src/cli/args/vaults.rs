//! What is said of vaults, policies and devices: to delete them, and acts on one vault.

use std::time::Duration;

use clap::Subcommand;
use clap_complete::engine::ArgValueCandidates;

use crate::cli::complete::{devices, policies, rules, vaults};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeleteWhat {
    /// Remove a vault. `config` and `image` are not removed: they return to their default policy.
    #[command(visible_alias = "vaults", before_help = DELETE_VAULT)]
    Vault {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// Its device, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// After how long its node erases it, like `72h`, whatever `on_removal` of its policy says; a vault that is retained, or whose grace
        /// runs, goes by this.
        #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
        delete_after: Option<Duration>,
        /// The vault's name or UUID again. Needed where there is no grace (`delete_after: 0s`): then it is erased at once.
        #[arg(long)]
        confirm: Option<String>,
    },
    /// Delete a policy that no vault names.
    #[command(visible_alias = "policies", before_help = "Examples:\n  evc delete policy shop")]
    Policy {
        /// Name.
        #[arg(add = ArgValueCandidates::new(policies))]
        name: String,
    },
    /// Delete a rule: no device gets its vault any more. The vaults that it gave stay.
    #[command(visible_alias = "rules", before_help = "Examples:\n  evc delete rule payments")]
    Rule {
        /// Name.
        #[arg(add = ArgValueCandidates::new(rules))]
        name: String,
    },
    /// Delete a device without vaults (`config` and `image` count only if they are under a key of the controller's). It may register again once its
    /// serial is allowed anew.
    #[command(visible_alias = "devices", before_help = DELETE_DEVICE)]
    Device {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// Also a device that has vaults, or whose `config` or `image` was made with a key of the controller's. Their keys go
        /// with it, and are kept for a time (`evc device deleted`).
        #[arg(long)]
        force: bool,
        /// The device's name or UUID again. `--force` needs it: nothing under those keys opens until the device is
        /// let in again with `evc onboard add --give-back`.
        #[arg(long)]
        confirm: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AdoptWhat {
    /// Take over an orphan that the node's TPM alone opens. With `--remove`, any orphan, to be erased after its grace.
    #[command(before_help = ADOPT)]
    Vault {
        /// Name or UUID, as `evc describe device` shows it.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// The device that has it, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// The policy that it is under from now on.
        #[arg(long, add = ArgValueCandidates::new(policies))]
        policy: String,
        /// It stays locked, and its node erases it as `on_removal` of the policy says.
        #[arg(long)]
        remove: bool,
        /// The vault's name or UUID again. `--remove` needs it where the policy has no grace (`delete_after: 0s`): then it is erased
        /// at once.
        #[arg(long)]
        confirm: Option<String>,
    },
    /// Take a device in as the one whose lists its node holds to, after a database was put back that knows it as another one.
    #[command(before_help = ADOPT_DEVICE)]
    Device {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// The UUID of the device whose lists its node holds to, as `evc describe device` says it.
        #[arg(long = "as", value_name = "UUID")]
        identity: String,
        /// The device's name or UUID again.
        #[arg(long)]
        confirm: String,
    },
}

const ADOPT_DEVICE: &str = "\
Examples:
  evc describe device edge-1     # whose lists its node holds to
  evc adopt device edge-1 --as 6f1c1f0e-6a7c-4f0e-9d2b-0c5f5f3f7a11 --confirm edge-1
  evc adopt vault payments --device edge-1 --policy berlin-lines     # what is open there

Its node takes no list of another device. It has to have told so in a session whose evidence is good. Nothing is released by this.";

const ADOPT: &str = "\
Examples:
  evc adopt vault payments --device edge-1 --policy berlin-lines
  evc delete vault payments --device edge-1     # where it is not wanted: removed there after its grace
  evc adopt vault ledger --device edge-1 --policy berlin-lines --remove     # whose key is another controller's";

const REHOME: &str = "\
Examples:
  evc device lost edge-1
  evc rehome vault payments --device edge-1 --to edge-1b --confirm payments
  evc delete device edge-1 --force --confirm edge-1

A node whose device key or TPM is gone registers as another device. A vault with custody `controller` opens there with the keys of
before. Mark the old device as lost first. Delete it afterwards.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RehomeWhat {
    /// Move a vault with custody `controller`, with all of its keys.
    #[command(before_help = REHOME)]
    Vault {
        /// Name.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// The device that it was on, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// The device whose disk it is on now, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        to: String,
        /// The vault's name or UUID again.
        #[arg(long)]
        confirm: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RotateWhat {
    /// Make a new key for a vault.
    #[command(visible_alias = "vaults", before_help = ROTATE)]
    Vault {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// Its device, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// Rotate although the node has not taken the current key. If it restarts before it takes the new one, the vault stays locked.
        #[arg(long)]
        force: bool,
        /// The vault's name or UUID again. `--force` needs it where the node may be shut out.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Rotate only if the vault is at this epoch, so that a command that is run twice rotates once. [default: the present one]
        #[arg(long, value_name = "EPOCH")]
        expect_epoch: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RecreateWhat {
    /// Order a vault to be made anew that its node reports as missing. What was in it is lost.
    #[command(visible_alias = "vaults", before_help = RECREATE)]
    Vault {
        /// Name.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// Its device, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// The vault's name or UUID again.
        #[arg(long, required_unless_present = "withdraw")]
        confirm: Option<String>,
        /// Take the order back, if its node has not carried it out yet. Said twice, it changes nothing more.
        #[arg(long, conflicts_with_all = ["confirm", "new_disk", "despite_escrow"])]
        withdraw: bool,
        /// Recreate although all vaults of the node are missing: its disk was replaced, and what was on it is lost.
        #[arg(long)]
        new_disk: bool,
        /// Recreate although a bundle in escrow may bring the vault back: what is in it is given up.
        #[arg(long)]
        despite_escrow: bool,
    },
}

/// A part of a second would be none where it is counted.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    (parsed.subsec_nanos() == 0).then_some(parsed).ok_or_else(|| "give whole seconds, like `72h`".into())
}

const DELETE_VAULT: &str = "\
Examples:
  evc delete vault payments --device edge-1
  evc apply -f shop.yaml                         # before it is erased: its document keeps it, and it opens again
  evc delete vault cache --device edge-1 --confirm cache    # of a policy with `delete_after: 0s`
  evc delete vault ledger --device edge-1 --delete-after 72h    # of a policy with `on_removal: retain`
  evc wait vault payments --device edge-1 --for gone --timeout 80h";

const DELETE_DEVICE: &str = "\
Examples:
  evc delete device edge-1
  evc device lost edge-1 && evc delete device edge-1 --force --confirm edge-1    # stolen: then `evc device forget edge-1 --confirm edge-1`";

const RECREATE: &str = "\
Examples:
  evc recreate vault payments --device edge-1 --confirm payments
  evc recreate vault payments --device edge-1 --withdraw    # the order is taken back, if its node has not carried it out yet";

const ROTATE: &str = "\
Examples:
  evc rotate vault payments --device edge-1
  evc rotate vault payments --device edge-1 --expect-epoch 1    # said twice, it rotates once
  evc wait vault payments --device edge-1 --for epoch=2";
