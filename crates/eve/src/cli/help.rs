//! The help of every command, walked as clap has it: no list of commands is kept here that one could be missing from.

use clap::{Command, CommandFactory as _, Parser as _};

use super::args::Cli;

/// Every command, groups and leaves, by what is typed for it.
fn all(of: &Command, before: &str) -> Vec<(String, Command)> {
    let path = format!("{before} {}", of.get_name()).trim().to_owned();
    let under = of.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set());
    let under: Vec<_> = under.flat_map(|it| all(it, &path)).collect();
    [(path, of.clone())].into_iter().chain(under).collect()
}

/// The lines that can be typed, without what is said of them and where their output goes.
fn examples(of: &Command) -> Vec<String> {
    let help = of.get_before_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.strip_prefix("Examples:\n").unwrap_or_default();
    let lines = examples.lines().take_while(|line| line.starts_with("  "));
    let parts =
        lines.flat_map(|line| line.split(" # ").next().unwrap_or_default().split(['|', '&', '>', '(', ')']));
    parts.map(|part| part.trim().replace('\'', "")).filter(|part| part.starts_with("eve ")).collect()
}

/// Seen-by-users 2.evc.8: whoever asks for help, of a command or of a group of them, sees first how it is used, by what can be typed.
#[test]
fn every_help_begins_with_an_example_that_is_taken() {
    let commands = all(&Cli::command(), "");
    assert!(commands.len() > 20, "{}", commands.len());
    for (path, command) in commands {
        let examples = examples(&command);
        assert!(examples.iter().any(|line| line.starts_with(&path)), "{path} has no example: {examples:?}");
        assert!(command.clone().render_help().to_string().starts_with("Examples:\n  "), "{path}");
        for example in examples {
            let taken = Cli::try_parse_from(example.split_whitespace());
            assert!(
                taken.is_ok(),
                "{path}: {example}: {}",
                taken.err().map(|e| e.to_string()).unwrap_or_default()
            );
        }
    }
}

/// Its words are an order: what the command does, not what it is about.
#[test]
fn every_help_says_what_the_command_does() {
    for (path, command) in all(&Cli::command(), "").into_iter().skip(1) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let first = about.split(' ').next().unwrap_or_default();
        assert!(VERBS.contains(&first.trim_end_matches(',')), "{path}: {about}");
    }
}

const VERBS: &[&str] = &[
    "Accept", "Check", "List", "Lock", "Look", "Make", "Open", "Print", "Run", "Say", "Show", "Take",
    "Unlock", "Wait", "Write",
];
