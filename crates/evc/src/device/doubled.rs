//! Signs that a device is two: a copy of its disk, or of a virtual machine with its TPM, has all its keys, and no signature tells them apart.
//! What tells is time. A session is one life of vaultmgr, so one that another followed never speaks again; and a TPM's counters never fall.
//! Either is an alarm, kept until an operator settles it, and nothing is released meanwhile (`vault::decide::Bar::Doubled`).

use ::attest::Quote;

use crate::fleet::evidence::Shown;
use crate::service::Refusal;
use crate::store::{DeviceRow, PastSession, StandingRow, Tx, UnixSeconds};
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
/// over. One that ended with a boot of its TPM is not counted: power that comes and goes shuts no node out. Without a TPM nothing shows that.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    stood: Option<&StandingRow>,
    (session, shown): ([u8; 32], &Shown),
    now: UnixSeconds,
) -> Result<Alarm, Refusal> {
    let Some(stood) = stood.filter(|stood| stood.session != session) else { return Ok(None) };
    let (before, booted) = (stood.session, booted(stood, shown));
    let past = tx.past_session(device.id, &session).await?;
    if past.is_some() {
        tx.resume_session(device.id, &session).await?;
    }
    let again = past.is_some_and(|past| !past.settled);
    let over = PastSession { device: device.id, session: before, ended_at: now, settled: false, booted };
    tx.end_session(&over, REMEMBERED).await?;
    if again {
        return alarm(tx, device, &turns(&session, &before), now).await;
    }
    match tx.sessions_since(device.id, now.saturating_sub(FLOOD_WITHIN_S)).await? {
        ..=FLOOD_FROM => Ok(None),
        count => alarm(tx, device, &flood(count), now).await,
    }
}

/// Whether the quote is of the same TPM, reset since the one that stood: this quote was found to come after that one, or it would not be good. A
/// copy that lives beside it would show a lower count with its next quote, which is an alarm of its own.
fn booted(stood: &StandingRow, shown: &Shown) -> bool {
    let Shown::Quoted(appraisal) = shown else { return false };
    let before = Quote::read(&stood.record.attest_data);
    before.is_ok_and(|before| appraisal.quote().boot().resets > before.boot().resets)
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
