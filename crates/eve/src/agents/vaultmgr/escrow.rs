//! The node's side of the escrow: bundles put together and sealed to the controller, what its signed answers to this session say that it holds, and
//! the root that is bound to PCRs taken back from it. zedagent carries bytes, and no more. Nothing goes out before the share table says that
//! something may have; and nothing counts that is not from the controller whose root is pinned, to this session.

mod drill;
mod files;
mod hope;

use std::collections::{BTreeMap, BTreeSet};

use vault::belief::{About, Signed};
use vault::condition::{Escrow, Upcoming};
use vault::escrow::drill::DrillAnswer;
use vault::escrow::{BadBundle, Bundle, BundleId, NotOurs, VaultFiles};
use vault::ids::{DeviceId, DeviceKey, VaultId};
use vault::shares::RootPin;
use wire::P256PublicKey;
use wire::control::Control;
use wire::escrow::{NotOpened, SealedBundle, UploadPlace, open_down, seal_up};

use self::files::LeftOut;
use self::hope::Back;
use crate::agents::vaultmgr::belief::config::{self, NotVerified};
use crate::agents::vaultmgr::generation::roots::{NoPcrs, Tpmmgr};
use crate::agents::vaultmgr::generation::shares::ShareStore;
use crate::agents::vaultmgr::generation::upcoming::Files;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::bus::messages::{Bytes, EscrowUpload, EscrowWish};

/// Who keeps this node's bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keeper {
    /// What it calls this device.
    device: DeviceId,
    /// The key of its ECDH certificate.
    key: P256PublicKey,
}

/// What a signed answer says of the escrow.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) root: RootPin,
    pub(super) key: Option<P256PublicKey>,
    pub(super) control: Option<Control>,
}

/// Why the root does not come back. All stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RescueError {
    /// The seal around it.
    #[error(
        "the bundle for this node's TPM that the controller gave back does not open in this session; it is tried again by itself"
    )]
    NotOpened(#[from] NotOpened),
    /// Its bytes.
    #[error(
        "the bundle for this node's TPM that the controller gave back is none; see `eve status`, and what else writes to the controller's database"
    )]
    Bad(#[from] BadBundle),
    /// Another's.
    #[error(
        "the bundle that the controller gave back is of another device or generation than this node's TPM is; it is tried again by itself"
    )]
    Another,
    /// Somebody else gave it.
    #[error(
        "a bundle for this node's TPM was given back by another controller than the node belongs to, and counts for nothing: put the root certificate of its own controller into config/, or see `eve controller accept`"
    )]
    OtherController,
    /// It was made under another TPM, or is damaged.
    #[error(
        "the root in the bundle does not open by this node's TPM, and the vaults that hang on it stay closed: see `eve vault list`"
    )]
    NotOurs(#[from] NotOurs),
    /// There is none in it.
    #[error(
        "the bundle for this node's TPM has no root that is bound to PCRs, and the vaults that hang on it stay closed: see `eve vault list`"
    )]
    NoRoot,
}

/// What is known of it in this life.
#[derive(Debug, Default)]
pub(super) struct Known {
    keeper: Option<Keeper>,
    /// The last that there was.
    kept_by: Option<Keeper>,
    device_key: Option<DeviceKey>,
    /// The newest that the controller says it holds.
    held: Option<BundleId>,
    /// Something was heard of that in this session.
    heard: bool,
    /// The newest of this generation's that it said.
    acknowledged: Option<BundleId>,
    files: Files,
    changed: BTreeSet<VaultId>,
    /// Key files as they lie on the disk, of vaults that no key opened in this life, where they are others than `files`, or nothing is known of what is in
    /// escrow. Nothing: several lie there, and which are in force is not known.
    untold: BTreeMap<VaultId, Option<VaultFiles>>,
    /// Vaults that no bundle takes, and why.
    left_out: BTreeMap<VaultId, LeftOut>,
    /// Of the parts as they were when it was put together.
    own: Option<BundleId>,
    of: Option<(vault::ids::Generation, u64)>,
    upload: Option<EscrowUpload>,
    /// So many were sealed in this session.
    sent: u64,
    /// How the last drill went.
    drilled: Option<DrillAnswer>,
    /// What was said last of the bundle that was asked back.
    back: Option<Back>,
}

