//! What comes from outside: the TPM with this device's key, and signed configurations.

use std::collections::BTreeMap;

use vault::ids::{CONFIG_VAULT, DeviceKey};
use vault::plan::{Accepted, Authority, Listing, Record, RecordSeen, Refused as NotTaken};
use vault::report::State;
use vault::section::Section;
use vault::shares::RootPin;

use super::config::{Judge, Judged, Refused, judge};
use super::crypt::Crypt;
use super::manager::Manager;
use super::notes::About;
use super::record::{self, Stored};
use super::ring::Ring;
use super::roots::{NoPcrs, Tpmmgr};
use super::shares::Shares;
use super::{prepare, slot};

/// What is heard of the node's TPM, and the device key that tpmmgr signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TpmHeard {
    /// The node has none; the key is in a file.
    Absent {
        /// Its name.
        key: DeviceKey,
    },
    /// It is provisioned and answers.
    Ready {
        /// The device key's name.
        key: DeviceKey,
        /// PCRs 0 and 4 do not stand at their reset value.
        measured: bool,
    },
    /// Configured, and failing.
    Failing,
}

/// A live answer that came before it could be judged.
#[derive(Debug)]
pub(super) struct Early {
    envelope: Vec<u8>,
    certs: Vec<u8>,
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// The TPM's presence; its roots are read once it is ready, and again after a failure. What came too early is judged then.
    pub(crate) fn hear_tpm(&mut self, heard: TpmHeard) {
        let waited = self.device_key.is_some() && self.waits_for_roots();
        self.tpm_absent = matches!(heard, TpmHeard::Absent { .. });
        if let TpmHeard::Ready { key, .. } | TpmHeard::Absent { key } = heard {
            self.device_key = Some(key);
        }
        if let TpmHeard::Ready { measured, .. } = heard {
            self.measured = measured;
            self.read_roots();
        }
        // That the roots were not read once more is nothing new.
        if !(waited && self.waits_for_roots()) {
            self.start_afresh();
        }
        if !self.is_early()
            && let Some(Early { envelope, certs }) = self.early.take()
        {
            // The record in it has a say.
            self.settle(CONFIG_VAULT);
            self.notes.settle(About::Configuration);
            self.hear_config(Authority::Live, &envelope, &certs);
        }
    }

    /// Before the device key is known, and the root that was pinned beside the shares, nothing tells for whom a section is,
    /// and from whom.
    fn is_early(&self) -> bool {
        self.device_key.is_none() || self.waits_for_roots()
    }

    fn read_roots(&mut self) {
        if self.shares.is_some() {
            return;
        }
        let has_vaults = prepare::has_vaults(&self.paths, &self.crypt);
        match Shares::bring_up(&self.paths, &mut self.tpmmgr, has_vaults) {
            Ok(shares) => {
                self.shares = Some(shares);
                self.notes.settle(About::Roots);
            }
            Err(error) => self.notes.tell(About::Roots, super::chain(&error)),
        }
    }

    /// Reads the root that is bound to PCRs again, where `again` is so of its lack. What could not be opened without it is tried anew.
    fn read_lacking_root(&mut self, again: impl FnOnce(&NoPcrs) -> bool) {
        let Some(shares) = self.shares.as_mut().filter(|shares| shares.without_pcrs().is_some_and(again))
        else {
            return;
        };
        match shares.read_pcrs_again(&mut self.tpmmgr) {
            Ok(true) => self.start_afresh(),
            Ok(false) => {}
            Err(error) => tracing::warn!("reading the root that is bound to PCRs again: {error}"),
        }
    }

    /// Where PCRs moved while it was read, nothing was learned of it: so it is read until something is.
    pub(crate) fn read_unsteady_root(&mut self) {
        self.read_lacking_root(|why| *why == NoPcrs::Unsteady);
    }

    /// Whoever orders a vault open may know that it can be read by now.
    pub(super) fn read_missing_root(&mut self) {
        self.read_lacking_root(|_| true);
    }

    /// Whether the TPM's roots are still to be read.
    pub(crate) fn waits_for_roots(&self) -> bool {
        self.shares.is_none() && !self.tpm_absent
    }

    /// Everything that failed may be tried anew, and keys on what did not open: others are at hand than before.
    fn start_afresh(&mut self) {
        self.slots.values_mut().for_each(slot::Slot::afresh);
        self.slots.values_mut().filter(|slot| slot.held.is_none()).for_each(|slot| slot.none_fits = false);
    }

