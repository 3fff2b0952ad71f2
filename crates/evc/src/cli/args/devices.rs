//! What is said of who may come in: devices, their onboarding and reference values; operators' tokens.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Onboard {
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
pub(in crate::cli) enum TokenAct {
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
pub(in crate::cli) enum DeviceAct {
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
pub(in crate::cli) enum ReferenceAct {
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
