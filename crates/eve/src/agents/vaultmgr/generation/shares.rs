//! The share table, beside the keys that open it. It lies twice on the disk, as key files do: of two authentic files the newer counts,
//! and what is damaged, absent or older is written anew from it. Each change is written whole and durable in both places before it
//! counts here, and the bytes of the table before it are overwritten: a share that was dropped, or sealed less strictly, is not left
//! in freed blocks. A table on the disk that is newer than what is known here is not written over.

mod error;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use fscrypt::scrub;
use vault::condition::{Escrow, Node, Past, ShareKey, TableSeen, TpmSeen};
use vault::ids::{Generation, VaultId};
use vault::lease::SinceBoot;
use vault::secret::TpmShare;
use vault::section::{BySeal, Seal};
use vault::shares::{Dropped, Mark, Nonce, OpenError, RootPin, ShareEntry, Table};

use crate::agents::vaultmgr::generation::change::{self, Left};
use crate::agents::vaultmgr::generation::errands::Beginning;
use crate::agents::vaultmgr::generation::files::{
    heal, in_place, keep_aside, newest_of_all, usable_folders, write,
};
use crate::agents::vaultmgr::generation::healing::Mending;
use crate::agents::vaultmgr::generation::roots::{
    Generations, Lost, NoPcrs, RootKeys, Slots, gone_t, judge, keys,
};
use crate::agents::vaultmgr::generation::tried::TriedVsk;
use crate::agents::vaultmgr::generation::upcoming::Made;
use crate::agents::vaultmgr::hands::crypt::CryptError;
use crate::agents::vaultmgr::paths::Paths;
pub(crate) use error::SharesError;

/// The table, when it is open, and the keys, when they could be read.
#[derive(Debug, Default)]
pub(crate) struct ShareStore {
    pub(super) keys: Option<RootKeys>,
    pub(super) table: Option<Table>,
    /// Something that is not this TPM's stands where the table is to lie, and could not be put aside yet.
    pub(super) taken: bool,
    /// What is left beside the generation in force.
    pub(super) left: Left,
    /// Incomplete generations, while no table is open: those that may go, and those that stay.
    pub(super) undefine: Vec<Generation>,
    pub(super) keep: Vec<Generation>,
    /// The next generation, while it is made and has not begun.
    pub(super) upcoming: Option<Arc<Made>>,
    /// The root that is bound to PCRs came back from escrow.
    pub(super) rescued: bool,
    /// Which NV index is gone alone, so that no table opens.
    pub(super) gone: Option<u32>,
    /// An errand is out that the table has to stay for as it is.
    pub(super) lent: bool,
    /// The table came from escrow, and stands in for the one on the disk while that can't be read. It is at hand alone: what the other has may be newer.
    pub(super) stands_in: bool,
    /// A newer table was seen on the disk than what is known here.
    pub(super) overtaken: bool,
    /// The last change failed: a copy on the disk may have it, and what is at hand has not.
    pub(super) half_written: Option<Mending>,
}

/// What the roots and the disk say.
#[derive(Debug)]
pub(super) enum Judged {
    /// A table is in force, or lost.
    There(Box<ShareStore>),
    /// On a first boot, or one cut short, one is to be begun.
    Begin(Beginning),
    /// A copy can't be read, and none that can opens by these keys.
    Unread(Box<RootKeys>, SharesError),
}

/// To open needs no write: a disk that takes none shuts nothing. Whoever writes a table sweeps again.
fn sweep(paths: &Paths) -> Result<(), SharesError> {
    for folder in usable_folders(paths)? {
        if let Err(error) = scrub::sweep(&folder) {
            tracing::warn!(
                "what a cut left beside the share table stays: {}",
                crate::agents::vaultmgr::chain(&error)
            );
        }
    }
    Ok(())
}

/// The kernel's, which blocks until it is seeded. aws-lc's own generator first measures for 25 ms, in each process and so at each
/// boot, how the processor's clock jitters, and takes the kernel's then.
pub(crate) fn random<const N: usize>(out: &mut [u8; N]) -> Result<(), SharesError> {
    getrandom::fill(out).map_err(|_| SharesError::Random)
}

pub(super) fn nonce() -> Result<Nonce, SharesError> {
    let mut bytes = [0; 12];
    random(&mut bytes).map(|()| Nonce(bytes))
}

