//! The times that are remembered over restarts. The clock that shows them is judged in [`crate::jobs`].

use crate::store::{Notes, Stored, Time, Tx, UnixSeconds};

/// A clock that is further behind the time seen, in seconds, was not set yet; within it are clocks of machines that just booted.
const BEHIND_S: u64 = 60 * 60;

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// The newest time that was believed.
    pub(crate) seen: Option<UnixSeconds>,
    /// What the clock showed last, believed or not: the graces that run were moved with it.
    pub(crate) shown: Option<UnixSeconds>,
    /// One of them is damaged, and counts as none: the clock is not to be believed until it ran steadily for a while.
    pub(crate) unread: bool,
}

impl Times {
    pub(crate) async fn load(tx: &mut dyn Tx) -> Stored<Self> {
        let (seen, shown) = (read(tx, Time::Seen).await?, read(tx, Time::Shown).await?);
        Ok(Self {
            seen: seen.ok().flatten(),
            shown: shown.ok().flatten(),
            unread: seen.is_err() || shown.is_err(),
        })
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

/// One that is damaged is none: a controller that did not start for it would be put back to an older database for the reading of a clock. Nothing ends
/// by it: [`Times::unread`].
async fn time(tx: &mut dyn Tx, which: Time) -> Stored<Option<UnixSeconds>> {
    Ok(read(tx, which).await?.ok().flatten())
}

async fn read(tx: &mut dyn Tx, which: Time) -> Stored<Result<Option<UnixSeconds>, Unread>> {
    let Some(bytes) = tx.meta(which.name()).await? else { return Ok(Ok(None)) };
    Ok(bytes.try_into().map(|bytes| Some(UnixSeconds::from_be_bytes(bytes))).map_err(|_| Unread))
}

/// It has not 8 bytes.
#[derive(Debug, Clone, Copy)]
struct Unread;

/// The time seen, when the clock is well behind it.
pub(crate) async fn far_behind(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<Option<UnixSeconds>> {
    Ok(time(tx, Time::Seen).await?.filter(|seen| now.saturating_add(BEHIND_S) < *seen))
}

/// Now, or the time shown last where the clock is behind it: what begins now is moved with the clock from there on.
pub(crate) async fn no_earlier_than_shown(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<UnixSeconds> {
    Ok(time(tx, Time::Shown).await?.map_or(now, |shown| shown.max(now)))
}
