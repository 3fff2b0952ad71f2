//! From what the TPM's NV and the disk hold at start to the share table in force. The judgement is pure; tpmmgr and the disk are
//! asked through a trait and a closure. Roots and tables are written only when nothing that was made could hang on others.

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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Generation = Generation(1);

    fn root(byte: u8) -> SlotContent {
        SlotContent::Root(RootSecret::copied_from(&[byte; 32]))
    }

    fn set(generation: u32, tpm: SlotContent, pcrs: SlotContent) -> Slots {
        Slots { generation: Generation(generation), tpm, pcrs }
    }

    fn opens(generation: Generation, _: &TableKey) -> Option<Table> {
        Some(Table::new(generation))
    }

    fn none(_: Generation, _: &TableKey) -> Option<Table> {
        None
    }

    fn word(standing: &Generations) -> &'static str {
        match standing {
            Generations::InForce(keys, ..) if keys.pcrs.is_ok() => "in force",
            Generations::InForce(..) => "in force without P",
            Generations::Lost(Lost { keys: Some(_), .. }) => "lost",
            Generations::Lost(_) => "lost without roots",
            Generations::Begin(_) => "begin",
        }
    }

    fn judged(sets: Vec<Slots>, open: Open, has_vaults: bool) -> Generations {
        let Ok(standing) = judge(sets, open, || Ok::<_, std::convert::Infallible>(has_vaults));
        standing
    }

    type Open = fn(Generation, &TableKey) -> Option<Table>;

    /// Invariant 4: a first boot cut short begins anew; a wiped disk or another TPM never does.
    #[test]
    fn only_a_first_boot_begins() {
        let rows: [(&str, Vec<Slots>, Open, bool, &str); 11] = [
            ("a first boot", vec![], none, false, "begin"),
            ("cut after the table", vec![], opens, false, "begin"),
            ("cut inside the definition", vec![set(1, root(1), SlotContent::Absent)], opens, false, "begin"),
            (
                "cut before the write",
                vec![set(1, SlotContent::Unwritten, SlotContent::Unwritten)],
                opens,
                false,
                "begin",
            ),
            ("whole", vec![set(1, root(1), root(2))], opens, true, "in force"),
            (
                "PCRs moved",
                vec![set(1, root(1), SlotContent::PcrsMoved(vec![4]))],
                opens,
                true,
                "in force without P",
            ),
            (
                "PCRs were not still",
                vec![set(1, root(1), SlotContent::Unsteady)],
                opens,
                true,
                "in force without P",
            ),
            ("the disk was wiped", vec![set(1, root(1), root(2))], none, false, "lost"),
            ("the table is damaged", vec![set(1, root(1), root(2))], none, true, "lost"),
            ("the drive is in another node", vec![], opens, true, "lost without roots"),
            ("T is damaged", vec![set(1, SlotContent::Damaged, root(2))], opens, true, "lost without roots"),
        ];
        for (what, sets, open, has_vaults, expected) in rows {
            assert_eq!(word(&judged(sets, open, has_vaults)), expected, "{what}");
        }
    }

    #[test]
    fn the_highest_complete_generation_is_in_force() {
        let older_and_half = vec![set(1, root(1), root(2)), set(2, root(3), SlotContent::Unwritten)];
        let Generations::InForce(keys, ..) = judged(older_and_half, opens, true) else {
            panic!("not in force")
        };
        assert_eq!(keys.generation, ONE);
        let both = vec![set(1, root(1), root(2)), set(2, root(3), root(4))];
        let Generations::InForce(keys, ..) = judged(both, opens, true) else { panic!("not in force") };
        assert_eq!(keys.generation, Generation(2));
    }

    /// What a change that was cut short left beside the generation in force goes; what a table that was begun found there stays.
    #[test]
    fn beside_the_generation_in_force_only_a_changes_leftovers_go() {
        fn changed(generation: Generation, _: &TableKey) -> Option<Table> {
            let vsk = || TpmRoot(RootSecret::copied_from(&[1; 32])).vsk();
            let (tpm, pcrs) = (vsk(), vsk());
            let by = || vault::section::BySeal { tpm: &tpm, pcrs: &pcrs };
            Table::new(Generation(generation.0 - 1)).next(by(), by(), []).ok()
        }
        use SlotContent::{Absent, Damaged, PcrsMoved, Unwritten};
        for (what, beside, open, goes) in [
            ("the one before, after a change", set(1, root(1), root(2)), changed as Open, true),
            ("half of the one before", set(1, Absent, root(2)), changed, true),
            ("damage after a change", set(1, Damaged, root(2)), changed, true),
            ("the one before, of a table begun", set(1, root(1), root(2)), opens, false),
            ("half of a next one", set(3, root(1), Unwritten), opens, true),
            ("nothing written", set(1, Unwritten, Absent), opens, true),
            ("half undefined", set(3, Absent, root(2)), opens, true),
            ("what shares may hang on", set(1, Absent, root(2)), opens, false),
            ("of which nothing is known", set(1, Absent, PcrsMoved(vec![])), opens, false),
            ("damage", set(3, Damaged, root(2)), opens, false),
        ] {
            let generation = beside.generation;
            let sets = vec![set(2, root(3), root(4)), beside];
            let Generations::InForce(keys, _, left) = judged(sets, open, true) else { panic!("{what}") };
            let left: Vec<_> = left.iter().map(|beside| beside.generation).collect();
            assert_eq!((keys.generation, left == [generation]), (Generation(2), goes), "{what}");
        }
    }

    /// Invariant 4: a half-defined generation goes only while nothing hangs on it.
    #[test]
    fn half_a_generation_goes_only_when_nothing_hangs_on_it() {
        fn shared(generation: Generation, _: &TableKey) -> Option<Table> {
            let mut table = Table::new(generation);
            let vsk = TpmRoot(RootSecret::copied_from(&[1; 32])).vsk();
            let share = vault::secret::TpmShare::copied_from(&[5; 32]);
            let nonce = vault::shares::Nonce([0; 12]);
            table.add(vault::ids::CONFIG_VAULT, vault::shares::Mark::Made, &vsk, &share, nonce).ok()?;
            Some(table)
        }
        for (what, tpm, open, goes) in [
            ("its table is empty", root(1), opens as Open, true),
            ("shares lie in its table", root(1), shared, false),
            ("its table does not open", root(1), none, false),
            ("never written", SlotContent::Unwritten, none, true),
        ] {
            let Generations::Lost(lost) = judged(vec![set(1, tpm, SlotContent::Absent)], open, true) else {
                panic!("{what}: not lost")
            };
            assert!(lost.keys.is_none(), "{what}: half a generation is never taken into force");
            assert_eq!((lost.undefine == [ONE], lost.keep == [ONE]), (goes, !goes), "{what}");
        }
    }

    /// Invariant 6: whether vaults are there is not known: neither begun nor lost, where it hangs on that, and on nothing else.
    #[test]
    fn a_disk_that_does_not_say_is_not_judged() {
        let silent =
            |sets, open: Open| judge(sets, open, || Err("no answer")).as_ref().map(word).map_err(|why| *why);
        assert_eq!(silent(vec![], none), Err("no answer"));
        assert_eq!(silent(vec![set(1, root(1), SlotContent::Absent)], opens), Err("no answer"));
        assert_eq!(silent(vec![set(1, root(1), root(2))], opens), Ok("in force"));
        assert_eq!(silent(vec![set(1, root(1), root(2))], none), Ok("lost"));
    }

    #[test]
    fn what_a_cut_left_is_undefined_before_a_beginning() {
        let Generations::Begin(undefine) = judged(vec![set(1, root(1), SlotContent::Absent)], none, false)
        else {
            panic!("does not begin")
        };
        assert_eq!(undefine, [ONE]);
    }
}
