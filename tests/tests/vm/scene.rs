//! A controller on this machine and a node in a VM. Machines are emulated, so one test runs at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eve_vault_tests::{DEVICE, vault_yaml};
use tempfile::TempDir;
use testkit::{Evc, VmNode, wait};

/// Longest until the controller has been told something by an emulated machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What is put into a vault, and in a file of which name. Said to the machine in base64 alone, so that its memory has them from the
/// vault and from nowhere else.
pub(crate) const PLANTED: &str = "the-secret-of-the-till-c2f1d0a9";
pub(crate) const NAME: &str = "ledger-of-the-till-77b1e5.txt";

pub(crate) struct Scene {
    // In the order of their end.
    pub(crate) node: VmNode,
    pub(crate) evc: Evc,
    pub(crate) dir: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Both on; the node is onboarded, attested, and its reference values are approved.
    pub(crate) fn attested() -> Result<Self> {
        let mut scene = Self::prepared()?;
        scene.started()?;
        Ok(scene)
    }

    /// The same of one that was prepared.
    pub(crate) fn started(&mut self) -> Result<()> {
        self.node.on()?;
        self.approve_references()?;
        self.node.until_vault("config", "unlocked").map(drop)
    }

    /// The controller on; the node allowed, and off.
    pub(crate) fn prepared() -> Result<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("eve-vault-vm-").tempdir()?;
        let evc = Evc::for_vms(&dir.path().join("evc"))?;
        let node = VmNode::made(&dir.path().join(DEVICE), DEVICE, &evc)?;
        Ok(Self { node, evc, dir, _alone: alone })
    }

    /// As soon as the node has shown some. It boots slower than others.
    ///
    /// # Errors
    /// It shows none; what it says of itself is in the error.
    pub(crate) fn approve_references(&mut self) -> Result<()> {
        let approved = self.evc.approve_references_within(PATIENCE, DEVICE);
        approved.map_err(|error| error.context(self.node.told()))
    }

    /// A vault of this policy, open, with a file in it that is on the disk.
    pub(crate) fn vault_with_data(&mut self, vault: &str, fields: &str) -> Result<()> {
        self.evc.apply(&vault_yaml(vault, fields))?;
        self.node.until_vault(vault, "unlocked")?;
        self.node.shell(&format!("{} > {} && sync", contents(LINES), file(vault))).map(drop)
    }

    /// 16 MB more in another file: of that much freed memory some is still as it was when it is looked at.
    pub(crate) fn more_data(&mut self, vault: &str) -> Result<()> {
        self.node.shell(&format!("{} > {}.more && sync", contents(500_000), file(vault))).map(drop)
    }

    /// Whether all of that file is there.
    pub(crate) fn has_data(&mut self, vault: &str) -> Result<bool> {
        Ok(self.node.ask(&format!("{} | cmp - {}", contents(LINES), file(vault)))?.code == 0)
    }

    /// What the controller says of a vault's key, once it is this.
    pub(crate) fn until_key(&self, vault: &str, what: &str) -> Result<String> {
        let key = || self.evc.vault(DEVICE, vault).ok()?["key"].as_str().map(str::to_owned);
        let told = wait::within(PATIENCE, what, || key().filter(|key| key.contains(what)));
        told.with_context(|| format!("the controller says {:?}", key()))
    }
}

/// 66 kB.
const LINES: usize = 2000;

/// That many lines of 33 bytes.
fn contents(lines: usize) -> String {
    format!("yes $(echo {} | base64 -d) | head -n {lines}", STANDARD.encode(PLANTED))
}

fn file(vault: &str) -> String {
    format!("$(eve vault path {vault})/$(echo {} | base64 -d)", STANDARD.encode(NAME))
}
