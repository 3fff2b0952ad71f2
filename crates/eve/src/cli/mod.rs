//! The command line: `eve run`, `status`, `bus tail`, `vault …`.

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
#[cfg(test)]
mod parts;
mod recovery;
mod status;
mod table;
mod tail;
mod vaults;
mod wait;
mod walls;
#[cfg(test)]
mod wrong;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use cli::Output;
use disk::Disk;
use vault::text::OneLine;

use crate::agents::{self, Ended, Options, STARTS_ANEW};
use crate::bus::Agent;
use crate::supervisor;
use args::{BusCmd, Cli, Cmd, ControllerCmd, LogFormat, Root};

/// Refused, or failed.
const FAILED: u8 = 1;
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
    let line: Vec<_> = std::env::args_os().collect();
    let typed = match Cli::try_parse_from(&line) {
        Ok(typed) => typed,
        Err(error) => return cli::used_wrongly::<Cli>(error, &line),
    };
    log(typed.log_format, &typed.command);
    // All that this program writes goes through this one.
    let disk = Disk::linux();
    if let Cmd::Agent { name, supervisor, poll_interval: poll, unlisted_calls: unlisted } = typed.command {
        return live(name, (&disk, &typed.reach.root().root), supervisor, Options { poll, unlisted });
    }
    match act(typed, &disk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(&error, &line),
    }
}

/// In words, or as an object where the line asks for JSON.
fn tell(error: &anyhow::Error, line: &[OsString]) -> ExitCode {
    let (code, exit) = if error.is::<wait::TimeUp>() { ("time-up", TIME_UP) } else { ("failed", FAILED) };
    let words = format!("{error:#}");
    if cli::asks_for_json(line) {
        cli::complain(&cli::in_json(code, &words, exit));
    } else {
        cli::complain(&format!("eve: {}", vault::text::plain_lines(&words)));
    }
    ExitCode::from(exit)
}

fn act(typed: Cli, disk: &Disk) -> anyhow::Result<()> {
    let root = typed.reach.root();
    match typed.command {
        Cmd::Run { poll_interval: poll, unlisted_calls: unlisted } => {
            run(&root, Options { poll, unlisted }, typed.log_format)
        }
        Cmd::Agent { .. } => bail!("an agent is started by `eve run` alone: run that"),
        Cmd::Status { printed, wait, time } => {
            if wait {
                wait::until_ready(&root, time.timeout)?;
            }
            status::show(&root, printed.output)
        }
        Cmd::Check { printed } => check::show(&root, printed.output),
        Cmd::Wait { time } => wait::until_ready(&root, time.timeout),
        Cmd::Bus(BusCmd::Tail { printed, json }) => {
            tail::follow(&root, if json { Output::Json } else { printed.output })
        }
        Cmd::Controller(ControllerCmd::Accept { fingerprint }) => {
            controller::accept(&root, fingerprint.as_deref())
        }
        Cmd::Import { file } => courier::import(disk, &root, &file),
        Cmd::ExportEvidence { file, force } => courier::export(disk, &root, &file, force),
        Cmd::Walls { printed } => walls::forms()?.print(printed.output),
        Cmd::Bus(BusCmd::Table { printed }) => bus_table::forms()?.print(printed.output),
        Cmd::Vault(command) => vaults::act(&root, command),
        Cmd::Completions { shell } => cli::completions("eve", shell),
        Cmd::Man { dir } => cli::man(Cli::command(), dir.as_deref()),
    }
}

fn run(root: &Root, options: Options, format: LogFormat) -> anyhow::Result<()> {
    let shown = root.root.display();
    // A wrong root, or none named: the folders of a node are not to be made in it.
    let is_node = ["config", "persist"].iter().any(|folder| root.root.join(folder).exists());
    ensure!(
        is_node,
        "no node is under {shown}, where neither config/ nor persist/ lies: name its root with --root or EVE_ROOT; `eve check` says what a node needs"
    );
    // Of the agents too, which inherit it. Without it the node runs all the same.
    let _drain = cli::Drain::begin(matches!(format, LogFormat::Json));
    let format = if matches!(format, LogFormat::Json) { "json" } else { "text" };
    supervisor::run(&root.root, options, &["--log-format".to_owned(), format.to_owned()])
}

/// An agent's end is told in the log, where its life was.
fn live(name: Agent, on: (&Disk, &Path), supervisor: i32, options: Options) -> ExitCode {
    let _span = tracing::info_span!("agent", %name).entered();
    let unblocked =
        supervisor::unblock_signals().context("unblocking the agent's signals").map_err(Ended::Fault);
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

/// A command that a person types has its answer for that: its log has what is wrong alone.
fn log(format: LogFormat, command: &Cmd) {
    let works = matches!(command, Cmd::Run { .. } | Cmd::Agent { .. });
    let usual = if works { "info,tss_esapi=off" } else { "warn,tss_esapi=off" };
    // `RUST_LOG` is what it was called before.
    let filter = tracing_subscriber::EnvFilter::try_from_env("EVE_LOG")
        .or_else(|_| tracing_subscriber::EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| usual.into());
    let log = cli::Log { as_json: matches!(format, LogFormat::Json) };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    // An event that can't be told is told nowhere else: that panics where nothing can be written.
    let builder = builder.log_internal_errors(false).with_writer(move || OneLine(log));
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
