//! What a courier carries (decision 76): a device's answer, and what the device would have posted, as the same signed bodies. They are verified,
//! appraised and answered by the functions of the line, and by no others. What differs: the challenge lives for days, and a body on a stick
//! does not count its device as heard now.

use std::sync::Mutex;

use ::attest::SessionKey;
use vault::ids::DeviceId;
use wire::attest::{AttestRequest, Quote};
use wire::config::{ConfigRequest, ConfigResponse, VaultAsk};
use wire::courier::{CourierAnswer, CourierEvidence};
use wire::envelope::{DeviceEnvelope, seal_from_controller};
use wire::info::{DeviceInfo, Info};

use super::attest::{Judged, Outcome, there};
use super::config::Look;
use super::info::of_device;
use super::pins::pin_all;
use super::sender::find;
use crate::fleet::evidence::{BadEvidence, Came};
use crate::service::{BadRequest, Controller, Fault, InTheWay, Refusal};
use crate::store::{Alarm, DeviceRow, Scope, Tx, UnixSeconds};

/// How long a courier's challenge may be good for, and how long it is where nothing is said, in seconds.
pub const COURIER_LIFE_S: (u32, u32, u32) = (60, 90 * 86_400, 7 * 86_400);

/// An answer for a courier, and what is in it.
pub struct CarriedAnswer {
    /// Itself, signed.
    pub response: ConfigResponse,
    /// The device was marked as lost when it was made.
    pub lost: bool,
    /// The session that it is for; none: no session of the device is known.
    pub session: Option<SessionKey>,
    /// Until when its challenge is good.
    pub until: UnixSeconds,
    /// What was brought was taken before: nothing was changed by it now.
    pub again: bool,
    /// The file.
    pub file: Vec<u8>,
}

/// What a device sent by a courier: each body verified, none of it carried out yet.
pub struct Sent {
    /// Who signed all of it.
    pub device: DeviceRow,
    keys: Option<AttestRequest>,
    quote: Quote,
    report: Info,
    poll: VaultAsk,
}

