//! One step of a plan, done. Each is atomic on disk or safe to repeat; keys pass from share table and ring to the kernel, and are
//! wiped on the way out.

use std::io;

use vault::belief::Heard;
use vault::condition::{Ended, Hint, Key, MetaPlace, OpenedBy, Tried};
use vault::custody::{Shares, Wrapping, wrapping_secret};
use vault::ids::VaultId;
use vault::plan::{Act, Step};
use vault::secret::WrappingSecret;
use vault::section::Encryption;

use crate::agents::vaultmgr::belief::record;
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, CryptError, KeyId};
use crate::agents::vaultmgr::hands::movein::MoveError;
use crate::agents::vaultmgr::hands::tree::Trouble;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::jobs::JobLeft;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// Why a step was not done. What was there is as it was, or the step is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The kernel, or metadata.
    #[error(transparent)]
    Crypt(#[from] CryptError),
    /// The share table.
    #[error(transparent)]
    Shares(#[from] SharesError),
    /// Both copies of the key files are gone while the vault is open: whoever can't make room for them saves what is in it.
    #[error(
        "both copies of the vault's key files are gone, and can't be written anew from its key, which is at hand until the next boot or lock; it is tried again by itself; where that can't be mended, copy what is in the vault elsewhere first"
    )]
    ByHeart(#[source] CryptError),
    /// Something came or went since the plan.
    #[error("beside the vault stands something else than was seen there; it is looked at again by itself")]
    SeenOtherwise,
    /// Moving plain files in.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// Removing a tree.
    #[error(transparent)]
    Tree(#[from] Trouble),
    /// The disk.
    #[error("{what} failed; it is tried again by itself")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A job of before.
    #[error(transparent)]
    Left(#[from] JobLeft),
    /// A key that the plan counted on went meanwhile.
    #[error("a key of the vault that this needs is not at hand any more; it is asked for again by itself")]
    KeyGone,
    /// Files are open.
    #[error("files of the vault are still open: {}", named(.holders))]
    Busy {
        /// Who holds them.
        holders: Vec<String>,
    },
    /// The same, and it is not known yet.
    #[error(
        "files of the vault are still open, and who holds them is being looked for; it is locked by itself when they are closed"
    )]
    Held,
    /// The record can't be written.
    #[error(
        "the record of accepted lists of vaults can't be written before the Config Vault is open; it is tried again by itself"
    )]
    NoRecord,
}

/// How far a step came at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It is done.
    Done,
    /// A job goes on with it.
    UnderWay,
}

fn named(holders: &[String]) -> String {
    if !holders.is_empty() {
        return format!("{}; end these, and it is locked by itself", holders.join("; "));
    }
    "the holder was not found: perhaps a descriptor is in flight between processes, in the queue of a socket; it is locked by itself when that is closed".to_owned()
}

pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> StepError {
    move |source| StepError::Io { what, source }
}

pub(crate) fn of_disk(what: &'static str) -> impl Fn(disk::Error) -> StepError {
    move |source| StepError::Io { what, source: source.into() }
}

impl<C: Crypt> Manager<C> {
    /// Does one step, or begins it where it is long.
    pub(crate) fn execute(&mut self, id: VaultId, act: Act) -> Result<Ran, StepError> {
        match act.step {
            Step::MoveIn(encryption) => return self.begin_move(id, act, encryption),
            Step::Bound(limit) => return self.bound(id, limit).map(|()| Ran::Done),
            Step::Count => return self.begin_counting(id, act),
            Step::DropCopy => return self.begin_dropping(id, act),
            Step::DropStaged { open } => return self.begin_settling(id, act, open),
            Step::DeleteDir => return self.begin_deletion(id, act),
            Step::MakeShare { seal, mark } => {
                self.change_shares(|shares, paths| shares.make(paths, &[(id, seal, mark)]))
            }
            Step::MakeMetadata { wrapping, encryption } => self.make_metadata(id, wrapping, encryption),
            Step::RepairCopy { from } => self.repair(id, from),
            Step::WriteByHeart => self.write_by_heart(id),
            Step::Unwrap => self.unwrap(id),
            Step::Rewrap(wrapping) => self.rewrap(id, wrapping),
            Step::AddKey => self.add_key(id),
            Step::MakeDir => {
                let made = self.paths.disk().make_folder(&self.paths.vault(id), 0o700);
                made.map(drop).map_err(of_disk("making the directory"))
            }
            Step::SetPolicy(encryption) => self.set_policy(id, encryption),
            Step::MarkMade => self.change_shares(|shares, paths| shares.mark_made(paths, &[id])),
            Step::Lock => self.lock(id),
            Step::ForgetMetadata => self.forget_metadata(id),
            Step::DropShare(seal) => self.change_shares(|shares, paths| shares.remove(paths, id, seal)),
            Step::RecordRemoved => self.record_removed(id),
            Step::MakeRecovery(hint) => self.make_recovery(id, hint),
            Step::DropRecovery => Ok(self.crypt.drop_recovery(id)?),
            Step::NewProtector(wrapping) => self.new_protector(id, wrapping),
        }
        .map(|()| Ran::Done)
    }

