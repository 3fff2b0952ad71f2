//! `eve vault …`: root on the node looks at its vaults, opens and closes them.

use std::time::Duration;

use anyhow::{Context, bail};
use vault::ids::{Name, VaultId};
use vault::report::{State, VaultReport};
use vault::text::plain_lines;

use super::args::{Output, Root, VaultCmd};
use super::table;
use crate::bus::messages::{LockVault, Recreate, UnlockVault, Vaults};

/// How long a question may take: a lock waits for those who hold files.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn act(command: VaultCmd) -> anyhow::Result<()> {
    let (wanted, after) = match command {
        VaultCmd::List { root, output } => return list(&root, output),
        VaultCmd::Lock { vault, root } => {
            (State::Locked, root.bus().call(&LockVault { id: find(&root, &vault)?.id }, PATIENCE)?)
        }
        VaultCmd::Unlock { vault, root } => {
            (State::Unlocked, root.bus().call(&UnlockVault { id: find(&root, &vault)?.id }, PATIENCE)?)
        }
        VaultCmd::Recreate { vault, confirm, root } => (State::Unlocked, recreate(&root, &vault, &confirm)?),
    };
    table::print(std::slice::from_ref(&after));
    reached(wanted, &after)
}

/// An order is done when the vault is as it was ordered to be: a script reads that from the exit status.
fn reached(wanted: State, after: &VaultReport) -> anyhow::Result<()> {
    let (name, is) = (&after.name, table::state(after.state));
    match after.state {
        state if state == wanted => Ok(()),
        State::LockIncomplete => bail!(
            "vault {name} is {is}: what is open in it can still be read; end those who hold it, then lock it again"
        ),
        _ => bail!("vault {name} is {is}, not {}; the line above says why", table::state(wanted)),
    }
}

fn list(root: &Root, output: Output) -> anyhow::Result<()> {
    let status = root.bus().call(&Vaults, PATIENCE)?;
    match output {
        Output::Json => println!("{}", plain_lines(&serde_json::to_string_pretty(&status)?)),
        Output::Table => table::print(&status.vaults),
    }
    Ok(())
}

fn recreate(root: &Root, vault: &str, confirm: &[String]) -> anyhow::Result<VaultReport> {
    let found = find(root, vault)?;
    let name = confirmed(found.name.as_str(), confirm)?;
    Ok(root.bus().call(&Recreate { id: found.id, name }, PATIENCE)?)
}

/// By name or UUID.
fn find(root: &Root, wanted: &str) -> anyhow::Result<VaultReport> {
    let vaults = root.bus().call(&Vaults, PATIENCE)?.vaults;
    let id = wanted.parse::<VaultId>().ok();
    let mut found = vaults.into_iter().filter(|vault| Some(vault.id) == id || vault.name.as_str() == wanted);
    match (found.next(), found.next()) {
        (Some(vault), None) => Ok(vault),
        (None, _) => bail!("no vault {wanted:?} on this node; see `eve vault list`"),
        (Some(_), Some(_)) => bail!(
            "several vaults are named {wanted:?}; give the UUID that `eve vault list --output json` shows"
        ),
    }
}

fn confirmed(name: &str, given: &[String]) -> anyhow::Result<Name> {
    let answers = if given.is_empty() { asked(name)? } else { given.to_vec() };
    if answers.len() != 2 || answers.iter().any(|answer| answer != name) {
        bail!("the name was not given twice, the same as the vault's; nothing was done");
    }
    Ok(name.parse()?)
}

fn asked(name: &str) -> anyhow::Result<Vec<String>> {
    println!("Vault {name} will be made anew, EMPTY. What was in it can't come back.");
    ["Type its name:", "Type it again:"].into_iter().map(answer).collect()
}

fn answer(question: &str) -> anyhow::Result<String> {
    println!("{question}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the answer")?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use vault::ids::IMAGE_VAULT;
    use vault::section::Operation;

    use super::*;

    /// VC-2: whoever orders a lock by a script learns that files are still open.
    #[test]
    fn vc2_an_order_that_was_not_carried_out_is_a_failure_and_says_what_to_do() {
        let report = |state| VaultReport {
            id: IMAGE_VAULT,
            name: "image".parse().expect("a name"),
            state,
            created: true,
            epoch: None,
            wanted: Operation::Lock,
            last: None,
            detail: Vec::new(),
        };
        reached(State::Locked, &report(State::Locked)).expect("as ordered");
        reached(State::Unlocked, &report(State::Unlocked)).expect("as ordered");
        let busy =
            reached(State::Locked, &report(State::LockIncomplete)).expect_err("still open").to_string();
        assert!(busy.contains("lock-incomplete") && busy.contains("then lock it again"), "{busy}");
        let open = reached(State::Locked, &report(State::Unlocked)).expect_err("still open").to_string();
        assert!(open.contains("is unlocked, not locked"), "{open}");
    }
}
