//! What comes from outside: the TPM with this device's key, signed configurations, the record. `vault::belief` hears it and decides;
//! here it is carried out.

use std::collections::VecDeque;

use vault::belief::{About, Effect, Heard, Kept, RecordFound, Roots, Signed, SignedAnswer};
use vault::ids::{CONFIG_VAULT, DeviceKey, IMAGE_VAULT, VaultId};
use vault::shares::RootPin;
use vault::wanted::Authority;

use crate::agents::vaultmgr::belief::config::verify;
use crate::agents::vaultmgr::belief::record::{self, RecordError};
use crate::agents::vaultmgr::belief::ring::{Ring, words_of_shut};
use crate::agents::vaultmgr::generation::errands::Errand;
use crate::agents::vaultmgr::generation::roots::NoPcrs;
use crate::agents::vaultmgr::generation::shares::ShareStore;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::prepare;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot;
use crate::bus::messages::OrderError;

/// What is heard of the node's TPM, and the device key that tpmmgr signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TpmHeard {
    /// The node has none; the key is in a file.
    Absent { key: DeviceKey },
    /// It is provisioned and answers.
    Ready {
        key: DeviceKey,
        /// PCRs 0 and 4 do not stand at their reset value.
        measured: bool,
    },
    /// Configured, and failing.
    Failing,
}

impl<C: Crypt> Manager<C> {
    /// The TPM's presence; its roots are read once it is ready, and again after a failure. Orders may be carried out in each pause.
    pub(crate) fn hear_tpm(&mut self, heard: TpmHeard, mut pause: impl FnMut(&mut Self, Option<VaultId>)) {
        self.tpm_absent = matches!(heard, TpmHeard::Absent { .. });
        // That the roots were not read once more is nothing new.
        if !self.waits_for_roots() {
            self.start_afresh();
        }
        let key = match heard {
            TpmHeard::Ready { key, .. } | TpmHeard::Absent { key } => Some(key),
            TpmHeard::Failing => None,
        };
        self.escrow.set_device_key(key);
        self.hear(Heard::Tpm(self.roots(), key));
        if let TpmHeard::Ready { measured, .. } = heard {
            self.measured = measured;
            if self.shares.is_none() {
                self.send(Errand::Roots);
            }
        }
        if !self.waits_for_roots() {
            // What waited for the roots is judged by the record too.
            self.settle_pausing(CONFIG_VAULT, |manager| pause(manager, None));
        }
    }

    /// What stands beside the vaults that wait for the TPM: why it can't be used, and what to do.
    pub(crate) fn note_failing(&mut self, words: &str) {
        if self.waits_for_roots() {
            self.notes.tell(About::Roots, format!("vaults wait for the TPM, which is {words}"));
        }
    }

    /// What the belief is told of roots and pin.
    pub(crate) fn roots(&self) -> Roots {
        match (&self.shares, self.tpm_absent) {
            (Some(shares), _) if shares.is_open() => Roots::Open(shares.pin()),
            (Some(_), _) => Roots::Lost,
            (None, true) => Roots::NoTpm,
            (None, false) => Roots::Unread,
        }
    }

    /// Reads the root that is bound to PCRs again, where `again` is so of its lack. What could not be opened without it is tried anew.
    fn read_lacking_root(&mut self, again: impl FnOnce(&NoPcrs) -> bool) {
        if self.shares.as_ref().and_then(ShareStore::without_pcrs).is_some_and(again) {
            self.send(Errand::Pcrs);
        }
    }

    /// Where PCRs moved while it was read, nothing was learned of it: so it is read until something is.
    pub(crate) fn read_unsteady_root(&mut self) {
        self.read_lacking_root(|why| *why == NoPcrs::Unsteady);
    }

    /// Whoever orders a vault open may know that it can be read by now.
    pub(crate) fn read_missing_root(&mut self) {
        self.read_lacking_root(|_| true);
    }

    /// Whether the TPM's roots are still to be read.
    pub(crate) fn waits_for_roots(&self) -> bool {
        self.roots() == Roots::Unread
    }

    /// Everything that failed may be tried anew, and keys on what did not open: others are at hand than before.
    pub(crate) fn start_afresh(&mut self) {
        (self.learned, self.news) = (self.learned + 1, self.news + 1);
        (self.node_setback, self.node_error) = (None, None);
        self.slots.values_mut().for_each(slot::VaultMemory::afresh);
        self.slots.values_mut().filter(|slot| slot.held.is_none()).for_each(|slot| slot.none_fits = false);
    }

