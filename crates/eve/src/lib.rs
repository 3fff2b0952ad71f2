//! The edge node: its agents, the bus between them, the walls around each, and who starts them.

#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "they panic where nobody reads: `cli::say`, `cli::complain`"
    )
)]

pub mod agents;
pub mod bus;
mod check;
pub mod cli;
mod folders;
mod http;
pub mod paths;
pub mod sandbox;
pub mod supervisor;