impl ShareStore {
    /// Finds the table in force, by the roots that were read.
    ///
    /// # Errors
    /// [`SharesError`]: nothing is concluded, and it is to be tried again.
    pub(super) fn judged(
        paths: &Paths,
        sets: Vec<Slots>,
        has_vaults: impl FnOnce() -> Result<bool, CryptError>,
    ) -> Result<Judged, SharesError> {
        sweep(paths)?;
        let unread: Cell<Option<(Generation, SharesError)>> = Cell::new(None);
        let open = |generation, key: &_| match newest_of_all(paths, generation, key) {
            Ok(read) => read.map(|(table, _)| table),
            Err(error) => {
                let newest = unread.take().filter(|(of, _)| *of > generation);
                unread.set(newest.or(Some((generation, error))));
                None
            }
        };
        let judged = judge(&sets, open, has_vaults)?;
        // What is judged without it would take an older one, or none, for the newest, and what that lacks for lost.
        let is_above = |unread| matches!(&judged, Generations::InForce(keys, ..) if keys.generation > unread);
        if let Some((of, error)) = unread.into_inner().filter(|(generation, _)| !is_above(*generation)) {
            return match sets.iter().find(|set| set.generation == of).and_then(keys) {
                Some(keys) => Ok(Judged::Unread(Box::new(keys), error)),
                None => Err(error),
            };
        }
        Ok(match judged {
            Generations::InForce(keys, table, roots) => {
                let taken = !heal(paths, &keys);
                let left = change::left(paths, &table, &roots);
                Judged::There(Box::new(Self { left, taken, ..Self::open(keys, table) }))
            }
            Generations::Lost(Lost { keys, undefine, keep }) => {
                let gone = if keys.is_none() { gone_t(&sets) } else { None };
                Judged::There(Box::new(Self { keys, undefine, keep, gone, ..Self::default() }))
            }
            Generations::Begin(undefine) => {
                Judged::Begin(Beginning { undefine, table: Table::new(Generation::FIRST) })
            }
        })
    }

    /// What was read, after what was at hand. A table that was in force is not lost by a newer one that came and went: it is written anew.
    pub(super) fn after(self, before: Self) -> Self {
        if !self.is_open() && before.is_in_force() && before.is_of_roots_of(&self) {
            return Self { overtaken: false, ..before };
        }
        self.keeping_root_of(before)
    }

    /// Of the same generation, a root bound to PCRs that came back from escrow while the TPM was asked is at hand still.
    fn keeping_root_of(mut self, before: Self) -> Self {
        if before.rescued
            && let (Some(own), Some(was)) = (&mut self.keys, before.keys)
            && own.generation == was.generation
            && own.pcrs.is_err()
        {
            (own.pcrs, self.rescued) = (was.pcrs, true);
        }
        self
    }

    pub(super) fn open(keys: RootKeys, table: Table) -> Self {
        Self { keys: Some(keys), table: Some(table), ..Self::default() }
    }

    /// Whether the table is open.
    pub(crate) fn is_open(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the table is what this node goes by: one that came back from escrow is only once the TPM has told.
    pub(super) fn is_in_force(&self) -> bool {
        self.is_open() && !self.is_lent()
    }

    /// Whether it is used on while the one on the disk can't be read.
    pub(super) fn stays_at_hand(&self) -> bool {
        self.is_in_force() || self.stands_in
    }

    /// Whether the table is of the very roots that `read` is of.
    fn is_of_roots_of(&self, read: &Self) -> bool {
        let (Some(table), Some(own), Some(read)) = (&self.table, &self.keys, &read.keys) else {
            return false;
        };
        own.generation == read.generation && Table::decode(&table.encode(&own.table), &read.table).is_ok()
    }

    /// The node's TPM, as plans see it.
    pub(crate) fn tpm(&self) -> TpmSeen {
        let table = if self.table.is_some() { TableSeen::Open } else { TableSeen::Lost };
        TpmSeen::Present { table, pcrs: self.keys.as_ref().is_some_and(|keys| keys.pcrs.is_ok()) }
    }

    /// Why the root that is bound to PCRs is not at hand, while it is not.
    pub(crate) fn without_pcrs(&self) -> Option<&NoPcrs> {
        self.keys.as_ref()?.pcrs.as_ref().err()
    }

    /// Takes the root that is bound to PCRs, which was lacking, from another reading. Says whether it is at hand by that; one that came back from
    /// escrow meanwhile stays.
    pub(super) fn take_pcrs(&mut self, read: &[Slots]) -> bool {
        self.keys.as_mut().filter(|keys| keys.pcrs.is_err()).is_some_and(|keys| keys.take_pcrs(read))
    }

    /// An errand is out that changes roots, or tells which are there; or the table is not the one on the disk. It stays as it is.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent || self.stands_in
    }

