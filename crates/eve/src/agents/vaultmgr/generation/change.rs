//! The end of a generation, so that what was dropped from its table is dead in every copy of the disk, and what a change that was cut short leaves.
//!
//! The order: both copies of the next table, durable; the next roots in the TPM, written and read back; the roots of before undefined; their table
//! overwritten and unlinked. Before the second of these the old generation is in force, and after it the new one, whole (a start that reads the old `P` and not the new one goes back: `vault::generations`): until the old roots are gone
//! the new table is not changed (`ShareStore::change` refuses). A TPM without room for the next roots is found out before anything is begun; one that
//! does not take them costs the attempt, and nothing else.
//!
//! Where a bundle may be in escrow the next generation is made in memory first, and begins when the controller holds its bundle
//! (`generation/upcoming.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use attest::SessionKey;
use fscrypt::scrub;
use vault::ids::Generation;
use vault::shares::{RootPin, Table};

use crate::agents::vaultmgr::generation::files::{folders, in_place, keep_aside, usable_folders, write};
use crate::agents::vaultmgr::generation::roots::{Beside, RootKeys, SlotContent, Tpmmgr};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::generation::upcoming::Made;
use crate::agents::vaultmgr::paths::Paths;
use crate::bus::messages::TpmRoom;

/// What is left of generations that ended, or that never came into force.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// Their roots are in the TPM.
    pub(super) roots: Vec<Generation>,
    /// Their tables lie on the disk, and are this TPM's.
    pub(super) files: Vec<Generation>,
    /// Files stand where such a table would, and do not open under roots of this TPM: another's, perhaps. They are kept aside.
    pub(super) strange: Vec<Generation>,
}

impl Left {
    fn of(generation: Generation) -> Self {
        Self { roots: vec![generation], files: vec![generation], strange: Vec::new() }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.files.is_empty() && self.strange.is_empty()
    }

    /// Takes it away: roots first, for with them nothing opens that the files hold.
    pub(super) fn drop(&mut self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Result<(), SharesError> {
        for generation in self.roots.clone() {
            tpmmgr.undefine_roots(generation)?;
            self.roots.retain(|left| *left != generation);
        }
        for generation in self.files.clone() {
            wipe(paths, generation)?;
            self.files.retain(|left| *left != generation);
        }
        for generation in self.strange.clone() {
            keep_aside(paths, generation)?;
            self.strange.retain(|left| *left != generation);
        }
        Ok(())
    }
}

impl ShareStore {
    /// Pins another controller's root; one writing of the table says too that the generation is to end, whose bundle the one before may keep.
    pub(crate) fn change_controller(&mut self, paths: &Paths, pin: RootPin) -> Result<(), SharesError> {
        self.change(paths, |table, _| {
            table.change_controller(pin);
            Ok(())
        })?;
        self.upcoming = None;
        Ok(())
    }

    /// The errand that ends the generation in force, in this session. While it is out the table is not changed.
    pub(crate) fn next_generation(
        &mut self,
        paths: &Paths,
        session: SessionKey,
    ) -> Result<Change, SharesError> {
        self.clear_its_place(paths)?;
        self.check_newest(paths)?;
        let before = self.generation().ok_or(SharesError::NoRoot)?;
        let is_known = |keys: &&RootKeys| keys.pcrs.is_ok() && !self.rescued;
        let known = self.keys.as_ref().filter(is_known).map(|keys| keys.generation);
        let boot = known.map_or(Boot::Shown(session), Boot::OfRoot);
        let made = match self.upcoming.clone().filter(|made| self.is_next(made)) {
            Some(made) => made,
            None => Arc::new(self.make_upcoming()?),
        };
        self.lent = true;
        Ok(Change { before, boot, made })
    }

    /// Takes up what came of it. After an error the old generation or the new one is in force, whole, and what is left of the other is known.
    pub(super) fn take_changed(&mut self, changed: Changed) -> Result<(), SharesError> {
        self.lent = false;
        match changed {
            Changed::NotBegun(error) => Err(error),
            Changed::TakenBack { made, left, error } => {
                (self.upcoming, self.left) = (Some(made), left);
                Err(SharesError::NotChanged(Box::new(error)))
            }
            Changed::InForce { made, table, left, dropped } => {
                (self.upcoming, self.rescued) = (None, false);
                self.keys = Some(RootKeys::of(made.keys.generation, &made.tpm, Ok(&made.pcrs)));
                (self.table, self.left) = (Some(*table), left);
                dropped
            }
        }
    }

    /// The errand that takes away what is left of other generations.
    pub(crate) fn lend_left(&mut self) -> Left {
        self.lent = true;
        self.left.clone()
    }

