//! Whole-system tests: real `evc`, real `eve run`, real TPM, real kernel encryption. What they share.

use std::path::Path;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::node::Parts;
use testkit::{Evc, Node, wait};

/// The node's name at the controller.
pub const DEVICE: &str = "edge-1";

/// A controller and a node, in a folder that goes with them.
pub struct Scene {
    // In the order of their end.
    /// The node.
    pub node: Node,
    /// The controller.
    pub evc: Evc,
    dir: TempDir,
}

impl Scene {
    /// Both started; the node is onboarded, attested, and its reference values are approved.
    ///
    /// # Errors
    /// What did not come about.
    pub fn attested() -> Result<Self> {
        let mut scene = Self::prepared(Parts::default())?;
        scene.node.start()?;
        scene.evc.approve_references(DEVICE)?;
        scene.node.until_vault("config", "unlocked")?;
        Ok(scene)
    }

    /// The controller started; the node allowed, and off.
    ///
    /// # Errors
    /// As [`Scene::attested`].
    pub fn prepared(parts: Parts) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("eve-vault-test-").tempdir()?;
        // Agents run as users of their own and must get through.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let evc = Evc::new(&dir.path().join("evc"))?;
        let node = Node::made(&dir.path().join(DEVICE), DEVICE, &evc, parts)?;
        Ok(Self { node, evc, dir })
    }

    /// The folder of all that.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Applies a policy of this name and fields, and a vault of the same name under it.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn apply(&self, vault: &str, fields: &str) -> Result<String> {
        self.evc.apply(&vault_yaml(vault, fields))
    }

    /// The same, then waits until the vault is open, and puts a file into it.
    ///
    /// # Errors
    /// As the steps.
    pub fn vault_with_data(&mut self, vault: &str, fields: &str) -> Result<()> {
        self.apply(vault, fields)?;
        self.node.until_vault(vault, "unlocked")?;
        Ok(std::fs::write(self.data(vault)?, contents(vault))?)
    }

    /// Where that file lies.
    ///
    /// # Errors
    /// The node does not know the vault.
    pub fn data(&self, vault: &str) -> Result<std::path::PathBuf> {
        Ok(self.node.vault_dir(vault)?.join("ledger.txt"))
    }

    /// Whether the file is there with what was put into it.
    #[must_use]
    pub fn has_data(&self, vault: &str) -> bool {
        self.data(vault)
            .is_ok_and(|path| std::fs::read_to_string(path).is_ok_and(|text| text == contents(vault)))
    }

    /// The epoch that a vault is at, by the node.
    #[must_use]
    pub fn epoch(&self, vault: &str) -> Option<u64> {
        self.node.vault(vault)?["epoch"].as_u64()
    }

    /// Rotates and waits until the node has moved to the new epoch.
    ///
    /// # Errors
    /// It does not.
    pub fn rotate(&mut self, vault: &str) -> Result<Value> {
        let before = self.epoch(vault);
        self.order_rotation(vault)?;
        self.node.until_vault_is(vault, "a newer epoch", |vault| vault["epoch"].as_u64() > before)
    }

    /// Rotates, and leaves the node to it.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn order_rotation(&self, vault: &str) -> Result<()> {
        self.evc.run(&["rotate", "vault", vault, "--device", DEVICE]).map(drop)
    }

    /// Kills an agent, as soon as it runs; returns the pid that it had.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, agent: &str) -> Result<i32> {
        let pid = wait::until(agent, || self.node.agent_pid(agent).ok())?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Deletes at the controller.
    ///
    /// # Errors
    /// The controller's refusal.
    pub fn delete(&self, vault: &str) -> Result<()> {
        self.evc.run(&["delete", "vault", vault, "--device", DEVICE]).map(drop)
    }
}

/// A policy and a vault under it.
#[must_use]
pub fn vault_yaml(vault: &str, fields: &str) -> String {
    format!(
        "kind: VaultPolicy\nname: {vault}-policy\n{fields}\n---\nkind: Vault\nname: {vault}\ndevice: {DEVICE}\npolicy: {vault}-policy\n"
    )
}

/// Whether the file is what was put into the vault; asks nobody.
#[must_use]
pub fn holds(file: &Path, vault: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text == contents(vault))
}

fn contents(vault: &str) -> String {
    format!("the secrets of {vault}\n").repeat(500)
}

/// What a vault's details say, in one line.
#[must_use]
pub fn details(vault: &Value) -> String {
    vault["detail"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}
