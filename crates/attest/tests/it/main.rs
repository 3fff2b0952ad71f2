//! Appraisal, held against quotes of a TPM, against quotes made here, and against forgeries (requirements IF-4, AC-2, TH-5).
#![allow(clippy::unwrap_used, reason = "tests may; clippy only knows those inside cfg(test)")]

mod forgeries;
mod golden;
mod made;
mod verdicts;
