//! `eve`: the edge node of EVE Vault. All is in the library.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// How much libtss2 says by itself, beside what it returns. It is read from the environment alone.
const OF_TSS2: &str = "TSS2_LOG";

fn main() -> ExitCode {
    quiet_tss2();
    eve::cli::main()
}

/// `eve check` tries what may fail, and says what came of it in words: libtss2's own lines on the error stream are no news. A process can't
/// change its environment safely, so this one begins again. If it can't, the lines are there and nothing else is lost.
fn quiet_tss2() {
    let checks = std::env::args_os().any(|word| word == "check");
    if checks && std::env::var_os(OF_TSS2).is_none() {
        let arguments = std::env::args_os().skip(1);
        let _ = Command::new("/proc/self/exe").args(arguments).env(OF_TSS2, "all+none").exec();
    }
}
