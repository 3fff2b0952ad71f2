//! What can be said on the command line. The token itself never is: only where it lies.

mod courier;
mod devices;
mod escrow;
mod look;
mod vaults;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum, ValueHint};
use cli::Output;

pub(super) use courier::{Exported, Imported};
pub(super) use devices::{DeviceAct, LabelWhat, Onboard, ReferenceAct, TokenAct};
pub(super) use escrow::{CheckWhat, EscrowAct};
pub(super) use look::{DescribeWhat, GetWhat, Until, VaultUntil, WaitFor};
pub(super) use vaults::{AdoptWhat, DeleteWhat, RecreateWhat, RehomeWhat, RotateWhat};

const FIRST: &str = "\
Examples:
  evc serve --data /var/lib/evc
  export EVC_DATA=/var/lib/evc
  evc onboard add --cert onboard.cert.pem --serial SN-1 --name edge-1
  evc apply -f shop.yaml
  evc wait vault payments --device edge-1 --for unlocked
  evc get vaults";

/// What each exit code means, where a script's author looks.
const CODES: &str = "\
Exit codes: 0 done; 1 refused or failed; 2 used wrongly; 3 the controller is busy, and the same may succeed soon; 4 what was named
is not there; 5 `evc wait`: its time is up; 6 `evc diff`: something differs; 7 rows of the database are damaged, and named.";

pub(in crate::cli) const EXAMPLE: &str = "\
A file for `evc apply -f`:

  kind: VaultPolicy
  name: berlin-lines
  custody: tpm+controller          # tpm | controller
  seal: tpm                        # pcrs
  encryption: aes-256-xts          # adiantum
  attest: { every: 15m, require: [pcrs], on_failure: withhold }
  on_removal: { delete_after: 72h }    # or retain: kept, locked, until it is applied again
  lease: 6h                        # without it, contact is not needed to stay open
  storage_limit: 20GiB             # needs project quota on the node's disk; not for config. An app can leave the limit
                                   # unless it runs in a user namespace or is denied FS_IOC_FSSETXATTR: see SECURITY.md
  # recovery: { recipients: [age1...] }    # whose identities open it without TPM and controller: docs/recover.md
  operation: unlock                # lock
  ---
  kind: Vault
  name: payments                   # config and image are the default vaults
  device: edge-1                   # name or UUID; or devices: { site: berlin } for each with that label
  policy: berlin-lines

Exit codes: 0 done; 1 refused or failed; 2 used wrongly; 3 the controller is busy, and the same may succeed soon; 4 what was named
is not there; 5 `evc wait`: its time is up; 6 `evc diff`: something differs; 7 rows of the database are damaged, and named.
";

/// The EVE Vault controller and its operator's command line.
#[derive(Debug, Parser)]
#[command(name = "evc", version, before_help = FIRST, after_help = CODES, after_long_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// How to print: `table` and `wide` for people, `json` for programs, `name` for loops of a shell. `yaml` of policies and vaults
    /// is what `evc apply -f` takes.
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value = "table",
        hide_possible_values = true,
        value_name = Output::ALL,
        help_heading = GLOBALS
    )]
    pub(in crate::cli) output: Output,
}

/// Over the options that every command takes.
const GLOBALS: &str = "Global options";

/// Where the controller is.
// The variables are read here and not by clap: it would demand in its usage line what is set in the environment.
#[derive(Debug, Default, ClapArgs)]
pub(in crate::cli) struct Reach {
    /// Data folder of a controller on this machine; names its URL, token and root certificate. [env: EVC_DATA] [default: ./evc-data]
    #[arg(long, global = true, help_heading = GLOBALS, hide_short_help = true, value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// URL of the controller, like https://evc.example:8443. [env: EVC_URL]
    #[arg(long, global = true, help_heading = GLOBALS, hide_short_help = true)]
    url: Option<String>,
    /// File with the operator's token. [env: EVC_TOKEN_FILE]
    #[arg(long, global = true, help_heading = GLOBALS, hide_short_help = true, value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// File with the controller's root certificate. [env: EVC_CA]
    #[arg(long, global = true, help_heading = GLOBALS, hide_short_help = true, value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
}

impl Reach {
    /// The data folder.
    pub(in crate::cli) fn data(&self) -> PathBuf {
        path(self.data.as_ref(), "EVC_DATA").unwrap_or_else(|| "evc-data".into())
    }

    /// Whether somebody said which that is.
    pub(in crate::cli) fn names_data(&self) -> bool {
        path(self.data.as_ref(), "EVC_DATA").is_some()
    }

