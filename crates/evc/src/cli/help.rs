//! The help of every command of `evc`, held against one form.

use super::args::Args;

/// Seen-by-users 2.evc.8: whoever asks for help, of a command or of a group of them, sees first how it is used, by what can be typed.
#[test]
fn every_help_begins_with_an_example_that_is_taken() {
    form::help::begins_with_an_example::<Args>(60);
}

/// Its words are an order: what the command does, not what it is about.
#[test]
fn every_help_says_what_the_command_does() {
    form::help::says_what_is_done::<Args>(VERBS);
}

const VERBS: &[&str] = &[
    "Add", "Allow", "Approve", "Choose", "Delete", "Foresee", "Label", "Learn", "List", "Make", "Move",
    "Order", "Print", "Put", "Reject", "Remove", "Run", "Say", "Set", "Show", "Take", "Try", "Wait",
    "Withdraw", "Write",
];