    /// A signed configuration. Refused, it changes nothing.
    pub(crate) fn hear_config(&mut self, authority: Authority, envelope: &[u8], certs: &[u8]) {
        let signed = Signed { envelope: envelope.to_vec(), certs: certs.to_vec() };
        self.hear_signed(authority, signed);
    }

    fn hear_signed(&mut self, authority: Authority, signed: Signed) {
        match verify(&mut self.certs, &self.root_pem, signed) {
            Ok((answer, escrow)) => {
                self.unverified &= authority != Authority::Live;
                self.hear(Heard::Answer(authority, Box::new(answer)));
                self.hear_escrow(escrow);
            }
            Err(error) => {
                self.unverified |= authority == Authority::Live;
                let words =
                    format!("a configuration was refused: {}", crate::agents::vaultmgr::chain(&error));
                self.notes.tell(About::Configuration, words);
            }
        }
    }

    /// Root on the node accepts the controller whose root certificate is installed: what another said is over.
    pub(crate) fn accept_root(&mut self, root: RootPin) -> Result<(), OrderError> {
        self.unless_disk_went()?;
        self.read_root_certificate();
        let installed = wire::Certificate::from_pem(&self.root_pem);
        if !installed.is_ok_and(|installed| RootPin(installed.digest().0) == root) {
            return Err(OrderError::OtherRootInstalled);
        }
        if self.waits_for_roots() {
            return Err(OrderError::PinNotRead);
        }
        // First what lasts: with the old pin in the table the old controller would count again after a restart.
        if let Some(shares) = self.shares.as_mut().filter(|shares| shares.is_open()) {
            let is_another = shares.pin() != Some(root);
            let pinned = shares.change_controller(&self.paths, root);
            if is_another && pinned.is_ok() {
                self.escrow.leave();
            }
            pinned.map_err(|error| OrderError::NotPinned { why: crate::agents::vaultmgr::chain(&error) })?;
        }
        self.hear(Heard::RootAccepted(root));
        self.hear(Heard::Tpm(self.roots(), None));
        Ok(())
    }

    /// One thing is heard, and what follows is done.
    pub(crate) fn hear(&mut self, heard: Heard) {
        self.learned += 1;
        // That the record is open still is said at each look, and is no news where nothing follows from it.
        self.news += u64::from(!matches!(heard, Heard::RecordOpen));
        let mut orders = matches!(heard, Heard::Answer(..) | Heard::Tpm(..));
        let mut due = VecDeque::from([heard]);
        while let Some(heard) = due.pop_front() {
            let (written, other): (Vec<_>, Vec<_>) =
                self.belief.hear(heard).into_iter().partition(is_written);
            self.news += u64::from(!(written.is_empty() && other.is_empty()));
            due.extend(other.into_iter().filter_map(|effect| self.carry_out(effect)));
            if std::mem::take(&mut orders) || !written.is_empty() {
                self.shut_before_writing();
            }
            due.extend(written.into_iter().filter_map(|effect| self.carry_out(effect)));
        }
        self.learn_leases();
        self.keep_controllers_locks();
    }

    /// A disk that is frozen or slow keeps no vault open. A cut before what is ordered is written loses nothing: the controller says it again.
    fn shut_before_writing(&mut self) {
        let known: Vec<VaultId> = self.slots.keys().copied().collect();
        self.shut(&known);
    }

    /// A live section's order to lock a default vault is kept where no single file, taken away, undoes it: without the record a boot opens
    /// those by themselves. Where it can't be written it is tried again whenever something is heard.
    fn keep_controllers_locks(&mut self) {
        if self.crypt.is_away() {
            return;
        }
        let Some(shares) = self.shares.as_mut().filter(|shares| shares.is_open()) else { return };
        for id in [CONFIG_VAULT, IMAGE_VAULT] {
            let kept = self.belief.orders_locked(id).map(|locked| shares.set_locked(&self.paths, id, locked));
            if let Some(Err(error)) = kept {
                tracing::warn!(vault = %id, error = %crate::agents::vaultmgr::chain(&error), "keeping an order to lock");
            }
        }
        self.belief.remember_locked(shares.locked());
    }

    /// Does one thing. What it leads to is heard after all that was due before.
    fn carry_out(&mut self, effect: Effect) -> Option<Heard> {
        match effect {
            Effect::Save(kept) => return self.save(kept),
            Effect::DropRecord => return Some(self.drop_record()),
            Effect::Pin(root) => return self.pin(root),
            Effect::TakeKeys(section) => self.take_keys(&section),
            Effect::DropKeys => self.ring = Ring::default(),
            Effect::Verify(signed) => return self.verify_kept(signed),
            Effect::StartAfresh => self.start_afresh(),
            Effect::Tell(about, words) => self.notes.tell(about, words.to_string()),
            Effect::Settle(about) => self.notes.settle(about),
            Effect::Log(words) => self.notes.log(words.to_string()),
        }
        None
    }

