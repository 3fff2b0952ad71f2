//! What is said of vaults, policies and devices: to look at them, to delete them, and acts on one vault.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GetWhat {
    /// Devices, when each was heard, and whether it is online, silent, lost or may be two.
    Devices,
    /// Vaults, their state on the node and their epochs.
    Vaults {
        /// Of this device only, and whether each key is released.
        #[arg(long)]
        device: Option<String>,
    },
    /// Policies.
    Policies,
    /// Reference values.
    References,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DescribeWhat {
    /// A device and its vaults.
    Device {
        /// Name or UUID.
        name: String,
    },
    /// A vault.
    Vault {
        /// Name or UUID.
        name: String,
        /// Its device, by name or UUID.
        #[arg(long)]
        device: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeleteWhat {
    /// A vault. `config` and `image` are not removed: they return to their default policy.
    Vault {
        /// Name or UUID.
        name: String,
        /// Its device, by name or UUID.
        #[arg(long)]
        device: String,
    },
    /// A policy that no vault names.
    Policy {
        /// Name.
        name: String,
    },
    /// A device that has no vaults, but for default ones under no key of the controller's. It may register again when its serial is allowed
    /// anew.
    Device {
        /// Name or UUID.
        name: String,
        /// Also one that has vaults, or made `config` or `image` with a key of the controller's: their keys go with it.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AdoptWhat {
    /// A vault that its node reports as `orphan`, and that the node's TPM alone opens; or, with `--remove`, one under another key too.
    #[command(after_help = ADOPT)]
    Vault {
        /// Name or UUID, as `evc describe device` shows it.
        name: String,
        /// The device that has it, by name or UUID.
        #[arg(long)]
        device: String,
        /// The policy that it is under from now on.
        #[arg(long)]
        policy: String,
        /// It stays locked, and its node erases it after the grace of the policy.
        #[arg(long)]
        remove: bool,
    },
}

const ADOPT: &str = "\
Examples:
  evc adopt vault payments --device edge-1 --policy berlin-lines
  evc delete vault payments --device edge-1     # where it is not wanted: removed there after its grace
  evc adopt vault ledger --device edge-1 --policy berlin-lines --remove     # whose key is another controller's";

const REHOME: &str = "\
A node whose device key or TPM is gone registers as another device. A vault with custody `controller` opens there with the keys of
before. Mark the old device as lost first. Delete it afterwards.

Example:
  evc device lost edge-1
  evc rehome vault payments --device edge-1 --to edge-1b --confirm payments
  evc delete device edge-1 --force";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RehomeWhat {
    /// A vault with custody `controller`, with all of its keys.
    #[command(after_help = REHOME)]
    Vault {
        /// Name.
        name: String,
        /// The device that it was on, by name or UUID.
        #[arg(long)]
        device: String,
        /// The device whose disk it is on now, by name or UUID.
        #[arg(long)]
        to: String,
        /// The vault's name again.
        #[arg(long)]
        confirm: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RotateWhat {
    /// A vault's key.
    Vault {
        /// Name or UUID.
        name: String,
        /// Its device, by name or UUID.
        #[arg(long)]
        device: String,
        /// Rotate although the node has not taken the present key. The key that it has does not open the vault after its next restart.
        #[arg(long)]
        force: bool,
        /// Rotate only if the vault is at this epoch, so that a command that is run twice rotates once. [default: the present one]
        #[arg(long, value_name = "EPOCH")]
        expect_epoch: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RecreateWhat {
    /// A vault that its node reports as missing. What was in it is lost.
    Vault {
        /// Name.
        name: String,
        /// Its device, by name or UUID.
        #[arg(long)]
        device: String,
        /// The name again.
        #[arg(long)]
        confirm: String,
        /// Recreate although all vaults of the node are missing: its disk was replaced, and what was on it is lost.
        #[arg(long)]
        new_disk: bool,
    },
}
