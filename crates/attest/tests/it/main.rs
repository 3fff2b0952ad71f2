//! Appraisal, held against quotes of a TPM, against quotes made here, and against forgeries (requirements IF-4, AC-2, TH-5).
#![allow(clippy::unwrap_used, reason = "tests may; clippy only knows those inside cfg(test)")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests read vectors and make keys")]

mod forgeries;
mod golden;
mod made;
mod verdicts;
