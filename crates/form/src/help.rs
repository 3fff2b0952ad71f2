//! The help of every command of a program, walked as clap has it: no list of commands is kept that one could be missing from.

use clap::{Command, Parser};

/// Every command, groups and leaves, by what is typed for it.
fn all(of: &Command, before: &str) -> Vec<(String, Command)> {
    let path = format!("{before} {}", of.get_name()).trim().to_owned();
    let under = of.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set());
    let under: Vec<_> = under.flat_map(|it| all(it, &path)).collect();
    [(path, of.clone())].into_iter().chain(under).collect()
}

/// The lines that can be typed, without what is said of them and where their output goes.
fn examples(program: &str, of: &Command) -> Vec<String> {
    let help = of.get_before_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.strip_prefix("Examples:\n").unwrap_or_default();
    let lines = examples.lines().take_while(|line| line.starts_with("  "));
    let parts =
        lines.flat_map(|line| line.split(" # ").next().unwrap_or_default().split(['|', '&', '>', '(', ')']));
    let parts = parts.map(|part| part.trim().replace('\'', ""));
    parts.filter(|part| part.split(' ').next() == Some(program)).collect()
}

/// The help of each command begins with examples, one of them of the command itself, and each is taken by the program's own parser.
///
/// # Panics
/// One does not; or there are not more than `least` commands: then not all were walked.
pub fn begins_with_an_example<P: Parser>(least: usize) {
    let program = P::command();
    let commands = all(&program, "");
    assert!(commands.len() > least, "{}", commands.len());
    for (path, command) in commands {
        let examples = examples(program.get_name(), &command);
        assert!(examples.iter().any(|line| line.starts_with(&path)), "{path} has no example: {examples:?}");
        assert!(command.clone().render_help().to_string().starts_with("Examples:\n  "), "{path}");
        for example in examples {
            let refused = P::try_parse_from(example.split_whitespace()).err().map(|error| error.to_string());
            assert_eq!(refused, None, "{path}: {example}");
        }
    }
}

/// Words of ours, or of EVE's, for which people are told another one: docs/GLOSSARY.md.
const OTHERS: [&str; 4] = ["section", "sections", "VSK", "purge"];

/// Such a word in a text.
#[must_use]
pub fn other_word(text: &str) -> Option<&'static str> {
    OTHERS.into_iter().find(|word| crate::holds(text, word))
}

/// The help of no command has a word of ours where people are told another one.
///
/// # Panics
/// One does.
pub fn says_one_word_for_one_thing<P: Parser>() {
    for (path, mut command) in all(&P::command(), "") {
        let help = command.render_long_help().to_string();
        assert_eq!(other_word(&help), None, "{path}: {help}");
    }
}

/// The help of each command says first what it does, by one of these verbs.
///
/// # Panics
/// One does not.
pub fn says_what_is_done<P: Parser>(verbs: &[&str]) {
    for (path, command) in all(&P::command(), "").into_iter().skip(1) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let first = about.split(' ').next().unwrap_or_default();
        assert!(verbs.contains(&first.trim_end_matches(',')), "{path}: {about}");
    }
}
