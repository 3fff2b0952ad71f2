//! Nodes, controllers and software TPMs on this machine, for tests, the demo and the benchmark. Never shipped.
//! Everything here is a real part: real processes, a real TPM 2.0 in software, a real encrypted filesystem.
//! Whatever a value of this crate started or mounted ends with it, and its processes end with the test's.

pub mod block_log;
pub mod blocks;
pub mod evc;
pub mod forks;
pub mod fscrypt_cli;
pub mod loopfs;
pub mod mapped;
pub mod mounts;
pub mod node;
pub mod ports;
mod process;
pub mod sample;
pub mod swtpm;
mod vaults;
pub mod vm;
pub mod wait;

pub use evc::Evc;
pub use node::{Node, Power};
pub use process::{Programs, Running, program};
pub use vm::VmNode;
