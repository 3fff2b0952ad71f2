//! The times that are remembered over restarts. The clock that shows them is judged in [`crate::jobs`].

use crate::store::{Notes, StoreError, Stored, Time, Tx, UnixSeconds};

/// A clock that is further behind the time seen, in seconds, was not set yet; within it are clocks of machines that just booted.
const BEHIND_S: u64 = 60 * 60;

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// The newest time that was believed.
    pub(crate) seen: Option<UnixSeconds>,
    /// What the clock showed last, believed or not: the graces that run were moved with it.
    pub(crate) shown: Option<UnixSeconds>,
}

impl Times {
    pub(crate) async fn load(tx: &mut dyn Tx) -> Stored<Self> {
        Ok(Self { seen: time(tx, Time::Seen).await?, shown: time(tx, Time::Shown).await? })
    }

    pub(crate) async fn remember(self, tx: &mut dyn Tx) -> Stored<()> {
        self.note(Notes::of(tx)).await
    }

    pub(crate) async fn note(self, mut tx: Notes<'_, '_>) -> Stored<()> {
        for (which, time) in [(Time::Seen, self.seen), (Time::Shown, self.shown)] {
            if let Some(time) = time {
                tx.put_time(which, time).await?;
            }
        }
        Ok(())
    }
}

async fn time(tx: &mut dyn Tx, which: Time) -> Stored<Option<UnixSeconds>> {
    let name = which.name();
    let Some(bytes) = tx.meta(name).await? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| StoreError::Damaged(format!("the {name} has not 8 bytes")))?;
    Ok(Some(UnixSeconds::from_be_bytes(bytes)))
}

/// The time seen, when the clock is well behind it.
pub(crate) async fn far_behind(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<Option<UnixSeconds>> {
    Ok(time(tx, Time::Seen).await?.filter(|seen| now.saturating_add(BEHIND_S) < *seen))
}

/// Now, or the time shown last where the clock is behind it: what begins now is moved with the clock from there on.
pub(crate) async fn no_earlier_than_shown(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<UnixSeconds> {
    Ok(time(tx, Time::Shown).await?.map_or(now, |shown| shown.max(now)))
}
