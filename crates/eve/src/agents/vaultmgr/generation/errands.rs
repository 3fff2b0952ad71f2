//! What is asked of the TPM. A TPM may take seconds for it, or be silent, and no lock waits for that: so an errand takes along all that it
//! needs, is run where nobody waits, and nothing here changes what is known. What came of it is taken up by the thread that decides
//! (`generation/desk.rs`). In the order of its own steps on disk and TPM an errand is whole: one is out at a time.

use vault::ids::Generation;
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;
use vault::shares::Table;

use crate::agents::vaultmgr::generation::change::{Change, Changed, Left};
use crate::agents::vaultmgr::generation::files::write;
use crate::agents::vaultmgr::generation::roots::{RootKeys, Slots, Tpmmgr, TpmmgrError};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError, random};
use crate::agents::vaultmgr::paths::Paths;

/// One errand.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Read all roots, to find the share table in force.
    Roots,
    /// Read them for the one that is bound to PCRs alone.
    Pcrs,
    /// Begin a table and its roots.
    Begin(Beginning),
    /// End the generation in force.
    Change(Change),
    /// Take away what is left of others.
    Drop(Left),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Brought {
    Roots(Result<Vec<Slots>, TpmmgrError>),
    Pcrs(Result<Vec<Slots>, TpmmgrError>),
    Begun(Result<Box<ShareStore>, SharesError>),
    Changed(Changed),
    /// What is left still.
    Dropped(Left, Result<(), SharesError>),
}

impl Errand {
    pub(crate) fn run(self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Brought {
        match self {
            Self::Roots => Brought::Roots(tpmmgr.read_roots()),
            Self::Pcrs => Brought::Pcrs(tpmmgr.read_roots()),
            Self::Begin(beginning) => Brought::Begun(beginning.run(paths, tpmmgr).map(Box::new)),
            Self::Change(change) => Brought::Changed(change.run(paths, tpmmgr)),
            Self::Drop(mut left) => {
                let dropped = left.drop(paths, tpmmgr);
                Brought::Dropped(left, dropped)
            }
        }
    }
}

/// A table that is begun, and the generations whose roots go before that.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(super) undefine: Vec<Generation>,
    pub(super) table: Table,
}

impl Beginning {
    /// The table first, then the roots: roots without a table would say that one was lost.
    fn run(self, paths: &Paths, tpmmgr: &mut dyn Tpmmgr) -> Result<ShareStore, SharesError> {
        self.undefine.iter().try_for_each(|generation| tpmmgr.undefine_roots(*generation))?;
        let mut table = self.table;
        let (tpm, pcrs) = (TpmRoot(RootSecret::init(random)?), PcrsRoot(RootSecret::init(random)?));
        let keys = RootKeys::of(table.generation(), &tpm, Ok(&pcrs));
        write(paths, &mut table, &keys)?;
        tpmmgr.define_roots(table.generation(), &tpm, &pcrs, None)?;
        Ok(ShareStore::open(keys, table))
    }
}
