//! From what the TPM's NV and the disk hold at start to the share table in force. The judgement is pure; tpmmgr and the disk are
//! asked through a trait and a closure. Roots and tables are written only when nothing that was made could hang on others.

#[cfg(test)]
mod tests;

use vault::ids::Generation;
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::{EscrowKey, RootSecret, TableKey};
use vault::shares::Table;

use crate::agents::vaultmgr::generation::tried::TriedVsk;
use crate::bus::BusError;
use crate::bus::messages::{TpmFault, TpmRefusal, TpmRoom};

/// One NV slot, as tpmmgr read it.
#[derive(Debug)]
pub(crate) enum SlotContent {
    /// Its root.
    Root(RootSecret),
    /// Not defined.
    Absent,
    /// Defined, never written: a definition cut short.
    Unwritten,
    /// Written, and readable under other PCRs only: those named differ, none when that is not known.
    PcrsMoved(Vec<u8>),
    /// Written; PCRs, whichever, were extended all the time while it was to be read.
    Unsteady,
    /// Written, and not what we write.
    Damaged,
}

impl SlotContent {
    fn is_written(&self) -> bool {
        matches!(self, Self::Root(_) | Self::PcrsMoved(_) | Self::Unsteady | Self::Damaged)
    }
}

/// Whether any generation is written whole: then its share table was durable before it.
pub(crate) fn any_written(sets: &[Slots]) -> bool {
    sets.iter().any(Slots::is_written)
}

/// The two slots of one generation.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Which generation they say they are.
    pub(crate) generation: Generation,
    /// `T_g`.
    pub(crate) tpm: SlotContent,
    /// `P_g`.
    pub(crate) pcrs: SlotContent,
}

impl Slots {
    fn is_written(&self) -> bool {
        self.tpm.is_written() && self.pcrs.is_written()
    }
}

/// tpmmgr would not or could not.
#[derive(Debug, thiserror::Error)]
#[error("tpmmgr")]
pub(crate) enum TpmmgrError {
    /// It was not heard.
    Bus(#[source] BusError),
    /// It was, and says why.
    Refused(#[source] TpmRefusal),
}

impl TpmmgrError {
    /// Whether it passes by itself, and costs the TPM nothing when it is tried again soon.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Bus(_) | Self::Refused(TpmRefusal::Failed { fault: TpmFault::Silent, .. }) => true,
            Self::Refused(_) => false,
        }
    }
}

/// What is asked of tpmmgr.
pub(crate) trait Tpmmgr {
    /// Reads all slots of ours.
    fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError>;
    /// Whether both slots of another generation fit beside those that are there.
    fn room(&mut self) -> Result<TpmRoom, TpmmgrError>;
    /// Defines, writes and reads back both slots of a generation.
    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
    ) -> Result<(), TpmmgrError>;
    /// Undefines them.
    fn undefine_roots(&mut self, generation: Generation) -> Result<(), TpmmgrError>;
}

/// The keys that follow from one generation's roots.
#[derive(Debug)]
pub(crate) struct RootKeys {
    /// Which generation.
    pub(crate) generation: Generation,
    /// Authenticates the table.
    pub(crate) table: TableKey,
    /// VSK(tpm).
    pub(crate) tpm: TriedVsk,
    /// VSK(pcrs), when `P_g` could be read.
    pub(crate) pcrs: Result<TriedVsk, NoPcrs>,
    /// `W_g`.
    pub(crate) escrow: EscrowKey,
}

/// Why `P_g` is not at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPcrs {
    /// This boot is another one.
    #[error("{}", differ(.0))]
    Moved(Vec<u8>),
    /// It is not known which boot this is.
    #[error(
        "PCRs were extended all the time while it was read; it is read again soon, and at once by `eve vault unlock`"
    )]
    Unsteady,
    /// There is none, or a damaged one.
    #[error("there is none in the TPM that could be read")]
    Unreadable,
}

fn differ(pcrs: &[u8]) -> String {
    match pcrs {
        [] => "this boot measures differently; which PCRs differ is not known".to_owned(),
        pcrs => {
            let list: Vec<String> = pcrs.iter().map(u8::to_string).collect();
            format!("this boot measures differently in PCR {}", list.join(", "))
        }
    }
}

impl RootKeys {
    pub(crate) fn of(generation: Generation, tpm: &TpmRoot, pcrs: Result<&PcrsRoot, NoPcrs>) -> Self {
        let (table, escrow) = (tpm.table_key(), tpm.escrow_key());
        let pcrs = pcrs.map(|root| root.vsk().into());
        Self { generation, table, tpm: tpm.vsk().into(), pcrs, escrow }
    }

    /// Takes `P_g` from a later reading of the same generation. Says whether it is at hand now.
    pub(crate) fn take_pcrs(&mut self, read: &[Slots]) -> bool {
        if let Some(set) = read.iter().find(|set| set.generation == self.generation) {
            self.pcrs = pcrs_root(&set.pcrs).map(|root| root.vsk().into());
        }
        self.pcrs.is_ok()
    }
}

