//! What can be said on the command line. The token itself never is: only where it lies.

mod devices;
mod vaults;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(super) use devices::{DeviceAct, Onboard, ReferenceAct, TokenAct};
pub(super) use vaults::{AdoptWhat, DeleteWhat, DescribeWhat, GetWhat, RecreateWhat, RehomeWhat, RotateWhat};

const EXAMPLE: &str = "\
A file for `evc apply -f`:

  kind: VaultPolicy
  name: berlin-lines
  custody: tpm+controller          # tpm | controller
  seal: tpm                        # pcrs
  encryption: aes-256-xts          # adiantum
  attest: { every: 15m, require: [pcrs], on_failure: withhold }
  on_removal: { delete_after: 72h }
  operation: unlock                # lock
  ---
  kind: Vault
  name: payments                   # config and image are the default vaults
  device: edge-1                   # name or UUID
  policy: berlin-lines

Exit codes: 0 done; 1 refused or failed; 2 used wrongly; 3 the controller is busy, and the same may succeed soon; 4 what was named
is not there.
";

/// The EVE Vault controller and its operator's command line.
#[derive(Debug, Parser)]
#[command(name = "evc", version, after_long_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// How to print.
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub(in crate::cli) output: Output,
}

/// Where the controller is.
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Reach {
    /// Data folder of a controller on this machine; names its URL, token and root certificate. [default: ./evc-data]
    #[arg(long, global = true, env = "EVC_DATA")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// URL of the controller, like https://evc.example:8443.
    #[arg(long, global = true, env = "EVC_URL")]
    pub(in crate::cli) url: Option<String>,
    /// File with the operator's token.
    #[arg(long, global = true, env = "EVC_TOKEN_FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// File with the controller's root certificate.
    #[arg(long, global = true, env = "EVC_CA")]
    pub(in crate::cli) ca: Option<PathBuf>,
}

impl Reach {
    /// The data folder.
    pub(in crate::cli) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| "evc-data".into())
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Run the controller.
    Serve(Serve),
    /// The operator's token.
    #[command(subcommand)]
    Token(TokenAct),
    /// Say that a database which was put back from a copy is the one that counts. Run it on the stopped controller's machine, with `--data`.
    ///
    /// Nodes that took a newer list of vaults than the copy has then obey this controller again. They delete nothing that it does not
    /// list, lock what it does not list, and take its keys while their vaults are open.
    BeginAnew,
    #[command(flatten)]
    Asked(Asked),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into a folder.
    Man {
        /// The folder.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

// What a running controller is asked. (A doc comment would be shown as the program's own description.)
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Asked {
    /// Allow devices to onboard, and list or withdraw what is allowed.
    #[command(subcommand)]
    Onboard(Onboard),
    /// Make policies and vaults as a YAML file says. To repeat it changes nothing.
    Apply {
        /// The file; `-` for standard input.
        #[arg(long, short)]
        file: String,
        /// Check everything and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// List things.
    #[command(subcommand)]
    Get(GetWhat),
    /// Show one thing in full, with reasons.
    #[command(subcommand)]
    Describe(DescribeWhat),
    /// Say that a device is lost or found, or settle its alarm.
    #[command(subcommand)]
    Device(DeviceAct),
    /// Take over a vault that a node has and this controller never listed (an orphan).
    #[command(subcommand)]
    Adopt(AdoptWhat),
    /// Move a vault to another device, with its keys, when its node had to register anew as that device.
    #[command(subcommand)]
    Rehome(RehomeWhat),
    /// Remove a vault (after its grace), a policy or a device.
    #[command(subcommand)]
    Delete(DeleteWhat),
    /// Make a new key for a vault.
    #[command(subcommand)]
    Rotate(RotateWhat),
    /// Order a missing vault to be made anew, empty.
    #[command(subcommand)]
    Recreate(RecreateWhat),
    /// Reference values: the PCRs that a device shows after a good boot.
    #[command(subcommand)]
    Reference(ReferenceAct),
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Serve {
    /// Address and port; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub(in crate::cli) listen: SocketAddr,
    /// Host name or address that devices reach the controller by, beside 127.0.0.1 and localhost; may be repeated.
    #[arg(long = "name")]
    pub(in crate::cli) names: Vec<String>,
    /// How often stock EVE devices poll, in seconds. Our `eve` does not read it: see `eve run --poll-interval`. [default: the device's own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(in crate::cli) poll_seconds: Option<u32>,
    /// Start although the clock is behind the time that it showed before. Give it once, when the clock was ahead then and is right now.
    #[arg(long)]
    pub(in crate::cli) clock_is_right: bool,
    /// Log as JSON lines.
    #[arg(long)]
    pub(in crate::cli) log_json: bool,
}
