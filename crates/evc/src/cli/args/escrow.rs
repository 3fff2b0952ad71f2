//! What is said of bundles in escrow, and before an update.

use clap::Subcommand;
use clap_complete::engine::ArgValueCandidates;

use super::number;
use crate::cli::complete::{devices, references};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EscrowAct {
    /// List the bundles of a device, the newest first; or the newest of each device.
    #[command(before_help = LIST)]
    List {
        /// Name or UUID. [default: all, the newest of each]
        #[arg(add = ArgValueCandidates::new(devices))]
        device: Option<String>,
    },
    /// Try the newest bundle of a device, before it is needed: the device decrypts it, compares it with its TPM and disk, and drops it. No vault
    /// is opened by that, and no key is shown.
    #[command(before_help = DRILL)]
    Drill {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
    },
    /// Choose an older bundle of a generation to give back to its device, where the newest lacks a vault.
    #[command(before_help = OFFER)]
    Offer {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
        /// The beginning of its SHA-256, 8 letters or more.
        #[arg(long, value_name = "SHA256", required_unless_present = "newest", conflicts_with = "newest")]
        bundle: Option<String>,
        /// The newest again.
        #[arg(long)]
        newest: bool,
    },
    /// Delete the bundles of a generation of TPM secrets that is over, or one bundle. The newest bundle of a device is always kept.
    #[command(before_help = DELETE)]
    Delete {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
        /// The generation, as `evc escrow list` shows it. Bundles that hold the last copy of something of a vault are kept.
        #[arg(long, required_unless_present = "bundle", conflicts_with = "bundle")]
        generation: Option<u32>,
        /// One bundle, whatever it alone has: the beginning of its SHA-256.
        #[arg(long, value_name = "SHA256")]
        bundle: Option<String>,
        /// The device's name or UUID, once more.
        #[arg(long, value_name = "DEVICE")]
        confirm: String,
    },
}

const LIST: &str = "\
Examples:
  evc escrow list                              # of which devices there is a bundle, and since when
  evc escrow list edge-1";

const DRILL: &str = "\
Examples:
  evc escrow drill edge-1
  evc escrow list edge-1                       # how it went, once the device has polled

Each device also makes one once a month: see `evc serve --escrow-drill-every`.";

const DELETE: &str = "\
Examples:
  evc escrow list edge-1
  evc escrow delete edge-1 --generation 1 --confirm edge-1
  evc escrow delete edge-1 --bundle 3f5a90c1 --confirm edge-1";

const OFFER: &str = "\
Examples:
  evc escrow list edge-1                       # LAST OF names vaults that newer bundles lack something of
  evc escrow offer edge-1 --bundle 3f5a90c1
  evc escrow offer edge-1 --newest";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CheckWhat {
    /// Say of each vault of a device whether it opens after an update of firmware or system, why, and what to do before the reboot.
    #[command(before_help = UPDATE)]
    Update {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
        /// The reference value that the boot after the update will show, by its number.
        #[arg(long, value_name = "ID", value_parser = number, add = ArgValueCandidates::new(references))]
        reference: i64,
    },
}

const UPDATE: &str = "\
Examples:
  evc reference add edge-1 --pcr 9=3f5a...     # what the new kernel will measure; adds reference 7
  evc check update edge-1 --reference 7
  evc reference approve 7

The answer rests on what the controller knows now. It holds only if the boot really shows these values.";
