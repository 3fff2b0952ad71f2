//! The threat matrix: what an attacker gets of a vault under each of the proposal's key policies. A cell is an attack by a program of its own
//! that gets what the threat gives it, on a real node; the prediction of `vault::coverage` is held to it. Each node then goes on as if nothing
//! had been, and opens: without that a refusal would prove nothing. Built so far: TH-1 and TH-6, where the drive is
//! what the attacker has, and the group "guessing".
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod columns;
mod drive;
mod guessing;
