//! The operator's command line: `evc serve`, and commands that speak to a running one over its API.
//! Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 3 the controller is busy and the same may succeed soon, 4 what was named is not
//! there, 5 a wait's time is up, 6 files differ from what is there.

mod anew;
mod args;
mod ask;
mod client;
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
mod rows;
mod serve;
mod table;
mod token;
mod told;
mod wait;
mod wrong;
mod yaml;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;
use disk::Disk;
use serde_json::json;
use vault::text::plain_lines;

use args::{Args, Command, Output, Reach, TokenAct};
use client::Client;
use failed::Failed;
use told::{Told, say};

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
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return wrong::tell(error, std::env::args_os()),
    };
    let output = args.output;
    // All that this program writes goes through this one, but for SQLite's own files.
    match run(&Disk::linux(), args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{}", plain_lines(&failed.told(output)));
            failed.exit()
        }
    }
}

fn run(disk: &Disk, Args { command, reach, output }: Args) -> Result<(), Failed> {
    let told = match command {
        Command::Serve(serve) => return run_controller(disk, &reach, &serve, output),
        Command::Completions { shell } => return Ok(completions(shell)?),
        Command::Man { dir } => return Ok(man(dir.as_deref())?),
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

/// A script by which the shell asks this program.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let (mut script, shells) = (Vec::new(), Shells::builtins());
    let completer =
        shells.completer(&shell.to_string()).with_context(|| format!("no completions for {shell}"))?;
    completer.write_registration("COMPLETE", "evc", "evc", "evc", &mut script)?;
    say(&script)
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

fn man(dir: Option<&Path>) -> anyhow::Result<()> {
    match dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Args::command(), dir))
            .with_context(|| format!("can't write into {}", dir.display())),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page).context("can't make the page")?;
            say(&page)
        }
    }
}