    /// Options of who asks a controller, which mean nothing to who runs one.
    pub(in crate::cli) fn of_clients(&self) -> Option<&'static str> {
        let said = [
            (self.url.is_some(), "--url"),
            (self.token_file.is_some(), "--token-file"),
            (self.ca.is_some(), "--ca"),
        ];
        said.into_iter().find_map(|(said, name)| said.then_some(name))
    }

    /// The URL, where it is said.
    pub(in crate::cli) fn url(&self) -> Option<String> {
        self.url.clone().or_else(|| set("EVC_URL")?.into_string().ok())
    }

    /// Where the token lies, where that is said.
    pub(in crate::cli) fn token_file(&self) -> Option<PathBuf> {
        path(self.token_file.as_ref(), "EVC_TOKEN_FILE")
    }

    /// Where the root certificate lies, where that is said.
    pub(in crate::cli) fn ca(&self) -> Option<PathBuf> {
        path(self.ca.as_ref(), "EVC_CA")
    }
}

fn path(said: Option<&PathBuf>, variable: &str) -> Option<PathBuf> {
    said.cloned().or_else(|| set(variable).map(PathBuf::from))
}

fn set(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Run the controller.
    Serve(Serve),
    /// Make another operator's token, or put a new one in its place.
    #[command(subcommand, before_help = "Examples:\n  evc token rotate\n  evc token new --data /var/lib/evc")]
    Token(TokenAct),
    /// Say that a database which was put back from a copy is the one that counts. Run it on the stopped controller's machine, with `--data`.
    ///
    /// Nodes that took a newer list of vaults than the copy has then obey this controller again. What it does not list they lock, and
    /// never delete; open vaults take its keys. A vault that was being removed stays locked, and
    /// is kept until you say anew what becomes of it. A vault that is open under a key which the copy does not have, and that the copy does
    /// not list, would be locked for good: take it in first (`evc adopt vault`).
    #[command(before_help = BEGIN_ANEW)]
    BeginAnew {
        /// Say with it that no newer copy of the database is anywhere.
        #[arg(long)]
        confirm: bool,
        /// Begin also where a vault that is open on its node would be locked, and stay locked until the newest database is back.
        #[arg(long)]
        despite_open: bool,
    },
    /// List what to go through when the database was put back from a copy, and say that it was gone through.
    ///
    /// What operators said after the copy was made is not in it. So `evc serve` releases no key and deletes nothing from such a database until
    /// you have said what counts anew, and say so with `--checked`, on the stopped controller's machine.
    #[command(before_help = PUT_BACK)]
    PutBack {
        /// It was gone through: release keys again, as the database says now. Run it on the stopped controller's machine, with `--data`.
        #[arg(long)]
        checked: bool,
    },
    #[command(flatten)]
    Asked(Asked),
    /// Wait until the controller answers, or until a device or a vault is as you say.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc wait controller\n  evc wait device edge-1 --for attested\n  evc wait vault payments --device edge-1 --for unlocked"
    )]
    Wait(WaitFor),
    /// Print the version of this program, and of the controller where one answers.
    #[command(before_help = "Examples:\n  evc version\n  evc version -o json")]
    Version,
    /// Print completions for a shell. They ask the controller for the names of devices, vaults and policies.
    #[command(before_help = COMPLETIONS)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into a folder.
    #[command(before_help = "Examples:\n  evc man | man -l -\n  evc man --dir /usr/local/share/man/man1")]
    Man {
        /// The folder. It is made where it is not there.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

const BEGIN_ANEW: &str = "\
Examples:
  evc begin-anew --data /var/lib/evc --confirm  # once `evc serve` is stopped there
  evc put-back                                  # then, with it running again: what to go through";

const PUT_BACK: &str = "\
Examples:
  evc put-back                                  # what to go through
  evc put-back --checked --data /var/lib/evc    # it was: release keys again";

const COMPLETIONS: &str = "\
Examples:
  source <(evc completions bash)
  evc completions fish > ~/.config/fish/completions/evc.fish";

// What a running controller is asked. (A doc comment would be shown as the program's own description.)
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Asked {
    /// Allow devices to onboard, and list or withdraw what is allowed.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc onboard add --cert onboard.cert.pem --serial SN-1 --name edge-1\n  evc onboard list"
    )]
    Onboard(Onboard),
    /// Make or change policies and vaults as YAML files say: all of them, or none. The same files again change nothing.
    #[command(before_help = APPLY)]
    Apply {
        #[command(flatten)]
        files: Files,
        /// Check everything, say what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what `evc apply` of these files would change: each field, with what it is and would be.
    #[command(before_help = DIFF)]
    Diff {
        #[command(flatten)]
        files: Files,
    },
    /// List things: devices, vaults, policies, rules, reference values, who may onboard and who knocks.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc get vaults\n  evc get device edge-1 -o wide\n  evc get policies -o yaml"
    )]
    Get(GetWhat),
    /// Show one thing in full, with reasons.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc describe device edge-1\n  evc describe vault payments --device edge-1"
    )]
    Describe(DescribeWhat),
    /// Show the controller at a glance, and what needs attention.
    #[command(before_help = "Examples:\n  evc status\n  evc status -o json")]
    Status,
    /// Label devices, so that one rule gives each of them a vault.
    #[command(subcommand, before_help = "Examples:\n  evc label device edge-1 site=berlin")]
    Label(LabelWhat),
    /// Say that a device is lost or found, or settle its alarm.
    #[command(subcommand, before_help = "Examples:\n  evc device lost edge-1\n  evc device found edge-1")]
    Device(DeviceAct),
    /// Take over a vault that a node has and this controller never listed (an orphan); or take a device in as the one that its node holds to.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc adopt vault payments --device edge-1 --policy berlin-lines"
    )]
    Adopt(AdoptWhat),
    /// Move a vault to another device, with its keys, when its node had to register anew as that device.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc rehome vault payments --device edge-1 --to edge-1b --confirm payments"
    )]
    Rehome(RehomeWhat),
    /// Remove a vault (after its grace), a policy, a rule or a device.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc delete vault payments --device edge-1\n  evc delete policy shop"
    )]
    Delete(DeleteWhat),
    /// Make a new key for a vault.
    #[command(subcommand, before_help = "Examples:\n  evc rotate vault payments --device edge-1")]
    Rotate(RotateWhat),
    /// Order a missing vault to be made anew, empty.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc recreate vault payments --device edge-1 --confirm payments"
    )]
    Recreate(RecreateWhat),
    /// List, approve, reject or add reference values: the PCRs that a device shows after a good boot.
    #[command(
        subcommand,
        before_help = "Examples:\n  evc reference list --device edge-1\n  evc reference approve 1"
    )]
    Reference(ReferenceAct),
    /// Write a device's list of vaults, keys for its present session, and a challenge into a file, for a node that has no network.
    #[command(before_help = courier::EXPORT)]
    Export(Exported),
    /// Take the evidence that a node without network wrote into a file, and write its answer.
    #[command(before_help = courier::IMPORT)]
    Import(Imported),
    /// List and try bundles in escrow: with them a node opens its vaults again after an update of firmware or system.
    #[command(subcommand, before_help = "Examples:\n  evc escrow list\n  evc escrow drill edge-1")]
    Escrow(EscrowAct),
    /// Foresee what an update will do to the vaults of a device.
    #[command(subcommand, before_help = "Examples:\n  evc check update edge-1 --reference 7")]
    Check(CheckWhat),
}

