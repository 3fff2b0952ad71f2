//! testkit
pub mod swtpm;
