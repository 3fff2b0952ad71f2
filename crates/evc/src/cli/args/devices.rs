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
    /// Withdraw it; a device that used it stays registered.
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
    /// Put a new token into the token's file, and end the one before it and every copy of it.
    #[command(after_help = ROTATE)]
    Rotate,
    /// Make another token, on the controller's machine alone: where the token was lost, or the controller was restored from a copy.
    #[command(after_help = NEW)]
    New,
}

const NEW: &str = "\
Needs no token, but the controller's data folder with its `kek`; the controller may run or not. Tokens before it stay good:
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
    /// Nothing is released to it any more; at its next contact it is told to lock its vaults.
    Lost {
        /// Name or UUID.
        name: String,
    },
    /// It is in good hands again.
    Found {
        /// Name or UUID.
        name: String,
    },
    /// It gave an alarm (it may be two), and is one: its policies decide again.
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
    /// Say that one is good.
    Approve {
        /// Its number.
        id: i64,
    },
    /// Say that one is not.
    Reject {
        /// Its number.
        id: i64,
    },
    /// Learn the device's next good quote once more, to be approved.
    Learn {
        /// Name or UUID.
        device: String,
    },
}
