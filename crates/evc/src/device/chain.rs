//! The chain of a device's sections, which node and controller both keep: by it a controller notices that its database is older than
//! its nodes (put back from a copy, rolled back, or one of two that live from one copy). Nothing is numbered on, or released, to a node
//! that has gone further; an operator who knows that it was put back begins a new incarnation. What counts is `vault::ledger`.

use ::attest::SessionKey;
use vault::ids::{DeviceId, Incarnation, SectionVersion};
use vault::ledger::{Asker, Ledger, Mark, Older, Poll};

use wire::config::VaultAsk;

use super::config::{Ahead, Changed, Drawn, Seen, known};
use crate::clock::now;
use crate::custody::random;
use crate::fleet::times::no_earlier_than_shown;
use crate::fleet::view::View;
use crate::service::start::{INCARNATION, StartError, incarnation};
use crate::service::{Controller, Refusal};
use crate::store::{AsOf, DeviceRow, Scope, Store, StoreError, Stored, Tx, UnixSeconds};
use crate::words::older_advice;

/// In the store: incarnations that were, 16 bytes each.
const PAST: &str = "past incarnations";

impl Controller {
    /// The chain once this was told; or how it shows, or showed before, that this database is older.
    pub(crate) async fn chain(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        ask: &VaultAsk,
    ) -> Stored<Result<Ledger, Older>> {
        let poll = self.poll_of(row, ask);
        match (self.ledger_after(row, &poll), ask.accepted) {
            (Err(Older::Forked), Some(head)) if tx.was_sent_before(row.id, &head.digest).await? => {
                Ok(self.ledger_after(row, &Poll { sent_before: true, ..poll }))
            }
            (after, _) => Ok(after),
        }
    }

    /// The same by its row alone: one that is forked may have a section that was sent before those that this remembers.
    pub(super) fn chain_by(&self, row: &DeviceRow, ask: &VaultAsk) -> Result<Ledger, Older> {
        self.ledger_after(row, &self.poll_of(row, ask))
    }

    fn ledger_after(&self, row: &DeviceRow, poll: &Poll) -> Result<Ledger, Older> {
        row.ledger.after(self.place(row.section_version), &self.past, poll)
    }

    fn poll_of(&self, row: &DeviceRow, ask: &VaultAsk) -> Poll {
        Poll {
            device: row.id,
            tpm: row.tpm,
            session: ask.session,
            head: ask.accepted,
            ordered: ask.ordered,
            sent_before: false,
            mark: row.older,
            put_back: self.put_back,
        }
    }

    /// The device accepted what was sent last: the next section follows that. It tells it with each of its polls: a power cut that takes this
    /// back takes nothing. The moment after, where nothing else changed the device since `as_of`; and the device as it is then, where it was seen.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn accepted(
        &self,
        as_of: AsOf,
        device: DeviceId,
        Changed { ask, drawn }: Changed,
    ) -> Result<(Option<AsOf>, Option<Seen>), Refusal> {
        let ahead = Ahead::of(as_of, drawn);
        let keep =
            self.store.write_upon(as_of, device, |tx| Box::pin(self.keep_accepted(tx, device, &ask, &ahead)));
        let (view, after) = keep.await?;
        Ok((after, view.map(Seen)))
    }

    async fn keep_accepted(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        ask: &VaultAsk,
        ahead: &Ahead,
    ) -> Result<Option<Box<View>>, Refusal> {
        if let Some(drawn) = ahead.take(&self.store, device) {
            let Drawn { mut view, ledger, .. } = *drawn;
            keep(tx, &mut view.device, ledger, ask.session).await?;
            return Ok(Some(view));
        }
        let mut row = known(tx, device).await?;
        // Whatever it shows since is noted by a poll that is answered.
        if let Ok(ledger) = self.chain(tx, &row, ask).await? {
            keep(tx, &mut row, ledger, ask.session).await?;
        }
        Ok(None)
    }
}

impl Controller {
    /// Notes that the database is older than a device, loudly, once.
    pub(crate) async fn note_older(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        (session, older): (SessionKey, Older),
        now: UnixSeconds,
    ) -> Result<Mark, Refusal> {
        let mark = self.marked(tx, row, session, older).await?;
        if row.older.map(Mark::older) != Some(mark.older()) {
            let what_to_do = older_advice(older);
            tracing::error!(device = %row.id, name = %row.name, "nothing is released to this node: {older}; {what_to_do}");
        }
        if row.older != Some(mark) {
            tx.set_older(row.id, Some(mark)).await?;
        }
        tx.saw_device(row.id, now).await?;
        Ok(mark)
    }

    /// The mark of a device that shows this. That it is lost may have been said on this database before there was one.
    pub(super) async fn marked(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        session: SessionKey,
        older: Older,
    ) -> Result<Mark, Refusal> {
        let mark = Mark::shown(row.older, older, asker(tx, row.id, session).await?, &row.ledger);
        Ok(if self.lost_here.has(row.id) { mark.with_lost(row.lost_at.is_some()) } else { mark })
    }
}

async fn asker(tx: &mut dyn Tx, device: DeviceId, session: SessionKey) -> Result<Asker, Refusal> {
    let stands = tx.standing(device).await?.map(|row| SessionKey(row.session));
    Ok(Asker { session, stands })
}

/// The chain after an answer. That the device was further on once stays noted, whatever it tells now: a poll is signed and not fresh, so one of
/// before may be sent again by whoever has it, and then nothing of the device is to end by what this database says. Fresh evidence takes it off
/// together with the chain, as [`Mark::is_over`] says, and an operator.
pub(crate) async fn keep(
    tx: &mut dyn Tx,
    row: &mut DeviceRow,
    mut after: Ledger,
    session: SessionKey,
) -> Result<(), Refusal> {
    if let Some(mark) = row.older
        && mark.is_over(asker(tx, row.id, session).await?, &after)
    {
        tracing::info!(device = %row.id, name = %row.name, "this node is not ahead of this database: its evidence is fresh, and it follows what was sent to it since");
        row.older = mark.settled();
        tx.set_older(row.id, row.older).await?;
    }
    let old = after.take_old();
    if !old.is_empty() {
        tx.add_sent_before(row.id, &old).await?;
    }
    if row.ledger != after {
        tx.put_ledger(row.id, &after).await?;
        row.ledger = after;
    }
    Ok(())
}

/// Keeps that a device is ordered at a place which takes no number.
pub(super) async fn give_order(
    tx: &mut dyn Tx,
    row: &DeviceRow,
    (own, at): (SectionVersion, SectionVersion),
) -> Result<(), Refusal> {
    let mut ledger = row.ledger.clone();
    ledger.give_order(own, at);
    if ledger != row.ledger {
        tx.put_ledger(row.id, &ledger).await?;
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
        Older::Behind { .. }
        | Older::Ordered { .. }
        | Older::Forked
        | Older::SomeLaterLife
        | Older::PutBack => None,
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
    let at = no_earlier_than_shown(tx, now()).await?;
    tx.keep_ending(at).await?;
    Ok(tx.number_anew().await?)
}
