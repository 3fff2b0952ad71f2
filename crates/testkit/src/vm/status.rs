//! What the node in a VM says of itself, by `eve vault list`.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::VmNode;
use crate::wait;

/// The longest that a vault may take to come about. Everything is emulated, and the machine around it may be loaded.
const PATIENCE: Duration = Duration::from_secs(240);

impl VmNode {
    /// A vault of `eve vault list --output json`; none, too, while the node does not answer.
    pub fn vault(&mut self, name: &str) -> Option<Value> {
        let printed = self.shell("eve vault list --output json 2> /dev/null").ok()?;
        let listed: Value = serde_json::from_str(&printed).ok()?;
        listed["vaults"].as_array()?.iter().find(|vault| vault["name"] == name).cloned()
    }

    /// Waits until a vault is in a state (`unlocked`, `locked`, ...); returns it.
    ///
    /// # Errors
    /// It does not come; what the vault says instead is in the error.
    pub fn until_vault(&mut self, name: &str, state: &str) -> Result<Value> {
        self.until_vault_is(name, state, |vault| vault["state"] == state)
    }

    /// Waits until something is true of a vault; returns it.
    ///
    /// # Errors
    /// As [`VmNode::until_vault`].
    pub fn until_vault_is(
        &mut self,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let what = format!("vault {name} of a node in a VM: {what}");
        let found = wait::within(PATIENCE, &what, || self.vault(name).filter(&holds));
        found.with_context(|| format!("it is {:?}", self.vault(name)))
    }
}
