//! What can be said on the command line. The token itself never is: only where it lies.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand, ValueEnum};

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
";

/// The EVE Vault controller and its operator's command line.
#[derive(Debug, Parser)]
#[command(name = "evc", version, after_long_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) reach: Reach,
    /// How to print.
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub(super) output: Output,
}

/// Where the controller is.
#[derive(Debug, ClapArgs)]
pub(super) struct Reach {
    /// Data folder of a controller on this machine; names its URL, token and root certificate. [default: ./evc-data]
    #[arg(long, global = true, env = "EVC_DATA")]
    pub(super) data: Option<PathBuf>,
    /// URL of the controller, like `https://evc.example:8443`.
    #[arg(long, global = true, env = "EVC_URL")]
    pub(super) url: Option<String>,
    /// File with the operator's token.
    #[arg(long, global = true, env = "EVC_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// File with the controller's root certificate.
    #[arg(long, global = true, env = "EVC_CA")]
    pub(super) ca: Option<PathBuf>,
}

impl Reach {
    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| "evc-data".into())
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the controller.
    Serve(Serve),
    /// Allow devices to onboard, and list or withdraw what is allowed.
    #[command(subcommand)]
    Onboard(Onboard),
    /// The operator's token.
    #[command(subcommand)]
    Token(TokenAct),
    /// Say that a database which was put back from a copy is the one that counts. Run it on the stopped controller's machine, with `--data`.
    ///
    /// Nodes that took a newer list of vaults than the copy has then obey this controller again. They delete nothing that it does not
    /// list, lock what it does not list, and take its keys while their vaults are open.
    BeginAnew,
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

#[derive(Debug, ClapArgs)]
pub(super) struct Serve {
    /// Address and port; with port 0 the system chooses one.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub(super) listen: SocketAddr,
    /// Host name or address that devices reach the controller by, beside 127.0.0.1 and localhost; may be repeated.
    #[arg(long = "name")]
    pub(super) names: Vec<String>,
    /// How often stock EVE devices poll, in seconds. Our `eve` does not read it: see `eve run --poll-interval`. [default: the device's own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) poll_seconds: Option<u32>,
    /// Start although the clock is behind the time that it showed before. Give it once, when the clock was ahead then and is right now.
    #[arg(long)]
    pub(super) clock_is_right: bool,
    /// Log as JSON lines.
    #[arg(long)]
    pub(super) log_json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Onboard {
    /// Allow a certificate and serial to register.
    Add {
        /// The onboarding certificate, PEM.
        #[arg(long)]
        cert: PathBuf,
        /// The device's serial; `*` for any.
        #[arg(long)]
        serial: String,
        /// The name that the device gets.
        #[arg(long)]
        name: Option<String>,
    },
    /// List what is allowed.
    List,
    /// Withdraw an allowance. A device that used it stays registered.
    #[command(after_help = REMOVE, group = ArgGroup::new("certificate").required(true).args(["cert", "digest"]))]
    Remove {
        /// The onboarding certificate, PEM.
        #[arg(long)]
        cert: Option<PathBuf>,
        /// Its SHA-256, as `evc onboard list` shows it.
        #[arg(long)]
        digest: Option<String>,
        /// The serial, as it was allowed.
        #[arg(long)]
        serial: String,
    },
}

const REMOVE: &str = "\
Examples:
  evc onboard remove --cert onboard.cert.pem --serial SN-1
  evc onboard remove --digest 3f5a... --serial '*'";

#[derive(Debug, Subcommand)]
pub(super) enum TokenAct {
    /// Put a new token into the token's file, and end all other tokens.
    #[command(after_help = ROTATE)]
    Rotate,
    /// Make another token, on the controller's own machine: when the token was lost, or the controller was restored from a copy.
    #[command(after_help = NEW)]
    New,
}

const NEW: &str = "\
It needs no token. It needs the controller's data folder with its `kek`. The controller may run or not. Earlier tokens stay good:
`evc token rotate` ends them.

Examples:
  evc token new --data /var/lib/evc             # into /var/lib/evc/operator.token, which must not be there
  evc token new --data /var/lib/evc --token-file ~/.evc-token";

const ROTATE: &str = "\
Examples:
  evc token rotate                              # the token of ./evc-data
  evc token rotate --url https://evc.example:8443 --ca root.pem --token-file ~/.evc-token";

#[derive(Debug, Subcommand)]
pub(super) enum GetWhat {
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
pub(super) enum DescribeWhat {
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
pub(super) enum DeleteWhat {
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
    /// A device that has no vaults but its default ones. It may register again when its serial is allowed anew.
    Device {
        /// Name or UUID.
        name: String,
        /// Delete it although it has vaults. Their keys are deleted too.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeviceAct {
    /// The device is lost: no key is released to it any more, and at its next contact it is ordered to lock its vaults.
    Lost {
        /// Name or UUID.
        name: String,
    },
    /// The device is in good hands again: keys are released to it as its policies say.
    Found {
        /// Name or UUID.
        name: String,
    },
    /// The device may be two, and you found that it is one: end its alarm, and release keys as its policies say.
    Settle {
        /// Name or UUID.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AdoptWhat {
    /// A vault that its node reports as `orphan`, and that the node's TPM alone opens.
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
    },
}

const ADOPT: &str = "\
Examples:
  evc adopt vault payments --device edge-1 --policy berlin-lines
  evc delete vault payments --device edge-1     # where it is not wanted: removed there after its grace";

const REHOME: &str = "\
A node whose device key or TPM is gone registers as another device. A vault with custody `controller` opens there with the keys of
before. Mark the old device as lost first. Delete it afterwards.

Example:
  evc device lost edge-1
  evc rehome vault payments --device edge-1 --to edge-1b --confirm payments
  evc delete device edge-1";

#[derive(Debug, Subcommand)]
pub(super) enum RehomeWhat {
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
pub(super) enum RotateWhat {
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
pub(super) enum RecreateWhat {
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

#[derive(Debug, Subcommand)]
pub(super) enum ReferenceAct {
    /// List them.
    List {
        /// Of this device only.
        #[arg(long)]
        device: Option<String>,
    },
    /// Approve one: a boot that shows these values is good.
    Approve {
        /// Its number.
        id: i64,
    },
    /// Reject one: a boot that shows these values is not good.
    Reject {
        /// Its number.
        id: i64,
    },
    /// Learn the PCRs of the device's next good quote as a new value, to be approved.
    Learn {
        /// Name or UUID.
        device: String,
    },
}
