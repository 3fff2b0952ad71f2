//! Key files as bytes, on a disk, with the kernel, and with the `fscrypt` tool.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bytes;
mod damage;
mod golden;
mod interop;
mod kernel;
mod made;
mod rewrap;
mod several;
