//! A command line that is used wrongly, in the form of all errors here: what is wrong, and what to type. What operators know from other tools
//! and is not here is told with what there is instead. Of all else clap's own words are said; nothing is guessed, and nothing done.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory as _, ValueEnum as _};
use cli::Output;
use vault::text::plain_lines;

use super::args::Args;

/// What is wrong, and what to do.
type Words = (String, String);

/// Says it; the exit code is clap's: 2, or 0 where help was asked for.
pub(super) fn tell(error: Error, line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line: Vec<OsString> = line.into_iter().collect();
    let error = cli::quoted::<Args>(error, &line);
    match words(&error, line.iter().cloned()) {
        Some((problem, advice)) => {
            let words = format!("{problem}\n  what to do: {advice}");
            let told = match cli::asks_for_json(&line) {
                true => cli::in_json(cli::USED_WRONGLY, &words, USED_WRONGLY),
                false => plain_lines(&format!("evc: {words}")),
            };
            cli::complain(&told);
            USED_WRONGLY.into()
        }
        None => cli::tell(&error, &line),
    }
}

/// As clap has it.
const USED_WRONGLY: u8 = 2;

fn words(error: &Error, line: impl IntoIterator<Item = OsString>) -> Option<Words> {
    let used = Used::of(line);
    match error.kind() {
        ErrorKind::TooManyValues => used.takes_no_value(error),
        ErrorKind::InvalidValue => no_output(error),
        ErrorKind::MissingRequiredArgument => used.lacks(error),
        ErrorKind::InvalidSubcommand => used.knows_no(error),
        _ => None,
    }
}

/// `-o jsonpath=..` and its like: one field is another program's to take.
fn no_output(error: &Error) -> Option<Words> {
    let value = text(error, ContextKind::InvalidValue)?;
    if !text(error, ContextKind::InvalidArg)?.starts_with("--output") {
        return None;
    }
    let all = Output::value_variants()
        .iter()
        .filter_map(|output| Some(output.to_possible_value()?.get_name().to_owned()));
    let all = all.collect::<Vec<_>>().join(", ");
    Some((
        format!("`-o {value}` is not a way to print"),
        format!(
            "give -o one of {all}; a single field is taken from json, like `evc get devices -o json | jq -r '.[].name'`"
        ),
    ))
}

/// The command that was meant, as far as it was said.
struct Used {
    all: Command,
    path: Vec<String>,
}

impl Used {
    fn of(line: impl IntoIterator<Item = OsString>) -> Self {
        let mut all = Args::command().ignore_errors(true);
        all.build();
        let mut path = Vec::new();
        let matches = all.clone().try_get_matches_from(line).ok();
        let mut at = matches.as_ref().and_then(clap::ArgMatches::subcommand);
        while let Some((name, under)) = at {
            path.push(name.to_owned());
            at = under.subcommand();
        }
        Self { all, path }
    }

    fn command(&self) -> Option<&Command> {
        self.path.iter().try_fold(&self.all, |command, name| command.find_subcommand(name))
    }

    /// `--dry-run=server` and its like.
    fn takes_no_value(&self, error: &Error) -> Option<Words> {
        let (flag, value) = (text(error, ContextKind::InvalidArg)?, text(error, ContextKind::InvalidValue)?);
        let long = flag.strip_prefix("--")?;
        let arg = self.command()?.get_arguments().find(|arg| arg.get_long() == Some(long))?;
        let help = arg.get_help()?.to_string();
        Some((
            format!("`{flag}` takes no value, and was given `{value}`"),
            format!("write `{flag}` alone: {}", lower(&help)),
        ))
    }

    /// What is left out is shown by an example, with the command that lists what can stand there.
    fn lacks(&self, error: &Error) -> Option<Words> {
        let ContextValue::Strings(lacking) = error.get(ContextKind::InvalidArg)? else { return None };
        let used = format!("evc {}", self.path.join(" "));
        let example = example(self.command()?, &used)?;
        let list = self.list().map(|list| format!("; `{list}` lists what there is")).unwrap_or_default();
        let is = if lacking.len() == 1 { "is" } else { "are" };
        Some((
            format!("{} {is} missing in `{used}`", lacking.join(" and ")),
            format!("write it like `{example}`{list}"),
        ))
    }