/// What to make of NV and disk.
#[derive(Debug)]
pub(crate) enum Generations {
    /// This generation is in force; the roots of these are left of a change that was cut short, and go.
    InForce(RootKeys, Table, Vec<Beside>),
    /// Slots are written, or vaults are there, and no table opens.
    Lost(Lost),
    /// Nothing was ever made: undefine these, and begin.
    Begin(Vec<Generation>),
}

/// Roots beside those in force.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Their generation.
    pub(crate) generation: Generation,
    /// What their table opens under, where that can be read.
    pub(crate) key: Option<TableKey>,
}

/// What there is to begin anew from, by order.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// The keys of the newest complete generation that reads.
    pub(crate) keys: Option<RootKeys>,
    /// Cut short before anything hung on them: they may go.
    pub(crate) undefine: Vec<Generation>,
    /// Incomplete, and shares hang on what is left: they stay, and their slots are taken.
    pub(crate) keep: Vec<Generation>,
}

impl Lost {
    fn add(&mut self, set: &Slots, open: impl Fn(Generation, &TableKey) -> Option<Table>) {
        let (generation, written) = (set.generation, set.pcrs.is_written());
        match (keys(set), written) {
            (Some(keys), true) => self.keys = self.keys.take().or(Some(keys)),
            (Some(keys), false) => match open(generation, &keys.table) {
                Some(table) if table.is_barren() => self.undefine.push(generation),
                _ => self.keep.push(generation),
            },
            (None, true) => self.keep.push(generation),
            (None, false) => self.undefine.push(generation),
        }
    }
}

/// Judges. `open` reads and authenticates the table of a generation; `has_vaults`: any vault or metadata is on the disk.
///
/// In force is the highest generation whose `T` reads, whose table authenticates under it, and whose `P` is written.
///
/// # Errors
/// It hangs on `has_vaults`, and that is not known.
pub(crate) fn judge<E>(
    mut sets: Vec<Slots>,
    open: impl Fn(Generation, &TableKey) -> Option<Table>,
    has_vaults: impl FnOnce() -> Result<bool, E>,
) -> Result<Generations, E> {
    sets.sort_by_key(|set| std::cmp::Reverse(set.generation));
    let complete = any_written(&sets);
    let generations = sets.iter().map(|set| set.generation).collect();
    if let Some((keys, table)) = sets.iter().find_map(|set| in_force(set, &open)) {
        let left = sets.iter().filter(|set| is_left(set, &table)).map(beside).collect();
        return Ok(Generations::InForce(keys, table, left));
    }
    if !complete && !has_vaults()? {
        return Ok(Generations::Begin(generations));
    }
    let mut lost = Lost::default();
    sets.iter().for_each(|set| lost.add(set, &open));
    Ok(Generations::Lost(lost))
}

fn beside(set: &Slots) -> Beside {
    Beside { generation: set.generation, key: keys(set).map(|keys| keys.table) }
}

fn in_force(set: &Slots, open: impl Fn(Generation, &TableKey) -> Option<Table>) -> Option<(RootKeys, Table)> {
    let keys = keys(set).filter(|_| set.pcrs.is_written())?;
    let table = open(keys.generation, &keys.table)?;
    Some((keys, table))
}

/// Whether roots beside those in force are of a change of generation that was cut short. A table that was made by a change has all that
/// the one before had, and nothing but a next change puts roots beside its own. Beside a table that was begun others may be kept, which
/// were there before and shares may hang on: there what goes was written later, as its number says, or holds nothing.
fn is_left(set: &Slots, table: &Table) -> bool {
    let later = set.generation > table.generation();
    let beside = set.generation != table.generation();
    beside
        && match (&set.tpm, &set.pcrs) {
            _ if table.follows() => true,
            (SlotContent::Root(_), _) => later,
            (SlotContent::Absent | SlotContent::Unwritten, SlotContent::Root(_)) => later,
            (SlotContent::Absent | SlotContent::Unwritten, pcrs) => !pcrs.is_written(),
            _ => false,
        }
}

fn keys(set: &Slots) -> Option<RootKeys> {
    let copy = RootSecret::copied_from;
    let SlotContent::Root(tpm) = &set.tpm else { return None };
    let pcrs = pcrs_root(&set.pcrs);
    let pcrs = pcrs.as_ref().map_err(NoPcrs::clone);
    Some(RootKeys::of(set.generation, &TpmRoot(copy(tpm.expose_root_secret())), pcrs))
}

fn pcrs_root(slot: &SlotContent) -> Result<PcrsRoot, NoPcrs> {
    match slot {
        SlotContent::Root(root) => Ok(PcrsRoot(RootSecret::copied_from(root.expose_root_secret()))),
        SlotContent::PcrsMoved(differ) => Err(NoPcrs::Moved(differ.clone())),
        SlotContent::Unsteady => Err(NoPcrs::Unsteady),
        SlotContent::Absent | SlotContent::Unwritten | SlotContent::Damaged => Err(NoPcrs::Unreadable),
    }
}
