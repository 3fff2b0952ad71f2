//! Manual pages, and what a shell completes by.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use vault::text::is_word;

use crate::write;

/// Prints the manual page, on a terminal by way of `man`; or writes those of all commands into a folder, which is made where it is not there.
///
/// # Errors
/// They can't be written, or nothing here shows one.
pub fn man(command: clap::Command, dir: Option<&Path>) -> anyhow::Result<()> {
    let Some(dir) = dir else {
        let (mut page, name) = (Vec::new(), command.get_name().to_owned());
        clap_mangen::Man::new(command).render(&mut page).context("can't make the page")?;
        let on_terminal = std::io::stdout().is_terminal();
        return if on_terminal { shown(&page, &name) } else { write(&page).map(drop) };
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .with_context(|| format!("can't write into {}", dir.display()))
}

/// What a page is made of is nothing to read: `man` shows it, where it is.
fn shown(page: &[u8], name: &str) -> anyhow::Result<()> {
    let reader = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn();
    let shown = reader.and_then(|mut reader| {
        // One that is left early is no error.
        let _ = reader.stdin.take().map(|mut pipe| pipe.write_all(page));
        reader.wait()
    });
    match shown {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "no `man` is here that shows the page\n  what to do: install the package man-db; or see `{name} --help`; or write the pages by `{name} man --dir DIR`"
        ),
    }
}

/// Prints a script by which the shell asks the program of this name.
///
/// # Errors
/// It can't be written, or nothing is known of that shell.
pub fn completions(program: &str, shell: clap_complete::Shell) -> anyhow::Result<()> {
    let (mut script, shells) = (Vec::new(), Shells::builtins());
    let completer = shells.completer(&shell.to_string());
    let completer = completer.with_context(|| format!("no completions for {shell}"))?;
    completer.write_registration("COMPLETE", program, program, program, &mut script)?;
    write(&script).map(drop)
}

/// Names as a shell is offered them, each once. bash puts what it is offered into the line as it is, and carries that out: what a shell would take for
/// more than one word that stands for itself (a stranger may call himself `$(..)`) is not offered.
pub fn offered(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut names: Vec<String> = names.filter(|name| is_word(name)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}
