//! What comes from outside, and what this node makes of it: signed configurations and the record of those that it accepted, keys
//! released to this session, orders of root. `vault::belief` decides; here is only what reads, verifies and keeps.

pub(crate) mod config;
pub(crate) mod intake;
pub(crate) mod leases;
pub(crate) mod locks;
pub(crate) mod orders;
pub(crate) mod record;
pub(crate) mod ring;
