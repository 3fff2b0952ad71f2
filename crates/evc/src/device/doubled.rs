//! Signs that a device is two: a copy of its disk, or of a virtual machine with its TPM, has all its keys, and no signature tells them apart.
//! What tells is time. A session is one life of vaultmgr, so one that another followed never speaks again; and a TPM's counters never fall.
//! Either is an alarm, kept until an operator settles it, and nothing is released meanwhile (`vault::decide::Bar::Doubled`).

use crate::service::Refusal;
use crate::store::{DeviceRow, Tx, UnixSeconds};

/// Sessions that are remembered as over. Two that live take turns at the next poll.
const REMEMBERED: usize = 64;

/// An alarm that was given, in words; none where one stands already: the first is nearest to what happened.
pub(crate) type Alarm = Option<String>;

/// Good evidence came of a session: one that is over gives an alarm, and the one that stood until now, `before`, is over.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    before: Option<[u8; 32]>,
    session: [u8; 32],
    now: UnixSeconds,
) -> Result<Alarm, Refusal> {
    let Some(before) = before.filter(|before| *before != session) else { return Ok(None) };
    let others = device.past_sessions.iter().filter(|past| **past != session && **past != before);
    let mut past: Vec<_> = others.copied().chain([before]).collect();
    past.drain(..past.len().saturating_sub(REMEMBERED));
    tx.put_past_sessions(device.id, &past).await?;
    if !device.past_sessions.contains(&session) {
        return Ok(None);
    }
    let [again, other] = [session, before].map(|session| hex::encode(&session[..4]));
    alarm(tx, device, &format!("session {again} gave evidence again after session {other} had"), now).await
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
