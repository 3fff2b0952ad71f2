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
    let command = in_full(command);
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

/// A page has what `-h` leaves out, and it left out the help of all options that `-h` does not name.
fn in_full(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(in_full)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen by a new user: `man evc-apply` named `--data` and `--url`, and did not say what they are.
    #[test]
    fn a_page_says_what_each_option_is() {
        let arg = clap::Arg::new("data").long("data").help("The data folder").hide_short_help(true);
        let program = clap::Command::new("x").subcommand(clap::Command::new("y").arg(arg));
        let (program, mut page) = (in_full(program), Vec::new());
        let one = program.find_subcommand("y").expect("is there").clone();
        clap_mangen::Man::new(one).render(&mut page).expect("writes");
        assert!(String::from_utf8_lossy(&page).contains("The data folder"));
    }
}
