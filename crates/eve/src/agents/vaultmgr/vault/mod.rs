//! One vault: read back from kernel and disk, a step of its plan done, and what this life remembers of it.

mod busy;
pub(crate) mod execute;
pub(crate) mod in_step;
pub(crate) mod jobs;
pub(crate) mod long;
mod looking;
pub(crate) mod naming;
pub(crate) mod observe;
pub(crate) mod recovery;
pub(crate) mod rounds;
pub(crate) mod seeking;
pub(crate) mod shut;
pub(crate) mod slot;