    pub(super) fn change_shares(
        &mut self,
        change: impl FnOnce(&mut ShareStore, &crate::agents::vaultmgr::paths::Paths) -> Result<(), SharesError>,
    ) -> Result<(), StepError> {
        let shares = self.shares.as_mut().ok_or(StepError::KeyGone)?;
        Ok(change(shares, &self.paths)?)
    }

    fn make_metadata(
        &mut self,
        id: VaultId,
        wrapping: Wrapping,
        encryption: Encryption,
    ) -> Result<(), StepError> {
        let secret = self.secret(id, wrapping)?;
        let protector = self.crypt.create(id, encryption, self.name_of(id, wrapping), &secret)?;
        self.hold(id, protector, OpenedBy { first: Some(wrapping), second: Some(wrapping) }).made(wrapping);
        Ok(())
    }

    fn repair(&mut self, id: VaultId, from: MetaPlace) -> Result<(), StepError> {
        self.crypt.repair(id, from)?;
        let slot = self.slots.entry(id).or_default();
        slot.none_fits = false;
        slot.held.iter_mut().for_each(|(_, held)| {
            let source = if from == MetaPlace::First { held.first } else { held.second };
            *held = OpenedBy { first: source, second: source };
        });
        Ok(())
    }

    fn write_by_heart(&mut self, id: VaultId) -> Result<(), StepError> {
        let files = self.crypt.key_files(id).ok_or(StepError::KeyGone)?;
        self.crypt.bring_back(id, &files).map_err(StepError::ByHeart)?;
        let is_whole = |place| matches!(self.crypt.read(id, place), Ok(CopyRead::Whole { .. }));
        if ![MetaPlace::First, MetaPlace::Second].into_iter().any(is_whole) {
            return Err(StepError::ByHeart(CryptError::new(
                "what stands in the places of its key files reads, and is not theirs",
            )));
        }
        tracing::warn!(vault = %id, "its key files were gone, and are written anew: its key was at hand");
        Ok(())
    }

    /// The copies that look whole are tried with each key at hand, the current epoch before the last. One that turns out to be
    /// damaged counts only if its twin does not open either.
    fn unwrap(&mut self, id: VaultId) -> Result<(), StepError> {
        let known = self.known(id);
        let mut tried = Tried::of(&known.seen);
        for wrapping in known.keys.candidates() {
            let secret = self.secret(id, wrapping)?;
            tried.with(
                wrapping,
                |error: &CryptError| error.is_damage,
                |place| self.crypt.unwrap(id, place, &secret),
            );
        }
        self.slots.entry(id).or_default().leads_to_damage = tried.leads_to_damage();
        match tried.ended() {
            Ended::Opened(protector, held) => {
                let slot = self.hold(id, protector, held);
                held.first.or(held.second).into_iter().for_each(|wrapping| slot.opened(wrapping));
            }
            Ended::Failed { error, none_fits } => {
                self.slots.entry(id).or_default().none_fits = none_fits;
                return Err(error.into());
            }
            Ended::NoneFits => self.slots.entry(id).or_default().none_fits = true,
        }
        Ok(())
    }

