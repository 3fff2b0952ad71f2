//! What is said to look at things: lists, one thing in full, and to wait for one.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use vault::ids::Epoch;

use super::number;
use crate::cli::complete::{devices, knocks, policies, references, rules, serials, vaults};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GetWhat {
    /// List devices: when each was heard, and its condition (online, silent, lost, may be two, ..). Those that need attention come first.
    #[command(visible_aliases = ["device", "dev"], before_help = GET_DEVICES)]
    Devices {
        /// Names or UUIDs. [default: all]
        #[arg(add = ArgValueCandidates::new(devices))]
        names: Vec<String>,
        /// Those with all of these labels only.
        #[arg(long, short = 'l', value_name = "KEY=VALUE,...", conflicts_with = "names")]
        selector: Option<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List vaults, their state on the node and their epochs. Those that need attention come first.
    #[command(visible_aliases = ["vault", "vt"], before_help = GET_VAULTS)]
    Vaults {
        /// Names or UUIDs. [default: all]
        #[arg(add = ArgValueCandidates::new(vaults))]
        names: Vec<String>,
        /// Of this device only, and whether each key is released.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: Option<String>,
        /// Those of devices with all of these labels only.
        #[arg(long, short = 'l', value_name = "KEY=VALUE,...", conflicts_with = "device")]
        selector: Option<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List policies.
    #[command(visible_aliases = ["policy", "pol"], before_help = GET_POLICIES)]
    Policies {
        /// Names. [default: all]
        #[arg(add = ArgValueCandidates::new(policies))]
        names: Vec<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List rules: vaults of each device with some labels.
    #[command(visible_alias = "rule", before_help = GET_RULES)]
    Rules {
        /// Names. [default: all]
        #[arg(add = ArgValueCandidates::new(rules))]
        names: Vec<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List reference values: the PCRs that devices showed, and what an operator said of them.
    #[command(visible_aliases = ["reference", "ref"], before_help = "Examples:\n  evc get references --device edge-1\n  evc get reference 1")]
    References {
        /// Their numbers. [default: all]
        #[arg(value_name = "ID", value_parser = number, add = ArgValueCandidates::new(references))]
        ids: Vec<i64>,
        /// Of this device only.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: Option<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List which certificates and serials may onboard.
    #[command(visible_aliases = ["allowances", "allowance"], before_help = "Examples:\n  evc get onboarding\n  evc get onboarding SN-1 -o wide")]
    Onboarding {
        /// Their serials. [default: all]
        #[arg(value_name = "SERIAL", add = ArgValueCandidates::new(serials))]
        serials: Vec<String>,
        #[command(flatten)]
        watch: Watch,
    },
    /// List devices that wanted to register and may not: of which serial, and from where. Kept in the controller's memory alone.
    #[command(visible_aliases = ["knocks"], before_help = PENDING)]
    Pending {
        /// Their serials. [default: all]
        #[arg(value_name = "SERIAL", add = ArgValueCandidates::new(knocks))]
        serials: Vec<String>,
        #[command(flatten)]
        watch: Watch,
    },
}

const GET_DEVICES: &str = "\
Examples:
  evc get devices
  evc get device edge-1 -o wide
  evc get devices -l site=berlin -o name
  evc get devices --watch";

const GET_VAULTS: &str = "\
Examples:
  evc get vaults
  evc get vaults --device edge-1               # and whether each key is released
  evc get vaults -l site=berlin                # of devices with that label
  evc get vault payments -o yaml               # as a document for `evc apply -f`
  evc get vaults --watch";

const GET_POLICIES: &str = "\
Examples:
  evc get policies
  evc get policy shop -o yaml > shop.yaml      # to edit, and `evc apply -f shop.yaml`";

const GET_RULES: &str = "\
Examples:
  evc get rules
  evc get rule payments -o yaml                # as a document for `evc apply -f`";

const PENDING: &str = "\
Examples:
  evc get pending
  evc onboard add --cert onboard.cert.pem --serial SN-2 --name edge-2    # lets one in";

/// Whether to look on.
#[derive(Debug, Args)]
pub(in crate::cli) struct Watch {
    /// Keep watching: print a row again when it changes, until Ctrl-C.
    #[arg(long, short)]
    pub(in crate::cli) watch: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DescribeWhat {
    /// Show a device and its vaults.
    #[command(visible_aliases = ["devices", "dev"], before_help = "Examples:\n  evc describe device edge-1")]
    Device {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
    },
    /// Show a vault.
    #[command(
        visible_aliases = ["vaults", "vt"],
        before_help = "Examples:\n  evc describe vault payments --device edge-1"
    )]
    Vault {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// Its device, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
    },
    /// Show a reference value, PCR by PCR.
    #[command(visible_aliases = ["references", "ref"], before_help = "Examples:\n  evc describe reference 1")]
    Reference {
        /// Its number, as `evc reference list` shows it.
        #[arg(value_parser = number, add = ArgValueCandidates::new(references))]
        id: i64,
    },
    /// Show a policy, and the vaults that name it.
    #[command(visible_aliases = ["policies", "pol"], before_help = "Examples:\n  evc describe policy shop")]
    Policy {
        /// Its name.
        #[arg(add = ArgValueCandidates::new(policies))]
        name: String,
    },
    /// Show a rule, and the devices that have its labels, with the vault that it gives each.
    #[command(visible_alias = "rules", before_help = "Examples:\n  evc describe rule payments")]
    Rule {
        /// Its name.
        #[arg(add = ArgValueCandidates::new(rules))]
        name: String,
    },
    /// Show what is allowed to onboard with a serial.
    #[command(visible_aliases = ["allowance", "allowances"], before_help = "Examples:\n  evc describe onboarding SN-1")]
    Onboarding {
        /// The serial, as it was allowed.
        #[arg(add = ArgValueCandidates::new(serials))]
        serial: String,
    },
    /// Show who wanted to register with a serial, and may not.
    #[command(visible_alias = "knocks", before_help = "Examples:\n  evc describe pending SN-2")]
    Pending {
        /// The serial.
        #[arg(add = ArgValueCandidates::new(knocks))]
        serial: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WaitFor {
    /// Wait until the controller answers.
    #[command(before_help = "Examples:\n  evc serve & evc wait controller")]
    Controller {
        #[command(flatten)]
        time: Time,
    },
    /// Wait until a device is online, is attested, or has shown a boot that can be approved.
    #[command(visible_alias = "devices", before_help = WAIT_DEVICE)]
    Device {
        /// Name or UUID. It need not be registered yet.
        #[arg(add = ArgValueCandidates::new(devices))]
        name: String,
        /// Until what.
        #[arg(long = "for", value_enum)]
        until: Until,
        #[command(flatten)]
        time: Time,
    },
    /// Wait until a vault is as it should be, by its node's word.
    #[command(visible_alias = "vaults", before_help = WAIT_VAULT)]
    Vault {
        /// Name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        name: String,
        /// Its device, by name or UUID.
        #[arg(long, add = ArgValueCandidates::new(devices))]
        device: String,
        /// Until what: `unlocked`, `locked`, `epoch=N` (the node is at that epoch or a later one) or `gone`.
        ///
        /// `gone`: the controller lists it no more, or as one that its node erased, and the node's last report does not tell of it. A vault that
        /// the device never had, by what the controller knows, is no vault that is gone: that is an error (exit code 4).
        #[arg(long = "for", value_parser = vault_until, value_name = "unlocked|locked|epoch=N|gone")]
        until: VaultUntil,
        #[command(flatten)]
        time: Time,
    },
}

const WAIT_DEVICE: &str = "\
Examples:
  evc wait device edge-1 --for online
  evc wait device edge-1 --for attested --timeout 5m
  evc wait device edge-1 --for learned         # its first quote waits for `evc reference approve`

Exit codes: 0 it is so; 5 the time is up; `evc --help` has the others.";

const WAIT_VAULT: &str = "\
Examples:
  evc wait vault payments --device edge-1 --for unlocked
  evc wait vault payments --device edge-1 --for epoch=2 --timeout 30s
  evc wait vault payments --device edge-1 --for gone

Exit codes: 0 it is so; 4 there is no such device or, for `gone`, there never was such a vault; 5 the time is up; `evc --help` has the others.";

/// How long to wait.
#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct Time {
    /// How long to wait at most, like 30s, 5m or 2h.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub(in crate::cli) timeout: Duration,
}

/// What a device is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Until {
    /// It is registered, was heard of late, and nothing stands against it.
    Online,
    /// Evidence of its present session was accepted: of the start of its node by which it was heard last.
    Attested,
    /// A reference value of its boot was learned, and waits to be approved, or was approved.
    Learned,
}

/// What a vault is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum VaultUntil {
    Unlocked,
    Locked,
    Epoch(Epoch),
    Gone,
}

fn vault_until(text: &str) -> Result<VaultUntil, String> {
    match (text, text.strip_prefix("epoch=")) {
        ("unlocked", _) => Ok(VaultUntil::Unlocked),
        ("locked", _) => Ok(VaultUntil::Locked),
        ("gone", _) => Ok(VaultUntil::Gone),
        (_, Some(number)) => {
            let epoch = number.parse().map_err(|_| "an epoch is a number: `epoch=2`".to_owned())?;
            Ok(VaultUntil::Epoch(Epoch(epoch)))
        }
        _ => Err("write `unlocked`, `locked`, `epoch=N` or `gone`".to_owned()),
    }
}
