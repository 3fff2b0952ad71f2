//! The node's roots in the TPM, and the share table that opens under them: one generation of both is in force.

pub(crate) mod brought_back;
pub(crate) mod change;
pub(crate) mod desk;
pub(crate) mod errands;
pub(crate) mod files;
mod healing;
mod lost;
pub(crate) mod roots;
pub(crate) mod shares;
mod tried;
pub(crate) mod upcoming;