impl Controller {
    /// What a poll of the session that showed evidence last would be answered, with a courier's challenge.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn carry(&self, id: DeviceId, life_s: u32, now: UnixSeconds) -> Result<CarriedAnswer, Refusal> {
        let standing = self.store.read(|tx| Box::pin(tx.standing(id))).await?;
        let session = standing.map(|row| SessionKey(row.session));
        // Nobody has this one: without evidence there is nothing to release, and the challenge is for any.
        let named = session.unwrap_or(SessionKey([0; 32]));
        let ask = VaultAsk {
            session: named,
            held: None,
            rescue: None,
            accepted: None,
            ordered: None,
            lease: None,
            drills: false,
            series: false,
        };
        Ok(CarriedAnswer { session, ..self.carried_answer(id, ask, life_s, now).await? })
    }

    /// The answer that a poll gets, and its file.
    async fn carried_answer(
        &self,
        id: DeviceId,
        ask: VaultAsk,
        life_s: u32,
        now: UnixSeconds,
    ) -> Result<CarriedAnswer, Refusal> {
        let session = Some(ask.session);
        let mut response = self.polled(id, ask, now).await?;
        let device = self.store.read(|tx| Box::pin(there(tx, id))).await?;
        let control = response.control.as_mut().ok_or(Fault::Configuration)?;
        control.challenge = Some(self.carried(&device, life_s, now));
        let file = self.signed(&response)?;
        let (until, lost) = (now.saturating_add(life_s.into()), device.lost_at.is_some());
        Ok(CarriedAnswer { response, lost, session, until, again: false, file })
    }

    /// In full, whatever the device knows already: a file may be lost.
    async fn polled(&self, id: DeviceId, ask: VaultAsk, now: UnixSeconds) -> Result<ConfigResponse, Refusal> {
        let ask = ConfigRequest { config_hash: String::new(), integrity_token: Vec::new(), vault: Some(ask) };
        let as_of = self.store.as_of();
        let looked = self.store.glance(|tx| {
            let ask = &ask;
            Box::pin(async move {
                let row = there(tx, id).await?;
                self.look(tx, row, ask, now).await
            })
        });
        match looked.await? {
            Look::Said(response, _) => Ok(*response),
            Look::Changed(changed) => self.answer(id, &ask.config_hash, changed, as_of, now).await,
            Look::Unchanged { .. } | Look::Accepted { .. } => Err(Fault::Configuration.into()),
        }
    }

    fn signed(&self, response: &ConfigResponse) -> Result<Vec<u8>, Refusal> {
        let signing = (self.authority.signing_pem.as_bytes(), &self.authority.signer);
        let sealed = seal_from_controller(&response.encode(), signing.0, signing.1);
        let envelope = sealed.map_err(|_| Fault::Signing)?;
        let file = CourierAnswer { certs: self.authority.list.clone(), envelope };
        Ok(file.encode().map_err(BadRequest::Courier)?)
    }

    /// Verifies what a device sent, as each door of the line does.
    ///
    /// # Errors
    /// [`Refusal`]: nothing of it is used.
    pub async fn sent(&self, file: &[u8]) -> Result<Sent, Refusal> {
        let file = CourierEvidence::decode(file).map_err(BadRequest::Courier)?;
        let (device, poll) = self.opened(&file.poll).await?;
        let poll = ConfigRequest::decode(&poll)?.vault.ok_or(BadRequest::CourierMixed)?;
        let keys = match file.keys.as_slice() {
            [] => None,
            keys => Some(AttestRequest::decode(&self.of(&device, keys).await?)?),
        };
        let AttestRequest::Quote(quote) = AttestRequest::decode(&self.of(&device, &file.quote).await?)?
        else {
            return Err(BadRequest::CourierMixed.into());
        };
        let report = Info::decode(&self.of(&device, &file.report).await?)?;
        let of_one = quote.binding.as_ref().is_some_and(|binding| binding.session == poll.session);
        let of_keys = keys.as_ref().is_none_or(|keys| matches!(keys, AttestRequest::Certs(_)));
        if !of_one || !of_keys {
            return Err(BadRequest::CourierMixed.into());
        }
        Ok(Sent { device, keys, quote: *quote, report, poll })
    }

    async fn opened(&self, body: &[u8]) -> Result<(DeviceRow, Vec<u8>), Refusal> {
        let envelope = DeviceEnvelope::parse(body)?;
        let opened = self.store.glance(|tx| {
            let envelope = &envelope;
            Box::pin(async move {
                let found = find(tx, envelope, None).await?;
                Ok::<_, Refusal>((found.row, found.verified.payload().to_vec()))
            })
        });
        opened.await
    }

    /// What this device signed, and no other.
    async fn of(&self, device: &DeviceRow, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (sender, payload) = self.opened(body).await?;
        if sender.id == device.id { Ok(payload) } else { Err(BadRequest::CourierMixed.into()) }
    }

    /// Takes what a device sent, as if it had posted it, in one transaction, and answers its poll. Says which demand its evidence does not meet.
    /// Where that very evidence stands, nothing is taken, and the answer is given again: it may not have reached who asked.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released. Evidence whose challenge is over changes nothing; that which is worth nothing is over.
    pub async fn take_sent(&self, sent: Sent, came: Came) -> Result<CarriedAnswer, Refusal> {
        let Sent { device, keys, quote, report, poll } = sent;
        let sent = Taken { keys, quote, report: of_device(report, device.id)? };
        let (id, session) = (device.id, poll.session);
        let take = self.store.write(Scope::Device(id), |tx| Box::pin(self.taken(tx, id, &sent, came)));
        let Some((judged, alarm)) = take.await? else {
            return Ok(CarriedAnswer {
                again: true,
                ..self.carried_answer(id, poll, COURIER_LIFE_S.2, came.at).await?
            });
        };
        if let Some(alarm) = alarm {
            self.warn_of(&alarm, id, session, came);
            self.acted().await;
        }
        self.told(id, session, came, &judged);
        accepted(&device, judged)?;
        self.carried_answer(id, poll, COURIER_LIFE_S.2, came.at).await
    }

    /// All of it or nothing; none: it was taken before, and stands. What is told of evidence without its challenge is for the handler; nothing is
    /// pinned by a file that is over.
    async fn taken(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        Taken { keys, quote, report }: &Taken,
        came: Came,
    ) -> Result<Option<(Judged, Option<Alarm>)>, Refusal> {
        let device = there(tx, id).await?;
        let binding = quote.binding.as_ref().ok_or(BadRequest::CourierMixed)?;
        if self.shown_at(&binding.nonce, &device, came).is_none() {
            let standing = tx.standing(id).await?;
            return if standing.is_some_and(|row| row.record.is_of(quote)) {
                Ok(None)
            } else {
                Err(over(&device))
            };
        }
        if let Some(AttestRequest::Certs(certs)) = keys {
            pin_all(tx, id, certs, came.at).await?;
        }
        // Nothing is taken from what an earlier challenge saw.
        let (then, unseen) = (self.store.as_of(), Mutex::new(None));
        let judge = self.judged(tx, id, (&binding.nonce, binding.session), quote, (came, then, &unseen));
        let Outcome { judged, alarm, .. } = judge.await?;
        if let (Judged::Good { .. }, Some(report)) = (&judged, report) {
            self.report_carried(tx, id, report, came.at).await?;
        }
        Ok(Some((judged, alarm.map(|(alarm, _)| alarm))))
    }

    /// Takes the report as of when the evidence shows the device to have been there. One that is over is left alone.
    async fn report_carried(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        report: &DeviceInfo,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let row = there(tx, id).await?;
        match self.keep_report(tx, id, report, row.last_seen.unwrap_or(now)).await {
            Err(Refusal::Stale(_)) => Ok(()),
            done => done,
        }
    }
}

/// What is taken in one transaction.
struct Taken {
    keys: Option<AttestRequest>,
    quote: Quote,
    report: Option<DeviceInfo>,
}

/// What the handler is told of the evidence.
fn accepted(device: &DeviceRow, judged: Judged) -> Result<(), Refusal> {
    match judged {
        Judged::Good { .. } => Ok(()),
        Judged::Stale | Judged::Bad(BadEvidence::Nonce) => Err(over(device)),
        Judged::Bad(why) => {
            let (name, is_lost) = (device.name.clone(), device.lost_at.is_some());
            Err(InTheWay::CourierRefused { device: name, is_lost, why }.into())
        }
    }
}

fn over(device: &DeviceRow) -> Refusal {
    InTheWay::CourierOver { device: device.name.clone(), is_lost: device.lost_at.is_some() }.into()
}