    /// Takes up what is left after it.
    pub(super) fn take_left(&mut self, left: &Left) {
        (self.left, self.lent) = (left.clone(), false);
    }
}

/// The end of a generation, with all that it needs.
#[derive(Debug)]
pub(crate) struct Change {
    before: Generation,
    boot: Boot,
    made: Arc<Made>,
}

/// Which boot the next `P` may be bound to.
#[derive(Debug, Clone, Copy)]
enum Boot {
    /// The one that this generation's `P` is bound to: it has to read, before and after.
    OfRoot(Generation),
    /// The one that this session's evidence showed, and that was approved by it: what was in force is of another.
    Shown(SessionKey),
}

impl Boot {
    fn as_shown(self) -> Option<SessionKey> {
        match self {
            Self::OfRoot(_) => None,
            Self::Shown(session) => Some(session),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Changed {
    /// All is as it was.
    NotBegun(SharesError),
    /// The generation before is in force; this is left of the next one.
    TakenBack { made: Arc<Made>, left: Left, error: SharesError },
    /// The next one is in force; this is left of the one before, and why.
    InForce { made: Arc<Made>, table: Box<Table>, left: Left, dropped: Result<(), SharesError> },
}

impl Change {
    pub(super) fn run(self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Changed {
        if let Err(error) = self.make_way(paths, tpmmgr) {
            return Changed::NotBegun(error);
        }
        match self.put_in_force(paths, tpmmgr) {
            Ok(table) => {
                let mut left = Left::of(self.before);
                let dropped = left.drop(paths, tpmmgr);
                Changed::InForce { made: self.made, table: Box::new(table), left, dropped }
            }
            Err(error) => {
                // A TPM that did not answer may have defined all the same, so this may fail too, and is tried again.
                let mut left = Left::of(self.made.keys.generation);
                if let Err(error) = left.drop(paths, tpmmgr) {
                    tracing::warn!("{}", crate::agents::vaultmgr::chain(&error));
                }
                Changed::TakenBack { made: self.made, left, error }
            }
        }
    }

    fn make_way(&self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Result<(), SharesError> {
        let may = self.same_boot(tpmmgr).and_then(|()| has_room(tpmmgr, self.boot));
        may.map_err(|error| SharesError::NotChanged(Box::new(error)))?;
        if on_disk(paths).contains(&self.made.keys.generation) {
            // Of a change that was cut short before its roots were in the TPM, or another TPM's: nobody can tell.
            keep_aside(paths, self.made.keys.generation)?;
        }
        Ok(())
    }

    fn put_in_force(&self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Result<Table, SharesError> {
        let mut next = self.made.table.clone();
        write(paths, &mut next, &self.made.keys)?;
        let Made { keys, tpm, pcrs, .. } = &*self.made;
        tpmmgr.define_roots(keys.generation, tpm, pcrs, self.boot.as_shown())?;
        self.same_boot(tpmmgr).map(|()| next)
    }

    /// The next `P_g` is bound to the PCRs of now. They have to be those that the one in force is bound to, or the next boot, which is measured as
    /// this one was, would be shut out: so that one is read before and after, for PCRs only ever move away within a boot. Where that one is of
    /// another boot, tpmmgr holds the PCRs of now against what it quoted.
    fn same_boot(&self, tpmmgr: &mut dyn Tpmmgr) -> Result<(), SharesError> {
        let Boot::OfRoot(bound) = self.boot else { return Ok(()) };
        let slots = tpmmgr.read_roots()?;
        let own = slots.iter().find(|slots| slots.generation == bound);
        let reads = own.is_some_and(|slots| matches!(slots.pcrs, SlotContent::Root(_)));
        if reads { Ok(()) } else { Err(SharesError::Extended) }
    }
}

/// A TPM that is full is found out before anything is written, here or there.
fn has_room(tpmmgr: &mut dyn Tpmmgr, boot: Boot) -> Result<(), SharesError> {
    match tpmmgr.room(boot.as_shown())? {
        TpmRoom::Enough => Ok(()),
        TpmRoom::Full { fit, wanted } => Err(SharesError::NvFull { fit, wanted }),
        TpmRoom::Taken { foreign } => Err(SharesError::NvTaken(foreign)),
    }
}

/// Overwrites and unlinks a generation's table in both places.
fn wipe(paths: &Paths, generation: Generation) -> Result<(), disk::Error> {
    let (name, folders) = (Paths::table_name(generation), folders(paths)?);
    let retired = folders.iter().map(|folder| folder.retire(&name));
    scrub::scrub(retired.collect::<Result<Vec<_>, _>>()?).map(drop)
}

/// The generations that a table lies on the disk of, in either place.
pub(super) fn on_disk(paths: &Paths) -> BTreeSet<Generation> {
    let names = |folder: disk::Folder| folder.names().unwrap_or_default();
    let names = usable_folders(paths).into_iter().flatten().flat_map(names);
    names.filter_map(|name| generation_of(&name)).collect()
}

/// Files kept aside have longer names.
fn generation_of(name: &str) -> Option<Generation> {
    let generation = Generation(name.strip_prefix("shares.")?.parse().ok()?);
    (Paths::table_name(generation) == name).then_some(generation)
}

/// Tables that stand where a change leaves some: beside the one in force the one that it took all of, and one of roots that are left in the TPM.
/// Those go that open under roots of this TPM. Others may belong to another TPM, or to this one as it was before it was rolled back, and stay.
pub(super) fn left(paths: &Paths, in_force: &Table, beside: &[Beside]) -> Left {
    let generation = in_force.generation();
    let is_root = |other: &Generation| beside.iter().any(|root| root.generation == *other);
    let before = |other: &Generation| in_force.follows() && other.after() == Some(generation);
    let named = |other: &Generation| is_root(other) && *other > generation || before(other);
    let opens = |other: &Generation| {
        let mut keys =
            beside.iter().filter(|root| root.generation == *other).filter_map(|root| root.key.as_ref());
        keys.any(|key| in_place(paths, *other, key).is_some())
    };
    let (files, strange) = on_disk(paths).into_iter().filter(named).partition(opens);
    Left { roots: beside.iter().map(|root| root.generation).collect(), files, strange }
}
