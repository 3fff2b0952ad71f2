//! The command line: `eve run`, `status`, `bus tail`, `vault …`.

#![deny(clippy::print_stdout, reason = "it panics where a reader went away: `out::say`")]

mod args;
mod bus_table;
mod check;
mod complete;
mod controller;
mod courier;
#[cfg(test)]
mod form;
pub(crate) mod freed;
#[cfg(test)]
mod help;
mod out;
#[cfg(test)]
mod parts;
mod recovery;
mod status;
mod table;
mod tail;
mod vaults;
mod wait;
mod walls;
mod wrong;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;
use disk::Disk;
use vault::text::OneLine;

use crate::agents::{self, Ended, Options, STARTS_ANEW};
use crate::bus::Agent;
use crate::supervisor;
use args::{BusCmd, Cli, Cmd, ControllerCmd, LogFormat, Root};

/// What was waited for has not come true in time. 2 is of commands that are used wrongly.
const TIME_UP: u8 = 5;

/// The command line as it is, for what names its commands.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line, and says by which exit code.
#[must_use]
pub fn main() -> ExitCode {
    // A shell asks what may stand next: that is answered here, and nothing else is done.
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong::tell(error, std::env::args_os()),
    };
    log(cli.log_format);
    // All that this program writes goes through this one.
    let disk = Disk::linux();
    if let Cmd::Agent { name, supervisor, poll_interval: poll, unlisted_calls: unlisted } = cli.command {
        return live(name, (&disk, &cli.reach.root().root), supervisor, Options { poll, unlisted });
    }
    match act(cli, &disk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eve: {}", vault::text::plain_lines(&format!("{error:#}")));
            if error.is::<wait::TimeUp>() { ExitCode::from(TIME_UP) } else { ExitCode::FAILURE }
        }
    }
}

fn act(cli: Cli, disk: &Disk) -> anyhow::Result<()> {
    let root = cli.reach.root();
    match cli.command {
        Cmd::Run { poll_interval: poll, unlisted_calls: unlisted } => {
            run(&root, Options { poll, unlisted }, cli.log_format)
        }
        Cmd::Agent { .. } => bail!("an agent is started by `eve run` alone"),
        Cmd::Status { output, wait, time } => {
            if wait {
                wait::until_ready(&root, time.timeout)?;
            }
            status::show(&root, output)
        }
        Cmd::Check { output } => check::show(&root, output),
        Cmd::Wait { time } => wait::until_ready(&root, time.timeout),
        Cmd::Bus(BusCmd::Tail { json }) => tail::follow(&root, json),
        Cmd::Controller(ControllerCmd::Accept { fingerprint }) => {
            controller::accept(&root, fingerprint.as_deref())
        }
        Cmd::Import { file } => courier::import(disk, &root, &file),
        Cmd::ExportEvidence { file, force } => courier::export(disk, &root, &file, force),
        Cmd::Walls => out::say(&walls::text()),
        Cmd::Bus(BusCmd::Table) => out::say(&bus_table::text()),
        Cmd::Vault(command) => vaults::act(&root, command),
        Cmd::Completions { shell } => {
            let (mut script, shells) = (Vec::new(), Shells::builtins());
            let completer = shells.completer(&shell.to_string());
            let completer = completer.with_context(|| format!("no completions for {shell}"))?;
            completer.write_registration("COMPLETE", "eve", "eve", "eve", &mut script)?;
            out::write(&script).map(drop)
        }
        Cmd::Man { dir } => man(dir.as_deref()),
    }
}

fn man(dir: Option<&Path>) -> anyhow::Result<()> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).context("can't make the page")?;
        return out::write(&page).map(drop);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("can't write into {}", dir.display()))
}

fn run(root: &Root, options: Options, format: LogFormat) -> anyhow::Result<()> {
    let format = if matches!(format, LogFormat::Json) { "json" } else { "text" };
    supervisor::run(&root.root, options, &["--log-format".to_owned(), format.to_owned()])
}

/// An agent's end is told in the log, where its life was.
fn live(name: Agent, on: (&Disk, &Path), supervisor: i32, options: Options) -> ExitCode {
    let _span = tracing::info_span!("agent", %name).entered();
    let unblocked = supervisor::unblock_signals().context("unblocking signals").map_err(Ended::Fault);
    match unblocked.and_then(|()| agents::live(name, on, supervisor, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Anew(why)) => {
            tracing::info!("{why}");
            ExitCode::from(STARTS_ANEW)
        }
        Err(Ended::Fault(error)) => {
            tracing::error!(error = %format!("{error:#}"), "ends");
            ExitCode::FAILURE
        }
    }
}

fn log(format: LogFormat) {
    // `RUST_LOG` is what it was called before.
    let filter = tracing_subscriber::EnvFilter::try_from_env("EVE_LOG")
        .or_else(|_| tracing_subscriber::EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| "info,tss_esapi=off".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let builder = builder.with_writer(|| OneLine(std::io::stderr()));
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
