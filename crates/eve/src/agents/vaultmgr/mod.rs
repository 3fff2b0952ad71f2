//! vaultmgr: the one agent that touches the encryption of vault directories (IF-6). It verifies the signed configuration for
//! itself, plans by `vault::plan`, does a step, observes, and plans again. Words are of docs/GLOSSARY.md: custody, epoch, made, missing.
//! It keeps the record of accepted sections and the share table, and of this boot what root locked and when leases end; it never speaks to
//! the network, and no secret goes into a log, a status or a file unsealed.
//!
//! `agent` is the bus, `manager` the loop, and there are rooms: `belief` (what comes in), `generation` (the TPM's roots and
//! the share table), `vault` (one vault observed, a function per step, long jobs), `hands` (the kernel, key files, users' files), `escrow`.
//! A vault that can't be observed is not planned and is told as failed; so is one whose steps do not come to rest.

mod agent;
mod belief;
mod escrow;
mod fitting;
mod generation;
pub(crate) mod hands;
mod manager;
mod node;
mod notes;
pub(crate) mod paths;
mod status;
mod telling;
#[cfg(test)]
mod tests;
mod vault;

pub(crate) use agent::run;

/// Vaults open on such a disk, and nothing can be kept on it.
const READ_ONLY: &str =
    "the persist filesystem is read-only: see the kernel's log, check it and mount it for writing";

/// An error with its causes, as one line, and what to do where the disk is the cause.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let advice = causes.clone().filter_map(|error| error.downcast_ref()).find_map(advice);
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    [&[words.join(": ")][..], &advice.map(str::to_owned).into_iter().collect::<Vec<_>>()].concat().join("; ")
}

/// What is the matter with the disk is for a person to mend; the step is tried again by itself.
fn advice(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            Some("make room on the persist filesystem: it is tried again by itself")
        }
        ReadOnlyFilesystem => Some(READ_ONLY),
        _ => None,
    }
}