    /// The table in escrow stands in for the one on the disk.
    pub(crate) fn stands_in(&self) -> bool {
        self.stands_in
    }

    /// One that does.
    pub(super) fn standing_in(keys: RootKeys, table: Table) -> Self {
        Self { stands_in: true, ..Self::open(keys, table) }
    }

    /// The vault's lines in the table.
    pub(crate) fn seen(&self, vault: VaultId) -> BySeal<Option<Mark>> {
        let entry = |seal| self.table.as_ref()?.entry(vault, seal);
        BySeal::each(|seal| entry(seal).map(ShareEntry::mark))
    }

    /// Whether the vault's shares can be used now.
    pub(crate) fn keys(&self, vault: VaultId) -> BySeal<ShareKey> {
        BySeal::each(|seal| match self.opens(vault, seal) {
            Ok(()) => ShareKey::Open,
            Err(SharesError::NoRoot) => ShareKey::Closed,
            // The one on the disk may have it.
            Err(SharesError::Open(OpenError::Absent)) if self.stands_in => ShareKey::Closed,
            Err(SharesError::Open(OpenError::Absent)) => ShareKey::Nothing,
            Err(_) => ShareKey::Damaged,
        })
    }

    /// Opens the vault's share under one TPM policy.
    pub(crate) fn share(&self, vault: VaultId, seal: Seal) -> Result<TpmShare, SharesError> {
        Ok(self.table_with(vault, seal)?.open(vault, self.vsk(seal)?)?)
    }

    fn opens(&self, vault: VaultId, seal: Seal) -> Result<(), SharesError> {
        let table = self.table_with(vault, seal)?;
        Ok(self.vsk(seal)?.opens(table, vault)?)
    }

    /// The table, where the vault has a share in it.
    fn table_with(&self, vault: VaultId, seal: Seal) -> Result<&Table, OpenError> {
        let there = |table: &&Table| table.entry(vault, seal).is_some_and(|entry| entry.mark() != Mark::Lost);
        self.table.as_ref().filter(there).ok_or(OpenError::Absent)
    }

    /// Whether a share of the vault's was dropped and is not dead yet.
    pub(crate) fn dropped(&self, vault: VaultId) -> Dropped {
        match &self.table {
            Some(table) if self.left.is_empty() => table.dropped(vault),
            Some(table) => table.dropped(vault).max(Dropped::Perhaps),
            None => Dropped::Perhaps,
        }
    }

    /// What is to go of generations, as plans see it.
    pub(crate) fn past(&self, setback: bool) -> Past {
        let dropped = self.table.as_ref().is_some_and(Table::has_dropped);
        let (rescued, next) = (self.rescued, self.how_far());
        Past { dropped, others: !self.left.is_empty(), rescued, setback, next, ..Past::NOTHING }
    }