    /// A signed configuration. Refused, it changes nothing.
    pub(crate) fn hear_config(&mut self, authority: Authority, envelope: &[u8], certs: &[u8]) {
        match self.judge(authority, envelope, certs) {
            Ok(Judged::Unchanged) => {}
            Ok(Judged::Withheld(_)) if authority == Authority::Checkpoint => {}
            Ok(Judged::Withheld(why)) => self.withhold(why),
            Ok(Judged::Section(..)) if authority == Authority::Live && self.is_early() => {
                let words = "a configuration waits until the TPM's roots are read: they tell whom this node belongs to";
                self.notes.tell(About::Configuration, words.to_owned());
                self.early = Some(Early { envelope: envelope.to_vec(), certs: certs.to_vec() });
            }
            Ok(Judged::Section(section, root)) => self.accept(authority, &section, root, envelope, certs),
            // What zedagent still has of the life before this one: the next poll brings ours.
            Err(error @ Refused::OtherSession) => tracing::info!("{error}"),
            Err(error @ (Refused::OtherRoot | Refused::OtherDevice(_))) if authority == Authority::Live => {
                self.withhold(error.to_string());
            }
            Err(error) => self.refuse(&super::chain(&error)),
        }
    }

    fn judge(&self, authority: Authority, envelope: &[u8], certs: &[u8]) -> Result<Judged, Refused> {
        let pin = self.pin();
        let (device_key, session) = (self.device_key, self.session.session_key());
        judge(&Judge { root_pem: &self.root_pem, pin, device_key, session }, authority, envelope, certs)
    }

    /// The root accepted at first contact: in the share table; without a TPM in the Config Vault.
    fn pin(&self) -> Option<RootPin> {
        let stored = || self.stored.as_ref().map(|stored| RootPin(stored.root));
        self.shares.as_ref().and_then(Shares::pin).or_else(stored)
    }

    fn refuse(&mut self, why: &str) {
        self.notes.tell(About::Configuration, format!("a configuration was refused: {why}"));
    }

    /// Nothing is created, changed or deleted, and no key of the controller's stays at hand. What was locked stays locked.
    fn withhold(&mut self, why: String) {
        self.notes.tell(About::Configuration, why);
        self.desired.listing = self.desired.listing.take().map(Listing::kept);
        self.ring = Ring::default();
        self.early = None;
    }

    fn accept(
        &mut self,
        authority: Authority,
        section: &Section,
        root: RootPin,
        envelope: &[u8],
        certs: &[u8],
    ) {
        let listing = Listing::of(section, authority);
        match authority {
            Authority::Live => match self.in_order(&listing) {
                Ok(accepted) => {
                    self.notes.settle(About::Configuration);
                    self.take_keys(section);
                    self.desired.listing = Some(listing);
                    self.keep(accepted, root, envelope, certs);
                }
                Err(error @ NotTaken::OtherDevice { .. }) => return self.withhold(error.to_string()),
                Err(error) => return self.refuse(&error.to_string()),
            },
            _ if self.takes_checkpoint(&listing) => self.desired.listing = Some(listing),
            _ => return tracing::info!("a kept configuration says nothing new"),
        }
        self.start_afresh();
    }

    /// A checkpoint lies in the Config Vault, and so counts only while that is open, and beside the record in it. It never
    /// replaces a live section, nor an older one a newer; under another incarnation than was accepted last nothing tells which
    /// is the older.
    fn takes_checkpoint(&self, given: &Listing) -> bool {
        let Some(Stored { record, .. }) = &self.stored else { return false };
        let in_force = self.desired.listing.as_ref();
        let newest = in_force.map_or(record.accepted.version, |current| current.version);
        self.config_vault_is_open()
            && in_force.is_none_or(|current| current.authority == Authority::Checkpoint)
            && record.accepted.device == given.device
            && [newest, record.accepted.version]
                .iter()
                .all(|by| by.incarnation == given.version.incarnation && by.version <= given.version.version)
    }

    fn config_vault_is_open(&self) -> bool {
        let slot = self.slots.get(&CONFIG_VAULT);
        slot.is_some_and(|slot| slot.sight.seen.state() == State::Unlocked)
    }

    /// What is accepted once this section is: held against the record, as it was last read, and against what this life accepted.
    fn in_order(&self, listing: &Listing) -> Result<Accepted, NotTaken> {
        let before = self.stored.iter().chain(&self.unsaved).map(|stored| &stored.record.accepted);
        Accepted::after(before, listing)
    }

