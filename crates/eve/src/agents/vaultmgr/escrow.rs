//! The node's side of the escrow: bundles put together and sealed to the controller, what its signed answers to this session say that it holds, and
//! the root that is bound to PCRs taken back from it. zedagent carries bytes, and no more. Nothing goes out before the share table says that
//! something may have; and nothing counts that is not from the controller whose root is pinned, to this session.

pub(super) mod drill;
pub(super) mod files;
mod hope;
mod rescue;

use std::collections::{BTreeMap, BTreeSet};

use vault::belief::{About, Heard, Signed, Voice};
use vault::condition::{Escrow, Upcoming};
use vault::escrow::drill::DrillAnswer;
use vault::escrow::holding::{Holding, KeeperSays};
use vault::escrow::hope::{Back, Which};
use vault::escrow::{Bundle, BundleId, VaultFiles};
use vault::ids::{DeviceId, DeviceKey, VaultId};
use vault::shares::RootPin;
use vault::wanted::Authority;
use wire::P256PublicKey;
use wire::control::Control;
use wire::escrow::{NotSealed, SealedBundle, UploadPlace, seal_up};

use self::files::LeftOut;
pub(crate) use self::rescue::RescueError;
use crate::agents::vaultmgr::belief::config::{self, NotVerified};
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

/// What is known of it in this life.
#[derive(Debug, Default)]
pub(super) struct EscrowMemory {
    holding: Holding<Keeper>,
    device_key: Option<DeviceKey>,
    files: Files,
    changed: BTreeSet<VaultId>,
    /// Key files as they lie on the disk, of vaults that no key opened in this life, where they are others than `files`, or nothing is known of what is in
    /// escrow. Nothing: several lie there, and which are in force is not known.
    untold: BTreeMap<VaultId, Option<VaultFiles>>,
    /// Vaults whose key files no key will tell of: nothing waits for them.
    shut: BTreeSet<VaultId>,
    /// Vaults that no bundle takes, and why.
    left_out: BTreeMap<VaultId, LeftOut>,
    /// The last that was sealed; of use while it is what [`Holding`] says is.
    upload: Option<EscrowUpload>,
    /// So many were sealed in this session.
    sent: u64,
    /// How the last drill went.
    drilled: Option<DrillAnswer>,
    /// What was said last of the bundle that was asked back.
    back: Option<Back>,
    /// The last that came is of another disk.
    pub(super) elsewhere: bool,
}

impl EscrowMemory {
    /// A vault's key files may be others now.
    pub(super) fn note_changed(&mut self, id: VaultId) {
        self.changed.insert(id);
    }

    /// A key opened its key files, and so told what they are worth.
    pub(super) fn note_opened(&mut self, id: VaultId) {
        if self.untold.contains_key(&id) || self.shut.contains(&id) {
            self.note_changed(id);
        }
    }

    pub(super) fn set_device_key(&mut self, key: Option<DeviceKey>) {
        self.device_key = key.or(self.device_key);
    }

    /// Another controller was accepted.
    pub(super) fn leave(&mut self) {
        self.holding.leave();
    }

    pub(super) fn back(&self) -> Option<Back> {
        self.back
    }
}

impl<C: Crypt> Manager<C> {
    /// What is in escrow, for plans.
    pub(super) fn escrowed(&self) -> Escrow {
        self.escrow.holding.standing(self.shares.as_ref().is_some_and(ShareStore::is_escrowed))
    }

    /// How far the next generation is, with what the controller holds.
    pub(super) fn upcoming(&self, next: Upcoming) -> Upcoming {
        self.escrow.holding.upcoming(next, self.after())
    }

    fn after(&self) -> Option<vault::ids::Generation> {
        self.shares.as_ref().and_then(ShareStore::generation).and_then(vault::ids::Generation::after)
    }

    /// An answer that says nothing of the list of vaults, and something of the escrow, or orders vaults locked.
    pub(crate) fn hear_word(&mut self, envelope: &[u8], certs: &[u8]) {
        let signed = Signed { envelope: envelope.to_vec(), certs: certs.to_vec() };
        match config::verify(&mut self.certs, &self.root_pem, signed) {
            Ok((answer, said)) => {
                if answer.said == vault::belief::Said::Unchanged {
                    self.hear(Heard::Answer(Authority::Live, Box::new(answer)));
                }
                self.hear_escrow(said);
            }
            Err(error) => {
                self.unverified = true;
                self.refused_word(&error);
            }
        }
    }

    fn refused_word(&mut self, error: &NotVerified) {
        self.notes
            .log(format!("a word of the controller was refused: {}", crate::agents::vaultmgr::chain(error)));
    }

    /// What an answer says of the escrow, beside all else.
    pub(super) fn hear_escrow(&mut self, said: Said) {
        let Said { root, key, control: Some(control) } = said else { return };
        if control.session != self.session_key() {
            return;
        }
        let voice = self.voice(root);
        if let Some(rescue) = &control.rescue {
            if voice != Voice::Another {
                self.escrow.back = Some(Back::Came);
            }
            let named = control.held_bundle.or(self.escrow.holding.held());
            self.rescue((control.device, rescue), Which::of(rescue.id, named), (root, voice));
        }
        if voice != Voice::Another {
            control.no_rescue.iter().for_each(|why| self.tell_of_refusal(why));
        }
        // Also where the pin came back just now.
        if self.belief.voice(root) == Voice::Pinned {
            self.hear_keeper(key, &control);
        }
    }

