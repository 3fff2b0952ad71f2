//! The answer to a poll that changed, in one write transaction: a number for what is new, keys sealed to the session or taken up as they were sealed
//! for it, and what stands beside the section. What it says is drafted by [`vault::draft`]; that it is to be said was seen by the look
//! ([`super::config`]).

use std::collections::BTreeSet;

use ::attest::SessionKey;
use vault::decide::{BundleNeeded, ChallengeWay, Ruling};
use vault::draft::{Draft, Line};
use vault::ids::{DeviceId, DeviceKey, SectionVersion, VaultId};
use vault::ledger::{Ledger, Mark, Number, Word, place_of_order};
use vault::section::Section;
use wire::Certificate;
use wire::config::{ConfigParts, ConfigResponse, DeviceConfig, VaultAsk};
use wire::control::{Control, Order};

use super::chain;
use super::config::{Ahead, Changed, Drawn, known};
use super::drill::Due;
use super::escrow::EscrowWord;
use crate::custody::{CustodyError, Releases, Sealing};
use crate::fleet::section::{draft_without, orders_of_lost};
use crate::fleet::view::View;
use crate::service::{Controller, Fault, Refusal};
use crate::store::{AsOf, DeviceRow, Tx, UnixSeconds};
use crate::words::evidence::demand;

/// What a lost device is ordered to lock in place of a section, and the place of that.
#[derive(Default)]
pub(super) struct Locks {
    pub(super) orders: Vec<VaultId>,
    pub(super) as_of: Option<SectionVersion>,
}

/// As [`Controller::answered`] says.
type Answered = (ConfigResponse, Option<Box<View>>, Option<(Word, u64)>);

