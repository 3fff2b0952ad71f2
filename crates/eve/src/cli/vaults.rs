//! `eve vault …`: root on the node looks at its vaults, opens and closes them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use cli::{Forms, Output, say, show};
use serde_json::Value;
use vault::ids::{Name, VaultId};
use vault::report::{State, VaultReport};
use vault::section::Operation;
use vault::text::{plain_lines, quoted};

use super::args::{Root, VaultCmd};
use super::table::Columns;
use super::{recovery, table};
use crate::agents::vaultmgr::hands::crypt::since_boot;
use crate::bus::messages::{Hope, LockVault, Recover, Recreate, UnlockVault, VaultStatus, Vaults};
use crate::bus::{BusError, BusRecoveryKey, Call, CallError};

/// How long an order may take: a lock waits for those who hold files.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a question may take: who does not answer it soon hangs.
const QUESTION: Duration = Duration::from_secs(5);

pub(super) fn act(root: &Root, command: VaultCmd) -> anyhow::Result<()> {
    match command {
        VaultCmd::List { printed, all } => list(root, printed.output, all),
        VaultCmd::Path { vault } => {
            let vault = named(&all(root)?, &vault)?;
            say(&(plain_lines(&table::path(&root.root, &vault)) + "\n"))
        }
        VaultCmd::Lock { vault } => {
            let root = &elsewhere(root)?;
            order(root, &vault, State::Locked, |vault| ask(root, &LockVault { id: vault.id }, PATIENCE))
        }
        VaultCmd::Unlock { vault } => {
            order(root, &vault, State::Unlocked, |vault| ask(root, &UnlockVault { id: vault.id }, PATIENCE))
        }
        VaultCmd::Recover { vault, identity, key } => order(root, &vault, State::Unlocked, |vault| {
            let keys = recovery::keys(&root.root, vault.id, identity.as_deref(), key.as_deref())?;
            recovery::each(keys, |key| {
                ask(root, &Recover { id: vault.id, key: BusRecoveryKey(key) }, PATIENCE)
            })
        }),
        VaultCmd::Recreate { vault, confirm, despite_escrow, despite_other_key } => {
            let hope = match (despite_other_key, despite_escrow) {
                (true, true) => Hope::AllGivenUp,
                (true, false) => Hope::ShutGivenUp,
                (false, true) => Hope::GivenUp,
                (false, false) => Hope::Kept,
            };
            let after = given(root, &vault, State::Unlocked, |vault| recreate(root, vault, confirm, hope))?;
            match stays_locked(&after) {
                Some(words) => say(&(words + "\n")),
                None => reached(State::Unlocked, &after),
            }
        }
    }
}

/// This program holds no vault open itself, though it may have been started in one: it is told as one that does, and to be ended.
fn elsewhere(root: &Root) -> anyhow::Result<Root> {
    let root = Root { root: std::path::absolute(&root.root).context("which folder this is")? };
    std::env::set_current_dir("/").context("leaving this folder")?;
    Ok(root)
}

/// Gives an order about one vault, and shows how it is after that.
fn order(
    root: &Root,
    vault: &str,
    wanted: State,
    give: impl FnOnce(VaultReport) -> anyhow::Result<VaultReport>,
) -> anyhow::Result<()> {
    reached(wanted, &given(root, vault, wanted, give)?)
}

/// The same; how it is after that is for the caller to judge.
fn given(
    root: &Root,
    vault: &str,
    wanted: State,
    give: impl FnOnce(VaultReport) -> anyhow::Result<VaultReport>,
) -> anyhow::Result<VaultReport> {
    // A lock needs no disk: what is held of one that went, or vaultmgr's answer, says what comes of it.
    let all = if wanted == State::Locked { ask(root, &Vaults, QUESTION)?.vaults } else { all(root)? };
    let after = give(named(&all, vault)?)?;
    show(&table::one(&after, &table::present(all)))?;
    Ok(after)
}

/// An order to make a vault anew lifts no lock, and is done all the same.
fn stays_locked(after: &VaultReport) -> Option<String> {
    let is_done = after.state == State::Locked && after.wanted == Operation::Lock;
    is_done.then(|| {
        let name = &after.name;
        format!(
            "vault {name} was made anew, empty, and stays locked, as was ordered before: `eve vault unlock {name:#}` lifts a lock of this node's root, and says so where it is the controller's"
        )
    })
}

/// An order is done when the vault is as it was ordered to be: a script reads that from the exit status.
fn reached(wanted: State, after: &VaultReport) -> anyhow::Result<()> {
    let (name, is) = (&after.name, after.state);
    match after.state {
        state if state == wanted => Ok(()),
        // An orphan stays one: by its recovery key it is open, and once its key is gone it is locked.
        State::Orphan if wanted == State::Unlocked && after.opened.is_some() => Ok(()),
        State::Orphan if wanted == State::Locked => Ok(()),
        State::LockIncomplete => bail!(
            "vault {name} is {is}: what is open in it can still be read; end those who hold it, then it is locked by itself, as `eve vault list` says"
        ),
        _ => bail!("vault {name} is {is}, not {wanted}: see the line above, which says why"),
    }
}

fn ask<C: Call>(root: &Root, call: &C, patience: Duration) -> anyhow::Result<C::Answer> {
    root.bus().call(call, patience).map_err(|error| match error {
        CallError::Bus(BusError::Refused) => anyhow!("this is for root alone: are you root?"),
        // What the system says of the socket tells nobody more.
        CallError::Bus(BusError::Unreachable { .. }) if !super::check::runs(&root.root) => {
            anyhow!("{}", root.not_running())
        }
        CallError::Bus(away @ BusError::Unreachable { .. }) => anyhow!("{away}"),
        other => other.into(),
    })
}

