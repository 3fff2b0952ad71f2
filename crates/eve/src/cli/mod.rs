//! The command line: `eve run`, `status`, `bus tail`, `vault …`.

mod args;
mod status;
mod table;
mod tail;
mod vaults;

use std::io::IsTerminal;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::agents::{self, Options};
use crate::bus::Agent;
use crate::supervisor;
use args::{BusCmd, Cli, Cmd, LogFormat, Root};

/// Runs the command line.
///
/// # Errors
/// What to tell the user.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log(cli.log_format);
    match cli.command {
        Cmd::Run { root, poll_interval } => run(&root, poll_interval, cli.log_format),
        Cmd::Agent { name, root, supervisor, poll_interval } => live(name, &root, supervisor, poll_interval),
        Cmd::Status { root, output } => status::show(&root.root, &root.bus(), output),
        Cmd::Bus(BusCmd::Tail { root }) => tail::follow(&root.bus()),
        Cmd::Vault(command) => vaults::act(command),
        Cmd::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "eve", &mut std::io::stdout());
            Ok(())
        }
        Cmd::Man { dir } => Ok(clap_mangen::generate_to(Cli::command(), dir)?),
    }
}

fn run(root: &Root, poll: Duration, format: LogFormat) -> anyhow::Result<()> {
    let format = if matches!(format, LogFormat::Json) { "json" } else { "text" };
    supervisor::run(&root.root, Options { poll }, &["--log-format".to_owned(), format.to_owned()])
}

fn live(name: Agent, root: &Root, supervisor: i32, poll: Duration) -> anyhow::Result<()> {
    supervisor::unblock_signals()?;
    let _span = tracing::info_span!("agent", %name).entered();
    agents::live(name, &root.root, supervisor, Options { poll })
}

fn log(format: LogFormat) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,tss_esapi=off".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}
