//! A device's escrow bundle: taken, named, and given back. What a node may believe to be in escrow is what a signed answer of its session
//! names; so it is named whenever the node does not say that it knows.

use vault::cause::Cause;
use vault::decide::escrow;
use vault::escrow::BundleId;
use vault::ids::DeviceId;
use vault::ledger::held_back;
use wire::attest::{AttestResponse, StoreKeys, StoreKeysCode};
use wire::config::VaultAsk;
use wire::escrow::SealedBundle;

use crate::custody::{BundleKept, CustodyError, Sender, give_back, keep_bundle};
use crate::fleet::view::View;
use crate::service::{Barred, Controller, Fault, Refusal};
use crate::store::{Scope, StoreError, Tx, UnixSeconds};

/// What is to be said of a device's bundle.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EscrowWord {
    pub(super) held: Option<BundleId>,
    pub(super) rescue: Option<SealedBundle>,
    pub(super) no_rescue: Option<Cause>,
    pub(super) send_again: bool,
}

impl EscrowWord {
    /// What is to be said where none is asked back.
    pub(super) fn beside(view: &View, ask: &VaultAsk) -> Self {
        let held = view.device.held.map(|held| held.id);
        // One that failed a drill is not called held: a node that knows of none sends its own.
        let fails = |id| view.device.drills.get().is_some_and(|drills| drills.is_failing(id));
        let failing = held.filter(|id| fails(*id));
        let send_again = failing.is_some() && ask.held == failing;
        let held = held.filter(|_| failing.is_none());
        Self { held: held.filter(|_| held != ask.held), send_again, ..Self::default() }
    }

    /// Whether there is nothing.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Controller {
    /// Takes what a device wants kept. Stock EVE's keys are not kept yet, so never acknowledged: a device that believes its key to be in
    /// escrow gives up other copies.
    pub(super) async fn store_keys(
        &self,
        id: DeviceId,
        keys: StoreKeys,
        now: UnixSeconds,
    ) -> Result<AttestResponse, Refusal> {
        let invalid = AttestResponse::StoreKeys(StoreKeysCode::Invalid);
        let Some(bundle) = keys.bundle.filter(|_| keys.keys.is_empty()) else { return Ok(invalid) };
        let kept =
            self.store.write(Scope::Device(id), |tx| Box::pin(self.kept(tx, id, &bundle, now))).await?;
        let (device, name, bundle) = (id, self.names.of(id), bundle.id);
        match kept {
            BundleKept::Yes => {
                tracing::info!(%device, name, %bundle, "a bundle is in escrow");
                return Ok(AttestResponse::StoreKeys(StoreKeysCode::Success));
            }
            BundleKept::NotOpened => {
                tracing::warn!(%device, name, %bundle, "a bundle does not open by this controller's key, and is not kept");
            }
            BundleKept::Full => {
                tracing::warn!(%device, name, %bundle, "as many bundles are in escrow as may be, none of them is forgotten by itself, and this one is not kept: `evc describe device` says why; see `evc escrow list`, and `evc escrow delete --bundle`");
            }
            BundleKept::Old => {
                tracing::warn!(%device, name, %bundle, "a bundle is not of the device's present session, as far as its evidence shows, or not newer than one that was taken: it is not kept. Somebody sends it again, or the device gave no evidence yet, and sends its own again after it");
            }
        }
        Ok(invalid)
    }

    async fn kept(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        bundle: &SealedBundle,
        now: UnixSeconds,
    ) -> Result<BundleKept, Refusal> {
        let device = tx.device(id).await?.ok_or(Fault::NoDevice)?;
        if device.lost_at.is_some() || device.alarm.is_some() {
            return Err(Barred::Escrow { device: device.name }.into());
        }
        let standing = tx.standing(id).await?.map(|row| row.session);
        let session = bundle.place.map(|place| place.session.0).filter(|session| standing != Some(*session));
        let is_past = match session {
            Some(session) => tx.past_session(id, &session).await?.is_some(),
            None => false,
        };
        let held_back = held_back(device.older, self.put_back).is_some();
        let sender = Sender { standing, is_past, held_back };
        Ok(keep_bundle(tx, &self.kek, &device, bundle, sender, now).await?)
    }

    /// What is to be said to this question.
    pub(super) async fn said_of_bundle(
        &self,
        tx: &mut dyn Tx,
        view: &View,
        ask: &VaultAsk,
        now: UnixSeconds,
    ) -> Result<EscrowWord, Refusal> {
        let said = EscrowWord::beside(view, ask);
        let Some(generation) = ask.rescue else { return Ok(said) };
        let granted = match escrow(&view.evidence(), &view.asking(ask.session), now) {
            Ok(granted) => granted,
            Err(why) => return Ok(EscrowWord { no_rescue: Some(why.coarse()), ..said }),
        };
        // It asks again and again.
        let of_device = (view.device.id, view.device.held.map(|held| held.id));
        let rescue = match give_back(tx, &self.kek, &granted, generation).await {
            Err(error @ (CustodyError::Unsealed(_) | CustodyError::Store(StoreError::Damaged(_)))) => {
                if self.unopened_bundles.told(of_device) {
                    tracing::error!(device = %view.device.id, name = %view.device.name, %error, "the bundle in escrow does not open, and is not given back: see `evc escrow list`, and `evc escrow offer` for another one");
                }
                return Ok(EscrowWord { no_rescue: Some(Cause::BundleUnopened), ..said });
            }
            given => given?,
        };
        self.unopened_bundles.is_over(&of_device);
        let no_rescue = rescue.is_none().then_some(Cause::NoBundle);
        if rescue.is_some() {
            tracing::info!(device = %view.device.id, name = %view.device.name, generation = generation.0, "the bundle in escrow goes back to an approved boot");
        }
        Ok(EscrowWord { rescue, no_rescue, ..said })
    }
}
