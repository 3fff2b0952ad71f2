//! What the node says of itself, by `eve status` and `eve vault list`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Node;
use crate::wait;

impl Node {
    /// `eve status --output json`.
    ///
    /// # Errors
    /// The node is off, or does not answer.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.run(&["status", "--output", "json"])?)?)
    }

    /// A vault of `eve vault list --output json`.
    #[must_use]
    pub fn vault(&self, name: &str) -> Option<Value> {
        let listed: Value =
            serde_json::from_str(&self.run(&["vault", "list", "--output", "json"]).ok()?).ok()?;
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
    /// As [`Node::until_vault`].
    pub fn until_vault_is(
        &mut self,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = wait::until(&format!("vault {name}: {what}"), || self.vault(name).filter(&holds));
        self.alive()?;
        found.with_context(|| format!("vault {name} is {:?}", self.vault(name)))
    }

    /// Waits until a vault is not there any more.
    ///
    /// # Errors
    /// It stays.
    pub fn until_gone(&mut self, name: &str) -> Result<()> {
        let gone = |vault: Option<Value>| vault.is_none_or(|vault| vault["state"] == "removed").then_some(());
        wait::until(&format!("vault {name} to be removed"), || gone(self.vault(name)))
    }

    /// The directory of a vault.
    ///
    /// # Errors
    /// The node does not know it.
    pub fn vault_dir(&self, name: &str) -> Result<PathBuf> {
        let persist = self.root().join("persist");
        match name {
            "config" => Ok(persist.join("config")),
            "image" => Ok(persist.join("img")),
            _ => {
                let vault = self.vault(name).with_context(|| format!("no vault {name} on this node"))?;
                let id = vault["id"].as_str().context("a vault without an id")?;
                Ok(persist.join("vaults").join(id))
            }
        }
    }

    /// The pid of an agent, by `eve status`.
    ///
    /// # Errors
    /// As [`Node::status`], or it is down.
    pub fn agent_pid(&self, agent: &str) -> Result<i32> {
        let status = self.status()?;
        let line = status["agents"].as_array().context("agents")?.iter().find(|line| line["agent"] == agent);
        let pid = line.and_then(|line| line["pid"].as_i64()).with_context(|| format!("{agent} is down"))?;
        Ok(i32::try_from(pid)?)
    }
}
