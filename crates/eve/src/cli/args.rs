//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use cli::Output;

use super::complete::vaults;
use crate::bus::{Agent, Bus};
use crate::sandbox::Unlisted;

const FIRST: &str = "\
Examples:
  eve check                              # whether this machine can be a node
  eve run                                # the node, on this machine
  eve status --wait                      # once it is attested and its vaults are as they should be
  eve vault list
  cd $(eve vault path payments)";

const CODES: &str = "\
Exit codes: 0 done; 1 refused or failed; 2 used wrongly; 5 `eve wait` and `eve status --wait`: their time is up.";

/// The edge node of EVE Vault.
#[derive(Debug, Parser)]
#[command(name = "eve", version, before_help = FIRST, after_help = CODES)]
pub(super) struct Cli {
    /// How log lines look. `EVE_LOG` says how much is logged (like `info` or `debug`).
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        help_heading = GLOBALS,
        hide_short_help = true
    )]
    pub(super) log_format: LogFormat,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(subcommand)]
    pub(super) command: Cmd,
}

/// Over the options that every command takes.
const GLOBALS: &str = "Global options";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// How what is listed is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Printed {
    /// How to print: `table` and `wide` for people, `json` and `yaml` for programs, `name` for loops of a shell.
    #[arg(
        long,
        short,
        value_enum,
        default_value = "table",
        hide_possible_values = true,
        value_name = Output::ALL
    )]
    pub(super) output: Output,
}

/// Where the node is.
// The variable is read here and not by clap: it would demand in its usage line what is set in the environment.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Reach {
    /// The node's root: config/, persist/ and run/ lie in it. [env: EVE_ROOT] [default: /]
    #[arg(long, global = true, help_heading = GLOBALS, value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
}

impl Reach {
    /// As it is said, or set, or everywhere.
    pub(super) fn root(&self) -> Root {
        let set = || std::env::var_os("EVE_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from);
        Root { root: self.root.clone().or_else(set).unwrap_or_else(|| "/".into()) }
    }
}

/// The root of a node.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) root: PathBuf,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Time {
    /// How long to wait at most, like 30s or 5m.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(super) timeout: Duration,
}

impl Root {
    /// The bus of the node there, as its operator.
    pub(super) fn bus(&self) -> Bus {
        Bus::visit(&self.root, Agent::Operator)
    }

    /// Said where no node answers under it: which one was meant, and what to do.
    pub(super) fn not_running(&self) -> String {
        if super::check::runs(&self.root) {
            return format!(
                "`eve run` works on {}, and did not answer in time: it starts still, or this machine is busy; try again",
                self.root.display()
            );
        }
        format!(
            "no `eve run` answers under {}: start it, or name the root of the one that runs with --root",
            self.root.display()
        )
    }
}

const ACCEPT: &str = "\
Examples:
  eve controller accept                  # prints the fingerprint, to compare it with the controller's
  eve controller accept --fingerprint 3f5a...";

const RUN: &str = "\
Examples:
  eve run
  eve run --root /srv/node --poll-interval 10s
  eve run --log-format json";

