//! A device's poll: its configuration, with the vault section when its session has given good evidence, else a challenge in
//! its place (AC-1, AC-2). Decision, version and released keys are one transaction: an error in its middle releases nothing.
//!
//! One read comes first, of the sender and all that the answer depends on (`Tx::around`). Same content, same session, evidence in
//! force, nothing due: 304. A challenge and nothing else that is new: that is said. Orders to lock stand beside a challenge in place of the
//! section; new ones are numbered like a section, so that the section that lifts them comes after them. Otherwise one write transaction loads the device and its vaults (`fleet::view`), judges the stored
//! evidence anew, decides on each vault (`fleet::section`), numbers the section if it says something new, seals its keys or
//! takes up those that were sealed for this session, and commits. Then the answer is signed. Whether a challenge goes out, and in
//! whose place, is said by [`vault::decide::challenge`]. A device that names no session (stock EVE) gets its configuration with
//! neither section nor challenge.
//!
//! A device that ever uploaded an attestation key must quote for ever: it is never taken for one without a TPM.

use std::sync::{Mutex, PoisonError};

use ::attest::SessionKey;
use vault::decide::{ChallengeWay, Ruling};
use vault::ids::{DeviceId, DeviceKey};
use vault::ledger::{Ledger, Older};
use vault::section::Section;
use wire::Certificate;
use wire::config::{ConfigParts, ConfigRequest, ConfigResponse, DeviceConfig, VaultAsk};
use wire::control::{Control, Order};

use super::chain;
use super::drill::Due;
use super::escrow::EscrowWord;
use crate::custody::Releases;
use crate::fleet::section::{Draft, Line, draft};
use crate::fleet::view::View;
use crate::service::{Controller, Fault, Refusal, Unproved};
use crate::store::{AsOf, DeviceRow, Scope, Store, Tx, UnixSeconds};

/// What is to be said to a poll.
pub enum Look {
    /// Nothing.
    Unchanged {
        /// From when on it may be something, though nothing was written.
        until: UnixSeconds,
    },
    /// This, and nothing is to be written.
    Said(Box<ConfigResponse>),
    /// Nothing, once it is kept that the device accepted what was sent last (`chain`).
    Accepted {
        /// Where it says so.
        ask: VaultAsk,
        /// As of [`Self::Unchanged`].
        until: UnixSeconds,
    },
    /// What [`Controller::answer`] says: it writes.
    Changed(Changed),
}

/// A poll whose answer is to be written down first.
pub struct Changed {
    ask: VaultAsk,
    /// What was seen in the look, where an answer came of it.
    drawn: Option<Box<Drawn>>,
}

/// A device as it was read, and what its section would say.
struct Drawn {
    view: View,
    ledger: Ledger,
    draft: Draft,
}

/// The same from before the transaction that writes: good in it while nothing was written in between. Taken once.
struct Ahead {
    as_of: AsOf,
    drawn: Mutex<Option<Box<Drawn>>>,
}

