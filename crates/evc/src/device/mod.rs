//! What devices ask, one module for each thing: to register, their configuration, to show evidence, to report. Each begins with who signed
//! it ([`sender`]). Nothing in here is called by an operator's room.

mod added;
mod answer;
pub mod attest;
pub(crate) mod certified;
pub(crate) mod chain;
mod challenge;
pub mod config;
mod config_hash;
pub mod courier;
mod doubled;
mod drill;
mod escrow;
pub mod info;
mod pins;
pub mod poll;
pub mod register;
pub mod sender;