    fn take_keys(&mut self, section: &Section) {
        let (ring, errors) = Ring::open(section, &self.session);
        self.ring = ring;
        let lines: Vec<String> =
            errors.iter().map(|(vault, error)| format!("vault {vault}: {error}")).collect();
        match lines.is_empty() {
            true => self.notes.settle(About::Keys),
            false => self.notes.tell(About::Keys, lines.join("; ")),
        }
    }

    fn keep(&mut self, accepted: Accepted, root: RootPin, envelope: &[u8], certs: &[u8]) {
        let record = Record { accepted, listed: BTreeMap::new(), removed: BTreeMap::new() };
        let (envelope, certs) = (envelope.to_vec(), certs.to_vec());
        self.unsaved = Some(Stored { record, envelope, certs, root: root.0 });
        if let Some(shares) = self.shares.as_mut().filter(|shares| shares.pin().is_none()) {
            // Where this fails the pin in the record still holds, and the next contact tries again.
            let _ = shares.set_pin(&self.paths, root);
        }
        self.save_record();
    }

    /// Writes the accepted section into the record, if the Config Vault is open. One that the record speaks against is dropped.
    /// One that could not be written is tried again whenever the Config Vault is looked at.
    pub(super) fn save_record(&mut self) {
        let readable = self.desired.record != RecordSeen::Unreadable;
        let Some(unsaved) = self.unsaved.clone().filter(|_| readable) else { return };
        let live = self.desired.listing.clone().filter(|listing| listing.authority == Authority::Live);
        let Some(listing) = live else { return };
        if self.stored.as_ref().is_some_and(|stored| stored.root != unsaved.root) {
            return self.give_up(Refused::OtherRoot.to_string());
        }
        let accepted = match self.in_order(&listing) {
            Ok(accepted) => accepted,
            Err(error) => return self.give_up(error.to_string()),
        };
        let before = self.stored.as_ref().map(|stored| &stored.record);
        let stored = Stored { record: Record::after(before, accepted, &listing), ..unsaved };
        match record::save(&self.paths, &stored) {
            Ok(()) => {
                self.unsaved = None;
                self.set_stored(stored);
                self.notes.settle(About::Record);
            }
            Err(error) => {
                let words = format!("the accepted section was not recorded: {}", super::chain(&error));
                self.notes.tell(About::Record, words);
            }
        }
    }

    /// The record speaks against the section in force, which came before it could be read: what was accepted before that one
    /// is in force again.
    fn give_up(&mut self, why: String) {
        self.withhold(why);
        self.unsaved = None;
        self.desired.listing = None;
        self.resume();
    }

    pub(super) fn set_stored(&mut self, stored: Stored) {
        self.desired.record = RecordSeen::Read(stored.record.clone());
        self.stored = Some(stored);
    }

    /// The Config Vault has opened: its folders, and the record in it. A record that can't be read stays unreadable.
    pub(super) fn open_record(&mut self) {
        if let Err(error) = prepare::config_folders(&self.paths, self.zedagent) {
            return self.notes.tell(
                About::Record,
                format!("making the folders of the Config Vault: {}", super::chain(&error)),
            );
        }
        match record::load(&self.paths) {
            Ok(Some(stored)) => self.set_stored(stored),
            Ok(None) => self.lose_record(),
            Err(error) => return self.notes.tell(About::Record, super::chain(&error)),
        }
        // What zedagent kept may be older than our own record; what was accepted in this life may be newer, and not yet in it.
        let recorded = self.stored.as_ref().map(|stored| stored.record.accepted.version);
        let newer = |of: &Listing| {
            recorded
                .is_some_and(|by| by.incarnation == of.version.incarnation && by.version < of.version.version)
        };
        self.desired.listing.take_if(|listing| listing.authority == Authority::Checkpoint && !newer(listing));
        self.resume();
        self.save_record();
    }

    /// The Config Vault has none: it is a new one. What this life accepted is not forgotten with the old one.
    fn lose_record(&mut self) {
        let stored = self.stored.take();
        self.unsaved = self.unsaved.take().or(stored);
        self.desired.record = RecordSeen::Nothing;
    }

    /// What was accepted last, verified anew, until a live section comes.
    fn resume(&mut self) {
        if let Some(Stored { envelope, certs, .. }) =
            self.stored.clone().filter(|_| self.desired.listing.is_none())
        {
            self.hear_config(Authority::Checkpoint, &envelope, &certs);
        }
    }
}
