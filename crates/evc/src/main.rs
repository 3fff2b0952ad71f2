//! `evc`: the controller and its operator's command line. Prints errors with their causes and what to do, and sets the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    evc::cli::main()
}
