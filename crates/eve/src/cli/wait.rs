//! `eve wait`: until the node is onboarded and attested and each vault is as it is asked to be, or the time is up.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use vault::report::{State, VaultReport};
use vault::section::Operation;
use vault::text::plain;

use super::args::Root;
use super::status;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(300);

/// It has not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("the {} are over; last seen: {how}\n  what to do: wait for longer with --timeout, or see `eve status`", humantime::format_duration(*.after))]
pub(super) struct TimeUp {
    pub(super) after: Duration,
    pub(super) how: String,
}

/// Waits.
///
/// # Errors
/// [`TimeUp`]; or who asks is not root.
pub(super) fn until_ready(root: &Root, timeout: Duration) -> anyhow::Result<()> {
    let (begun, mut told) = (Instant::now(), String::new());
    loop {
        let how = match status::readiness(root) {
            Readiness::Ready => return Ok(()),
            Readiness::Never(why) => bail!(why),
            Readiness::NotYet(how) => how,
        };
        if news(&how) != told {
            cli::complain(&plain(&format!("waiting; {how}")));
            news(&how).clone_into(&mut told);
        }
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(TimeUp { after: timeout, how }.into());
        }
        sleep(left.min(EVERY));
    }
}

/// Without when it is tried again, which each try changes.
fn news(how: &str) -> &str {
    how.split("; tried again in ").next().unwrap_or(how)
}

/// How far a node is.
pub(super) enum Readiness {
    /// All is as it should be.
    Ready,
    /// Something is still to come.
    NotYet(String),
    /// No waiting helps.
    Never(&'static str),
}

/// The first vault that is not as it is asked to be.
pub(super) fn under_way(vaults: &[VaultReport]) -> Option<String> {
    let waits = |vault: &&VaultReport| {
        let wanted = match vault.wanted {
            Operation::Lock => vec![State::Locked, State::Removed, State::Orphan],
            Operation::Unlock | Operation::ChangeKey => vec![State::Unlocked],
        };
        !wanted.contains(&vault.state)
    };
    let vault = vaults.iter().find(waits)?;
    Some(format!("vault {} is {}: {}", vault.name, vault.state, vault.detail.join("; ")))
}

#[cfg(test)]
mod tests {
    use vault::ids::IMAGE_VAULT;

    use super::*;

    /// Seen by a new user: who waited read the same three lines once for each try.
    #[test]
    fn another_try_alone_is_no_news() {
        let tried = |after| format!("it refused: no; tried again in {after}");
        assert_eq!(news(&tried("1s")), news(&tried("2s")));
        assert_ne!(news("it refused: no"), news("it refused: yes"));
    }

    #[test]
    fn a_vault_that_is_not_as_asked_is_waited_for_and_told() {
        let report = |state, wanted| VaultReport {
            id: IMAGE_VAULT,
            name: "image".parse().expect("a name"),
            state,
            created: true,
            epoch: None,
            wanted,
            last: None,
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
            detail: vec!["its key is withheld".to_owned()],
        };
        let open = report(State::Unlocked, Operation::Unlock);
        assert_eq!(under_way(&[open.clone(), report(State::Locked, Operation::Lock)]), None);
        let told = under_way(&[open, report(State::Waiting, Operation::Unlock)]).expect("is waited for");
        assert_eq!(told, format!("vault image is {}: its key is withheld", State::Waiting));
    }
}
