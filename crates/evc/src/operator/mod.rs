//! What operators ask, one module for each thing. Acts that change a vault's life ask [`vault::life`] whether they may, and write what it says.

pub mod adopt;
pub mod apply;
pub mod devices;
mod differences;
pub mod onboarding;
pub mod operate;
pub mod references;
pub mod rotate;
pub mod show;
pub(crate) mod tokens;
mod views;
