//! Every way that a life goes, every refusal beside the twin that passes, and lives of random acts.

mod lives;
mod table;

use crate::condition::State;
use crate::ids::{Epoch, Name, VaultId};
use crate::life::ListOf;
use crate::life::{Listed, Phase, ReportedState};
use crate::report::VaultReport;
use crate::section::Operation;

const NOW: u64 = 1_000_000;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn user() -> VaultId {
    VaultId(uuid::Uuid::from_u128(5))
}

/// A vault as its node made it, and took its first key.
fn made() -> Listed {
    Listed { made: true, taken: Some(Epoch(1)), ..Listed::new(Some(name("p"))) }
        .hear(&report(State::Unlocked, Some(1)), ListOf::Ours)
}

/// The same, while its grace runs.
fn in_grace() -> Listed {
    Listed { phase: Phase::Grace { until: NOW + 60 }, ..made() }
}

/// The same, as its node lost a part of it.
fn missing() -> Listed {
    let said = Some(ReportedState { state: State::Missing, epoch: Some(Epoch(1)) });
    Listed { said, ..made() }
}

fn report(state: State, epoch: Option<u64>) -> VaultReport {
    VaultReport {
        id: user(),
        name: name("v"),
        state,
        created: !matches!(state, State::Waiting | State::Creating),
        epoch: epoch.map(Epoch),
        wanted: Operation::Unlock,
        last: None,
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: vec![],
    }
}
