//! Nodes in virtual machines: what only a kernel of their own, measured by firmware, with memory and power of its own can show.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod boots;
mod clocks;
mod cuts;
mod memory;
mod quota;
mod scene;
mod updates;

const BOTH: &str =
    "custody: tpm+controller\nseal: pcrs\nattest: { every: 15m, require: [pcrs], on_failure: withhold }";