fn list(root: &Root, output: Output, all: bool) -> anyhow::Result<()> {
    let mut status: VaultStatus = ask(root, &Vaults, QUESTION)?;
    if !all {
        status.vaults = table::present(status.vaults);
    }
    forms(&status, &root.root)?.print(output)
}

fn forms(status: &VaultStatus, root: &Path) -> anyhow::Result<Forms> {
    let text = |columns| table::with_notes(status, since_boot(), root, columns);
    let names = status.vaults.iter().map(table::name).collect();
    let forms = Forms::of(&with_paths(status, root)?, text(Columns::Few), names)?;
    Ok(forms.with_wide(text(Columns::All)))
}

/// Each vault with its directory; and the lives of the controller's database in hexadecimal, as `evc` shows them.
fn with_paths(status: &VaultStatus, root: &Path) -> anyhow::Result<Value> {
    let mut told = serde_json::to_value(status)?;
    for (vault, report) in told["vaults"].as_array_mut().into_iter().flatten().zip(&status.vaults) {
        vault["path"] = table::path(root, report).into();
    }
    for place in ["/accepted/incarnation", "/head/version/incarnation", "/root"] {
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

fn recreate(
    root: &Root,
    found: VaultReport,
    confirm: Option<String>,
    hope: Hope,
) -> anyhow::Result<VaultReport> {
    let typed = confirm.map_or_else(|| asked(&found.name), Ok)?;
    confirmed(&found.name, &typed)?;
    ask(root, &Recreate { id: found.id, name: found.name, hope }, PATIENCE)
}

/// Every vault of the node.
fn all(root: &Root) -> anyhow::Result<Vec<VaultReport>> {
    let status = ask(root, &Vaults, QUESTION)?;
    if status.disk_away {
        bail!("{}", status.notes.join("; "));
    }
    Ok(status.vaults)
}

/// By name or UUID. A name is that of a vault which is there: one that was removed has left it to others.
fn named(vaults: &[VaultReport], wanted: &str) -> anyhow::Result<VaultReport> {
    let id = wanted.parse::<VaultId>().ok();
    let is_meant = |vault: &VaultReport| {
        Some(vault.id) == id || (vault.name.as_str() == wanted && vault.state != State::Removed)
    };
    let mut found = vaults.iter().filter(|vault| is_meant(vault));
    match (found.next(), found.next()) {
        (Some(vault), None) => Ok(vault.clone()),
        (None, _) => bail!("there is no vault `{}` on this node: see `eve vault list`", quoted(wanted)),
        (Some(_), Some(_)) => bail!(
            "several vaults are named `{}`: give the UUID that `eve vault list --output json` shows",
            quoted(wanted)
        ),
    }
}

/// What was typed is not the vault's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` is not the name of vault {vault}: nothing was done; to have it anew, EMPTY, run `eve vault recreate {vault:#} --confirm {vault:#}`", quoted(.typed)
)]
pub(super) struct NotConfirmed {
    pub(super) vault: Name,
    pub(super) typed: String,
}

fn confirmed(vault: &Name, typed: &str) -> Result<(), NotConfirmed> {
    let same = typed == vault.as_str();
    same.then_some(()).ok_or_else(|| NotConfirmed { vault: vault.clone(), typed: typed.to_owned() })
}

fn asked(name: &Name) -> anyhow::Result<String> {
    say(&format!(
        "Vault {name} will be made anew, EMPTY. What was in it can't come back.\nType its name:\n"
    ))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the answer")?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use vault::ids::{IMAGE_VAULT, Incarnation, SectionVersion};

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
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
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
        assert_eq!(named(&both, "image").expect("one").id, new);
        assert_eq!(named(&both, &old.to_string()).expect("by its UUID").id, old);
        assert_eq!(table::present(both), std::slice::from_ref(&there));
        named(&[removed], "image").expect_err("nothing of that name is there");
        let twice = named(&[there.clone(), there], "image").expect_err("which one?").to_string();
        assert!(twice.contains("several vaults"), "{twice}");
    }

    /// Seen-by-users: the name is typed once, and another one makes nothing anew.
    #[test]
    fn a_vault_is_made_anew_by_its_name_typed_once() {
        let name: Name = "payments".parse().expect("a name");
        confirmed(&name, "payments").expect("its name");
        for other in ["", "payment", "PAYMENTS", "payments "] {
            confirmed(&name, other).expect_err(other);
        }
    }

    /// VC-2: whoever orders a lock by a script learns that files are still open.
    #[test]
    fn vc2_an_order_that_was_not_carried_out_is_a_failure_and_says_what_to_do() {
        reached(State::Locked, &report(State::Locked)).expect("as ordered");
        reached(State::Unlocked, &report(State::Unlocked)).expect("as ordered");
        let busy =
            reached(State::Locked, &report(State::LockIncomplete)).expect_err("still open").to_string();
        assert!(busy.contains("lock-incomplete") && busy.contains("then it is locked by itself"), "{busy}");
        let open = reached(State::Locked, &report(State::Unlocked)).expect_err("still open").to_string();
        assert!(open.contains("is unlocked, not locked"), "{open}");
    }

    /// A vault that was locked by an order stays so when it is made anew: that is no failure, and it is said. One that does not open for another reason is.
    #[test]
    fn a_vault_that_stays_locked_is_made_anew_all_the_same() {
        let words = stays_locked(&report(State::Locked)).expect("it is done");
        assert!(words.contains("stays locked") && words.contains("eve vault unlock image"), "{words}");
        for not in [
            VaultReport { wanted: Operation::Unlock, ..report(State::Locked) },
            report(State::Missing),
            report(State::Unlocked),
            report(State::LockIncomplete),
        ] {
            assert_eq!(stays_locked(&not), None, "{not:?}");
        }
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