    /// A word that a group of commands does not have: what it has is told. Of the first word of all clap tells what is like it.
    fn knows_no(&self, error: &Error) -> Option<Words> {
        let word = text(error, ContextKind::InvalidSubcommand)?;
        let group = self.command().filter(|_| !self.path.is_empty())?;
        let known = group.get_subcommands().map(Command::get_name).filter(|name| *name != "help");
        let (used, known) = (self.path.join(" "), known.collect::<Vec<_>>().join(", "));
        Some((format!("`{word}` is nothing that `evc {used}` knows"), format!("write one of {known}")))
    }

    /// The command that lists things of the kind that this one is about.
    fn list(&self) -> Option<String> {
        let lists = self.all.find_subcommand("get")?;
        let kinds = self.path.iter().rev().find_map(|kind| lists.find_subcommand(kind))?;
        Some(format!("evc get {}", kinds.get_name()))
    }
}

/// The first example of the command itself, without where its output goes and what is said of it.
fn example(command: &Command, used: &str) -> Option<String> {
    let help = command.get_before_help()?.to_string();
    let first = help.lines().map(str::trim).find(|line| line.starts_with(used))?;
    let ends = ["  #", " > ", " | "].iter().filter_map(|end| first.find(end));
    Some(first[..ends.min().unwrap_or(first.len())].trim().to_owned())
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn of(line: &str) -> Option<Words> {
        let line = || line.split_whitespace().map(OsString::from);
        words(&Args::try_parse_from(line()).expect_err("wrong"), line())
    }

    /// Every command that ends a path.
    fn ends(of: &Command, path: &str) -> Vec<(String, Command)> {
        let path = format!("{path} {}", of.get_name()).trim().to_owned();
        if !of.has_subcommands() {
            return vec![(path, of.clone())];
        }
        of.get_subcommands().flat_map(|under| ends(under, &path)).collect()
    }

    /// IF-1: whatever a command lacks, it says so in the one form, by an example that is itself right.
    #[test]
    fn what_is_left_out_is_shown_by_an_example_that_works() {
        let evc = Args::command();
        let mut lacking = 0;
        for (path, command) in ends(&evc, "") {
            if path == "evc help" || Args::try_parse_from(path.split_whitespace()).is_ok() {
                continue;
            }
            let (problem, advice) = of(&path).unwrap_or_else(|| panic!("{path}: clap's words"));
            assert!(problem.ends_with(&format!(" missing in `{path}`")), "{problem}");
            for words in [&problem, &advice] {
                assert_eq!(form::wrong_words(&evc, words), [""; 0]);
            }
            let example = example(&command, &path).expect("one");
            let right = Args::try_parse_from(example.split_whitespace());
            assert!(right.is_ok(), "{path}: {example}: {right:?}");
            assert!(advice.contains(&example), "{advice}");
            lacking += 1;
        }
        assert!(lacking > 15, "{lacking}");
    }

    /// Seen-by-users 2.evc.4: who writes another tool's word learns all words that there are, and not one of which letters are alike.
    #[test]
    fn a_kind_that_is_not_there_is_told_with_those_that_are() {
        let (problem, advice) = of("evc get pods").expect("words");
        assert_eq!(problem, "`pods` is nothing that `evc get` knows");
        assert!(advice.contains("devices, vaults, policies") && !advice.contains("help"), "{advice}");
        assert!(of("evc gett").is_none(), "clap knows what is like it");
    }

    /// What clap says well is left to it, and so are help and version.
    #[test]
    fn all_else_is_said_by_clap() {
        for line in ["evc --help", "evc --version", "evc wait vault v --device d --for x", "evc"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
