//! A device's poll: its configuration, with the vault section when its session has given good evidence, else a challenge in
//! its place (AC-1, AC-2). Decision, version and released keys are one transaction: an error in its middle releases nothing.
//!
//! One read comes first, of the sender and all that the answer depends on (`Tx::around`). Same content, same session, evidence in
//! force, nothing due: 304. A challenge and nothing else that is new: that is said. Orders to lock stand beside a challenge in place of the
//! section; new ones are numbered like a section, so that the section that lifts them comes after them. Otherwise one write transaction
//! ([`super::answer`]) loads the device and its vaults (`fleet::view`), judges the stored evidence anew, decides on each vault ([`vault::draft`]), numbers the section if it says something new, seals its keys or
//! takes up those that were sealed for this session, and commits. Then the answer is signed. Whether a challenge goes out, and in
//! whose place, is said by [`vault::decide::challenge`]. A device that names no session (stock EVE) gets its configuration with
//! neither section nor challenge.
//!
//! A device that ever uploaded an attestation key must quote for ever: it is never taken for one without a TPM.

use std::sync::{Mutex, PoisonError};

use ::attest::SessionKey;
use vault::decide::BundleNeeded;
use vault::draft::{Draft, HeldAgainst, Saying};
use vault::ids::DeviceId;
use vault::ledger::{Ledger, Older};
use wire::config::{ConfigRequest, ConfigResponse, DeviceConfig, VaultAsk};

use super::drill::Due;
use super::escrow::EscrowWord;
use crate::fleet::heard::Standing;
use crate::fleet::section::draft;
use crate::fleet::view::View;
use crate::service::{Controller, Refusal, Unproved};
use crate::store::{AsOf, DeviceRow, Store, Tx, UnixSeconds};

/// What is to be said to a poll.
pub enum Look {
    /// Nothing.
    Unchanged {
        /// From when on it may be something, though nothing was written.
        until: UnixSeconds,
    },
    /// This, and nothing is to be written; of what was seen.
    Said(Box<ConfigResponse>, Option<Seen>),
    /// Nothing, once it is kept that the device accepted what was sent last (`chain`).
    Accepted {
        /// How it says so.
        changed: Changed,
        /// As of [`Self::Unchanged`].
        until: UnixSeconds,
    },
    /// What [`Controller::answer`] says: it writes.
    Changed(Changed),
}

/// A poll whose answer is to be written down first.
pub struct Changed {
    pub(super) ask: VaultAsk,
    /// What was seen in the look, where an answer came of it.
    pub(super) drawn: Option<Box<Drawn>>,
}

/// A device as it was read.
pub struct Seen(pub(super) Box<View>);

/// A device as it was read, and what its section would say.
pub(super) struct Drawn {
    pub(super) view: Box<View>,
    pub(super) ledger: Ledger,
    pub(super) draft: Draft,
}

