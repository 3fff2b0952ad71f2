//! The controller: device API, operator API and the operator's command line over one store.
//! Wire words are EVE API v2's and the `wire` crate's; decisions are `vault::decide`'s; this crate is the shell around them.
//! Nothing of worth lives in memory: a restart goes on where this process stopped.

#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "they panic where nobody reads: `cli::say`, `cli::complain`"
    )
)]

pub mod api;
pub mod cli;
pub mod clock;
pub mod custody;
pub mod device;
pub mod fleet;
pub mod http;
pub mod jobs;
pub mod operator;
pub mod repeats;
pub mod service;
pub mod store;
mod words;
