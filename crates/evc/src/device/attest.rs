//! What a device posts to `/attest`: its certificates ([`super::pins`]); a wish for a nonce; evidence; keys for escrow ([`super::escrow`]).

use std::sync::{Arc, Mutex, PoisonError};

use ::attest::{SessionKey, Verdict};
use vault::decide::{BundleNeeded, TpmPin};
use vault::ids::DeviceId;
use wire::attest::{AttestRequest, AttestResponse, EvidenceAnswer, Quote, QuoteAnswer, QuoteCode};

use super::doubled::{alarm, follow};
use crate::fleet::defaults::add_default_vaults;
use crate::fleet::evidence::{BadEvidence, Came, Shown, reference_of};
use crate::fleet::section::draft;
use crate::fleet::view::View;
use crate::service::{Controller, Fault, Refusal};
use crate::store::{
    Alarm, AlarmCause, AsOf, DeviceRow, Fared, Pcrs, Record, ReferenceRow, ReferenceState, Scope,
    StandingRow, Tx, UnixSeconds,
};
use crate::words::evidence::{coarse, in_full, of_alarm, of_references};

impl Controller {
    /// Answers a post to `/attest`.
    ///
    /// # Errors
    /// [`Refusal`]: a pinned certificate was to be changed, an attestation key is none, or the controller failed.
    pub async fn attest(
        &self,
        device: DeviceId,
        request: AttestRequest,
        came: impl Into<Came>,
    ) -> Result<AttestResponse, Refusal> {
        let came = came.into();
        let now = came.at;
        match request {
            AttestRequest::Certs(certs) => self.pin(device, certs, now).await,
            AttestRequest::Nonce => self.nonce(device, now).await,
            AttestRequest::Quote(quote) => {
                self.evidence(device, *quote, came).await.map(AttestResponse::Quote)
            }
            AttestRequest::StoreKeys(keys) => self.store_keys(device, keys, now).await,
        }
    }

    async fn nonce(&self, id: DeviceId, now: UnixSeconds) -> Result<AttestResponse, Refusal> {
        let device = self.store.read(|tx| Box::pin(there(tx, id))).await?;
        Ok(AttestResponse::Nonce(self.nonce_for(&device, now)?.to_vec()))
    }

    /// Takes evidence. Its nonce is spent whatever becomes of it. That is durable with the section that is built on it, if not before: of a
    /// power cut in between, the device is challenged anew, and nothing went out. An alarm is durable at once.
    async fn evidence(&self, id: DeviceId, quote: Quote, came: Came) -> Result<QuoteAnswer, Refusal> {
        let Some((nonce, session)) = quote.binding.as_ref().map(|binding| (binding.nonce, binding.session))
        else {
            // Stock EVE wipes a locked vault when it is told of success without a key: so it is never told.
            return Ok(refused(&BadEvidence::Unbound));
        };
        // A courier's nonce is held against when the device was heard, which is noted beside all that ends what is remembered.
        let seen = self.recall.take(id).filter(|_| !came.by_courier);
        let then = seen.as_ref().map_or_else(|| self.store.as_of(), |(as_of, _)| *as_of);
        let seen = Mutex::new(seen.map(|(_, view)| view));
        let judge = self.store.write_upon(then, id, |tx| {
            Box::pin(self.judged(tx, id, (&nonce, session), &quote, (came, then, &seen)))
        });
        let (Outcome { judged, alarm, view }, after) = judge.await?;
        if let (Some(view), Some(after)) = (view, after) {
            self.recall.keep(after, view);
        }
        if let Some((alarm, shown_at)) = alarm {
            self.warn_of(&alarm, id, session, came);
            self.store.write(Scope::Device(id), |tx| tx.saw_device(id, shown_at)).await?;
            self.acted().await;
        }
        if matches!(judged, Judged::Good { .. }) {
            self.heard.proved(id, session);
        }
        self.told(id, session, came, &judged);
        Ok(answered(judged))
    }

    /// Beside a device in the log: from where it came, its session, and its name.
    pub(super) fn of_whom(
        &self,
        device: DeviceId,
        session: SessionKey,
        came: Came,
    ) -> (Option<String>, String, Option<String>) {
        let source = came.from.map(|it| it.to_string());
        (source, hex::encode(&session.0[..4]), self.names.of(device))
    }