/// The same from before the transaction that writes: good in it while nothing was written in between. Taken once.
pub(super) struct Ahead {
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
        let answer = ConfigResponse { config_hash, config: Some(config), control: None };
        Ok(Look::Said(Box::new(answer), None))
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
        let drawn = match self.drawn(tx, row, ask, now).await? {
            Ok(drawn) => drawn,
            Err((row, older)) => {
                self.named_while_older(tx, &row, ask.session).await?;
                let mark = self.marked(tx, &row, ask.session, older).await?;
                let locks = self.locks_of_lost(tx, &row, mark, ask).await?;
                let known = row.older == Some(mark) && hash == self.hash_with(&row, ask.session, &locks);
                let changed = Changed { ask: ask.clone(), drawn: None };
                return Ok(if known {
                    Look::Unchanged { until: UnixSeconds::MAX }
                } else {
                    Look::Changed(changed)
                });
            }
        };
        self.look_at_drawn(tx, drawn, hash, (ask, now)).await
    }

    async fn look_at_drawn(
        &self,
        tx: &mut dyn Tx,
        drawn: Box<Drawn>,
        hash: &str,
        (ask, now): (&VaultAsk, UnixSeconds),
    ) -> Result<Look, Refusal> {
        // What is written first is asked again in the transaction that writes.
        let bundle = if drawn.is_new() {
            EscrowWord::default()
        } else {
            self.said_of_bundle(tx, &drawn.view, ask, now).await?
        };
        self.look_of(drawn, hash, (ask, bundle), now)
    }

    /// The same of what was seen before, and of what the store alone says of the session that asks; none of a section that is none of those that the
    /// device's row remembers.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub(super) async fn look_in_part(
        &self,
        tx: &mut dyn Tx,
        view: Box<View>,
        hash: &str,
        (ask, now): (&VaultAsk, UnixSeconds),
    ) -> Result<Option<Look>, Refusal> {
        let Ok(ledger) = self.chain_by(&view.device, ask) else { return Ok(None) };
        let drawn = self.drawn_of(tx, view, ledger, (ask, now)).await?;
        self.look_at_drawn(tx, drawn, hash, (ask, now)).await.map(Some)
    }

    /// The same of what was seen before, where it needs no look at all: not for a bundle that is asked back, nor for a section that is none of
    /// those that the device's row remembers.
    ///
    /// # Errors
    /// What was seen, where another look is needed.
    pub(super) fn look_by_heart(
        &self,
        view: Box<View>,
        hash: &str,
        (ask, now): (&VaultAsk, UnixSeconds),
    ) -> Result<Result<Look, Refusal>, Box<View>> {
        // Whether another session followed this one is for the store to say.
        let stands = view.stands().is_some_and(|stands| SessionKey(stands.row.session) == ask.session);
        let ledger = self.chain_by(&view.device, ask).ok().filter(|_| stands && ask.rescue.is_none());
        let Some(ledger) = ledger else { return Err(view) };
        let bundle = EscrowWord::beside(&view, ask);
        let bundle_needed = self.bundle_needed(&view.device, ask);
        Ok(self.look_of(Drawn::of(view, ledger, (ask, bundle_needed), now), hash, (ask, bundle), now))
    }

    /// What is to be said of what was drawn.
    fn look_of(
        &self,
        drawn: Box<Drawn>,
        hash: &str,
        (ask, bundle): (&VaultAsk, EscrowWord),
        now: UnixSeconds,
    ) -> Result<Look, Refusal> {
        let session = ask.session;
        let changed = |drawn| Changed { ask: ask.clone(), drawn: Some(drawn) };
        let Drawn { view, ledger, draft } = &*drawn;
        let config_hash = self.hash(&view.device, Some((draft, ledger)), Some(session));
        let has_it = hash == config_hash;
        let (drills, until) = match self.drill_due(view, ask, now) {
            Due::Now(..) => (true, draft.until),
            Due::From(at) => (false, draft.until.min(at)),
            Due::Not => (false, draft.until),
        };
        let (is_new, accepts) = (drawn.is_new(), *ledger != view.device.ledger);
        let poll = HeldAgainst { is_new, has_it, accepts, drills, of_bundle: !bundle.is_nothing() };
        Ok(match Saying::of(draft.challenge, poll) {
            Saying::Nothing => Look::Unchanged { until },
            Saying::Accepted => Look::Accepted { changed: changed(drawn), until },
            Saying::Beside => self.said(drawn, bundle, (config_hash, None), (session, now))?,
            Saying::InPlace => {
                let config = (!has_it).then(|| self.parts(&view.device, None)).transpose()?;
                self.said(drawn, bundle, (config_hash, config), (session, now))?
            }
            Saying::Written => Look::Changed(changed(drawn)),
        })
    }

    /// Reads a device and drafts its section; or how it shows that this database is older.
    pub(super) async fn drawn(
        &self,
        tx: &mut dyn Tx,
        row: DeviceRow,
        ask: &VaultAsk,
        now: UnixSeconds,
    ) -> Result<Result<Box<Drawn>, (DeviceRow, Older)>, Refusal> {
        let ledger = match self.chain(tx, &row, ask).await? {
            Ok(ledger) => ledger,
            Err(older) => return Ok(Err((row, older))),
        };
        let view = Box::new(View::load(&self.verdicts, tx, row).await?);
        self.drawn_of(tx, view, ledger, (ask, now)).await.map(Ok)
    }

    async fn drawn_of(
        &self,
        tx: &mut dyn Tx,
        view: Box<View>,
        ledger: Ledger,
        (ask, now): (&VaultAsk, UnixSeconds),
    ) -> Result<Box<Drawn>, Refusal> {
        let stands = view.stands().is_some_and(|stands| stands.row.session == ask.session.0);
        let is_past = !stands && tx.past_session(view.device.id, &ask.session.0).await?.is_some();
        self.heard.named(view.device.id, ask.session, standing_of(stands, is_past));
        let needed = self.bundle_needed(&view.device, ask);
        let drawn = Drawn::of(view, ledger, (ask, needed), now);
        Ok(if is_past { drawn.of_past_session() } else { drawn })
    }

    /// The same is counted of a device that gets no list.
    async fn named_while_older(
        &self,
        tx: &mut dyn Tx,
        row: &DeviceRow,
        session: SessionKey,
    ) -> Result<(), Refusal> {
        let stands = tx.standing(row.id).await?.is_some_and(|stands| stands.session == session.0);
        let is_past = !stands && tx.past_session(row.id, &session.0).await?.is_some();
        self.heard.named(row.id, session, standing_of(stands, is_past));
        Ok(())
    }

    fn said(
        &self,
        drawn: Box<Drawn>,
        bundle: EscrowWord,
        (config_hash, config): (String, Option<DeviceConfig>),
        (session, now): (SessionKey, UnixSeconds),
    ) -> Result<Look, Refusal> {
        let Drawn { view, draft, .. } = *drawn;
        let control = Some(self.beside(&view.device, &draft, bundle, (session, now))?);
        Ok(Look::Said(Box::new(ConfigResponse { config_hash, config, control }), Some(Seen(view))))
    }
}

