//! What touches kernel, metadata and users' files. Nothing is decided here.

pub(crate) mod alone;
pub(crate) mod away;
pub(crate) mod crypt;
pub(crate) mod durable;
pub(crate) mod holders;
pub(crate) mod kernel;
pub(crate) mod label;
pub(crate) mod mounts;
pub(crate) mod movein;
pub(crate) mod prepare;
pub(crate) mod swaps;
pub(crate) mod tree;
pub(crate) mod xattrs;