    fn hear_keeper(&mut self, key: Option<P256PublicKey>, control: &Control) {
        let word = KeeperSays {
            keeper: key.map(|key| Keeper { device: control.device, key }),
            keeps: control.keeps_bundles,
            held: control.held_bundle,
            again: control.send_again,
        };
        self.escrow.holding.hear(word, self.after());
        if let Some(drill) = control.drill.as_ref().filter(|_| self.escrow.holding.keeper().is_some()) {
            self.drill(control.device, drill);
        }
    }

    /// What zedagent is to do about it: to post a bundle that the controller does not hold, and what to ask with.
    pub(crate) fn escrow_wish(&mut self) -> EscrowWish {
        if let Err(words) = self.refresh_upload() {
            self.notes.log(words);
        }
        // What was said of it was said of what was lacking then.
        if !self.asks_back() {
            self.settle_back();
        }
        let keys = self.keys_of_roots().filter(|_| self.asks_back());
        EscrowWish {
            upload: self.escrow.holding.to_send().and_then(|id| self.sealed(id)).cloned(),
            held: self.escrow.holding.held(),
            rescue: keys.map(|keys| keys.generation),
        }
    }

    /// Nothing is asked back: what was said of that is over, but that the root which came back is still to be bound.
    fn settle_back(&mut self) {
        self.escrow.back = None;
        if !self.node().past.rescued {
            self.notes.settle(About::Escrow);
        }
    }

    fn sealed(&self, id: BundleId) -> Option<&EscrowUpload> {
        self.escrow.upload.as_ref().filter(|upload| upload.id == id)
    }

    /// Puts together what is to be in escrow now: the next generation's bundle while it is made, else that of the one in force.
    fn refresh_upload(&mut self) -> Result<(), String> {
        if self.crypt.is_away() {
            return Ok(());
        }
        let stands_in = self.shares.as_ref().is_some_and(ShareStore::stands_in);
        if stands_in || self.may_be_in_escrow_alone() {
            // One that is made now would take the place of one that has what they lack.
            return Ok(());
        }
        self.note_shut();
        let (Some(keeper), Some(device)) = (self.escrow.holding.keeper().cloned(), self.escrow.device_key)
        else {
            return Ok(());
        };
        let after = self.after();
        let Some(shares) = self.shares.as_mut() else { return Ok(()) };
        let is_first = self.escrow.holding.is_first(shares.is_escrowed());
        shares.begin_escrow(&self.paths).map_err(|error| not_now(&error))?;
        let (table, is_next_made) = (shares.edition(), shares.how_far_is_made());
        let is_same = self.escrow.holding.is_up_to_date(table, after, is_next_made);
        if is_same && self.escrow.changed.is_empty() || !self.read_key_files() {
            return Ok(());
        }
        let all_good = self.vouch(device, is_first);
        let Some((own, (id, bytes))) = self.put_together(device) else { return Ok(()) };
        self.escrow.holding.put_together(own, table);
        if !all_good {
            self.escrow.holding.seal(None);
        } else if !self.escrow.holding.is_sealed(id) {
            self.escrow.upload = Some(self.seal(&keeper, id, &bytes).map_err(|error| not_now(&error))?);
            self.escrow.holding.seal(Some(id));
        }
        Ok(())
    }

    /// Which bundle that of the generation in force is, and that which is to be there: the next one's, while it is made.
    fn put_together(&mut self, device: DeviceKey) -> Option<(BundleId, (BundleId, Vec<u8>))> {
        let files = self.files_that_fit();
        let shares = self.shares.as_ref()?;
        let with_id = |bundle: &Bundle| {
            let bytes = bundle.encode();
            (Bundle::id_of(bundle.generation(), &bytes), bytes)
        };
        let own = shares.bundle(device, files.clone()).as_ref().map(with_id);
        let next = shares.upcoming_bundle(device, files).as_ref().map(with_id);
        match (own, next) {
            (Some(own), next) => Some((own.0, next.unwrap_or(own))),
            // Nothing is held that could be better.
            (None, Some(next)) if self.node().past.anew => Some((next.0, next)),
            (None, _) => None,
        }
    }

    fn seal(&mut self, keeper: &Keeper, id: BundleId, bytes: &[u8]) -> Result<EscrowUpload, NotSealed> {
        self.escrow.sent += 1;
        let place = UploadPlace { session: self.session.session_key(), number: self.escrow.sent };
        let SealedBundle { enc, ciphertext, .. } = seal_up(&keeper.key, keeper.device, place, id, bytes)?;
        Ok(EscrowUpload { id, place, enc: Bytes(enc), ciphertext: Bytes(ciphertext) })
    }
}

fn not_now(error: &(dyn std::error::Error + 'static)) -> String {
    format!("nothing is put in escrow now: {}", crate::agents::vaultmgr::chain(error))
}