    fn save(&mut self, kept: Box<Kept>) -> Option<Heard> {
        if self.crypt.is_away() {
            return None;
        }
        match record::save(&self.paths, &kept) {
            Ok(()) => Some(Heard::Saved(kept)),
            Err(error) => {
                let words = format!(
                    "the accepted list of vaults was not recorded: {}",
                    crate::agents::vaultmgr::chain(&error)
                );
                self.notes.tell(About::Record, words);
                None
            }
        }
    }

    /// Whose vaults they were goes, and how they were called stays known.
    pub(in crate::agents::vaultmgr) fn drop_record(&mut self) -> Heard {
        if self.crypt.is_away() {
            return Heard::Former(std::collections::BTreeMap::new());
        }
        if let Err(error) = record::set_aside(&self.paths) {
            let words = format!(
                "putting the other controller's record aside: {}",
                crate::agents::vaultmgr::chain(&error)
            );
            self.notes.tell(About::Record, words);
        }
        Heard::Former(record::names_aside(&self.paths))
    }

    /// Where this fails the pin in the record still holds, and the next contact tries again.
    fn pin(&mut self, root: RootPin) -> Option<Heard> {
        if self.crypt.is_away() {
            return None;
        }
        let shares = self.shares.as_mut()?;
        shares.set_pin(&self.paths, root).ok()?;
        Some(Heard::Tpm(self.roots(), None))
    }

    fn verify_kept(&mut self, signed: Signed) -> Option<Heard> {
        match verify(&mut self.certs, &self.root_pem, signed) {
            Ok((answer, _)) => Some(Heard::Answer(Authority::Checkpoint, Box::new(answer))),
            Err(error) => {
                let words =
                    format!("the kept configuration was refused: {}", crate::agents::vaultmgr::chain(&error));
                self.notes.tell(About::Configuration, words);
                None
            }
        }
    }

    fn take_keys(&mut self, section: &vault::section::Section) {
        let (ring, errors) = Ring::open(section, &self.session);
        self.ring = ring;
        self.hear_leases(section);
        match words_of_shut(section, &errors) {
            None => self.notes.settle(About::Keys),
            Some(words) => self.notes.tell(About::Keys, words),
        }
    }

    /// The Config Vault has opened: its folders, and the record in it. One that the disk does not give stays unread; one that is not
    /// what we write is put aside. Returns whether that is known now.
    pub(crate) fn open_record(&mut self) -> bool {
        if let Err(error) = prepare::config_folders(&self.paths, self.zedagent) {
            return self.record_not_given(&RecordError::Folders(error.into()));
        }
        self.hear(Heard::Former(record::names_aside(&self.paths)));
        let opened = match record::load(&self.paths).and_then(|kept| self.unless_contradicted(kept)) {
            Ok(Some(kept)) => RecordFound::Read(Box::new(kept)),
            Ok(None) => RecordFound::Nothing,
            Err(RecordError::Damaged(_) | RecordError::Contradicted)
                if record::set_aside(&self.paths).is_ok() =>
            {
                RecordFound::Damaged
            }
            Err(error) => return self.record_not_given(&error),
        };
        self.hear(Heard::RecordOpened(opened));
        true
    }

    fn record_not_given(&mut self, error: &RecordError) -> bool {
        self.notes.tell(About::Record, crate::agents::vaultmgr::chain(error));
        self.hear(Heard::RecordNotGiven);
        false
    }

    /// A section that the installed root does not speak for says nothing against it. One for another node's TPM is as good as none: it
    /// closes no vault here.
    fn unless_contradicted(&mut self, kept: Option<Kept>) -> Result<Option<Kept>, RecordError> {
        let Some(kept) = kept else { return Ok(None) };
        let contradicts =
            |answer: &SignedAnswer| !kept.agrees_with(answer) || self.belief.is_of_another_node(answer);
        match verify(&mut self.certs, &self.root_pem, kept.signed.clone()) {
            Ok((answer, _)) if contradicts(&answer) => Err(RecordError::Contradicted),
            _ => Ok(Some(kept)),
        }
    }
}

/// Whether it waits for the disk.
fn is_written(effect: &Effect) -> bool {
    matches!(effect, Effect::Save(_) | Effect::Pin(_) | Effect::DropRecord)
}
