//! What is remembered of a device's sessions, and the alarm that it may be two: [`vault::doubled`] says what a sign of that is.

use ::attest::Quote;
use vault::doubled::{FLOOD_WITHIN_S, Past, REMEMBERED, Sign, ended_by_boot, sign};

use crate::fleet::evidence::Shown;
use crate::service::Refusal;
use crate::store::{DeviceRow, PastSession, StandingRow, Tx, UnixSeconds};
use crate::words::evidence::{flood, turns};

/// An alarm that was given, in words; none where one stands already: the first is nearest to what happened.
pub(crate) type Alarm = Option<String>;

/// Good evidence came of a session: where another one stood until now, that one is over. A sign that there are two gives the alarm.
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
    let over = PastSession { device: device.id, session: before, ended_at: now, settled: false, booted };
    tx.end_session(&over, REMEMBERED).await?;
    let count = tx.sessions_since(device.id, now.saturating_sub(FLOOD_WITHIN_S)).await?;
    match sign(known(past), count) {
        None => Ok(None),
        Some(Sign::Turns) => alarm(tx, device, &turns(&session, &before), now).await,
        Some(Sign::Flood(count)) => alarm(tx, device, &flood(count), now).await,
    }
}

fn known(past: Option<PastSession>) -> Past {
    match past {
        None => Past::None,
        Some(PastSession { settled: true, .. }) => Past::Settled,
        Some(PastSession { settled: false, .. }) => Past::Ended,
    }
}

fn booted(stood: &StandingRow, shown: &Shown) -> bool {
    let Shown::Quoted(appraisal) = shown else { return false };
    ended_by_boot(Quote::read(&stood.record.attest_data).ok().as_ref(), Some(appraisal.quote()))
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
        "{0}: {what}; a copy of it may be running: take that away, then `evc device settle {1} --confirm {1}`",
        crate::clock::text(now),
        device.name
    );
    tx.set_alarm(device.id, Some(&words)).await?;
    Ok(Some(words))
}