impl Controller {
    /// Looks at a poll in the view in which its device was found: an unchanged one is one transaction, and writes nothing.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn look(
        &self,
        tx: &mut dyn Tx,
        row: DeviceRow,
        ask: &ConfigRequest,
        now: UnixSeconds,
    ) -> Result<Look, Refusal> {
        let Some(vault) = &ask.vault else { return self.stock(&row, ask) };
        self.looked(tx, row, &ask.config_hash, vault, now).await
    }

    /// A stock EVE device has no session: its configuration has no vault section.
    fn stock(&self, row: &DeviceRow, ask: &ConfigRequest) -> Result<Look, Refusal> {
        let config_hash = self.hash(row, None, None);
        if config_hash == ask.config_hash {
            return Ok(Look::Unchanged { until: UnixSeconds::MAX });
        }
        let config = self.parts(row, None)?;
        Ok(Look::Said(Box::new(ConfigResponse { config_hash, config: Some(config), control: None })))
    }

    /// The cheap half of polling: one view, no write.
    async fn looked(
        &self,
        tx: &mut dyn Tx,
        row: DeviceRow,
        hash: &str,
        ask: &VaultAsk,
        now: UnixSeconds,
    ) -> Result<Look, Refusal> {
        let session = ask.session;
        let changed = |drawn| Look::Changed(Changed { ask: ask.clone(), drawn });
        let drawn = match self.drawn(tx, row, ask, now).await? {
            Ok(drawn) => drawn,
            Err((row, older)) => {
                let known = row.older == Some(older) && hash == self.hash(&row, None, Some(session));
                return Ok(if known { Look::Unchanged { until: UnixSeconds::MAX } } else { changed(None) });
            }
        };
        let Drawn { view, ledger, draft } = &*drawn;
        let (accepts, was_older) = (*ledger != view.device.ledger, view.device.older.is_some());
        let config_hash = self.hash(&view.device, Some((draft, ledger)), Some(session));
        let (is_new, same) = (says_more(&view.device, draft, ledger).is_some(), hash == config_hash);
        // What is written first is asked again in the transaction that writes.
        let bundle = if is_new || was_older {
            EscrowWord::default()
        } else {
            self.said_of_bundle(tx, view, ask, now).await?
        };
        let (drills, until) = match self.drill_due(view, ask, now) {
            Due::Now(..) => (true, draft.until),
            Due::From(at) => (false, draft.until.min(at)),
            Due::Not => (false, draft.until),
        };
        Ok(match draft.challenge {
            _ if is_new || was_older || drills => changed(Some(drawn)),
            ChallengeWay::None if same && accepts && bundle.is_nothing() => {
                Look::Accepted { ask: ask.clone(), until }
            }
            ChallengeWay::None if same && bundle.is_nothing() => Look::Unchanged { until },
            // A challenge, or a word on the bundle, and nothing to write.
            ChallengeWay::None | ChallengeWay::Beside if same && !accepts => {
                self.said(&view.device, draft, bundle, config_hash, None, (session, now))?
            }
            // What it accepted it tells again with its next poll, which its section follows.
            ChallengeWay::InPlace => {
                let config = (!same).then(|| self.parts(&view.device, None)).transpose()?;
                self.said(&view.device, draft, bundle, config_hash, config, (session, now))?
            }
            ChallengeWay::None | ChallengeWay::Beside => changed(Some(drawn)),
        })
    }

    /// Reads a device and drafts its section; or how it shows that this database is older.
    async fn drawn(
        &self,
        tx: &mut dyn Tx,
        row: DeviceRow,
        ask: &VaultAsk,
        now: UnixSeconds,
    ) -> Result<Result<Box<Drawn>, (DeviceRow, Older)>, Refusal> {
        let ledger = match self.chain(tx, &row, ask.accepted).await? {
            Ok(ledger) => ledger,
            Err(older) => return Ok(Err((row, older))),
        };
        let view = View::load(&self.verdicts, tx, row).await?;
        let draft = draft(&view, ask.session, ask.lease, now);
        Ok(Ok(Box::new(Drawn { view, ledger, draft })))
    }

    fn said(
        &self,
        device: &DeviceRow,
        draft: &Draft,
        bundle: EscrowWord,
        config_hash: String,
        config: Option<DeviceConfig>,
        (session, now): (SessionKey, UnixSeconds),
    ) -> Result<Look, Refusal> {
        let control = Some(self.beside(device, draft, bundle, (session, now))?);
        Ok(Look::Said(Box::new(ConfigResponse { config_hash, config, control })))
    }

    /// Answers a poll that changed, by the rows as they are now: those of the look, where nothing was written since `as_of`, before it.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn answer(
        &self,
        device: DeviceId,
        hash: &str,
        Changed { ask, drawn }: Changed,
        as_of: AsOf,
        now: UnixSeconds,
    ) -> Result<ConfigResponse, Refusal> {
        let (scope, ahead) = (Scope::Device(device), Ahead { as_of, drawn: Mutex::new(drawn) });
        let answer =
            self.store.write(scope, |tx| Box::pin(self.answered(tx, device, (hash, &ask), &ahead, now)));
        answer.await
    }

    async fn answered(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        (hash, ask): (&str, &VaultAsk),
        ahead: &Ahead,
        now: UnixSeconds,
    ) -> Result<ConfigResponse, Refusal> {
        let session = ask.session;
        let drawn = match ahead.take(&self.store, device) {
            Some(drawn) => Ok(drawn),
            None => {
                let row = known(tx, device).await?;
                self.drawn(tx, row, ask, now).await?
            }
        };
        let Drawn { mut view, mut ledger, draft } = match drawn {
            Ok(drawn) => *drawn,
            Err((row, older)) => {
                chain::note_older(tx, &row, older, now).await?;
                return self.nothing_to(&row, session);
            }
        };
        bump(tx, &mut view.device, &draft, &ledger).await?;
        let has = self.hash(&view.device, Some((&draft, &ledger)), Some(session));
        let bundle = self.said_of_bundle(tx, &view, ask, now).await?;
        let drill = self.drill(tx, &view, ask, now).await?;
        let control = Control { drill, ..self.beside(&view.device, &draft, bundle, (session, now))? };
        if has == hash {
            chain::keep(tx, device, &view.device, ledger).await?;
            return Ok(ConfigResponse { config_hash: has, config: None, control: Some(control) });
        }
        let config = self.config_of(tx, &view.device, &draft, session, &mut ledger).await?;
        let config_hash = self.hash(&view.device, Some((&draft, &ledger)), Some(session));
        chain::keep(tx, device, &view.device, ledger).await?;
        Ok(ConfigResponse { config_hash, config: Some(config), control: Some(control) })
    }

    /// The challenge, what is said of the bundle, and what goes out in place of a section: orders to lock, and which demand is not met.
    fn beside(
        &self,
        device: &DeviceRow,
        draft: &Draft,
        EscrowWord { held, rescue, no_rescue, send_again }: EscrowWord,
        (session, now): (SessionKey, UnixSeconds),
    ) -> Result<Control, Refusal> {
        let challenge = self.challenge(device, draft.challenge, now)?;
        let orders: Vec<Order> = draft.orders.iter().copied().map(Order::Lock).collect();
        let as_of = (!orders.is_empty()).then(|| self.place(device.section_version));
        let lacks = draft.lacks.unwrap_or_default().to_owned();
        let held_bundle = held;
        let plain = said_beside(device, session)?;
        let word = Control { challenge, orders, as_of, lacks, ..plain };
        Ok(Control { held_bundle, rescue, no_rescue, send_again, ..word })
    }

    async fn config_of(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        draft: &Draft,
        session: SessionKey,
        ledger: &mut Ledger,
    ) -> Result<DeviceConfig, Refusal> {
        if draft.challenge == ChallengeWay::InPlace {
            return self.parts(device, None);
        }
        let mut vaults = Vec::with_capacity(draft.lines.len());
        let mut releases = Releases::to(tx, &self.kek, device, session).await?;
        for Line { entry, decision } in &draft.lines {
            let mut entry = entry.clone();
            if let Ruling::Release(granted) = &decision.ruling {
                entry.release = releases.of(tx, granted).await?;
            }
            vaults.push(entry);
        }
        let (device_key, version) = (key_of(device)?, self.place(device.section_version));
        let (follows, removed, lease) = (ledger.head, draft.removed.clone(), draft.lease);
        let section =
            Section { device: device.id, device_key, session, version, follows, vaults, removed, lease };
        let config = self.parts(device, Some(section))?;
        config.section_digest().into_iter().for_each(|digest| ledger.send(digest));
        Ok(config)
    }

    /// To a device that is further on than this database: its configuration without section and challenge.
    fn nothing_to(&self, row: &DeviceRow, session: SessionKey) -> Result<ConfigResponse, Refusal> {
        let config_hash = self.hash(row, None, Some(session));
        let control = Some(said_beside(row, session)?);
        Ok(ConfigResponse { config_hash, config: Some(self.parts(row, None)?), control })
    }

    fn parts(&self, device: &DeviceRow, section: Option<Section>) -> Result<DeviceConfig, Refusal> {
        let items = self.poll_every_s.map(|s| ("timer.config.interval".to_owned(), s.to_string()));
        let parts = ConfigParts {
            device: Some(device.id),
            version: device.section_version.to_string(),
            device_name: device.name.to_string(),
            controller_certs_hash: self.authority.list_hash.clone(),
            made_unix_s: None,
            items: items.into_iter().collect(),
            section,
        };
        let made = DeviceConfig::new(&parts);
        // A node would take a section that does not read for one that is withheld.
        let made = made.and_then(|config| config.section().err().cloned().map_or(Ok(config), Err));
        made.map_err(|error| {
            tracing::error!(device = %device.id, %error, "the configuration does not read back");
            Fault::Configuration.into()
        })
    }
}

