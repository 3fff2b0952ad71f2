//! The help of every command of `evc`, held against one form.

use vault::policy::{Attest, Document, VaultPolicy, read};
use vault::section::NodePolicy;

use super::args::{Args, EXAMPLE};

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

/// Issue 8, English: one thing has one word, whichever command speaks of it.
#[test]
fn no_help_has_another_word_for_a_thing() {
    form::help::says_one_word_for_one_thing::<Args>();
}

/// README: `evc --help` shows a whole policy file. It has each field that a policy can have, and is taken as it stands.
#[test]
fn the_example_is_a_whole_file() {
    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let file: String =
        EXAMPLE.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| format!("{line}\n")).collect();
    read(&file).expect("it reads");
    let whole = file.replace(
        "# recovery: { recipients: [age1...] }",
        &format!("recovery: {{ recipients: [{RECIPIENT}] }}"),
    );
    let documents = read(&whole).expect("it reads with a recipient");
    let Some(Document::Policy(policy)) = documents.first().map(|at| &at.document) else { panic!("{whole}") };
    // A field that is new does not compile here: the example is to have it.
    let VaultPolicy { name: _, node, attest: Attest { every: _, require }, on_removal: _, operation: _ } =
        policy;
    let NodePolicy { custody: _, seal: _, encryption: _, lease, recovery, storage_limit } = node;
    assert!(
        !require.is_empty() && lease.is_some() && recovery.all().len() == 1 && storage_limit.is_some(),
        "{whole}"
    );
}

const VERBS: &[&str] = &[
    "Add", "Allow", "Approve", "Choose", "Delete", "Foresee", "Label", "Learn", "List", "Make", "Move",
    "Order", "Print", "Put", "Reject", "Remove", "Run", "Say", "Set", "Show", "Take", "Try", "Wait",
    "Withdraw", "Write",
];
