//! The help of every command of `eve`, held against one form.

use super::args::Cli;

/// Seen-by-users 2.evc.8: whoever asks for help, of a command or of a group of them, sees first how it is used, by what can be typed.
#[test]
fn every_help_begins_with_an_example_that_is_taken() {
    form::help::begins_with_an_example::<Cli>(20);
}

/// Its words are an order: what the command does, not what it is about.
#[test]
fn every_help_says_what_the_command_does() {
    form::help::says_what_is_done::<Cli>(VERBS);
}

/// Issue 8, English: one thing has one word, whichever command speaks of it.
#[test]
fn no_help_has_another_word_for_a_thing() {
    form::help::says_one_word_for_one_thing::<Cli>();
}

const VERBS: &[&str] = &[
    "Accept", "Check", "List", "Lock", "Look", "Make", "Open", "Print", "Run", "Say", "Show", "Take",
    "Unlock", "Wait", "Write",
];