const APPLY: &str = "\
Examples:
  evc apply -f shop.yaml
  evc apply -f policies.yaml -f vaults/        # every .yaml and .yml of the folder
  evc get policies -o yaml | sed s/72h/24h/ | evc apply -f -";

const DIFF: &str = "\
Examples:
  evc diff -f shop.yaml
  evc diff -f vaults/ || echo 'something differs'";

/// Files with documents.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Files {
    /// A file, a folder of files (.yaml, .yml), or `-` for standard input. May be repeated.
    #[arg(long = "file", short, required = true, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) files: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(before_help = SERVE)]
pub(in crate::cli) struct Serve {
    /// Address and port, as `IP:PORT`; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "IP:PORT", value_parser = listening)]
    pub(in crate::cli) listen: SocketAddr,
    /// Host name or address that devices reach the controller by, beside 127.0.0.1 and localhost; may be repeated.
    #[arg(long = "name")]
    pub(in crate::cli) names: Vec<String>,
    /// How often stock EVE devices poll, in seconds. Our `eve` does not read it: see `eve run --poll-interval`. [default: the device's own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(in crate::cli) poll_seconds: Option<u32>,
    /// How often each device opens its escrow bundle to show that it could (`evc escrow list`); 0: only when told to by `evc escrow drill`.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = drill_every)]
    pub(in crate::cli) escrow_drill_every: Duration,
    /// How long the keys and bundles of a deleted device are kept (`evc device deleted`); 0: they go with it.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = drill_every)]
    pub(in crate::cli) deleted_device_grace: Duration,
    /// Start although the clock is behind the time that it showed before. Give it once, when the clock was ahead then and is right now.
    #[arg(long)]
    pub(in crate::cli) clock_is_right: bool,
    /// How log lines look. `EVC_LOG` says how much is logged (like `info` or `debug`).
    #[arg(long, value_enum, default_value = "text")]
    pub(in crate::cli) log_format: LogFormat,
    /// As `--log-format json`, which it was called before.
    #[arg(long, hide = true)]
    pub(in crate::cli) log_json: bool,
}

/// From a minute to ten years, or none.
fn drill_every(text: &str) -> Result<Duration, String> {
    let every = if text == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(text) };
    let every = every.map_err(|error| error.to_string())?;
    match every.as_secs() {
        0 if every.is_zero() => Ok(every),
        60..=315_360_000 => Ok(every),
        _ => Err("is 0, or from 1m to 3650d".into()),
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}

const SERVE: &str = "\
Examples:
  evc serve --data /var/lib/evc
  evc serve --data /var/lib/evc --listen 0.0.0.0:8443 --name evc.example

The operator's token, the root certificate for the nodes and all keys lie in the data folder.
For a supervisor or a load balancer, without a token: GET /healthz says whether it lives, and GET /readyz
whether it can serve (200, or 503 with a reason).";

/// A reference value's.
fn number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "a reference value is named by its number, as `evc reference list` shows it".to_owned())
}

fn listening(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give IP:PORT, like 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443".to_owned())
}
