//! What is remembered of a device's sessions, and the alarm that it may be two: [`vault::doubled`] says what a sign of that is.

use ::attest::Quote;
use vault::doubled::{FLOOD_WITHIN_S, Past, REMEMBERED, Sign, ended_by_boot, sign};

use crate::fleet::evidence::Shown;
use crate::service::Refusal;
use crate::store::{Alarm, AlarmCause, DeviceRow, PastSession, StandingRow, Tx, UnixSeconds};

/// Good evidence came of a session: where another one stood until now, that one is over. A sign that there are two gives the alarm.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    stood: Option<&StandingRow>,
    (session, shown): ([u8; 32], &Shown),
    now: UnixSeconds,
) -> Result<Option<Alarm>, Refusal> {
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
        Some(Sign::Turns) => {
            let turns = AlarmCause::Turns { again: first(session), other: first(before) };
            alarm(tx, device, turns, now).await
        }
        Some(Sign::Flood(count)) => alarm(tx, device, AlarmCause::Flood(count), now).await,
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

/// Gives the alarm; none where one stands already: the first is nearest to what happened.
pub(crate) async fn alarm(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    cause: AlarmCause,
    now: UnixSeconds,
) -> Result<Option<Alarm>, Refusal> {
    if device.alarm.is_some() {
        return Ok(None);
    }
    let alarm = Alarm::Gave { at: now, cause };
    tx.set_alarm(device.id, Some(&alarm)).await?;
    Ok(Some(alarm))
}

/// By which a session is known to people.
fn first(session: [u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = session;
    [a, b, c, d]
}
