//! The thread through the whole system: operator, controller, node, TPM, kernel, and back.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod acts;
mod banks;
mod block_log;
mod brought_back;
mod carried_over;
mod cleared;
mod courier;
mod custody;
mod damaged;
mod data_path;
mod defaults;
mod disk_away;
mod escrow;
mod extended;
mod faults;
mod installed;
mod leases;
mod life;
mod many;
mod orders;
mod recovery;
mod renewal;
mod restarts;
mod rotation;
mod stopped;
mod told;
mod unread_log;
mod unreadable;
mod walls;
mod who_is_who;
mod without_tpm;

const TPM: &str = "custody: tpm";
const CONTROLLER: &str = "custody: controller";
const BOTH: &str =
    "custody: tpm+controller\nseal: pcrs\nattest: { every: 15m, require: [pcrs], on_failure: withhold }";
