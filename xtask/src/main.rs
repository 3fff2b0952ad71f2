//! The project's own commands: `cargo xtask help` lists them. Needs nothing but Rust; installs what the rest needs.

mod kernel;
mod packages;
mod run;
mod soak;
mod test;
mod toolchain;
mod watch;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]   the main job, on real parts of this machine (needs root)
  test          everything that continuous integration runs (needs root)
  bench [ARGS]  what the project promises of its speed, measured (needs root)
  soak [PARTS]  what the tests do a few times, done for hours: worlds=N, states=N, cuts=N (VMs, needs root), pairs, ...; all of
                them without any. Writes docs/reports/soak-DATE.md
  setup         install the Debian packages that the project needs, unpack the kernel of nodes in VMs
  help          this text

Exit codes: 0 done; 1 something failed, which is said last. What a program said that it started stands above that, with its own exit code.";

fn main() -> Result<()> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("demo") => demo(&args.collect::<Vec<_>>()),
        Some("bench") => bench(&args.collect::<Vec<_>>()),
        Some("test") => test::all(),
        Some("soak") => soak::run(&args.collect::<Vec<_>>()),
        Some("setup") => setup(),
        None | Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("no command {other:?}; see `cargo xtask help`"),
    }
}

/// Builds a program of testkit and what it starts, and nothing else of testkit. All three packages are named: so features are chosen for
/// all of them at once.
fn build(profile: &str, program: &str) -> Result<()> {
    let what =
        ["--package", "eve", "--package", "evc", "--package", "testkit", "--bin", "eve", "--bin", "evc"];
    let build = ["build", "--locked", "--profile", profile, "--bin", program];
    run::cargo(build.into_iter().chain(what))
}

/// How long the first build takes where nobody has built anything, on two cores.
const FIRST: &str = "compiling what the demo runs: two to five minutes on two cores the first time, then seconds; the demo itself takes less than one minute";

fn demo(args: &[String]) -> Result<()> {
    packages::install()?;
    eprintln!("{FIRST}");
    build("dev", "demo")?;
    run::program(run::built("debug", "demo")?.args(args))
}

fn bench(args: &[String]) -> Result<()> {
    packages::install()?;
    build("release", "bench")?;
    run::program(run::built("release", "bench")?.args(args))
}

fn told(installed: usize) -> String {
    let all = packages::COUNT;
    match installed {
        0 => format!("nothing to do: all {all} packages are installed"),
        some => format!("{some} of {all} packages were missing and are installed now"),
    }
}

fn setup() -> Result<()> {
    let installed = packages::install_all()?;
    kernel::unpacked()?;
    println!("{}", told(installed));
    Ok(())
}
