//! Tests of `wire` from the outside: against EVE's numbers and golden bytes, against a second implementation of HPKE,
//! and with every input that a peer must not get away with.

#![allow(clippy::unwrap_used)] // In the tests' helpers as in the tests themselves.

mod beside;
mod causes;
mod certs;
mod common;
mod decoders;
mod described;
mod envelope;
mod escrow;
mod evidence;
mod extension;
mod fields;
mod form;
mod golden_envelopes;
mod keys;
mod longest;
mod release;
mod reports;
mod round_trips;
mod vectors;