#[derive(Debug, Subcommand)]
pub(super) enum ControllerCmd {
    /// Accept the controller whose root certificate is in config/, in place of the one that this node belonged to.
    ///
    /// Vaults that the new controller does not list are locked and kept. Without `--fingerprint` nothing is changed, and the
    /// fingerprint of that certificate is printed.
    #[command(before_help = ACCEPT)]
    Accept {
        /// SHA-256 of the root certificate, in hex.
        #[arg(long)]
        fingerprint: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Cmd {
    /// Run the node: all agents, until SIGTERM.
    #[command(before_help = RUN)]
    Run {
        /// Time between two polls of the controller, like 60s.
        #[arg(long, default_value = "60s", value_parser = duration)]
        poll_interval: Duration,
        /// What happens to an agent that makes a system call which is not on its list. For tests.
        #[arg(long, value_enum, default_value = "refused", hide = true)]
        unlisted_calls: Unlisted,
    },
    /// Show the node at a glance.
    #[command(
        before_help = "Examples:\n  eve status\n  eve status --wait --timeout 2m\n  eve status -o wide             # and where its vaults lie\n  eve status -o yaml"
    )]
    Status {
        #[command(flatten)]
        printed: Printed,
        /// First wait as `eve wait` does.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        time: Time,
    },
    /// Check whether this machine can be a node: its config/, TPM, disk and kernel. Nothing is changed.
    ///
    /// What is tried (indices in the TPM, a file of each cipher) is taken away again. Exits with 1 when it finds a fault. What each code
    /// means stands in docs/checks.md.
    #[command(
        before_help = "Examples:\n  eve check                      # before `eve run` for the first time\n  eve check -o json"
    )]
    Check {
        #[command(flatten)]
        printed: Printed,
    },
    /// Wait until the node is onboarded and attested, and each vault is as it is asked to be.
    #[command(before_help = "Examples:\n  eve run & eve wait --timeout 2m")]
    Wait {
        #[command(flatten)]
        time: Time,
    },
    /// Look at the bus between the agents.
    #[command(subcommand, before_help = "Examples:\n  eve bus tail\n  eve bus table")]
    Bus(BusCmd),
    /// Look at the vaults of this node, and open or lock them.
    #[command(subcommand, before_help = "Examples:\n  eve vault list\n  eve vault lock payments")]
    Vault(VaultCmd),
    /// Say to which controller this node belongs.
    #[command(subcommand, before_help = "Examples:\n  eve controller accept")]
    Controller(ControllerCmd),
    /// Take the answer of a controller that this node has no network to, out of a file that `evc export` or `evc import` wrote.
    ///
    /// It is verified as if it came over the network. What is for an earlier start of this node, for another device, or older than what was accepted, is
    /// refused, and nothing changes.
    #[command(before_help = "Examples:\n  eve import /media/stick/edge-1.answer")]
    Import {
        /// The file; `-`: standard input.
        file: PathBuf,
    },
    /// Write this node's evidence into a file, for `evc import` at the controller.
    ///
    /// It answers the file that was imported last, and is good until vaultmgr is started anew; then write it again.
    #[command(
        before_help = "Examples:\n  eve import /media/stick/edge-1.answer\n  eve export-evidence /media/stick/edge-1.evidence"
    )]
    ExportEvidence {
        /// The file; `-`: standard output.
        file: PathBuf,
        /// Write over a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Print what each agent's process may do: its user, capabilities, files, and system calls with their reasons.
    #[command(before_help = "Examples:\n  eve walls | less\n  eve walls -o yaml")]
    Walls {
        #[command(flatten)]
        printed: Printed,
    },
    /// Print completions for a shell. They ask the node for the names of its vaults.
    #[command(
        before_help = "Examples:\n  source <(eve completions bash)\n  eve completions fish > ~/.config/fish/completions/eve.fish"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into a folder.
    #[command(before_help = "Examples:\n  eve man | man -l -\n  eve man --dir /usr/local/share/man/man1")]
    Man {
        /// The folder. It is made where it is not there.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    #[command(hide = true)]
    Agent {
        name: Agent,
        #[arg(long)]
        supervisor: i32,
        #[arg(long, value_parser = duration)]
        poll_interval: Duration,
        #[arg(long, value_enum, default_value = "refused")]
        unlisted_calls: Unlisted,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum BusCmd {
    /// Print which agent may publish, hear and call what on the bus.
    #[command(before_help = "Examples:\n  eve bus table\n  eve bus table -o json")]
    Table {
        #[command(flatten)]
        printed: Printed,
    },
    /// Show what is published, secrets redacted, and who asks whom what, each with its time (UTC), until Ctrl-C.
    ///
    /// What is secret is never shown, and of keys and signatures only how long they are. `json` and `yaml` have a value of `at`, `topic` and
    /// `value` for each; `name` has the topic alone.
    #[command(
        before_help = "Examples:\n  eve bus tail\n  eve bus tail -o json | jq -r .topic\n  eve bus tail -o yaml"
    )]
    Tail {
        #[command(flatten)]
        printed: Printed,
        /// As `-o json`, which it was called before.
        #[arg(long, hide = true)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum VaultCmd {
    /// List every vault and its state.
    #[command(
        before_help = "Examples:\n  eve vault list\n  eve vault list -o wide         # and what each was asked to be, its storage limit and its UUID\n  eve vault list --all -o yaml"
    )]
    List {
        #[command(flatten)]
        printed: Printed,
        /// Show removed vaults too.
        #[arg(long)]
        all: bool,
    },
    /// Print the directory of a vault.
    #[command(before_help = "Examples:\n  ls $(eve vault path payments)")]
    Path {
        /// Its name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        vault: String,
    },
    /// Lock a vault, until `eve vault unlock` or the next boot.
    #[command(before_help = "Examples:\n  eve vault lock payments")]
    Lock {
        /// Its name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        vault: String,
    },
    /// Unlock a vault that was locked here, or try again to open one.
    #[command(before_help = "Examples:\n  eve vault unlock payments")]
    Unlock {
        /// Its name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        vault: String,
    },
    /// Open a vault by its recovery key, without TPM and controller.
    ///
    /// The key lies on the node's disk, encrypted with age to the recipients of the vault's policy. Either give an identity of one of them,
    /// and it is decrypted here; or decrypt it elsewhere with `age -d`, and give the key. A vault that was opened so gets another
    /// recovery key as soon as its controller is heard.
    #[command(
        before_help = "Examples:\n  eve vault recover payments --identity /media/stick/identity.txt\n  ssh safe 'age -d -i identity.txt' < FILE.age | eve vault recover payments --key -"
    )]
    Recover {
        /// Its name or UUID.
        #[arg(add = ArgValueCandidates::new(vaults))]
        vault: String,
        /// A file of age identities, as `age-keygen` writes it; `-`: standard input. It is read here, and kept nowhere.
        #[arg(long, value_name = "FILE", required_unless_present = "key", conflicts_with = "key")]
        identity: Option<PathBuf>,
        /// A file with the 32 bytes that came out of the age file; `-`: standard input.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Make a missing vault anew, EMPTY. What was in it is lost. With --despite-other-key also one that no key here opens.
    #[command(before_help = "Examples:\n  eve vault recreate payments --confirm payments")]
    Recreate {
        /// Its name.
        #[arg(add = ArgValueCandidates::new(vaults))]
        vault: String,
        /// Its name again. Without it the command asks.
        #[arg(long)]
        confirm: Option<String>,
        /// Also where a bundle in escrow could bring it back, or this TPM may be another node's: what is in it is given up. Where the share table is
        /// lost, so is every vault with a share in it.
        #[arg(long)]
        despite_escrow: bool,
        /// Also where it is there and locked, under a key that this node can't get, as a former controller's: what is in it is given up.
        /// With --despite-escrow also where a bundle may have key files of it that open.
        #[arg(long)]
        despite_other_key: bool,
    },
}

/// `500ms`, `60s`, `5m`, `2h`; without a unit seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let duration = seconds.or_else(|_| humantime::parse_duration(text)).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(100)..=Duration::from_secs(86_400);
    bounds.contains(&duration).then_some(duration).ok_or_else(|| "between 100ms and a day".to_owned())
}
