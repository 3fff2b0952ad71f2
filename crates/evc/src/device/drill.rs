//! The escrow drill at the controller: which session is asked, with what, and what its answer is worth. A bundle goes out by the same decision as one
//! that is asked back, to the same sessions: whoever has it and the node's TPM has what it is for. What is due is known of the device's row alone.

use vault::decide::{BundleNeeded, EscrowGranted, RETRY_AFTER, escrow};
use vault::escrow::drill::{Asked, Drills};
use wire::config::VaultAsk;
use wire::control::Drill;
use wire::info::DeviceInfo;

use crate::custody::{CustodyError, give_to_try};
use crate::fleet::view::View;
use crate::service::{Controller, Refusal};
use crate::store::{DeviceRow, HeldBundle, StoreError, Tx, UnixSeconds};

/// What is said where the controller's own copy opens no more.
const NOT_KEPT: &str = "what the controller keeps of it does not open: see what else writes to its database";

/// Whether a session is to be asked.
#[derive(Debug)]
pub(super) enum Due {
    /// Now; of the bundle that is held.
    Now(EscrowGranted, HeldBundle),
    /// Not before.
    From(UnixSeconds),
    /// Not by itself, or by something that is written first.
    Not,
}

/// Evidence that was refused is asked for again after a while, and not with each poll.
fn retry_from(device: &DeviceRow) -> UnixSeconds {
    let refused = device.verdict.get().filter(|fared| !fared.is_good());
    refused.map_or(0, |fared| fared.at.saturating_add(RETRY_AFTER.as_secs()))
}

impl Controller {
    /// Whether this session is to be asked. Not by an answer to who asks its bundle back, whether or not it gets that: no answer that is read has
    /// room for two bundles (`wire::MAX_ANSWER`). The question goes with the next one.
    pub(super) fn drill_due(&self, view: &View, ask: &VaultAsk, now: UnixSeconds) -> Due {
        if ask.rescue.is_some() {
            return Due::Not;
        }
        match self.drill_from(&view.device, ask) {
            None => Due::Not,
            Some((at, _)) if at > now => Due::From(at),
            Some((_, held)) => match escrow(&view.evidence(), &view.asking(ask.session), now) {
                Ok(granted) => Due::Now(granted, held),
                Err(_) => Due::Not,
            },
        }
    }

    /// From when on this session is to be asked of the bundle that is held.
    fn drill_from(&self, device: &DeviceRow, ask: &VaultAsk) -> Option<(UnixSeconds, HeldBundle)> {
        let held = device.held.filter(|_| ask.drills)?;
        let drills = device.drills.get().cloned().unwrap_or_default();
        let at = drills.to_ask(device.id, held.into(), self.drill_every_s, &ask.session.0)?;
        Some((at, held))
    }

    /// From when on this session needs its bundle: it asks for it back, or is to be asked to try it.
    pub(super) fn bundle_needed(&self, device: &DeviceRow, ask: &VaultAsk) -> BundleNeeded {
        let drill = || self.drill_from(device, ask).map(|(at, _)| at);
        let from: Option<UnixSeconds> = ask.rescue.map(|_| 0).or_else(drill);
        BundleNeeded(from.map(|from| from.max(retry_from(device))))
    }

    /// The question, where one is due; noted before it goes out.
    pub(super) async fn drill(
        &self,
        tx: &mut dyn Tx,
        view: &View,
        ask: &VaultAsk,
        now: UnixSeconds,
    ) -> Result<Option<Drill>, Refusal> {
        let Due::Now(granted, held) = self.drill_due(view, ask, now) else { return Ok(None) };
        let device = &view.device;
        let mut drills = device.drills.get().cloned().unwrap_or_default();
        let question = match give_to_try(tx, &self.kek, &granted, held.id).await {
            Ok(Some((drill, proof))) => {
                let (session, nonce) = (granted.session().0, drill.nonce);
                drills.asked = Some(Asked { at: now, session, nonce, bundle: drill.bundle.id, proof });
                Some(drill)
            }
            Ok(None) | Err(CustodyError::Unsealed(_) | CustodyError::Store(StoreError::Damaged(_))) => {
                failed(device, &mut drills, held, now);
                None
            }
            Err(error) => return Err(error.into()),
        };
        tx.put_drills(device.id, &drills).await?;
        Ok(question)
    }

    /// Takes what a report says of one.
    pub(super) async fn hear_drill(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        info: &DeviceInfo,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let Some(answer) = info.node.as_ref().and_then(|node| node.drill.as_ref()) else { return Ok(()) };
        let mut drills = device.drills.get().cloned().unwrap_or_default();
        if !drills.hear(answer, now) {
            return Ok(());
        }
        match drills.last.as_ref().and_then(|last| last.failed.as_ref()) {
            None => {
                tracing::info!(device = %device.id, name = %device.name, bundle = %answer.bundle, "an escrow drill passed")
            }
            Some(why) => tell_failed(device, why),
        }
        Ok(tx.put_drills(device.id, &drills).await?)
    }
}

fn failed(device: &DeviceRow, drills: &mut Drills, held: HeldBundle, now: UnixSeconds) {
    drills.fail(held.id, NOT_KEPT.to_owned(), now);
    tell_failed(device, NOT_KEPT);
}

fn tell_failed(device: &DeviceRow, why: &str) {
    let why = vault::text::plain(why);
    tracing::warn!(device = %device.id, name = %device.name, %why, "an escrow drill failed; the node is asked for another bundle");
}
