//! What only a kernel of their own, measured by firmware, with memory and power of its own can show.

mod boots;
mod clocks;
mod cuts;
mod memory;
mod quota;
mod scene;
mod updates;

const BOTH: &str =
    "custody: tpm+controller\nseal: pcrs\nattest: { every: 15m, require: [pcrs], on_failure: withhold }";