impl Known {
    /// A vault's key files may be others now.
    pub(super) fn note_changed(&mut self, id: VaultId) {
        self.changed.insert(id);
    }

    pub(super) fn set_device_key(&mut self, key: Option<DeviceKey>) {
        self.device_key = key.or(self.device_key);
    }

    /// What one keeper holds another does not: another controller, or the same one that knows the device by another id since it was deleted.
    fn follow(&mut self, keeper: Option<&Keeper>) {
        let Some(keeper) = keeper else { return };
        if self.kept_by.as_ref().is_some_and(|before| before != keeper) {
            (self.held, self.acknowledged, self.upload, self.own, self.of) = (None, None, None, None, None);
        }
        self.kept_by = Some(keeper.clone());
    }

    /// Another controller was accepted: what one before it held is nothing to go by.
    pub(super) fn leave(&mut self) {
        (self.keeper, self.kept_by, self.heard) = (None, None, false);
        (self.held, self.acknowledged, self.upload, self.own, self.of) = (None, None, None, None, None);
    }

    /// As it is told. Before this session heard anything, what the table remembers is not called in question.
    fn standing(&self, remembered: bool) -> Escrow {
        match self.acknowledged {
            _ if self.own.is_some() && self.own == self.held => Escrow::Newest,
            held @ Some(_) if held == self.own => Escrow::Newest,
            Some(_) => Escrow::Older,
            None if remembered && !self.heard => Escrow::Newest,
            None => Escrow::Nothing,
        }
    }
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// What is in escrow, for plans.
    pub(super) fn escrowed(&self) -> Escrow {
        self.escrow.standing(self.shares.as_ref().is_some_and(ShareStore::is_escrowed))
    }

    /// How far the next generation is, with what the controller holds.
    pub(super) fn upcoming(&self, next: Upcoming) -> Upcoming {
        let upload = self.escrow.upload.as_ref().map(|upload| upload.id);
        let held = next == Upcoming::Made && upload.is_some() && upload == self.escrow.held;
        let is_next = upload.map(|id| id.generation) == self.after();
        if held && is_next { Upcoming::Held } else { next }
    }

    fn after(&self) -> Option<vault::ids::Generation> {
        self.shares.as_ref().and_then(ShareStore::generation).and_then(vault::ids::Generation::after)
    }

    /// An answer that says nothing of vaults, and something of the escrow.
    pub(crate) fn hear_word(&mut self, envelope: &[u8], certs: &[u8]) {
        let signed = Signed { envelope: envelope.to_vec(), certs: certs.to_vec() };
        match config::verify(&self.root_pem, signed) {
            Ok((_, said)) => self.hear_escrow(said),
            Err(error) => self.refused_word(&error),
        }
    }

    fn refused_word(&mut self, error: &NotVerified) {
        self.notes
            .log(format!("a word on the escrow was refused: {}", crate::agents::vaultmgr::chain(error)));
    }