    /// In the log.
    pub(super) fn warn_of(&self, alarm: &Alarm, id: DeviceId, session: SessionKey, came: Came) {
        let (source, session, name) = self.of_whom(id, session, came);
        let alarm = of_alarm(alarm, &name.clone().unwrap_or_else(|| id.to_string()));
        tracing::warn!(device = %id, name, source, session, alarm, "nothing is released to this device until an operator settles it");
    }

    /// In the log. What is refused over and over is told now and then, with how often it was.
    pub(super) fn told(&self, device: DeviceId, session: SessionKey, came: Came, judged: &Judged) {
        let (source, session, name) = self.of_whom(device, session, came);
        match judged {
            Judged::Bad(why) => {
                let Some(kept_back) = self.refused.told(device, came.at) else { return };
                let (repeated, others) = (kept_back.repeated, kept_back.others);
                tracing::warn!(%device, name, source, session, repeated, others, reason = %in_full(why), "evidence refused");
            }
            Judged::Good { learned, unmet } => {
                if let Some(reference) = learned {
                    tracing::info!(%device, name, reference, "reference value learned, waits for approval");
                }
                if let Some(why) = unmet.as_ref().map(of_references) {
                    tracing::warn!(%device, name, source, session, why, "evidence taken that satisfies no policy: its vaults' keys are withheld");
                }
            }
            Judged::Stale => {}
        }
    }

    pub(super) async fn judged(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        (nonce, session): (&[u8; 32], SessionKey),
        quote: &Quote,
        (came, then, seen): (Came, AsOf, &Mutex<Option<Box<View>>>),
    ) -> Result<Outcome, Refusal> {
        let now = came.at;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut view = match seen.filter(|_| self.store.untouched_since(then, id)) {
            Some(view) => view,
            None => {
                let row = there(tx, id).await?;
                Box::new(View::load(&self.verdicts, tx, row).await?)
            }
        };
        let device = &view.device;
        self.names.learn(id, &device.name);
        let Some(shown_at) = self.shown_at(nonce, device, came) else {
            return Ok(Outcome::of(Judged::Stale));
        };
        match self.fresh(&view, quote.clone()) {
            Ok((record, shown)) => {
                let session = record.session();
                let learns = device.learn && reference_of(&record, &shown).is_some();
                let alarm = follow(tx, device, view.standing.as_ref(), (session.0, &shown), now).await?;
                let (learned, standing) = self.take(tx, device, record, &shown, came).await?;
                let (fared, unmet) = self.unmet(tx, device, (session, &shown), (came, shown_at)).await?;
                let is_plain = alarm.is_none() && !learns && device.tpm != TpmPin::Unknown;
                view.proved(standing, shown, fared, shown_at);
                Ok(Outcome {
                    judged: Judged::Good { learned, unmet },
                    alarm: alarm.map(|alarm| (alarm, shown_at)),
                    view: is_plain.then_some(view),
                })
            }
            Err(why) => {
                tx.answered(id, &Fared::of(Err(&why), session, came), shown_at).await?;
                let alarm = match why {
                    BadEvidence::WentBack(ref why) => {
                        alarm(tx, device, AlarmCause::WentBack(why.clone()), now).await?
                    }
                    _ => None,
                };
                let alarm = alarm.map(|alarm| (alarm, shown_at));
                Ok(Outcome { alarm, ..Outcome::of(Judged::Bad(why)) })
            }
        }
    }

    async fn take(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        record: Record,
        shown: &Shown,
        came: Came,
    ) -> Result<(Option<i64>, StandingRow), Refusal> {
        let (now, session) = (came.at, record.session().0);
        let row = StandingRow { device: device.id, session, at: now, renew: false, record };
        tx.put_standing(&row).await?;
        if let Some(mark) = device.older.filter(|_| came.by_courier) {
            tx.set_older(device.id, Some(mark.carried(SessionKey(session)))).await?;
        }
        if matches!(shown, Shown::DeviceSigned(_)) && device.tpm == TpmPin::Unknown {
            tx.pin_tpm(device.id, TpmPin::Absent).await?;
            add_default_vaults(tx, &self.kek, device, now).await?;
        }
        let to_learn = if device.learn { reference_of(&row.record, shown) } else { None };
        let learned = match to_learn {
            Some(pcrs) => learn(tx, device, pcrs, now).await?,
            None => None,
        };
        Ok((learned, row))
    }

