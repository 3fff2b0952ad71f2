//! What an attacker gets: by searching, with the disk, with another TPM, with an old controller.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod copies;
mod kept_keys;
mod orphans;
mod search;
mod secrets;
mod theft;

const TPM: &str = "custody: tpm";
const CONTROLLER: &str = "custody: controller";
const BOTH: &str = "custody: tpm+controller\nattest: { every: 15m, require: [pcrs], on_failure: withhold }";