impl Ahead {
    /// Asked in the transaction that writes.
    fn take(&self, store: &Store, device: DeviceId) -> Option<Box<Drawn>> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take();
        drawn.filter(|_| store.untouched_since(self.as_of, device))
    }
}

pub(crate) async fn known(tx: &mut dyn Tx, device: DeviceId) -> Result<DeviceRow, Refusal> {
    Ok(tx.device(device).await?.ok_or(Unproved::NotRegistered)?)
}

/// What is said beside a configuration while there is nothing to say: for whom it is.
fn said_beside(device: &DeviceRow, session: SessionKey) -> Result<Control, Refusal> {
    let device_key = Some(key_of(device)?);
    Ok(Control {
        device: device.id,
        session,
        device_key,
        challenge: None,
        orders: Vec::new(),
        as_of: None,
        lacks: String::new(),
        held_bundle: None,
        rescue: None,
        no_rescue: String::new(),
        keeps_bundles: true,
        drill: None,
        send_again: false,
    })
}

/// Its name: as it is kept, or read from the certificate of who registered before names of keys were kept.
fn key_of(device: &DeviceRow) -> Result<DeviceKey, Refusal> {
    if let Some(key) = device.key {
        return Ok(DeviceKey(key));
    }
    let certificate = Certificate::from_der(&device.cert_der).map_err(|_| Fault::Certificate)?;
    Ok(certificate.public_key().name())
}

/// What a section, or an order in its place, says that is new: then it gets the next version, in the transaction that first sends it; and so
/// does a section for a device that did not take the last one for the next of its history.
fn says_more(device: &DeviceRow, draft: &Draft, ledger: &Ledger) -> Option<[u8; 32]> {
    let anew = draft.challenge != ChallengeWay::InPlace && ledger.is_astray();
    draft.digest.filter(|digest| Some(*digest) != device.section_digest || anew)
}

async fn bump(
    tx: &mut dyn Tx,
    device: &mut DeviceRow,
    draft: &Draft,
    ledger: &Ledger,
) -> Result<(), Refusal> {
    if let Some(digest) = says_more(device, draft, ledger) {
        (device.section_version, device.section_digest) = (device.section_version + 1, Some(digest));
        tx.put_section(device.id, device.section_version, &digest).await?;
    }
    Ok(())
}
