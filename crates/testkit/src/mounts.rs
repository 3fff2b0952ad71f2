//! A mount namespace of this process's own: whatever ends the process, the kernel takes back what was mounted in it.

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::process::own_path;

/// Proof that mounts made by this process are nobody else's.
#[derive(Debug)]
pub struct OwnMounts(());

impl OwnMounts {
    /// Leaves the namespace of the machine. Before any thread is started: each has its own.
    ///
    /// # Errors
    /// Not root, or the kernel's.
    pub fn enter() -> Result<Self> {
        own_path();
        unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace; are you root?")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("mounts of our own")?;
        Ok(Self(()))
    }
}
