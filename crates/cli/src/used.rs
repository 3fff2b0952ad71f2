//! A command line that is used wrongly, in the form of all errors here: what is wrong, and what to type. What operators know from other tools
//! and is not here is told with what there is instead. Of all else clap's own words are said; nothing is guessed, and nothing done.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, Parser, ValueEnum as _};
use vault::text::plain_lines;

use crate::Output;
use crate::typed::{USED_WRONGLY, quoted, tell};
use crate::wrong::{asks_for_json, in_json};

/// What is wrong, and what to do.
type Words = (String, String);

/// Says it; the exit code is clap's: 2, or 0 where help was asked for.
#[must_use]
pub fn used_wrongly<P: Parser>(error: Error, line: &[OsString]) -> ExitCode {
    let error = quoted::<P>(error, line);
    let Some((problem, advice)) = how_to_use(P::command(), &error, line) else { return tell(&error, line) };
    let words = format!("{problem}\n  what to do: {advice}");
    let told = match asks_for_json(line) {
        true => in_json(USED_WRONGLY, &words, EXIT),
        false => plain_lines(&format!("{}: {words}", P::command().get_name())),
    };
    crate::complain(&told);
    EXIT.into()
}

/// As clap has it.
const EXIT: u8 = 2;

/// What is wrong with such a line, and what to do, where that is better said than by clap.
#[must_use]
pub fn how_to_use(program: Command, error: &Error, line: &[OsString]) -> Option<Words> {
    let used = Used::of(program, line);
    match error.kind() {
        ErrorKind::TooManyValues => used.takes_no_value(error),
        ErrorKind::InvalidValue => used.no_output(error),
        ErrorKind::MissingRequiredArgument => used.lacks(error),
        ErrorKind::InvalidSubcommand => used.knows_no(error),
        ErrorKind::UnknownArgument => used.has_no_place_for(error),
        _ => None,
    }
}

/// The command that was meant, as far as it was said.
struct Used {
    all: Command,
    path: Vec<String>,
}

impl Used {
    fn of(program: Command, line: &[OsString]) -> Self {
        let mut all = program.ignore_errors(true);
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

    /// As it is typed.
    fn typed(&self) -> String {
        [self.all.get_name()]
            .into_iter()
            .chain(self.path.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Its first example.
    fn example(&self) -> Option<String> {
        example(self.command()?, &self.typed())
    }

    /// `-o jsonpath=..` and its like: one field is another program's to take.
    fn no_output(&self, error: &Error) -> Option<Words> {
        let value = text(error, ContextKind::InvalidValue)?;
        if !text(error, ContextKind::InvalidArg)?.starts_with("--output") {
            return None;
        }
        let all = Output::value_variants()
            .iter()
            .filter_map(|output| Some(output.to_possible_value()?.get_name().to_owned()));
        let (all, typed) = (all.collect::<Vec<_>>().join(", "), self.typed());
        Some((
            format!("`-o {value}` is not a way to print"),
            format!("give -o one of {all}; a single field is taken from json, by `{typed} -o json | jq`"),
        ))
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
        let example = self.example()?;
        let list = self.list().map(|list| format!("; `{list}` lists what there is")).unwrap_or_default();
        let is = if lacking.len() == 1 { "is" } else { "are" };
        let lacking: Vec<_> = lacking.iter().map(|group| one_of(group)).collect();
        Some((
            format!("{} {is} missing in `{}`", lacking.join(" and "), self.typed()),
            format!("write it like `{example}`{list}"),
        ))
    }

    /// A file without its `-f`, a name too many, an option of another command: what is right is shown by an example.
    fn has_no_place_for(&self, error: &Error) -> Option<Words> {
        let (word, example) = (text(error, ContextKind::InvalidArg)?, self.example()?);
        let like = match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(like)) => format!("; or did you mean `{like}`?"),
            _ => String::new(),
        };
        let typed = self.typed();
        Some((
            format!("`{word}` is one word too many in `{typed}`"),
            format!("write it like `{example}`{like}; `{typed} --help` has all that it takes"),
        ))
    }

    /// A word that a group of commands does not have: what it has is told. Of the first word of all clap tells what is like it.
    fn knows_no(&self, error: &Error) -> Option<Words> {
        let word = text(error, ContextKind::InvalidSubcommand)?;
        let group = self.command().filter(|_| !self.path.is_empty())?;
        let known: Vec<_> =
            group.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
        let typed = self.typed();
        let advice = match known.as_slice() {
            [one] => format!("write `{typed} {one}`, and then what it is to be done to"),
            _ => format!("write one of {}", known.join(", ")),
        };
        Some((format!("`{word}` is nothing that `{typed}` knows"), advice))
    }

    /// The command that lists things of the kind that this one is about.
    fn list(&self) -> Option<String> {
        if let Some(lists) = self.all.find_subcommand("get") {
            let kinds = self.path.iter().rev().find_map(|kind| lists.find_subcommand(kind))?;
            return Some(format!("{} get {}", self.all.get_name(), kinds.get_name()));
        }
        let group = self.all.find_subcommand(self.path.first()?)?;
        group.find_subcommand("list")?;
        Some(format!("{} {} list", self.all.get_name(), group.get_name()))
    }
}

/// `<--cert <CERT>|--digest <DIGEST>>` is clap's way to say that one of two is enough.
fn one_of(lacking: &str) -> String {
    match lacking.strip_prefix('<').and_then(|group| group.strip_suffix('>')) {
        Some(group) if group.starts_with('-') => group.replace("|-", " or -"),
        _ => lacking.to_owned(),
    }
}

/// The first example of the command itself, without where its output goes and what is said of it.
fn example(command: &Command, used: &str) -> Option<String> {
    let help = command.get_before_help()?.to_string();
    let first = help.lines().map(str::trim).find(|line| line.starts_with(used))?;
    let ends = ["  #", " > ", " | ", " & "].iter().filter_map(|end| first.find(end));
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
