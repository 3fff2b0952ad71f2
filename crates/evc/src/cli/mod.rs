//! The operator's command line: `evc serve`, and commands that speak to a running one over its API.
//! Exit codes: 0 done, 1 refused or failed, 2 used wrongly, 3 the controller is busy and the same may succeed soon, 4 what was named is not
//! there.

mod anew;
mod args;
mod ask;
mod client;
mod failed;
mod rows;
mod serve;
mod table;
mod token;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use serde::Serialize;
use serde_json::Value;
use vault::text::plain_lines;

use args::{Args, Command, Output, TokenAct};
use client::Client;
use failed::Failed;
use table::Row;

use crate::api::Done;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let output = args.output;
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{}", plain_lines(&failed.told(output)));
            failed.exit()
        }
    }
}

fn run(Args { command, reach, output }: Args) -> Result<(), Failed> {
    let told = match command {
        Command::Serve(serve) => return Ok(serve::serve(&reach.data(), &serve)?),
        Command::Completions { shell } => return Ok(completions(shell)?),
        Command::Man { dir } => return Ok(man(dir.as_deref())?),
        Command::BeginAnew => Told::done(anew::begin(&reach)?),
        Command::Token(TokenAct::New) => Told::done(token::new(&reach)?),
        Command::Token(TokenAct::Rotate) => Told::done(token::rotate(&mut Client::new(&reach)?)?),
        Command::Asked(what) => ask::ask(&Client::new(&reach)?, what),
    };
    Ok(print(&told?, output)?)
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "evc", &mut script);
    say(&script)
}

/// What a command asked for, in both forms.
struct Told {
    value: Value,
    text: String,
}

impl Told {
    fn list<T: Row>(rows: &[T]) -> Result<Self, Failed> {
        Ok(Self { value: value(&rows)?, text: table::table(rows) })
    }

    fn one<T: Row>(it: &T) -> Result<Self, Failed> {
        Ok(Self { value: value(it)?, text: table::table(std::slice::from_ref(it)) })
    }

    fn done(done: Done) -> Result<Self, Failed> {
        Self::one(&done)
    }

    fn whole(it: &impl Serialize) -> Result<Self, Failed> {
        let value = value(it)?;
        Ok(Self { text: table::whole(&value), value })
    }
}

fn value(it: &impl Serialize) -> anyhow::Result<Value> {
    serde_json::to_value(it).context("the answer can't be shown")
}

fn print(told: &Told, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => say(plain_lines(&format!("{:#}\n", told.value)).as_bytes()),
        Output::Table => say(told.text.as_bytes()),
    }
}

fn say(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // A pager that was left is no failure of ours.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write the answer"),
    }
}

fn man(dir: Option<&Path>) -> anyhow::Result<()> {
    match dir {
        Some(dir) => clap_mangen::generate_to(Args::command(), dir)
            .with_context(|| format!("can't write into {}", dir.display())),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page).context("can't make the page")?;
            say(&page)
        }
    }
}
