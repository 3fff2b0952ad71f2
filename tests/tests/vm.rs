//! Nodes in virtual machines. By the name of this module `cargo xtask test` runs these tests beside all others, and no test of another
//! program has it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[path = "vm/mod.rs"]
mod vms;
