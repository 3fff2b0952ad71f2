//! The end of a generation, so that what was dropped from its table is dead in every copy of the disk, and what a change that was cut short leaves.
//!
//! The order: both copies of the next table, durable; the next roots in the TPM, written and read back; the roots of before undefined; their table
//! overwritten and unlinked. Before the second of these the old generation is in force, and after it the new one, whole: until the old roots are gone
//! the new table is not changed (`ShareStore::change` refuses). A TPM that does not take the next roots costs the attempt, and nothing else.
//!
//! Where a bundle may be in escrow the next generation is made in memory first, and begins when the controller holds its bundle
//! (`generation/upcoming.rs`).

use std::collections::BTreeSet;

use fscrypt::scrub;
use vault::ids::Generation;
use vault::shares::{RootPin, Table};

use crate::agents::vaultmgr::generation::files::{folders, in_place, keep_aside, write};
use crate::agents::vaultmgr::generation::roots::{Beside, RootKeys, SlotContent, Tpmmgr};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::paths::Paths;

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
}

impl ShareStore {
    /// Pins another controller's root; one writing of the table says too that the generation is to end, whose bundle the one before may keep.
    pub(crate) fn change_controller(&mut self, paths: &Paths, pin: RootPin) -> Result<(), SharesError> {
        self.upcoming = None;
        self.change(paths, |table, _| {
            table.change_controller(pin);
            Ok(())
        })
    }

    /// Ends the generation in force. After an error the old one or the new one is in force, whole, and what is left of the other is known.
    pub(crate) fn next_generation(
        &mut self,
        paths: &Paths,
        tpmmgr: &mut dyn Tpmmgr,
    ) -> Result<(), SharesError> {
        let before = self.generation().ok_or(SharesError::NoRoot)?;
        self.clear_its_place(paths)?;
        self.same_boot(tpmmgr).map_err(|error| SharesError::NotChanged(Box::new(error)))?;
        let made = match self.upcoming.take().filter(|made| self.is_next(made)) {
            Some(made) => made,
            None => Box::new(self.make_upcoming()?),
        };
        let (generation, mut next) = (made.keys.generation, made.table.clone());
        if on_disk(paths).contains(&generation) {
            // Of a change that was cut short before its roots were in the TPM, or another TPM's: nobody can tell.
            keep_aside(paths, generation)?;
        }
        let ready = write(paths, &mut next, &made.keys)
            .and_then(|()| Ok(tpmmgr.define_roots(generation, &made.tpm, &made.pcrs)?))
            .and_then(|()| self.same_boot(tpmmgr));
        if let Err(error) = ready {
            self.upcoming = Some(made);
            return Err(self.take_back(paths, tpmmgr, generation, error));
        }
        let new = made.keys;
        self.rescued = false;
        (self.keys, self.table, self.left) = (Some(new), Some(next), Left::of(before));
        self.drop_left(paths, tpmmgr)
    }

    /// The next `P_g` is bound to the PCRs of now. They have to be those that the one in force is bound to, or the next boot, which is measured as
    /// this one was, would be shut out: so that one is read before and after, for PCRs only ever move away within a boot.
    fn same_boot(&self, tpmmgr: &mut dyn Tpmmgr) -> Result<(), SharesError> {
        let is_known = |keys: &&RootKeys| keys.pcrs.is_ok() && !self.rescued;
        let Some(keys) = self.keys.as_ref().filter(is_known) else { return Ok(()) };
        let slots = tpmmgr.read_roots()?;
        let own = slots.iter().find(|slots| slots.generation == keys.generation);
        let reads = own.is_some_and(|slots| matches!(slots.pcrs, SlotContent::Root(_)));
        if reads { Ok(()) } else { Err(SharesError::Extended) }
    }

    /// An attempt that failed. A TPM that did not answer may have defined all the same, so this may fail too, and is tried again.
    fn take_back(
        &mut self,
        paths: &Paths,
        tpmmgr: &mut dyn Tpmmgr,
        generation: Generation,
        error: SharesError,
    ) -> SharesError {
        self.left = Left::of(generation);
        if let Err(error) = self.drop_left(paths, tpmmgr) {
            tracing::warn!("{}", crate::agents::vaultmgr::chain(&error));
        }
        SharesError::NotChanged(Box::new(error))
    }

    /// Takes away what is left of other generations: roots first, for with them nothing opens that the files hold.
    pub(crate) fn drop_left(&mut self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Result<(), SharesError> {
        for generation in self.left.roots.clone() {
            tpmmgr.undefine_roots(generation)?;
            self.left.roots.retain(|left| *left != generation);
        }
        for generation in self.left.files.clone() {
            wipe(paths, generation)?;
            self.left.files.retain(|left| *left != generation);
        }
        for generation in self.left.strange.clone() {
            keep_aside(paths, generation)?;
            self.left.strange.retain(|left| *left != generation);
        }
        Ok(())
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
    let names = folders(paths).into_iter().flatten().flat_map(names);
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
