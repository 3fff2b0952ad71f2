//! The chain of a device's sections, which node and controller both keep: by it a controller notices that its database is older than
//! its nodes (put back from a copy, rolled back, or one of two that live from one copy). Nothing is numbered on, or released, to a node
//! that has gone further; an operator who knows that it was put back begins a new incarnation. What counts is `vault::ledger`.

use vault::ids::{DeviceId, Incarnation};
use vault::ledger::{Ledger, Older};

use vault::wanted::Head;
use wire::config::VaultAsk;

use super::config::known;
use crate::custody::random;
use crate::service::start::{INCARNATION, StartError, incarnation};
use crate::service::{Controller, Refusal};
use crate::store::{AsOf, DeviceRow, Scope, Store, StoreError, Stored, Tx, UnixSeconds};
use crate::words::OLDER;

/// In the store: incarnations that were, 16 bytes each.
const PAST: &str = "past incarnations";

impl Controller {
    /// The chain once this was told; or how it shows, or showed before, that this database is older. A node that tells nothing, since it
    /// can't read its record yet, sees for itself whether a section follows what it accepted; and it takes no mark off.
    pub(crate) async fn chain(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        told: Option<Head>,
    ) -> Stored<Result<Ledger, Older>> {
        // What another device accepted (this one, before it was registered anew) is for the node to judge.
        let Some(head) = told.filter(|head| head.device == row.id) else {
            return Ok(row.older.map_or_else(|| Ok(row.ledger.clone()), Err));
        };
        let (mut ledger, own) = (row.ledger.clone(), self.place(row.section_version));
        match ledger.hear(own, &self.past, (head.version, head.digest)) {
            Err(Older::Forked) if tx.was_sent_before(row.id, &head.digest).await? => {
                ledger.went_back(head.digest);
                Ok(Ok(ledger))
            }
            heard => Ok(heard.map(|()| ledger)),
        }
    }

    /// The device accepted what was sent last: the next section follows that. It tells it with each of its polls: a power cut that takes this
    /// back takes nothing. The moment after, where nothing else changed the device since `as_of`.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn accepted(
        &self,
        as_of: AsOf,
        device: DeviceId,
        ask: &VaultAsk,
    ) -> Result<Option<AsOf>, Refusal> {
        let told = ask.accepted;
        let keep = self.store.write_upon(as_of, device, |tx| Box::pin(self.keep_accepted(tx, device, told)));
        Ok(keep.await?.1)
    }

    async fn keep_accepted(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        told: Option<Head>,
    ) -> Result<(), Refusal> {
        let row = known(tx, device).await?;
        // Whatever it shows since is noted by a poll that is answered.
        match self.chain(tx, &row, told).await? {
            Ok(ledger) => keep(tx, device, &row, ledger).await,
            Err(_) => Ok(()),
        }
    }
}

/// Notes that the database is older than a device, loudly, once.
pub(crate) async fn note_older(
    tx: &mut dyn Tx,
    row: &DeviceRow,
    older: Older,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    if row.older != Some(older) {
        tracing::error!(device = %row.id, name = %row.name, "this database is older than its node: {older}; {OLDER}");
        tx.set_older(row.id, Some(older)).await?;
    }
    Ok(tx.saw_device(row.id, now).await?)
}

/// The chain after an answer, and that the database is not older: a device that showed it has told now what was sent from here.
pub(crate) async fn keep(
    tx: &mut dyn Tx,
    device: DeviceId,
    before: &DeviceRow,
    mut after: Ledger,
) -> Result<(), Refusal> {
    if before.older.is_some() {
        tx.set_older(device, None).await?;
    }
    let old = after.take_old();
    if !old.is_empty() {
        tx.add_sent_before(device, &old).await?;
    }
    if before.ledger != after {
        tx.put_ledger(device, &after).await?;
    }
    Ok(())
}

/// Incarnations that this database had before.
pub(crate) async fn past(tx: &mut dyn Tx) -> Result<Vec<Incarnation>, StoreError> {
    let bytes = tx.meta(PAST).await?.unwrap_or_default();
    let (whole, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(StoreError::Damaged("the past incarnations are not 16 bytes each".into()));
    }
    Ok(whole.iter().copied().map(Incarnation).collect())
}

/// Those, the one that ends now, and those that devices told of: lives that another copy of this database had. A device that was in one
/// of them goes on in the new one.
async fn past_from_now(tx: &mut dyn Tx, ends: Incarnation) -> Result<Vec<u8>, StoreError> {
    let mut all = past(tx).await?;
    let told = tx.all_older().await?.into_iter().filter_map(|older| match older {
        Older::LaterLife(told) => Some(told),
        Older::Behind { .. } | Older::Forked | Older::SomeLaterLife => None,
    });
    for one in [ends].into_iter().chain(told) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all.iter().flat_map(|Incarnation(bytes)| *bytes).collect())
}

/// Begins a new incarnation: sections are numbered and chained anew. Nodes take it for a new life of this controller: they delete
/// nothing that it does not list, and take the keys that it has.
///
/// # Errors
/// [`StartError`]: nothing was changed.
pub(crate) async fn begin_anew(store: &Store) -> Result<(), StartError> {
    let mut fresh = [0; 16];
    random(&mut fresh)?;
    store.write(Scope::Fleet, |tx| Box::pin(anew(tx, fresh))).await
}

async fn anew(tx: &mut dyn Tx, fresh: [u8; 16]) -> Result<(), StartError> {
    let ends = incarnation(tx).await?.ok_or(StartError::NotStarted)?;
    let past = past_from_now(tx, ends).await?;
    tx.put_meta(PAST, &past).await?;
    tx.put_meta(INCARNATION, &fresh).await?;
    Ok(tx.number_anew().await?)
}
