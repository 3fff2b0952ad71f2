//! What a node says of its vaults, by `eve vault list`: one home for nodes on this machine and in VMs. That a node did not answer, and that
//! it says "no such vault", are told apart: nobody may conclude from silence that a vault is gone.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::wait;

/// The command that is asked.
pub(crate) const LIST: [&str; 4] = ["vault", "list", "--output", "json"];

/// A node that may be asked: how, and how long it may take to answer.
pub(crate) struct Asked<A> {
    ask: A,
    patience: Duration,
    pause: Duration,
}

impl<A: FnMut() -> Result<String>> Asked<A> {
    /// `ask` runs [`LIST`] once, and returns what it printed.
    pub(crate) fn by(patience: Duration, ask: A) -> Self {
        Self { ask, patience, pause: wait::POLL }
    }

    /// The same, asked after a longer pause each time.
    pub(crate) fn after(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Asks once: all its vaults.
    fn once(&mut self) -> Result<Vec<Value>> {
        let listed: Value = serde_json::from_str(&(self.ask)()?)?;
        listed["vaults"].as_array().cloned().with_context(|| format!("no list of vaults: {listed}"))
    }

    /// Asks once: a vault. None, too, without an answer: for a wait, which asks again.
    pub(crate) fn seen(&mut self, name: &str) -> Option<Value> {
        named(&self.once().ok()?, name)
    }

    /// Asks until there is an answer: a vault that must be there.
    ///
    /// # Errors
    /// The node has no such vault, or as [`Asked::answer`].
    pub(crate) fn vault(&mut self, name: &str) -> Result<Value> {
        self.answer(name)?.with_context(|| format!("no vault {name} on this node"))
    }

    /// Asks until there is an answer: a vault, or none of this name.
    ///
    /// # Errors
    /// No answer in all that time; with what was said last instead.
    pub(crate) fn answer(&mut self, name: &str) -> Result<Option<Value>> {
        let what = format!("the node to say what vaults it has, {name} among them or not");
        let listed = wait::looking(self.pause, self.patience, &what, || self.once())?;
        Ok(named(&listed, name))
    }

    /// Whether the node, asked once, says that a vault is not there or was removed.
    ///
    /// # Errors
    /// It does not answer: then nobody knows.
    pub(crate) fn is_gone(&mut self, name: &str) -> Result<bool> {
        let vaults = self.once()?;
        Ok(vaults.iter().filter(|vault| vault["name"] == name).all(|vault| vault["state"] == "removed"))
    }

    /// Waits until something is true of a vault; returns it.
    ///
    /// # Errors
    /// It does not come; what the vault says instead is in the error.
    pub(crate) fn until(&mut self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let waited = format!("vault {name}: {what}");
        wait::looking(self.pause, self.patience, &waited, || match self.once() {
            Ok(listed) => match named(&listed, name) {
                Some(vault) if holds(&vault) => Ok(vault),
                vault => Err(format!("it is {vault:?}")),
            },
            Err(error) => Err(format!("the node does not say what it is: {error:#}")),
        })
    }
}

fn named(vaults: &[Value], name: &str) -> Option<Value> {
    vaults.iter().find(|vault| vault["name"] == name).cloned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use anyhow::bail;

    use super::*;

    /// Silent so many times, then says that it has one vault.
    fn silent(mut times: u32) -> Asked<impl FnMut() -> Result<String>> {
        let ask = move || {
            let left = times.checked_sub(1);
            times = left.unwrap_or_default();
            if left.is_some() { bail!("timed out") } else { Ok(r#"{"vaults":[{"name":"till"}]}"#.to_owned()) }
        };
        Asked::by(Duration::from_millis(200), ask)
    }

    /// Invariant 4, for tests themselves: a node that does not answer has not said that a vault is gone.
    #[test]
    fn silence_is_asked_again_and_is_no_answer() {
        assert_eq!(silent(3).vault("till").unwrap()["name"], "till");
        assert_eq!(silent(3).answer("gone").unwrap(), None);
        let none = format!("{:#}", silent(3).vault("gone").unwrap_err());
        assert!(none.contains("no vault gone on this node"), "{none}");
        let mute = format!("{:#}", silent(u32::MAX).answer("till").unwrap_err());
        assert!(mute.contains("timed out") && !mute.contains("no vault"), "{mute}");
        assert_eq!(silent(1).seen("till"), None);
        assert!(silent(1).is_gone("gone").is_err());
        assert!(silent(0).is_gone("gone").unwrap() && !silent(0).is_gone("till").unwrap());
        let lasts = format!("{:#}", silent(u32::MAX).until("till", "open", |_| true).unwrap_err());
        assert!(lasts.contains("does not say") && lasts.contains("timed out"), "{lasts}");
    }
}