    /// The generation in force, while its table is open.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.table.as_ref().map(Table::generation)
    }

    /// All vaults with a line; one with two comes twice.
    pub(crate) fn vaults(&self) -> Vec<VaultId> {
        self.table.iter().flat_map(Table::vaults).collect()
    }

    /// The controller's pinned root.
    pub(crate) fn pin(&self) -> Option<RootPin> {
        self.table.as_ref().and_then(Table::pin)
    }

    /// Pins the controller's root.
    pub(crate) fn set_pin(&mut self, paths: &Paths, pin: RootPin) -> Result<(), SharesError> {
        self.change(paths, |table, _| {
            table.set_pin(pin);
            Ok(())
        })
    }

    /// The vaults that the controller ordered locked.
    pub(crate) fn locked(&self) -> BTreeSet<VaultId> {
        let table = self.table.iter();
        table.flat_map(|table| table.vaults().filter(|id| table.is_locked(*id))).collect()
    }

    /// Writes down what it ordered, where that is new.
    pub(crate) fn set_locked(
        &mut self,
        paths: &Paths,
        vault: VaultId,
        locked: bool,
    ) -> Result<(), SharesError> {
        let is_new = self.table.clone().is_some_and(|mut table| table.set_locked(vault, locked));
        let set = |table: &mut Table, _: &RootKeys| {
            table.set_locked(vault, locked);
            Ok(())
        };
        if is_new { self.change(paths, set) } else { Ok(()) }
    }

    /// Seals a fresh random share for each, all in one writing of the table, or none.
    pub(crate) fn make(&mut self, paths: &Paths, each: &[(VaultId, Seal, Mark)]) -> Result<(), SharesError> {
        self.change(paths, |table, keys| each.iter().try_for_each(|one| add_fresh(table, keys, *one)))
    }

    /// Marks vaults as made, all in one writing of the table, or none.
    pub(crate) fn mark_made(&mut self, paths: &Paths, vaults: &[VaultId]) -> Result<(), SharesError> {
        self.change(paths, |table, _| {
            if vaults.iter().all(|vault| table.mark_made(*vault)) {
                Ok(())
            } else {
                Err(OpenError::Absent.into())
            }
        })
    }

    /// Drops the vault's share under one TPM policy.
    pub(crate) fn remove(&mut self, paths: &Paths, vault: VaultId, seal: Seal) -> Result<(), SharesError> {
        self.change(paths, |table, _| {
            table.remove(vault, seal);
            Ok(())
        })
    }

    fn vsk(&self, seal: Seal) -> Result<&TriedVsk, SharesError> {
        vsk(self.keys.as_ref().ok_or(SharesError::NoRoot)?, seal)
    }

    /// What is another TPM's is put aside before anything is written where it stands.
    pub(super) fn clear_its_place(&mut self, paths: &Paths) -> Result<(), SharesError> {
        if let (true, Some(generation)) = (self.taken, self.generation()) {
            keep_aside(paths, generation)?;
            self.taken = false;
        }
        Ok(())
    }

    /// What lies on the disk is to be read anew: it may be newer than what is known here.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.overtaken || self.stands_in
    }

    /// Whoever else wrote the table knew shares that are not known here: written over they would be lost.
    pub(super) fn check_newest(&mut self, paths: &Paths) -> Result<(), SharesError> {
        let (Some(keys), Some(table)) = (&self.keys, &self.table) else { return Err(SharesError::NoRoot) };
        let known = table.edition();
        let there = in_place(paths, keys.generation, &keys.table).map(|(table, _)| table.edition());
        match there.filter(|there| *there > known) {
            Some(there) => {
                self.overtaken = true;
                Err(SharesError::Overtaken { there, known })
            }
            None => Ok(()),
        }
    }

    pub(super) fn change(
        &mut self,
        paths: &Paths,
        change: impl FnOnce(&mut Table, &RootKeys) -> Result<(), SharesError>,
    ) -> Result<(), SharesError> {
        if self.stands_in {
            return Err(SharesError::StandsIn);
        }
        if self.lent {
            return Err(SharesError::Lent);
        }
        if !self.left.roots.is_empty() {
            return Err(SharesError::Leftovers);
        }
        self.clear_its_place(paths)?;
        self.check_newest(paths)?;
        let (Some(keys), Some(table)) = (&self.keys, &self.table) else { return Err(SharesError::NoRoot) };
        let mut changed = table.clone();
        change(&mut changed, keys)?;
        let written = write(paths, &mut changed, keys);
        match &written {
            Ok(()) => (self.table, self.half_written) = (Some(changed), None),
            // Perhaps one place has it: what is written next must be newer than that.
            Err(_) => {
                self.half_written.get_or_insert_default();
                self.table.iter_mut().for_each(|table| table.follow(changed.edition()));
            }
        }
        written
    }
}

/// The node, as plans see it, at no time in particular, with its disk in place; without a TPM there are no shares.
pub(crate) fn node(shares: Option<&ShareStore>, absent: bool, measured: bool, setback: bool) -> Node {
    let tpm = match (shares, absent) {
        (Some(shares), _) => shares.tpm(),
        (None, true) => TpmSeen::Absent,
        (None, false) => TpmSeen::Unknown,
    };
    let past = shares.map_or(Past::NOTHING, |shares| shares.past(setback));
    let (escrow, since_boot) = (Escrow::Nothing, SinceBoot::default());
    let table_lent = shares.is_some_and(ShareStore::is_lent);
    Node { tpm, measured, past, escrow, since_boot, disk_went: false, table_lent }
}

fn add_fresh(
    table: &mut Table,
    keys: &RootKeys,
    (vault, seal, mark): (VaultId, Seal, Mark),
) -> Result<(), SharesError> {
    let share = TpmShare::init(random)?;
    Ok(table.add(vault, mark, vsk(keys, seal)?, &share, nonce()?)?)
}

fn vsk(keys: &RootKeys, seal: Seal) -> Result<&TriedVsk, SharesError> {
    match seal {
        Seal::Tpm => Ok(&keys.tpm),
        Seal::Pcrs => keys.pcrs.as_ref().map_err(|_| SharesError::NoRoot),
    }
}
