//! `eve vault …`: root on the node looks at its vaults, opens and closes them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use vault::ids::{Name, VaultId};
use vault::report::{State, VaultReport};
use vault::text::plain_lines;

use super::args::{Output, Root, VaultCmd};
use super::{out, table};
use crate::bus::messages::{LockVault, Recreate, UnlockVault, VaultStatus, Vaults};
use crate::bus::{BusError, Call, CallError};

/// How long an order may take: a lock waits for those who hold files.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a question may take: who does not answer it soon hangs.
const QUESTION: Duration = Duration::from_secs(10);

pub(super) fn act(command: VaultCmd) -> anyhow::Result<()> {
    let (wanted, after) = match command {
        VaultCmd::List { root, output, all } => return list(&root, output, all),
        VaultCmd::Path { vault, root } => {
            return out::say(&(plain_lines(&table::path(&root.root, &find(&root, &vault)?)) + "\n"));
        }
        VaultCmd::Lock { vault, root } => {
            (State::Locked, ask(&root, &LockVault { id: find(&root, &vault)?.id }, PATIENCE)?)
        }
        VaultCmd::Unlock { vault, root } => {
            (State::Unlocked, ask(&root, &UnlockVault { id: find(&root, &vault)?.id }, PATIENCE)?)
        }
        VaultCmd::Recreate { vault, confirm, root } => (State::Unlocked, recreate(&root, &vault, &confirm)?),
    };
    out::say(&table::vaults(std::slice::from_ref(&after), None))?;
    reached(wanted, &after)
}

/// An order is done when the vault is as it was ordered to be: a script reads that from the exit status.
fn reached(wanted: State, after: &VaultReport) -> anyhow::Result<()> {
    let (name, is) = (&after.name, after.state);
    match after.state {
        state if state == wanted => Ok(()),
        State::LockIncomplete => bail!(
            "vault {name} is {is}: what is open in it can still be read; end those who hold it, then lock it again"
        ),
        _ => bail!("vault {name} is {is}, not {wanted}; the line above says why"),
    }
}

fn ask<C: Call>(root: &Root, call: &C, patience: Duration) -> anyhow::Result<C::Answer> {
    root.bus().call(call, patience).map_err(|error| match error {
        CallError::Bus(BusError::Refused) => anyhow!("this is for root alone: are you root?"),
        // What the system says of the socket tells nobody more.
        CallError::Bus(away @ BusError::Unreachable { .. }) => anyhow!("{away}"),
        other => other.into(),
    })
}

fn list(root: &Root, output: Output, all: bool) -> anyhow::Result<()> {
    let mut status: VaultStatus = ask(root, &Vaults, QUESTION)?;
    if !all {
        status.vaults = table::present(status.vaults);
    }
    out::say(&match output {
        Output::Json => plain_lines(&serde_json::to_string_pretty(&with_paths(&status, &root.root)?)?) + "\n",
        Output::Table => table::vaults(&status.vaults, Some(&root.root)),
    })
}

/// Each vault with its directory; and the lives of the controller's database in hexadecimal, as `evc` shows them.
fn with_paths(status: &VaultStatus, root: &Path) -> anyhow::Result<Value> {
    let mut told = serde_json::to_value(status)?;
    for (vault, report) in told["vaults"].as_array_mut().into_iter().flatten().zip(&status.vaults) {
        vault["path"] = table::path(root, report).into();
    }
    for place in ["/accepted/incarnation", "/head/version/incarnation"] {
        if let Some(bytes) = told.pointer_mut(place) {
            *bytes = in_hex(bytes);
        }
    }
    Ok(told)
}

/// Bytes that are told as numbers; what is none of that stays.
fn in_hex(told: &Value) -> Value {
    let bytes: Option<Vec<u8>> = told.as_array().and_then(|bytes| {
        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
    });
    bytes.map_or_else(|| told.clone(), |bytes| hex::encode(bytes).into())
}

