//! Graces that are over end, each in a transaction of its own.

use vault::ids::{DeviceId, VaultId};
use vault::ledger::held_back;
use vault::life::{GraceEnd, Life};

use crate::fleet::life::{life, write_gone};
use crate::service::{Controller, Fault, Refusal, chain};
use crate::store::{DeletedRow, Failure as _, Grace, OrDamaged, Scope, Tx, UnixSeconds};

/// Most graces that are ended in one round.
const BATCH: u32 = 200;

impl Controller {
    /// Ends the graces that are over: the keys go, the node erases at its next contact. Each for itself, so that no device waits for
    /// another's, nor for one that can't end. Safe to repeat. How many it were.
    ///
    /// # Errors
    /// The first one that was met. What could end has ended, unless the store is busy for all of them.
    pub(crate) async fn end_graces(&self, now: UnixSeconds) -> Result<usize, Refusal> {
        // What was kept again since the copy was made is wanted.
        if self.put_back {
            return Ok(0);
        }
        let mut round = Round::default();
        loop {
            let due = self.store.read(|tx| tx.graces_over(now, round.last, BATCH)).await?;
            for grace in &due {
                self.end_one(*grace, now, &mut round).await?;
            }
            // One batch a round; more only past those of which none can end.
            if round.ended > 0 || due.len() < BATCH as usize {
                return round.failed.map_or(Ok(round.ended), Err);
            }
        }
    }

    /// Forgets what is kept of deleted devices whose grace is over. Safe to repeat.
    ///
    /// # Errors
    /// The first one that was met: of a row whose end does not read, what is kept stays. What could go has gone, unless the store is busy.
    pub(crate) async fn forget_deleted(&self, now: UnixSeconds) -> Result<(), Refusal> {
        // What was given back since the copy was made is in use.
        if self.put_back || self.store.read(|tx| tx.one_older()).await?.is_some() {
            return Ok(());
        }
        let mut failed = None;
        for row in self.store.read(|tx| tx.deleted_over(now)).await? {
            match self.forget_one(row, now).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => return Err(error),
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "what is kept of a deleted device can't be forgotten"
                    );
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn forget_one(&self, row: OrDamaged<DeviceId>, now: UnixSeconds) -> Result<(), Refusal> {
        let id = row.whole()?;
        let forgotten = self.store.write(Scope::Fleet, |tx| Box::pin(forget_if_over(tx, id, now))).await?;
        if let Some(Forgotten { device, name }) = forgotten {
            tracing::info!(device, name, row = %id, "grace over, what was kept of a deleted device is forgotten");
        }
        Ok(())
    }

    /// Ends one, or takes note that it can't.
    ///
    /// # Errors
    /// Nobody's turn comes now.
    async fn end_one(&self, grace: Grace, now: UnixSeconds, round: &mut Round) -> Result<(), Refusal> {
        let Grace { device, vault, .. } = grace;
        round.last = Some(grace);
        let put_back = self.put_back;
        let write = self
            .store
            .write(Scope::Device(device), |tx| Box::pin(end_if_over(tx, (device, vault), put_back, now)));
        match write.await {
            Ok(true) => {
                tracing::info!(%device, %vault, "grace over, keys deleted");
                round.ended += 1;
            }
            Ok(false) => {}
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                tracing::error!(%device, %vault, error = chain(&error), "this grace can't end: its keys are kept");
                round.failed.get_or_insert(error);
            }
        }
        Ok(())
    }
}

/// A device of which nothing is kept any more, as far as its row told.
struct Forgotten {
    device: String,
    name: String,
}

impl From<OrDamaged<DeletedRow>> for Forgotten {
    fn from(row: OrDamaged<DeletedRow>) -> Self {
        match row {
            OrDamaged::Whole(row) => Self { device: row.device.to_string(), name: row.name.to_string() },
            OrDamaged::Damaged(row) => {
                Self { device: row.device.unwrap_or_default(), name: row.name.unwrap_or_default() }
            }
        }
    }
}

/// It may have come back, or its grace have been moved, since the list was read.
async fn forget_if_over(
    tx: &mut dyn Tx,
    id: DeviceId,
    now: UnixSeconds,
) -> Result<Option<Forgotten>, Refusal> {
    if tx.one_older().await?.is_some() || !tx.deleted_over(now).await?.contains(&OrDamaged::Whole(id)) {
        return Ok(None);
    }
    let was = tx.deleted_as(id).await?.into_iter().next();
    tx.forget_deleted(id).await?;
    Ok(was.map(Forgotten::from))
}

/// How far a round has come.
#[derive(Default)]
struct Round {
    ended: usize,
    last: Option<Grace>,
    failed: Option<Refusal>,
}

/// Whether it still had to end: an operator may have kept the vault since the list was read.
async fn end_if_over(
    tx: &mut dyn Tx,
    (device, vault): (DeviceId, VaultId),
    put_back: bool,
    now: UnixSeconds,
) -> Result<bool, Refusal> {
    let Some(row) = tx.vault(device, vault).await? else { return Ok(false) };
    let Life::Listed(listed) = life(&row)? else { return Ok(false) };
    let of = tx.device(device).await?.ok_or(Fault::VaultWithoutDevice)?;
    // What one device shows is so of the database: what operators said of another one since is not in it.
    let older = held_back(of.older, put_back).is_some() || tx.one_older().await?.is_some();
    let end = GraceEnd { now, next_version: of.section_version + 1, older };
    let Ok(gone) = listed.end_grace(end) else { return Ok(false) };
    write_gone(tx, device, vault, gone).await?;
    Ok(true)
}
