//! From what the TPM's NV and the disk hold at start to the share table in force: keys and tables beside what `vault::generations`
//! judges. tpmmgr and the disk are asked through a trait and a closure.

#[cfg(test)]
mod tests;

use attest::SessionKey;
use vault::generations::{self, GenerationState, Pair, Root, TableFacts};
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
    fn seen(&self) -> Root {
        match self {
            Self::Root(_) => Root::Read,
            Self::PcrsMoved(_) | Self::Unsteady | Self::Damaged => Root::Shut,
            Self::Absent | Self::Unwritten => Root::Unwritten,
        }
    }
}

/// Whether any generation is written, whole or but for a `P` that is gone: then its share table was durable before it.
pub(crate) fn any_written(sets: &[Slots]) -> bool {
    let pairs: Vec<_> = sets.iter().map(|set| set.pair(None)).collect();
    // A table is durable before `T` is written.
    generations::any_written(&pairs) || pairs.iter().any(|pair| pair.tpm == Root::Read)
}

/// The NV index of a `T` that is gone while its `P` is there. Nothing opens its table, nor a bundle.
pub(crate) fn gone_t(sets: &[Slots]) -> Option<u32> {
    let gone = |set: &&Slots| set.tpm.seen() == Root::Unwritten && set.pcrs.seen() != Root::Unwritten;
    let newest = sets.iter().filter(gone).map(|set| set.generation).max()?;
    Some(tpm::Generation(newest.0).slot_set().index(tpm::RootKind::Tpm))
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
    fn pair(&self, table: Option<&Table>) -> Pair {
        let facts = |table: &Table| TableFacts { barren: table.is_new(), follows: table.follows() };
        let (tpm, pcrs) = (self.tpm.seen(), self.pcrs.seen());
        Pair { generation: self.generation, tpm, pcrs, table: table.map(facts) }
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
    /// Whether both slots of another generation fit beside those that are there. `as_shown`: and the PCRs are those that this session's evidence showed.
    fn room(&mut self, as_shown: Option<SessionKey>) -> Result<TpmRoom, TpmmgrError>;
    /// Defines, writes and reads back both slots of a generation; the same of `as_shown`.
    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
        as_shown: Option<SessionKey>,
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
    /// Its NV index is gone, or was never written.
    #[error(
        "the TPM's NV index with that secret is gone; if `evc escrow list` has a bundle of this node, approve this boot (`evc reference approve`), and it comes back by itself"
    )]
    Gone,
    /// There is a damaged one.
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
    /// The keys of the newest generation that reads, of complete ones where there is one.
    pub(crate) keys: Option<RootKeys>,
    /// Cut short before anything hung on them: they may go.
    pub(crate) undefine: Vec<Generation>,
    /// Incomplete, and shares hang on what is left: they stay, and their slots are taken.
    pub(crate) keep: Vec<Generation>,
}

/// A pair of slots, with the keys and the table that it gives.
struct Found {
    pair: Pair,
    keys: Option<RootKeys>,
    table: Option<Table>,
}

impl Found {
    fn of(set: &Slots, open: &impl Fn(Generation, &TableKey) -> Option<Table>) -> Self {
        let keys = keys(set);
        let table = keys.as_ref().and_then(|keys| open(set.generation, &keys.table));
        Self { pair: set.pair(table.as_ref()), keys, table }
    }

    fn reads(&self, generation: Generation) -> bool {
        self.pair.generation == generation && self.keys.is_some()
    }

    fn beside(self) -> Beside {
        Beside { generation: self.pair.generation, key: self.keys.map(|keys| keys.table) }
    }
}

/// Judges. `open` reads and authenticates the table of a generation; `has_vaults`: any vault or metadata is on the disk.
///
/// # Errors
/// It hangs on `has_vaults`, and that is not known.
pub(crate) fn judge<E>(
    sets: &[Slots],
    open: impl Fn(Generation, &TableKey) -> Option<Table>,
    has_vaults: impl FnOnce() -> Result<bool, E>,
) -> Result<Generations, E> {
    let found: Vec<Found> = sets.iter().map(|set| Found::of(set, &open)).collect();
    let standing = generations::judge(found.iter().map(|found| found.pair).collect(), has_vaults)?;
    Ok(match standing {
        GenerationState::InForce { generation, left } => in_force(found, generation, &left),
        GenerationState::Lost(lost) => {
            let is = |found: &Found| lost.complete.is_some_and(|complete| found.reads(complete));
            let keys = found.into_iter().find(is).and_then(|found| found.keys);
            Generations::Lost(Lost { keys, undefine: lost.undefine, keep: lost.keep })
        }
        GenerationState::Begin(undefine) => Generations::Begin(undefine),
    })
}

fn in_force(found: Vec<Found>, generation: Generation, left: &[Generation]) -> Generations {
    let (mut own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.reads(generation));
    let beside = others.into_iter().filter(|found| left.contains(&found.pair.generation)).map(Found::beside);
    match own.pop() {
        Some(Found { keys: Some(keys), table: Some(table), .. }) => {
            Generations::InForce(keys, table, beside.collect())
        }
        // What is in force has both; were it not so, nothing would be concluded but that nothing opens.
        _ => Generations::Lost(Lost::default()),
    }
}

/// The keys of one generation, where its own root reads.
pub(super) fn keys(set: &Slots) -> Option<RootKeys> {
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
        SlotContent::Absent | SlotContent::Unwritten => Err(NoPcrs::Gone),
        SlotContent::Damaged => Err(NoPcrs::Unreadable),
    }
}