    fn rewrap(&mut self, id: VaultId, wrapping: Wrapping) -> Result<(), StepError> {
        let (secret, name) = (self.secret(id, wrapping)?, self.name_of(id, wrapping));
        let slot = self.slots.get_mut(&id).ok_or(StepError::KeyGone)?;
        let (protector, held) = slot.held.as_mut().ok_or(StepError::KeyGone)?;
        // Until both copies are written and the old wraps scrubbed, neither is known to be under anything.
        *held = OpenedBy { first: None, second: None };
        self.crypt.rewrap(id, protector, name, &secret)?;
        *held = OpenedBy { first: Some(wrapping), second: Some(wrapping) };
        self.remember_keys(id);
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        id: VaultId,
        protector: C::Protector,
        held: OpenedBy,
    ) -> &mut VaultMemory<C::Protector> {
        self.escrow.note_opened(id);
        let slot = self.slots.entry(id).or_default();
        slot.held = Some((protector, held));
        slot.none_fits = false;
        self.remember_keys(id);
        self.slots.entry(id).or_default()
    }

    /// Which keys of the controller's opened it: under the same number another may come, from another copy of its database.
    fn remember_keys(&mut self, id: VaultId) {
        let (current, last) = self.ring.epochs(id);
        let mark = |epoch| Some((epoch, self.ring.mark(id, epoch)?));
        let marks = current.into_iter().chain(last).filter_map(mark).collect();
        self.slots.entry(id).or_default().held_by = marks;
    }

    /// From then on it may be there, whatever can't be looked at afterwards.
    fn add_key(&mut self, id: VaultId) -> Result<(), StepError> {
        let slot = self.slots.get_mut(&id).ok_or(StepError::KeyGone)?;
        let recovered = slot.recovered.as_ref().map(|(protector, _)| protector);
        let held = slot.held.as_ref().map(|(protector, _)| protector).or(recovered);
        let held = held.ok_or(StepError::KeyGone)?;
        let added = self.crypt.add_key(id, held);
        slot.key_is(Key::Present);
        Ok(added?)
    }

    pub(crate) fn key_of(&self, id: VaultId) -> Result<KeyId, StepError> {
        self.slots
            .get(&id)
            .and_then(crate::agents::vaultmgr::vault::slot::VaultMemory::key)
            .ok_or(StepError::KeyGone)
    }

    fn set_policy(&mut self, id: VaultId, encryption: Encryption) -> Result<(), StepError> {
        Ok(self.crypt.set_policy(&self.paths.vault(id), self.key_of(id)?, encryption)?)
    }

    /// Done only when the kernel says that the key is absent.
    fn lock(&mut self, id: VaultId) -> Result<(), StepError> {
        let key = self.key_of(id)?;
        let after = self.crypt.remove_key(key)?;
        let slot = self.slots.entry(id).or_default();
        slot.forget();
        slot.key_is(after);
        if after == Key::Absent {
            slot.held_by_none();
            return Ok(());
        }
        Err(self.held(id, key))
    }

    fn forget_metadata(&mut self, id: VaultId) -> Result<(), StepError> {
        self.slots.entry(id).or_default().forget();
        Ok(self.crypt.forget(id)?)
    }

    fn record_removed(&mut self, id: VaultId) -> Result<(), StepError> {
        let kept = self.belief.without(id).ok_or(StepError::NoRecord)?;
        record::save(&self.paths, &kept).map_err(io("recording the removal"))?;
        self.hear(Heard::Saved(kept));
        Ok(())
    }

    /// What the protector's name says of a wrapping, and by which key of the controller's.
    pub(super) fn name_of(&self, id: VaultId, wrapping: Wrapping) -> Hint {
        Hint::of(wrapping, wrapping.epoch().and_then(|epoch| self.ring.mark(id, epoch)))
    }

    /// `R` for a wrapping, from the keys at hand.
    pub(crate) fn secret(&self, id: VaultId, wrapping: Wrapping) -> Result<WrappingSecret, StepError> {
        let shares = self.shares.as_ref();
        let share = |seal| Ok::<_, StepError>(shares.ok_or(StepError::KeyGone)?.share(id, seal)?);
        let key = |epoch| self.ring.key(id, epoch).ok_or(StepError::KeyGone);
        Ok(match wrapping {
            Wrapping::Tpm(seal) => wrapping_secret(id, Shares::Tpm(&share(seal)?)),
            Wrapping::Controller(epoch) => wrapping_secret(id, Shares::Controller(key(epoch)?)),
            Wrapping::Both(seal, epoch) => wrapping_secret(id, Shares::Both(&share(seal)?, key(epoch)?)),
        })
    }
}
