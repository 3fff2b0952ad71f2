//! What comes from outside: the TPM's presence, this device's identity, signed configurations.

use std::collections::BTreeMap;

use vault::ids::{DeviceId, SectionVersion};
use vault::plan::{Authority, Listing, Record, RecordSeen, Refused as OldSection};
use vault::report::State;
use vault::section::Section;
use vault::shares::RootPin;

use super::config::{Judge, Judged, Refused, judge};
use super::crypt::Crypt;
use super::manager::Manager;
use super::notes::About;
use super::record::{self, Stored};
use super::ring::Ring;
use super::roots::Tpmmgr;
use super::shares::Shares;
use super::{prepare, slot};

/// What is heard of the node's TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TpmHeard {
    /// The node has none.
    Absent,
    /// It is provisioned and answers.
    Ready {
        /// PCRs 0 and 4 are not all zero.
        measured: bool,
    },
    /// Configured, and failing.
    Failing,
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// The TPM's presence; its roots are read once it is ready, and again after a failure.
    pub(crate) fn hear_tpm(&mut self, heard: TpmHeard) {
        self.tpm_absent = heard == TpmHeard::Absent;
        if let TpmHeard::Ready { measured } = heard {
            self.measured = measured;
            self.read_roots();
        }
        self.start_afresh();
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

    /// Whether the TPM is ready and its roots are still to be read.
    pub(crate) fn waits_for_roots(&self) -> bool {
        self.shares.is_none() && !self.tpm_absent
    }

    /// Everything that failed may be tried anew, and keys on what did not open: others are at hand than before.
    fn start_afresh(&mut self) {
        self.slots.values_mut().for_each(slot::Slot::afresh);
        self.slots.values_mut().filter(|slot| slot.held.is_none()).for_each(|slot| slot.none_fits = false);
    }

    /// This device's identity. A checkpoint taken before it was known is held against it now.
    pub(crate) fn hear_device(&mut self, device: DeviceId) {
        self.device = Some(device);
        if self.listed_for.is_some_and(|listed| listed != device) {
            self.desired.listing = None;
            self.ring = Ring::default();
        }
    }

    /// A signed configuration. Refused, it changes nothing.
    pub(crate) fn hear_config(&mut self, authority: Authority, envelope: &[u8], certs: &[u8]) {
        match self.judge(authority, envelope, certs) {
            Ok(Judged::Unchanged) => {}
            Ok(Judged::Withheld(_)) if authority == Authority::Checkpoint => {}
            Ok(Judged::Withheld(why)) => self.withhold(why),
            Ok(Judged::Section(section, root)) => self.accept(authority, &section, root, envelope, certs),
            // What zedagent still has of the life before this one: the next poll brings ours.
            Err(error @ Refused::OtherSession) => tracing::info!("{error}"),
            Err(error @ Refused::OtherRoot) => self.withhold(error.to_string()),
            Err(error) => self.refuse(&super::chain(&error)),
        }
    }

    fn judge(&self, authority: Authority, envelope: &[u8], certs: &[u8]) -> Result<Judged, Refused> {
        let pin = self.pin();
        let (device, session) = (self.device, self.session.session_key());
        judge(&Judge { root_pem: &self.root_pem, pin, device, session }, authority, envelope, certs)
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
        if authority == Authority::Checkpoint && !self.takes_checkpoint(&listing) {
            return tracing::info!("a kept configuration says nothing new");
        }
        if let Err(error) = self.in_order(&listing) {
            return self.refuse(&error.to_string());
        }
        self.notes.settle(About::Configuration);
        if authority == Authority::Live {
            self.take_keys(section);
            self.keep(&listing, root, envelope, certs);
        }
        self.listed_for = Some(section.device);
        self.desired.listing = Some(listing);
        self.start_afresh();
    }

    /// A checkpoint lies in the Config Vault, and so counts only while that is open. It never replaces a live section, nor an
    /// older one a newer; under another incarnation than was accepted last nothing tells which is the older.
    fn takes_checkpoint(&self, listing: &Listing) -> bool {
        let in_force = self.desired.listing.as_ref();
        let recorded = self.stored.as_ref().map(|stored| stored.record.version);
        let mut accepted = in_force.map(|current| current.version).into_iter().chain(recorded);
        let given = listing.version;
        self.config_vault_is_open()
            && in_force.is_none_or(|current| current.authority == Authority::Checkpoint)
            && accepted.all(|by| by.incarnation == given.incarnation && by.version <= given.version)
    }

    fn config_vault_is_open(&self) -> bool {
        let slot = self.slots.get(&vault::ids::CONFIG_VAULT);
        slot.is_some_and(|slot| slot.sight.seen.state() == State::Unlocked)
    }

    /// Not older than any accepted: by the record, which can be read while the Config Vault is open, and by what is in force.
    fn in_order(&self, listing: &Listing) -> Result<(), OldSection> {
        let recorded = self.stored.iter().chain(&self.unsaved).map(|stored| stored.record.version);
        let in_force = self.desired.listing.iter().map(|listing| listing.version);
        let same = |by: &SectionVersion| by.incarnation == listing.version.incarnation;
        let newest = recorded.chain(in_force).filter(same).map(|by| by.version).max().unwrap_or_default();
        let given = listing.version.version;
        if given < newest { Err(OldSection { given, newest }) } else { Ok(()) }
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

    fn keep(&mut self, listing: &Listing, root: RootPin, envelope: &[u8], certs: &[u8]) {
        let (listed, removed) = (BTreeMap::new(), BTreeMap::new());
        let record = Record { version: listing.version, listed, removed };
        let (envelope, certs) = (envelope.to_vec(), certs.to_vec());
        self.unsaved = Some(Stored { record, envelope, certs, root: root.0 });
        if let Some(shares) = self.shares.as_mut().filter(|shares| shares.pin().is_none()) {
            // Where this fails the pin in the record still holds, and the next contact tries again.
            let _ = shares.set_pin(&self.paths, root);
        }
        self.save_record(listing);
    }

    /// Writes the accepted section into the record, if the Config Vault is open. One that is older than the record is dropped.
    fn save_record(&mut self, listing: &Listing) {
        let open = self.desired.record != RecordSeen::Unreadable;
        let Some(unsaved) = self.unsaved.take_if(|_| open) else { return };
        if self.stored.as_ref().is_some_and(|stored| stored.root != unsaved.root) {
            return self.withhold(Refused::OtherRoot.to_string());
        }
        let before = self.stored.as_ref().map(|stored| &stored.record);
        let Ok(record) = Record::accept(before, listing) else {
            return self.withhold("the section is older than one that was accepted before".to_owned());
        };
        let stored = Stored { record, ..unsaved };
        match record::save(&self.paths, &stored) {
            Ok(()) => {
                self.set_stored(stored);
                self.notes.settle(About::Record);
            }
            Err(error) => {
                let words = format!("the accepted section was not recorded: {}", super::chain(&error));
                self.notes.tell(About::Record, words);
                self.unsaved = Some(stored);
            }
        }
    }

    /// A record that could not be written is tried again whenever the Config Vault is looked at.
    pub(super) fn save_again(&mut self) {
        let live = self.desired.listing.as_ref().filter(|listing| listing.authority == Authority::Live);
        let Some(listing) = live.filter(|_| self.unsaved.is_some()).cloned() else { return };
        self.save_record(&listing);
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
            Ok(Some(stored)) => self.resume(stored),
            Ok(None) => self.desired.record = RecordSeen::Nothing,
            Err(error) => return self.notes.tell(About::Record, super::chain(&error)),
        }
        let live = self.desired.listing.clone().filter(|listing| listing.authority == Authority::Live);
        live.iter().for_each(|listing| self.save_record(listing));
    }

    /// What was accepted last, verified anew, until a live section comes.
    fn resume(&mut self, stored: Stored) {
        let (envelope, certs) = (stored.envelope.clone(), stored.certs.clone());
        self.set_stored(stored);
        // What zedagent kept may be older than our own record.
        self.desired.listing.take_if(|listing| listing.authority == Authority::Checkpoint);
        if self.desired.listing.is_none() {
            self.hear_config(Authority::Checkpoint, &envelope, &certs);
        }
    }
}
