//! What the node says of itself, by `eve status` and `eve vault list`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Node;
use crate::vaults::{Asked, LIST};
use crate::wait;

impl Node {
    /// `eve status --output json`. Printed, too, while an agent does not answer, which is a failure to a shell.
    ///
    /// # Errors
    /// The node is off.
    pub fn status(&self) -> Result<Value> {
        let mut command = Command::new(self.parts.programs.path("eve")?);
        let told = command.args(["status", "--output", "json", "--root"]).arg(self.root()).output()?;
        serde_json::from_slice(&told.stdout)
            .with_context(|| String::from_utf8_lossy(&told.stderr).into_owned())
    }

    /// The same once nobody is silent in it: zedagent and vaultmgr, of whom `eve status` hears for less than a second, which on a loaded machine
    /// is short. For who looks once.
    ///
    /// # Errors
    /// One of them does not answer in all the time that anything may take; the error has the last status.
    pub fn told(&self) -> Result<Value> {
        let answered = |told: &Result<Value>| {
            told.as_ref().is_ok_and(|told| {
                !told["controller"].is_null() && !told["vaults"].is_null() && !told["session"].is_null()
            })
        };
        wait::until_is("a status in which nobody is silent", || self.status(), answered)?
    }

    /// What `eve ARGS` prints of a node, once that is no failure: as [`Node::told`], for a command that changes nothing.
    ///
    /// # Errors
    /// It goes on failing; its words are in the error.
    pub fn says(&self, args: &[&str]) -> Result<String> {
        wait::until(&format!("`eve {}` to succeed", args.join(" ")), || self.run(args))
    }

    /// A vault, as the node says it once it answers.
    ///
    /// # Errors
    /// It says that it has none of this name, or does not answer in all the time that anything may take.
    pub fn vault(&self, name: &str) -> Result<Value> {
        self.vaults().vault(name)
    }

    /// The same of one that may be unknown to it.
    ///
    /// # Errors
    /// It does not answer.
    pub fn vault_if_any(&self, name: &str) -> Result<Option<Value>> {
        self.vaults().answer(name)
    }

    /// A vault, asked for once; none, too, when the node does not answer. For waits only, and for a node that is off.
    #[must_use]
    pub fn vault_seen(&self, name: &str) -> Option<Value> {
        self.vaults().seen(name)
    }

    fn vaults(&self) -> Asked<impl FnMut() -> Result<String> + '_> {
        Asked::by(wait::PATIENCE, || self.run(&LIST))
    }

    /// Whether the node, asked once, says that a vault is not there or was removed.
    ///
    /// # Errors
    /// It does not answer: then nobody knows.
    pub fn is_gone(&self, name: &str) -> Result<bool> {
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
    /// As [`Node::until_vault`].
    pub fn until_vault_is(
        &mut self,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = self.vaults().until(name, what, holds);
        self.alive()?;
        found
    }

    /// Waits until the node says that a vault is not there any more.
    ///
    /// # Errors
    /// It stays, or the node ended.
    pub fn until_gone(&mut self, name: &str) -> Result<()> {
        wait::until(&format!("vault {name} to be removed"), || match self.is_gone(name) {
            Ok(gone) => gone.then_some(Ok(())),
            Err(_) => self.alive().err().map(Err),
        })?
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
                let vault = self.vault(name)?;
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