fn standing_of(stands: bool, is_past: bool) -> Standing {
    match (stands, is_past) {
        (true, _) => Standing::Stands,
        (false, true) => Standing::Past,
        (false, false) => Standing::New,
    }
}

impl Drawn {
    fn of(
        view: Box<View>,
        ledger: Ledger,
        (ask, bundle): (&VaultAsk, BundleNeeded),
        now: UnixSeconds,
    ) -> Box<Self> {
        let draft = draft(&view, ask.session, (ask.lease, bundle), now);
        Box::new(Self { view, ledger, draft })
    }

    /// What a session tells that another one followed is no word on what its device has.
    fn of_past_session(self) -> Box<Self> {
        let Self { view, draft, .. } = self;
        let ledger = view.device.ledger.clone();
        Box::new(Self { view, ledger, draft: draft.of_past_session() })
    }

    fn is_new(&self) -> bool {
        let row = &self.view.device;
        let last = self.ledger.said_last((row.section_version, row.section_digest));
        self.draft.says_more(last, &self.ledger).is_some()
    }
}

impl Ahead {
    pub(super) fn of(as_of: AsOf, drawn: Option<Box<Drawn>>) -> Self {
        Self { as_of, drawn: Mutex::new(drawn) }
    }

    /// Asked in the transaction that writes.
    pub(super) fn take(&self, store: &Store, device: DeviceId) -> Option<Box<Drawn>> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take();
        drawn.filter(|_| store.untouched_since(self.as_of, device))
    }
}

pub(crate) async fn known(tx: &mut dyn Tx, device: DeviceId) -> Result<DeviceRow, Refusal> {
    Ok(tx.device(device).await?.ok_or(Unproved::NotRegistered)?)
}
