//! The project's own commands: `cargo xtask help` lists them. Needs nothing but Rust; installs what the rest needs.

mod packages;
mod run;
mod test;
mod toolchain;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]   the main job, on real parts of this machine (needs root)
  test          everything that continuous integration runs (needs root)
  bench [ARGS]  what the project promises of its speed, measured (needs root)
  setup         install the Debian packages that the project needs
  help          this text";

fn main() -> Result<()> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("demo") => demo(&args.collect::<Vec<_>>()),
        Some("bench") => bench(&args.collect::<Vec<_>>()),
        Some("test") => test::all(),
        Some("setup") => packages::install(),
        None | Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("no command {other:?}; see `cargo xtask help`"),
    }
}

fn demo(args: &[String]) -> Result<()> {
    packages::install()?;
    println!(
        "demo: first the programs eve, evc and the demo itself are compiled, about 370 crates: ten minutes or more on two cores the \
         first time, seconds later. Then it takes about a minute."
    );
    run::cargo(["build", "--locked", "--package", "eve", "--package", "evc", "--package", "testkit"])?;
    let run = ["run", "--quiet", "--locked", "--package", "testkit", "--bin", "demo", "--"];
    run::cargo(run.into_iter().chain(args.iter().map(String::as_str)))
}

fn bench(args: &[String]) -> Result<()> {
    packages::install()?;
    run::cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "eve",
        "--package",
        "evc",
        "--package",
        "testkit",
    ])?;
    let run = ["run", "--release", "--quiet", "--locked", "--package", "testkit", "--bin", "bench", "--"];
    run::cargo(run.into_iter().chain(args.iter().map(String::as_str)))
}
