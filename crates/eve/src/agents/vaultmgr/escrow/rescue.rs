//! What the controller gives back: opened, held against this node's TPM and controller, and taken. Files are written back in
//! `generation/brought_back.rs`.

use vault::belief::{About, Voice};
use vault::cause::Cause;
use vault::condition::Node;
use vault::escrow::hope::{Back, Which};
use vault::escrow::{BadBundle, Bundle, NotOurs, rescue};
use vault::ids::DeviceId;
use vault::shares::RootPin;
use wire::escrow::{NotOpened, SealedBundle, open_down};

use super::hope;
use crate::agents::vaultmgr::generation::roots::{NoPcrs, RootKeys};
use crate::agents::vaultmgr::generation::shares::{self, ShareStore};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// Nobody need do anything.
const BEGINS_ANEW: &str = "nothing is sealed to the measured boot yet, and the controller, which approved this boot, holds no bundle of this node: the secret for that is made anew, bound to this boot";

/// Nor here.
const NONE_IN_IT: &str = "nothing is sealed to the measured boot, and the bundle of this node has no secret for that either: it is made anew, bound to this boot";

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

impl<C: Crypt> Manager<C> {
    pub(super) fn tell_of_refusal(&mut self, why: &Cause) {
        if self.asks_back() {
            self.escrow.back = Back::of_refusal(why).or(self.escrow.back);
            if self.node().past.anew {
                self.notes.mention(About::Escrow, BEGINS_ANEW.to_owned());
            } else {
                self.notes.tell(About::Escrow, hope::not_given_back(why));
            }
        }
    }

    /// The root that is bound to PCRs is wanted back, or files are; or a share table that stands in for one which can't be read.
    pub(super) fn asks_back(&self) -> bool {
        self.unread.is_some() || self.wants_rescue() || self.asks_for_files()
    }

    /// Whose word it is. With a table that can't be read the pin can't either: then the one in the bundle's tells, as where the table is lost.
    pub(super) fn voice(&self, root: RootPin) -> Voice {
        match self.belief.voice(root) {
            Voice::Another if self.unread.is_some() && !self.belief.is_anothers(root) => Voice::Perhaps,
            voice => voice,
        }
    }

    /// The keys of the TPM's roots, whether or not a table opens by them.
    pub(super) fn keys_of_roots(&self) -> Option<&RootKeys> {
        self.shares.as_ref().and_then(ShareStore::root_keys).or(self.unread.as_deref())
    }

    fn wants_rescue(&self) -> bool {
        let Some((lack, hanging)) = self.shares.as_ref().and_then(ShareStore::lack) else { return false };
        let node = || shares::node(self.shares.as_ref(), self.tpm_absent, self.measured, false);
        rescue::is_wanted(lack, hanging, || self.lists_pcrs(&node()))
    }

    /// A vault waits for its first share under the root that is bound to PCRs.
    fn lists_pcrs(&self, node: &Node) -> bool {
        let share = |id| self.shares.as_ref().and_then(|shares| shares.seen(id).pcrs);
        rescue::is_listed(self.belief.desired(), node, share)
    }

    /// A fresh one takes its place.
    pub(in crate::agents::vaultmgr) fn begins_pcrs_anew(&self, node: &Node) -> bool {
        let lack = self.shares.as_ref().and_then(ShareStore::lack);
        let may = lack.is_some_and(|(lack, hanging)| rescue::begins_anew(lack, hanging, self.escrow.back));
        may && (node.past.dropped || self.lists_pcrs(node))
    }

    /// Files first: with the table it is known what hangs on the root.
    pub(super) fn rescue(
        &mut self,
        (device, sealed): (DeviceId, &SealedBundle),
        which: Which,
        (root, voice): (RootPin, Voice),
    ) {
        if !self.asks_back() {
            return;
        }
        let opened = match voice {
            Voice::Another => Err(RescueError::OtherController),
            Voice::Pinned | Voice::Perhaps => self.opened_bundle(device, sealed),
        };
        let back = opened.and_then(|bundle| {
            self.is_from_its_own(&bundle, root)?;
            self.let_stand_in(&bundle)?;
            if self.asks_for_files() {
                self.bring_back(&bundle, which);
            }
            if self.wants_rescue() { self.take_root(&bundle) } else { Ok(()) }
        });
        match back {
            Ok(()) => {}
            Err(RescueError::NoRoot) if self.node().past.anew => {
                self.notes.mention(About::Escrow, NONE_IN_IT.to_owned());
            }
            Err(error) => self.notes.tell(About::Escrow, crate::agents::vaultmgr::chain(&error)),
        }
    }

    /// The bundle that the controller gave back, of this device and of the roots that its TPM has.
    pub(super) fn opened_bundle(
        &self,
        device: DeviceId,
        sealed: &SealedBundle,
    ) -> Result<Bundle, RescueError> {
        let bundle = Bundle::decode(&open_down(&self.session, device, sealed)?)?;
        let keys = self.keys_of_roots().ok_or(RescueError::Another)?;
        let is_ours =
            (Some(bundle.device()), bundle.generation()) == (self.escrow.device_key, keys.generation);
        if is_ours { Ok(bundle) } else { Err(RescueError::Another) }
    }

    /// While the table is lost nothing but the bundle's own, which the TPM's root speaks for, says to whom the node belonged when it was made. One that is not
    /// of that root is told where it would be written back.
    fn is_from_its_own(&self, bundle: &Bundle, root: RootPin) -> Result<(), RescueError> {
        let is_open = self.shares.as_ref().is_some_and(ShareStore::is_open);
        let keys = self.keys_of_roots().filter(|_| !is_open);
        let table = keys.and_then(|keys| bundle.table_for(keys.generation, &keys.table).ok());
        match table {
            Some(table) if table.pin() != Some(root) => Err(RescueError::OtherController),
            _ => Ok(()),
        }
    }

    /// Where the table on the disk can't be read the bundle's is at hand in its place.
    fn let_stand_in(&mut self, bundle: &Bundle) -> Result<(), RescueError> {
        let Some(keys) = self.unread.take() else { return Ok(()) };
        match bundle.table_for(keys.generation, &keys.table) {
            Ok(table) => self.stand_in(*keys, table),
            Err(_) => {
                self.unread = Some(keys);
                return Err(RescueError::Another);
            }
        }
        Ok(())
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
}