fn recreate(root: &Root, vault: &str, confirm: &[String]) -> anyhow::Result<VaultReport> {
    let found = find(root, vault)?;
    let name = confirmed(found.name.as_str(), confirm)?;
    ask(root, &Recreate { id: found.id, name }, PATIENCE)
}

fn find(root: &Root, wanted: &str) -> anyhow::Result<VaultReport> {
    named(ask(root, &Vaults, QUESTION)?.vaults, wanted)
}

/// By name or UUID. A name is that of a vault which is there: one that was removed has left it to others.
fn named(vaults: Vec<VaultReport>, wanted: &str) -> anyhow::Result<VaultReport> {
    let id = wanted.parse::<VaultId>().ok();
    let is_meant = |vault: &VaultReport| {
        Some(vault.id) == id || (vault.name.as_str() == wanted && vault.state != State::Removed)
    };
    let mut found = vaults.into_iter().filter(is_meant);
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
    out::say(&format!("Vault {name} will be made anew, EMPTY. What was in it can't come back.\n"))?;
    ["Type its name:", "Type it again:"].into_iter().map(answer).collect()
}

fn answer(question: &str) -> anyhow::Result<String> {
    out::say(&format!("{question}\n"))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the answer")?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use vault::ids::{IMAGE_VAULT, Incarnation, SectionVersion};
    use vault::section::Operation;

    use super::*;

    fn report(state: State) -> VaultReport {
        VaultReport {
            id: IMAGE_VAULT,
            name: "image".parse().expect("a name"),
            state,
            created: true,
            epoch: None,
            wanted: Operation::Lock,
            last: None,
            detail: Vec::new(),
        }
    }

    /// Seen-by-users 1.8: a vault that was deleted and made again is named as the first one was.
    #[test]
    fn a_name_is_that_of_the_vault_that_is_there() {
        let (old, new) = (VaultId(uuid::Uuid::from_u128(1)), VaultId(uuid::Uuid::from_u128(2)));
        let removed = VaultReport { id: old, ..report(State::Removed) };
        let there = VaultReport { id: new, ..report(State::Unlocked) };
        let both = vec![removed.clone(), there.clone()];
        assert_eq!(named(both.clone(), "image").expect("one").id, new);
        assert_eq!(named(both.clone(), &old.to_string()).expect("by its UUID").id, old);
        assert_eq!(table::present(both), std::slice::from_ref(&there));
        named(vec![removed], "image").expect_err("nothing of that name is there");
        let twice = named(vec![there.clone(), there], "image").expect_err("which one?").to_string();
        assert!(twice.contains("several vaults"), "{twice}");
    }

    /// VC-2: whoever orders a lock by a script learns that files are still open.
    #[test]
    fn vc2_an_order_that_was_not_carried_out_is_a_failure_and_says_what_to_do() {
        reached(State::Locked, &report(State::Locked)).expect("as ordered");
        reached(State::Unlocked, &report(State::Unlocked)).expect("as ordered");
        let busy =
            reached(State::Locked, &report(State::LockIncomplete)).expect_err("still open").to_string();
        assert!(busy.contains("lock-incomplete") && busy.contains("then lock it again"), "{busy}");
        let open = reached(State::Locked, &report(State::Unlocked)).expect_err("still open").to_string();
        assert!(open.contains("is unlocked, not locked"), "{open}");
    }

    /// Who reads it by a program finds the life of the controller's database as `evc` writes it.
    #[test]
    fn a_life_of_the_database_is_told_as_evc_tells_it() {
        let version = SectionVersion { incarnation: Incarnation([0xa5; 16]), version: 4 };
        let status = VaultStatus { accepted: Some(version), ..VaultStatus::default() };
        let told = with_paths(&status, Path::new("/")).expect("JSON");
        assert_eq!(told["accepted"], serde_json::json!({ "incarnation": "a5".repeat(16), "version": 4 }));
        let none = with_paths(&VaultStatus::default(), Path::new("/")).expect("JSON");
        assert!(none["accepted"].is_null() && none["head"].is_null());
    }
}
