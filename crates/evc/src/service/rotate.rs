//! A new key for one vault (VC-3, VC-4). One that its node could miss is not made unless it is forced: a key that is over goes out
//! no more, and a node that has only that does not open the vault again.

use serde::Deserialize;
use vault::ids::{Epoch, Name};
use vault::rotation::Epochs;

use super::operate::{Done, find_vault};
use super::show::unknown_epoch;
use super::view::policy_of;
use super::{Controller, Refusal};
use crate::custody::add_epoch;
use crate::store::{StoreError, Tx, UnixSeconds, VaultRow, VaultStanding};

/// How a rotation is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Also when the node has not taken the epoch before.
    pub force: bool,
    /// Only from this epoch on: a request that is said twice rotates once.
    pub expect_epoch: Option<Epoch>,
}

impl Controller {
    /// Makes a new key current.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was rotated.
    pub async fn rotate(
        &self,
        device: &str,
        name: &Name,
        how: Rotation,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let scope = self.scope_of(device).await?;
        self.store.write(scope, |tx| Box::pin(self.rotated(tx, device, name, how, now))).await
    }

    async fn rotated(
        &self,
        tx: &mut dyn Tx,
        device: &str,
        name: &Name,
        how: Rotation,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let (device, row) = find_vault(tx, device, name).await?;
        let policy = policy_of(tx, &device, &row).await?;
        has_controller_key(&row, policy.node.custody.needs_controller())?;
        let epochs = Epochs::stored(row.current_epoch, row.last_epoch)
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        if let Some(from) = how.expect_epoch.filter(|from| *from != epochs.current()) {
            return said_before(&row, epochs, from);
        }
        if let Some(older) = device.older {
            return Err(Refusal::conflict(older.to_string(), super::chain::WHAT_TO_DO));
        }
        if let Some(unknown) = unknown_epoch(&row) {
            return Err(never_made(&row, unknown));
        }
        if !how.force && !epochs.may_rotate(row.reported_epoch) {
            return Err(not_taken(&row));
        }
        let notes = at_stake(&row, epochs);
        let epochs = epochs.rotate();
        self.keep(tx, &row, epochs, now).await?;
        let done =
            format!("vault `{name}` is at epoch {}; the node takes it at its next contact", epochs.current());
        Ok(Done { done, notes })
    }

    async fn keep(
        &self,
        tx: &mut dyn Tx,
        row: &VaultRow,
        epochs: Epochs,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        add_epoch(tx, &self.kek, (row.device, row.id, epochs.current()), now).await?;
        tx.drop_releases_before(row.device, row.id, epochs.last()).await?;
        Ok(tx.put_epochs(row.device, row.id, epochs.current(), epochs.last()).await?)
    }
}

fn has_controller_key(row: &VaultRow, needs_controller: bool) -> Result<(), Refusal> {
    let name = &row.name;
    if !needs_controller {
        return Err(Refusal::conflict(
            format!("vault `{name}` has custody `tpm`: the controller holds no key of it"),
            "give it a policy with `custody: tpm+controller` or `controller`",
        ));
    }
    if row.standing != VaultStanding::Active {
        return Err(Refusal::conflict(
            format!("vault `{name}` is being removed"),
            "apply it again to keep it, then rotate",
        ));
    }
    Ok(())
}

/// It stands at another epoch than was expected: at the next one, what is asked for was done.
fn said_before(row: &VaultRow, epochs: Epochs, from: Epoch) -> Result<Done, Refusal> {
    let (name, current) = (&row.name, epochs.current());
    if epochs.last() == from {
        return Ok(Done {
            done: format!("vault `{name}` was rotated to epoch {current} already"),
            notes: vec![],
        });
    }
    Err(Refusal::conflict(
        format!("vault `{name}` is at epoch {current}, not {from}"),
        "somebody else rotated it: see `evc describe vault`, and rotate from there if it is still called for",
    ))
}

/// A number that the node knows must not get a second key.
fn never_made(row: &VaultRow, epoch: Epoch) -> Refusal {
    Refusal::conflict(
        format!(
            "the node reports vault `{}` at epoch {epoch}, and {} is the newest here",
            row.name, row.current_epoch
        ),
        super::chain::WHAT_TO_DO,
    )
}

fn not_taken(row: &VaultRow) -> Refusal {
    Refusal::conflict(
        format!("{}, and would not open vault `{}` again once it restarts", stands_at(row), row.name),
        format!(
            "wait until it has taken epoch {} (`evc describe vault` says why it has not), or shut out what it holds with `--force`",
            row.current_epoch
        ),
    )
}

fn at_stake(row: &VaultRow, epochs: Epochs) -> Vec<String> {
    if epochs.may_rotate(row.reported_epoch) {
        return Vec::new();
    }
    vec![format!("{}: if it restarts before it takes a newer key, this vault stays locked", stands_at(row))]
}

fn stands_at(row: &VaultRow) -> String {
    match row.reported_epoch {
        Some(epoch) => format!("the node is still at epoch {epoch}"),
        None => format!("the node has not reported that it took epoch {}", row.current_epoch),
    }
}
