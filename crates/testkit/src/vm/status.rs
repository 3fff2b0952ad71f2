//! What the node in a VM says of its vaults.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::VmNode;
use crate::vaults::{Asked, LIST};

/// The longest that a vault may take to come about. Everything is emulated, and the machine around it may be loaded.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two questions. Each is a program that the machine's one emulated processor loads and runs, in place of the agents.
const PAUSE: Duration = Duration::from_secs(2);

impl VmNode {
    /// A vault, as the node says it once it answers.
    ///
    /// # Errors
    /// It says that it has none of this name, or does not answer in all the time that a vault may take.
    pub fn vault(&mut self, name: &str) -> Result<Value> {
        self.vaults().vault(name)
    }

    /// A vault, asked for once; none, too, when the node does not answer. For waits only.
    pub fn vault_seen(&mut self, name: &str) -> Option<Value> {
        self.vaults().seen(name)
    }

    fn vaults(&mut self) -> Asked<impl FnMut() -> Result<String> + '_> {
        let list = format!("eve {} 2> /dev/null", LIST.join(" "));
        Asked::by(PATIENCE, move || self.shell(&list)).after(PAUSE)
    }

    /// Whether the node, asked once, says that a vault is not there or was removed.
    ///
    /// # Errors
    /// It does not answer: then nobody knows.
    pub fn is_gone(&mut self, name: &str) -> Result<bool> {
        self.vaults().is_gone(name)
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
        self.vaults().until(name, what, holds)
    }
}
