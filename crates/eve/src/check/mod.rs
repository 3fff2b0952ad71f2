//! `eve check`: whether this machine can be a node, found out before anything is made on it. It looks at `config/`, at the TPM, at the
//! disk of `persist` and at the kernel. What it tries (NV indices, a file of each cipher) it takes away again, and it makes nothing else.

mod config;
mod disk;
mod finding;
mod host;
mod kernel;
mod tpm;

use std::path::Path;

pub(crate) use finding::{Finding, Level};

/// All that is to be said of this machine; what is good too, so that it is seen what was looked at. `running`: a node runs there, whose TPM
/// has one user already.
pub(crate) fn look(root: &Path, running: bool) -> Vec<Finding> {
    if !nix::unistd::geteuid().is_root() {
        return vec![Finding::of(finding::Code::NotRoot, "only root can look at all of it")];
    }
    let config = config::look(root);
    let tpm = if running { tpm::in_use() } else { tpm::look(root) };
    config.into_iter().chain(tpm).chain(host::look()).chain(disk::look(root)).chain(kernel::look()).collect()
}

/// What of that a running node's status tells too: what is wrong with its machine, and is seen without trying anything.
pub(crate) fn notes(root: &Path) -> Vec<String> {
    let found = host::look().into_iter().chain(disk::standing(&root.join("persist"))).chain(kernel::old());
    let told = found.filter(|found| found.level >= Level::Warning);
    told.map(|Finding { found, advice, .. }| format!("{found}; {advice}")).collect()
}