    /// What an answer says of the escrow, beside all else.
    pub(super) fn hear_escrow(&mut self, said: Said) {
        let Said { root, key, control: Some(control) } = said else { return };
        if control.session != self.session_key() {
            return;
        }
        let pin = self.shares.as_ref().and_then(ShareStore::pin);
        // With a lost table the pin is gone too: then the one in the bundle's table tells.
        let is_lost = self.shares.as_ref().is_some_and(|shares| !shares.is_open());
        let may_be_ours = pin == Some(root) || is_lost && !self.belief.is_anothers(root);
        if let Some(rescue) = &control.rescue {
            if may_be_ours {
                self.escrow.back = Some(Back::Came);
            }
            self.rescue((control.device, rescue), root, may_be_ours);
        }
        if may_be_ours {
            self.tell_of_refusal(&control.no_rescue);
        }
        // Also where the pin came back just now.
        if self.shares.as_ref().and_then(ShareStore::pin) != Some(root) {
            return;
        }
        let keeper = key.map(|key| Keeper { device: control.device, key });
        self.escrow.follow(keeper.as_ref());
        self.escrow.keeper = keeper.filter(|_| control.keeps_bundles);
        self.escrow.heard |= self.escrow.keeper.is_some();
        if let Some(held) = control.held_bundle {
            self.escrow.held = Some(held);
            if Some(held.generation) != self.after() {
                self.escrow.acknowledged = Some(held);
            }
        }
        if control.send_again {
            (self.escrow.held, self.escrow.acknowledged) = (None, None);
        }
        if let Some(drill) = control.drill.as_ref().filter(|_| self.escrow.keeper.is_some()) {
            self.drill(control.device, drill);
        }
    }

    fn tell_of_refusal(&mut self, why: &str) {
        if !why.is_empty() && self.asks_back() {
            self.escrow.back = Back::of_refusal(why).or(self.escrow.back);
            self.notes.tell(About::Escrow, hope::not_given_back(why));
        }
    }

    /// The root that is bound to PCRs is wanted back, or files are.
    fn asks_back(&self) -> bool {
        self.wants_rescue() || self.asks_for_files()
    }

    fn wants_rescue(&self) -> bool {
        self.shares.as_ref().is_some_and(ShareStore::wants_rescue)
    }

    /// Files first: with the table it is known what hangs on the root.
    fn rescue(&mut self, (device, sealed): (DeviceId, &SealedBundle), root: RootPin, may_be_ours: bool) {
        if !self.asks_back() {
            return;
        }
        let opened =
            if may_be_ours { self.opened_bundle(device, sealed) } else { Err(RescueError::OtherController) };
        let back = opened.and_then(|bundle| {
            self.is_from_its_own(&bundle, root)?;
            if self.asks_for_files() {
                self.bring_back(&bundle);
            }
            if self.wants_rescue() { self.take_root(&bundle) } else { Ok(()) }
        });
        if let Err(error) = back {
            self.notes.tell(About::Escrow, crate::agents::vaultmgr::chain(&error));
        }
    }

    /// The bundle that the controller gave back, of this device and of the roots that its TPM has.
    fn opened_bundle(&self, device: DeviceId, sealed: &SealedBundle) -> Result<Bundle, RescueError> {
        let bundle = Bundle::decode(&open_down(&self.session, device, sealed)?)?;
        let keys = self.shares.as_ref().and_then(ShareStore::root_keys).ok_or(RescueError::Another)?;
        let is_ours =
            (Some(bundle.device()), bundle.generation()) == (self.escrow.device_key, keys.generation);
        if is_ours { Ok(bundle) } else { Err(RescueError::Another) }
    }

    /// While the table is lost nothing but the bundle's own, which the TPM's root speaks for, says to whom the node belonged when it was made. One that is not
    /// of that root is told where it would be written back.
    fn is_from_its_own(&self, bundle: &Bundle, root: RootPin) -> Result<(), RescueError> {
        let keys = self.shares.as_ref().filter(|shares| !shares.is_open()).and_then(ShareStore::root_keys);
        let table = keys.and_then(|keys| bundle.table_for(keys.generation, &keys.table).ok());
        match table {
            Some(table) if table.pin() != Some(root) => Err(RescueError::OtherController),
            _ => Ok(()),
        }
    }