impl Controller {
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
        let ahead = Ahead::of(as_of, drawn);
        let answer = self
            .store
            .answer_upon(as_of, device, |tx| Box::pin(self.answered(tx, device, (hash, &ask), &ahead, now)));
        let ((answer, view, numbered), after) = answer.await?;
        if let Some((word, version)) = numbered {
            self.again.keep(device, word, version);
        }
        if let (Some(view), Some(after)) = (view, after) {
            self.recall.keep(after, view);
        }
        Ok(answer)
    }

    /// The answer; the device as it is once this is kept, where that is known; and what was numbered though it says nothing new.
    async fn answered(
        &self,
        tx: &mut dyn Tx,
        device: DeviceId,
        (hash, ask): (&str, &VaultAsk),
        ahead: &Ahead,
        now: UnixSeconds,
    ) -> Result<Answered, Refusal> {
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
                let mark = self.note_older(tx, &row, (session, older), now).await?;
                let locks = self.locks_of_lost(tx, &row, mark, ask).await?;
                if let Some(at) = locks.as_of {
                    chain::give_order(tx, &row, (self.place(row.section_version), at)).await?;
                }
                return Ok((self.nothing_to(&row, session, locks)?, None, None));
            }
        };
        let mut releases = Releases::to(tx, &self.kek, &view.device, session, Sealing::of(ask)).await?;
        let needed = self.bundle_needed(&view.device, ask);
        let draft = self.as_far_as_keys_open(tx, &mut releases, (&view, draft), (ask, needed), now).await?;
        let numbered = self.bump(tx, &mut view.device, &draft, &ledger).await?;
        let version = numbered.map_or(view.device.section_version, |(_, version)| version);
        let has = self.hash(&view.device, Some((&draft, &ledger)), Some(session));
        let bundle = self.said_of_bundle(tx, &view, ask, now).await?;
        let drills = matches!(self.drill_due(&view, ask, now), Due::Now(..));
        let drill = self.drill(tx, &view, ask, now).await?;
        let control = Control { drill, ..self.beside(&view.device, &draft, bundle, (session, now))? };
        let (config_hash, config) = if has == hash {
            (has, None)
        } else {
            let config = self.config_of(tx, (&view.device, version), &draft, releases, &mut ledger).await?;
            (self.hash(&view.device, Some((&draft, &ledger)), Some(session)), Some(config))
        };
        chain::keep(tx, &mut view.device, ledger, session).await?;
        // What is asked for a drill is written to its row too.
        let answer = ConfigResponse { config_hash, config, control: Some(control) };
        Ok((answer, (!drills).then_some(view), numbered))
    }

    /// Numbers what says something new. To a device that went back the same is said under another number, once for each word of its own.
    async fn bump(
        &self,
        tx: &mut dyn Tx,
        device: &mut DeviceRow,
        draft: &Draft,
        ledger: &Ledger,
    ) -> Result<Option<(Word, u64)>, Refusal> {
        let last = ledger.said_last((device.section_version, device.section_digest));
        let Some(content) = draft.says_more(last, ledger) else { return Ok(None) };
        let place = (ledger.head, device.section_version);
        let word = match self.again.number(device.id, content, last, place) {
            Number::Same(word, version) => return Ok(Some((word, version))),
            Number::Next(word) => Some(word),
            Number::New => None,
        };
        let next = ledger.next_number(device.section_version);
        (device.section_version, device.section_digest) = (next, Some(content));
        tx.put_section(device.id, device.section_version, &content).await?;
        Ok(word.map(|word| (word, device.section_version)))
    }

    /// The draft as far as keys open: of a vault whose key does not, it is withheld.
    async fn as_far_as_keys_open(
        &self,
        tx: &mut dyn Tx,
        releases: &mut Releases<'_>,
        (view, draft): (&View, Draft),
        (ask, needed): (&VaultAsk, BundleNeeded),
        now: UnixSeconds,
    ) -> Result<Draft, Refusal> {
        let mut unopened = BTreeSet::new();
        for line in draft.lines.iter().filter(|_| draft.challenge != ChallengeWay::InPlace) {
            if let Ruling::Release(granted) = &line.decision.ruling
                && let Some(error) = releases.shut(tx, granted).await?
            {
                self.told_unopened(granted.vault(), &error, now);
                unopened.insert(granted.vault());
            }
        }
        if unopened.is_empty() {
            return Ok(draft);
        }
        Ok(draft_without(view, ask.session, (ask.lease, needed), &unopened, now))
    }

    /// In the log, now and then: its device asks again and again.
    fn told_unopened(&self, vault: VaultId, error: &CustodyError, now: UnixSeconds) {
        if let Some(kept_back) = self.unopened.told(vault, now) {
            let (repeated, others) = (kept_back.repeated, kept_back.others);
            tracing::error!(%vault, %error, repeated, others, "this vault's key is withheld");
        }
    }

    /// The challenge, what is said of the bundle, and what goes out in place of a section: orders to lock, and which demand is not met.
    pub(super) fn beside(
        &self,
        device: &DeviceRow,
        draft: &Draft,
        EscrowWord { held, rescue, no_rescue, send_again }: EscrowWord,
        (session, now): (SessionKey, UnixSeconds),
    ) -> Result<Control, Refusal> {
        let challenge = self.challenge(device, draft.challenge, now)?;
        let orders: Vec<Order> = draft.orders.iter().copied().map(Order::Lock).collect();
        let as_of = (!orders.is_empty()).then(|| self.place(device.section_version));
        let lacks = draft.lacks.map(demand).unwrap_or_default().to_owned();
        let held_bundle = held;
        let plain = said_beside(device, session)?;
        let word = Control { challenge, orders, as_of, lacks, ..plain };
        Ok(Control { held_bundle, rescue, no_rescue, send_again, ..word })
    }

    async fn config_of(
        &self,
        tx: &mut dyn Tx,
        (device, version): (&DeviceRow, u64),
        draft: &Draft,
        mut releases: Releases<'_>,
        ledger: &mut Ledger,
    ) -> Result<DeviceConfig, Refusal> {
        if draft.challenge == ChallengeWay::InPlace {
            return self.parts(device, None);
        }
        let mut vaults = Vec::with_capacity(draft.lines.len());
        for Line { entry, decision } in &draft.lines {
            let mut entry = entry.clone();
            if let Ruling::Release(granted) = &decision.ruling {
                entry.release = releases.of(tx, granted).await?;
            }
            vaults.push(entry);
        }
        let (device_key, session, version) = (key_of(device)?, releases.session(), self.place(version));
        let (follows, removed, lease) = (ledger.head, draft.removed.clone(), draft.lease);
        let section =
            Section { device: device.id, device_key, session, version, follows, vaults, removed, lease };
        let config = self.parts(device, Some(section))?;
        config.section_digest().into_iter().for_each(|digest| ledger.send(digest));
        Ok(config)
    }

    /// What a lost device is to lock though this database is, or may be, older than it: an order only locks. Nothing of another one.
    pub(super) async fn locks_of_lost(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        mark: Mark,
        ask: &VaultAsk,
    ) -> Result<Locks, Refusal> {
        if row.lost_at.is_none() || !mark.lets_lock() {
            return Ok(Locks::default());
        }
        let view = View::load(&self.verdicts, tx, row.clone()).await?;
        let orders = orders_of_lost(&view, ask.session);
        let told = ask.accepted.filter(|head| head.device == row.id).map(|head| head.version);
        let own = self.place(row.section_version);
        let shown = row.older.and_then(Mark::was_shown);
        let as_of = (!orders.is_empty()).then(|| place_of_order(own, &self.past, told, shown));
        Ok(Locks { orders, as_of })
    }

    /// To a device that is further on than this database: its configuration without section and challenge; and what it is to lock where it is
    /// lost.
    fn nothing_to(
        &self,
        row: &DeviceRow,
        session: SessionKey,
        locks: Locks,
    ) -> Result<ConfigResponse, Refusal> {
        let config_hash = self.hash_with(row, session, &locks);
        let Locks { orders, as_of } = locks;
        let orders = orders.into_iter().map(Order::Lock).collect();
        let control = Some(Control { orders, as_of, ..said_beside(row, session)? });
        Ok(ConfigResponse { config_hash, config: Some(self.parts(row, None)?), control })
    }

    pub(super) fn parts(
        &self,
        device: &DeviceRow,
        section: Option<Section>,
    ) -> Result<DeviceConfig, Refusal> {
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
        no_rescue: None,
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
