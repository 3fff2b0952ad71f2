//! What is said of who may come in: devices, their onboarding and reference values; operators' tokens.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use super::number;
use crate::cli::complete::{devices, references, serials};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Onboard {
    /// Allow a certificate and serial to register.
    #[command(before_help = ADD)]
    Add {
        /// The onboarding certificate, PEM.
        #[arg(long, value_hint = ValueHint::FilePath)]
        cert: PathBuf,
        /// The device's serial; `*` for any.
        #[arg(long)]
        serial: String,
        /// The name that the device gets.
        #[arg(long)]
        name: Option<String>,
        /// A label that the device gets when it registers, like site=berlin; may be repeated. Rules give it their vaults then.
        #[arg(long = "label", value_name = "KEY=VALUE")]
        labels: Vec<String>,
        /// It was deleted: give back what is kept of it, its vaults, their keys and its bundles. Only where the device is in good hands.
        #[arg(long)]
        give_back: bool,
    },
    /// List what is allowed.
    #[command(
        before_help = "Examples:\n  evc onboard list\n  evc onboard list -o wide                      # with labels and whole digests"
    )]
    List,
    /// Withdraw an allowance. A device that used it stays registered.
    #[command(before_help = REMOVE, group = ArgGroup::new("certificate").required(true).args(["cert", "digest"]))]
    Remove {
        /// The onboarding certificate, PEM.
        #[arg(long)]
        cert: Option<PathBuf>,
        /// Its SHA-256, as `evc onboard list` shows it.
        #[arg(long)]
        digest: Option<String>,
        /// The serial, as it was allowed.
        #[arg(long, add = ArgValueCandidates::new(serials))]
        serial: String,
    },
}

const ADD: &str = "\
Examples:
  evc onboard add --cert onboard.cert.pem --serial SN-1 --name edge-1
  evc onboard add --cert onboard.cert.pem --serial SN-2 --label site=berlin
  evc get pending                               # who knocks with a serial that is not allowed";

const REMOVE: &str = "\
Examples:
  evc onboard remove --cert onboard.cert.pem --serial SN-1
  evc onboard remove --digest 3f5a... --serial '*'";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenAct {
    /// Put a new token into the token's file, and end all other tokens.
    #[command(before_help = ROTATE)]
    Rotate,
    /// Make another token, on the controller's own machine: when the token was lost, or the controller was restored from a copy.
    #[command(before_help = NEW)]
    New,
}

const NEW: &str = "\
Examples:
  evc token new --data /var/lib/evc             # into /var/lib/evc/operator.token, which must not be there
  evc token new --data /var/lib/evc --token-file ~/.evc-token

It needs no token. It needs the controller's data folder with its `kek`. The controller may run or not. Earlier tokens stay good:
`evc token rotate` ends them.";

const ROTATE: &str = "\
Examples:
  evc token rotate                              # the token of ./evc-data
  evc token rotate --url https://evc.example:8443 --ca root.pem --token-file ~/.evc-token";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeviceAct {
    /// Say that a device is lost: no key is released to it any more, and at its next contact it is ordered to lock its vaults and `image`; `config`
    /// stays open under its default policy.
    #[command(before_help = "Examples:\n  evc device lost edge-1")]
    Lost {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
    },
    /// Say that a device is in good hands again: keys are released to it as its policies say.
    #[command(before_help = "Examples:\n  evc device found edge-1")]
    Found {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
    },
    /// List deleted devices whose keys and bundles are kept for a grace. A device gets them back by `evc onboard add --give-back`.
    #[command(before_help = "Examples:\n  evc device deleted")]
    Deleted,
    /// Delete for good what is kept of a deleted device.
    #[command(before_help = "Examples:\n  evc device deleted\n  evc device forget edge-1 --confirm edge-1")]
    Forget {
        /// Its name then, or UUID.
        name: String,
        /// Its name or UUID, once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Say that a device's TPM has other keys from now on, and you know why: forget the attestation key that is pinned. The next one that it shows is
    /// pinned in its place, and it must quote as before.
    #[command(before_help = "Examples:\n  evc device repin edge-1 --confirm edge-1")]
    Repin {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// Its name or UUID, once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Say that a device with an alarm is a single machine, as you found: end the alarm, and release keys again as its policies say.
    #[command(before_help = "Examples:\n  evc device settle edge-1 --confirm edge-1")]
    Settle {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// Its name or UUID, once more: needed where it has an alarm, or was ahead of this database.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LabelWhat {
    /// Set labels of a device, and take some away. Rules that name it then give it their vaults; it loses none.
    #[command(visible_alias = "devices", before_help = LABEL)]
    Device {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// `KEY=VALUE` sets a label, `KEY-` takes it away.
        #[arg(required = true, value_name = "KEY=VALUE|KEY-")]
        labels: Vec<String>,
    },
}

const LABEL: &str = "\
Examples:
  evc label device edge-1 site=berlin tier=gold
  evc label device edge-1 tier-
  evc get devices -l site=berlin

A `kind: Vault` document with `devices: { site: berlin }` in place of `device` is a rule: each device with that label gets the vault,
now and later. A device that loses the label keeps its vault.";

const ADD_REFERENCE: &str = "\
Examples:
  evc reference add edge-1 --pcr 9=3f5a... --pcr 4=77c0...
  evc reference add edge-1 --from pcrs.yaml --like 3
  evc check update edge-1 --reference 7         # what the reboot will do to its vaults
  evc reference approve 7";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ReferenceAct {
    /// List reference values, as `evc get references` does.
    #[command(before_help = "Examples:\n  evc reference list --device edge-1")]
    List {
        /// Of this device only.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: Option<String>,
    },
    /// Add the values that a boot to come will show, so that it can be approved before an update. The PCRs that you don't name are as in
    /// the value that was approved last.
    #[command(before_help = ADD_REFERENCE, group = ArgGroup::new("values").required(true).multiple(true).args(["pcr", "from"]))]
    Add {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
        /// A PCR and its value in hexadecimal; may be repeated.
        #[arg(long, value_name = "PCR=HEX")]
        pcr: Vec<String>,
        /// A file of such values: a line `PCR: HEX` for each (YAML, or as `tpm2_pcrread` prints one bank), or JSON. `-` for standard input.
        #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
        from: Option<PathBuf>,
        /// The other PCRs are as in this reference value, by its number.
        #[arg(long, value_name = "ID", value_parser = number, add = ArgValueCandidates::new(references))]
        like: Option<i64>,
    },
    /// Approve one: a boot that shows these values is good. Each value that was not approved before is shown.
    #[command(before_help = "Examples:\n  evc reference list\n  evc reference approve 1")]
    Approve {
        /// Its number, as `evc reference list` shows it.
        #[arg(value_parser = number, add = ArgValueCandidates::new(references))]
        id: i64,
    },
    /// Reject one: a boot that shows these values is not good.
    #[command(before_help = "Examples:\n  evc reference reject 1")]
    Reject {
        /// Its number, as `evc reference list` shows it.
        #[arg(value_parser = number, add = ArgValueCandidates::new(references))]
        id: i64,
    },
    /// Learn the PCRs of the device's next good quote as a new value, to be approved.
    #[command(
        before_help = "Examples:\n  evc reference learn edge-1    # after an update of its firmware or system"
    )]
    Learn {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        device: String,
    },
}
