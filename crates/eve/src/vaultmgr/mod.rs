//! vaultmgr: the one agent that touches the encryption of vault directories (IF-6). It verifies the signed configuration for
//! itself, plans by `vault::plan`, does a step, observes, and plans again. Words are of docs/GLOSSARY.md: custody, epoch, made, missing.
//! It keeps no state file of its own but the record of accepted sections; it never speaks to the network, and no secret goes
//! into a log, a status or a file.

mod agent;
mod config;
mod crypt;
pub(crate) mod durable;
mod execute;
mod faults;
mod holders;
mod intake;
mod kernel;
mod label;
mod manager;
mod mounts;
mod movein;
mod notes;
mod observe;
mod orders;
mod paths;
mod prepare;
mod record;
mod ring;
mod roots;
mod shares;
mod slot;
#[cfg(test)]
mod tests;

pub use agent::run;

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