    /// Notes how the evidence fared. Why it satisfies no policy is told once for each session, and when it changes.
    async fn unmet(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        (session, shown): (SessionKey, &Shown),
        (came, shown_at): (Came, UnixSeconds),
    ) -> Result<(Fared, Option<Verdict>), Refusal> {
        let fared = Fared::of(Ok(shown), session, came);
        let unmet = fared.strange.is_some() && {
            let row = there(tx, device.id).await?;
            draft(&View::load(&self.verdicts, tx, row).await?, session, (None, BundleNeeded::NEVER), came.at)
                .lacks
                .is_some()
        };
        let fared = Fared { unmet, ..fared };
        tx.answered(device.id, &fared, shown_at).await?;
        let told = |before: &Fared| {
            (before.unmet, &before.session, before.references()) == (true, &fared.session, fared.references())
        };
        let is_new = unmet && !device.verdict.get().is_some_and(told);
        let unmet = fared.references().filter(|_| is_new).cloned();
        Ok((fared, unmet))
    }

    /// Judges what came in against what stood until now.
    fn fresh(&self, view: &View, quote: Quote) -> Result<(Record, Arc<Shown>), BadEvidence> {
        let before = view.standing.as_ref().map(|row| &row.record);
        let record = Record::of(quote, before)?;
        let shown = self.verdicts.judge(&record, &view.device, &view.certs, &view.references)?;
        Ok((record, shown))
    }
}

/// What is to be told of evidence, and kept in memory of it.
pub(super) struct Outcome {
    pub(super) judged: Judged,
    /// One that was given, and when the device was there.
    pub(super) alarm: Option<(Alarm, UnixSeconds)>,
    /// The device as it is once this is kept, where nothing but what is told here was written of it.
    view: Option<Box<View>>,
}

impl Outcome {
    fn of(judged: Judged) -> Self {
        Self { judged, alarm: None, view: None }
    }
}

/// What became of evidence.
pub(super) enum Judged {
    /// Its nonce was not good.
    Stale,
    /// It is worth nothing.
    Bad(BadEvidence),
    /// It stands; the number of the reference value that was learned from it, and of which PCRs it is, where it satisfies no policy and that is new.
    Good { learned: Option<i64>, unmet: Option<Verdict> },
}

/// What the device is told, once it is kept.
fn answered(judged: Judged) -> QuoteAnswer {
    match judged {
        Judged::Stale => refused(&BadEvidence::Nonce),
        Judged::Bad(why) => refused(&why),
        Judged::Good { .. } => {
            let verdict = Some(EvidenceAnswer::Accepted);
            QuoteAnswer { code: QuoteCode::Success, integrity_token: vec![], keys: vec![], verdict }
        }
    }
}

pub(super) async fn there(tx: &mut dyn Tx, device: DeviceId) -> Result<DeviceRow, Refusal> {
    Ok(tx.device(device).await?.ok_or(Fault::NoDevice)?)
}

fn refused(why: &BadEvidence) -> QuoteAnswer {
    QuoteAnswer {
        code: code(why),
        integrity_token: Vec::new(),
        keys: Vec::new(),
        verdict: Some(EvidenceAnswer::Refused(coarse(why).to_owned())),
    }
}

/// In EVE's words.
fn code(why: &BadEvidence) -> QuoteCode {
    match why {
        BadEvidence::Nonce => QuoteCode::NonceMismatch,
        BadEvidence::NoAttestationKey => QuoteCode::NoCertFound,
        BadEvidence::Unbound
        | BadEvidence::Unquoted
        | BadEvidence::Signature(_)
        | BadEvidence::Quote(_)
        | BadEvidence::WentBack(_) => QuoteCode::QuoteFailed,
    }
}

/// A first good quote is learned as a reference value that an operator has yet to approve.
/// The number of the new reference value; none where one of these values is there, and an operator's word on it may stand.
async fn learn(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    pcrs: Pcrs,
    now: UnixSeconds,
) -> Result<Option<i64>, Refusal> {
    tx.set_learning(device.id, false).await?;
    if tx.references_of(device.id).await?.iter().any(|row| row.pcrs == pcrs) {
        return Ok(None);
    }
    let row = ReferenceRow {
        id: 0,
        project: device.project.clone(),
        device: device.id,
        pcrs,
        state: ReferenceState::Pending,
        learned_at: now,
        decided_at: None,
    };
    Ok(Some(tx.add_reference(&row).await?))
}
