//! That a line of `evc` which is used wrongly says what is wrong, and what to type: `cli::how_to_use`.

use std::ffi::OsString;

use clap::{Command, CommandFactory as _, Parser as _};

use super::args::Args;

fn of(line: &str) -> Option<(String, String)> {
    let line: Vec<_> = line.split_whitespace().map(OsString::from).collect();
    cli::how_to_use(Args::command(), &Args::try_parse_from(&line).expect_err("wrong"), &line)
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
    for (path, _) in ends(&evc, "") {
        if path == "evc help" || Args::try_parse_from(path.split_whitespace()).is_ok() {
            continue;
        }
        let (problem, advice) = of(&path).unwrap_or_else(|| panic!("{path}: clap's words"));
        assert!(problem.ends_with(&format!(" missing in `{path}`")), "{problem}");
        for words in [&problem, &advice] {
            assert_eq!(form::wrong_words(&evc, words), [""; 0]);
        }
        let example = advice.split('`').nth(1).expect("an example");
        let right = Args::try_parse_from(example.split_whitespace());
        assert!(right.is_ok(), "{path}: {example}: {right:?}");
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

/// Seen by a new user: a file without its `-f`, and one of two options that would do, are told in the one form, by what to type.
#[test]
fn a_word_too_many_and_one_of_two_are_told_by_an_example() {
    for (line, problem, advice) in [
        (
            "evc apply shop.yaml",
            "`shop.yaml` is one word too many in `evc apply`",
            "`evc apply -f shop.yaml`",
        ),
        ("evc delete policy p --confirm p", "`--confirm` is one word too many", "`evc delete policy --help`"),
        (
            "evc onboard remove --serial SN-1",
            "--cert <CERT> or --digest <DIGEST> is missing",
            "evc onboard remove --cert",
        ),
        ("evc rotate payments --device d", "`payments` is nothing", "write `evc rotate vault`"),
    ] {
        let (is, to_do) = of(line).unwrap_or_else(|| panic!("{line}: clap's words"));
        assert!(is.contains(problem) && to_do.contains(advice), "{line}: {is}: {to_do}");
        assert_eq!(form::wrong_words(&Args::command(), &to_do), [""; 0]);
    }
}
