//! The operator's command line: `evc serve`, and commands that speak to a running one over its API.
//! Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 3 the controller is busy and the same may succeed soon, 4 what was named is not
//! there, 5 a wait's time is up, 6 files differ from what is there.

mod anew;
mod args;
mod ask;
mod client;
#[cfg(test)]
mod columns;
mod complete;
mod courier;
mod describe;
mod escrow;
mod failed;
mod files;
#[cfg(test)]
mod form;
#[cfg(test)]
mod help;
mod look;
mod pcrs;
mod put_back;
mod read;
#[cfg(test)]
mod reasons;
mod rows;
mod serve;
mod table;
mod token;
mod told;
mod wait;
#[cfg(test)]
mod wrong;

pub use serve::hold;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use cli::Output;
use disk::Disk;
use serde_json::json;
use vault::text::plain_lines;

use args::{Args, Command, Reach, TokenAct};
use client::Client;
use failed::Failed;
use told::Told;

use crate::api::calls::STATUS;

/// The command line as it is, for what names its commands.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // A shell asks what may stand next: that is answered here, and nothing else is done.
    CompleteEnv::with_factory(Args::command).complete();
    // All that this program writes goes through this one, but for SQLite's own files.
    match main_on(&Disk::linux(), std::env::args_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

/// Runs a command line over a disk, before which a test may put faults.
///
/// # Errors
/// The program's exit code; what is wrong is printed.
pub fn main_on(disk: &Disk, line: Vec<OsString>) -> Result<(), ExitCode> {
    let args = Args::try_parse_from(&line).map_err(|error| cli::used_wrongly::<Args>(error, &line))?;
    let output = args.output;
    run(disk, args).map_err(|failed| {
        cli::complain(&plain_lines(&failed.told(output)));
        failed.exit()
    })
}

fn run(disk: &Disk, Args { command, reach, output }: Args) -> Result<(), Failed> {
    let told = match command {
        Command::Serve(serve) => return run_controller(disk, &reach, &serve, output),
        Command::Completions { shell } => return Ok(cli::completions("evc", shell)?),
        Command::Man { dir } => return Ok(cli::man(Args::command(), dir.as_deref())?),
        Command::Version => version(&reach),
        Command::BeginAnew { confirm, despite_open } => {
            Told::done(&anew::begin(&reach, confirm, despite_open)?)
        }
        Command::PutBack { checked } => Told::done(&put_back::put_back(disk, &reach, checked)?),
        Command::Token(TokenAct::New) => Told::done(&token::new(disk, &reach)?),
        Command::Token(TokenAct::Rotate) => Told::done(&token::rotate(disk, &mut Client::new(&reach)?)?),
        Command::Wait(what) => Told::done(&wait::wait(&reach, &what)?),
        Command::Asked(what) => ask::ask(disk, &Client::new(&reach)?, what, output),
    };
    let told = told?;
    told.print(output)?;
    told.sound()
}

fn run_controller(disk: &Disk, reach: &Reach, serve: &args::Serve, output: Output) -> Result<(), Failed> {
    match reach.of_clients().or((output != Output::Table).then_some("-o")) {
        Some("-o") => Err(Failed::Misused(
            "`evc serve` prints no rows, and takes no -o: --log-format says how its log looks".into(),
        )),
        Some(option) => Err(Failed::Misused(format!(
            "`evc serve` takes no {option}: it makes its own; see `evc serve --help`"
        ))),
        None => Ok(serve::serve(disk, &reach.data(), serve)?),
    }
}

/// Of this program, and of the controller where one answers.
fn version(reach: &Reach) -> Result<Told, Failed> {
    let own = env!("CARGO_PKG_VERSION");
    let asked = Client::new(reach).map_err(Failed::from).and_then(|client| client.call(&STATUS, &[]));
    let server = asked.map(|status| status.version).ok();
    let there = server.as_deref().unwrap_or("no answer");
    let text = format!("evc         {own}\ncontroller  {}\n", vault::text::plain(there));
    Told::whole(&json!({ "client": own, "server": server }), text, String::new())
}
