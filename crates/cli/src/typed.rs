//! A command line that is used wrongly: clap's words, in which what was typed does nothing to a terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::Error;
use vault::text::{plain, plain_lines};

use crate::say::complain;
use crate::wrong::{asks_for_json, in_json};

/// Says it in clap's words, or as an object where the line asks for JSON; the exit code is clap's: 2, or 0 where help was asked for.
#[must_use]
pub fn tell(error: &Error, line: &[OsString]) -> ExitCode {
    if error.use_stderr() && asks_for_json(line) {
        complain(&in_json(USED_WRONGLY, &in_words(error), 2));
    } else if error.use_stderr() {
        complain(plain_lines(&error.render().to_string()).trim_end_matches('\n'));
    } else {
        // A reader that left is told nothing.
        drop(error.print());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What a command line is that does not parse, for a program.
pub const USED_WRONGLY: &str = "used-wrongly";

/// What clap says, its usage and tips as what to do.
fn in_words(error: &Error) -> String {
    let said = error.render().to_string();
    let (what, rest) = said.trim().split_once('\n').unwrap_or((said.trim(), "see --help"));
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}\n  what to do: {rest}", what.trim_start_matches("error: "))
}

/// The same error, of the line as it may be shown: clap quotes what was typed as it came, and what acts in it would act on the terminal.
/// What is left is without clap's colours, and is made plain when it is printed.
#[must_use]
pub fn quoted<P: Parser>(error: Error, line: &[OsString]) -> Error {
    let shown = line.iter().map(|word| plain(&word.to_string_lossy()).into_owned());
    let again = P::try_parse_from(shown).err();
    again.filter(|again| again.kind() == error.kind()).unwrap_or(error)
}