    fn take_root(&mut self, bundle: &Bundle) -> Result<(), RescueError> {
        let Some(shares) = self.shares.as_mut() else { return Err(RescueError::Another) };
        let moved = shares.without_pcrs().map(NoPcrs::to_string).unwrap_or_default();
        let keys = shares.root_keys().ok_or(RescueError::Another)?;
        let root = bundle.open_pcrs(&keys.escrow)?.ok_or(RescueError::NoRoot)?;
        shares.rescue(&root);
        let words = format!(
            "the secret that is bound to the measured boot came back from escrow ({moved}); it is bound to this boot next"
        );
        self.notes.tell(About::Escrow, words);
        self.start_afresh();
        Ok(())
    }

    /// What zedagent is to do about it: to post a bundle that the controller does not hold, and what to ask with.
    pub(crate) fn escrow_wish(&mut self) -> EscrowWish {
        if let Err(words) = self.refresh_upload() {
            self.notes.log(words);
        }
        // What was said of it was said of what was lacking then.
        self.escrow.back = self.escrow.back.filter(|_| self.asks_back());
        let shares = self.shares.as_ref();
        let held = self.escrow.held;
        EscrowWish {
            upload: self.escrow.upload.clone().filter(|upload| Some(upload.id) != held),
            held,
            rescue: shares
                .filter(|_| self.asks_back())
                .and_then(ShareStore::root_keys)
                .map(|keys| keys.generation),
        }
    }

    /// Puts together what is to be in escrow now: the next generation's bundle while it is made, else that of the one in force.
    fn refresh_upload(&mut self) -> Result<(), String> {
        if !self.lacking().is_empty() {
            // One that is made now would take the place of one that has what they lack.
            return Ok(());
        }
        let (Some(keeper), Some(device)) = (self.escrow.keeper.clone(), self.escrow.device_key) else {
            return Ok(());
        };
        let Some(shares) = self.shares.as_mut() else { return Ok(()) };
        let failed = |error: &(dyn std::error::Error + 'static)| {
            format!("nothing is put in escrow now: {}", crate::agents::vaultmgr::chain(error))
        };
        let is_first = !shares.is_escrowed() && self.escrow.held.is_none();
        shares.begin_escrow(&self.paths).map_err(|error| failed(&error))?;
        let of = shares.edition();
        let upcoming = shares.how_far_is_made();
        let is_same = self.escrow.of == of && self.escrow.changed.is_empty();
        let next =
            self.escrow.upload.as_ref().is_some_and(|upload| Some(upload.id.generation) == self.after());
        if is_same && self.escrow.upload.is_some() && next == upcoming {
            return Ok(());
        }
        if !self.read_key_files() {
            return Ok(());
        }
        let all_good = self.vouch(device, is_first);
        let files = self.files_that_fit();
        let Some(shares) = self.shares.as_ref() else { return Ok(()) };
        let Some(own) = shares.bundle(device, files.clone()) else { return Ok(()) };
        let own = (own.generation(), own.encode());
        let next = shares.upcoming_bundle(device, files);
        let (generation, bytes) = next.map_or_else(|| own.clone(), |next| (next.generation(), next.encode()));
        let id = Bundle::id_of(generation, &bytes);
        (self.escrow.own, self.escrow.of) = (Some(Bundle::id_of(own.0, &own.1)), of);
        if !all_good {
            // What is in escrow may be the only good one.
            self.escrow.upload = None;
            return Ok(());
        }
        if self.escrow.upload.as_ref().is_none_or(|upload| upload.id != id) {
            self.escrow.sent += 1;
            let place = UploadPlace { session: self.session.session_key(), number: self.escrow.sent };
            let sealed = seal_up(&keeper.key, keeper.device, place, id, &bytes);
            let SealedBundle { enc, ciphertext, .. } = sealed.map_err(|error| failed(&error))?;
            let (enc, ciphertext) = (Bytes(enc), Bytes(ciphertext));
            self.escrow.upload = Some(EscrowUpload { id, place, enc, ciphertext });
        }
        Ok(())
    }
}
