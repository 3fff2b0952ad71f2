//! Signs that a device is two: a copy of its disk, or of a virtual machine with its TPM, has all its keys, and no signature tells them apart.
//! What tells is time. A session is one life of vaultmgr, so one that another followed never speaks again; and a TPM's counters never fall.
//! Either is an alarm, kept until an operator settles it, and nothing is released meanwhile (`vault::decide::Bar::Doubled`).

use crate::service::Refusal;
use crate::store::{DeviceRow, PastSession, Tx, UnixSeconds};
use crate::words::evidence::{flood, turns};

/// Sessions of a device that are remembered as over, the newest. Two that live take turns at the next poll, which is within a day; and by
/// then not so many can have come without being an alarm of their own.
const REMEMBERED: u32 = 512;
/// So many new sessions within [`FLOOD_WITHIN_S`] are lives of one node, restarted again and again. More are somebody's who makes the
/// controller forget.
const FLOOD_FROM: u64 = 16;
/// In seconds.
const FLOOD_WITHIN_S: u64 = 3600;

/// An alarm that was given, in words; none where one stands already: the first is nearest to what happened.
pub(crate) type Alarm = Option<String>;

/// Good evidence came of a session: one that is over gives an alarm, and so do too many new ones; the one that stood until now, `before`, is
/// over.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    before: Option<[u8; 32]>,
    session: [u8; 32],
    now: UnixSeconds,
) -> Result<Alarm, Refusal> {
    let Some(before) = before.filter(|before| *before != session) else { return Ok(None) };
    let past = tx.past_session(device.id, &session).await?;
    if past.is_some() {
        tx.resume_session(device.id, &session).await?;
    }
    let again = past.is_some_and(|past| !past.settled);
    let over = PastSession { device: device.id, session: before, ended_at: now, settled: false };
    tx.end_session(&over, REMEMBERED).await?;
    if again {
        return alarm(tx, device, &turns(&session, &before), now).await;
    }
    match tx.sessions_since(device.id, now.saturating_sub(FLOOD_WITHIN_S)).await? {
        ..=FLOOD_FROM => Ok(None),
        count => alarm(tx, device, &flood(count), now).await,
    }
}

/// Gives the alarm.
pub(crate) async fn alarm(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    what: &str,
    now: UnixSeconds,
) -> Result<Alarm, Refusal> {
    if device.alarm.is_some() {
        return Ok(None);
    }
    let words = format!(
        "{}: {what}; a copy of it may be running: take that away, then `evc device settle {}`",
        crate::clock::text(now),
        device.name
    );
    tx.set_alarm(device.id, Some(&words)).await?;
    Ok(Some(words))
}
