//! That a line of `eve` which is used wrongly says what is wrong, and what to type: `cli::how_to_use`.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};

use super::args::Cli;

/// Seen by a new user: `eve` said in clap's words what `evc` says with what to do.
#[test]
fn what_is_used_wrongly_is_told_by_an_example_that_works() {
    for (line, problem, advice) in [
        ("eve vault lock", "<VAULT> is missing in `eve vault lock`", "`eve vault list` lists what there is"),
        ("eve vault recover v", "--identity <FILE> is missing", "eve vault recover payments --identity"),
        ("eve status all", "`all` is one word too many in `eve status`", "write it like `eve status`"),
        ("eve vault lst", "`lst` is nothing that `eve vault` knows", "write one of list, path, lock"),
        ("eve vault list -o jsn", "`-o jsn` is not a way to print", "`eve vault list -o json | jq`"),
    ] {
        let line: Vec<_> = line.split(' ').map(OsString::from).collect();
        let error = Cli::try_parse_from(&line).expect_err("wrong");
        let (is, to_do) = cli::how_to_use(Cli::command(), &error, &line).expect("words");
        assert!(is.contains(problem) && to_do.contains(advice), "{line:?}: {is}: {to_do}");
        assert_eq!(form::wrong_words(&Cli::command(), &to_do), [""; 0]);
    }
}
