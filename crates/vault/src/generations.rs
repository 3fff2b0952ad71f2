//! Which generation of the TPM's roots is in force, which roots go, and which number is free: by what NV and disk hold at start. A
//! generation has two roots, `T` and `P`, and a share table. Roots and tables are written only when nothing that was made could hang
//! on others.

use crate::ids::Generation;

#[cfg(test)]
mod tests;

/// One root, as it was found in NV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// It reads.
    Read,
    /// It is written and does not read now: other PCRs, PCRs that are not still, damage.
    Shut,
    /// It was never written, or is not there.
    Unwritten,
}

impl Root {
    fn is_written(self) -> bool {
        self != Self::Unwritten
    }
}

/// A share table that authenticates under its generation's `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFacts {
    /// No share lies in it, nor anything else that lasts: a first boot was cut short.
    pub barren: bool,
    /// It has all that the table of the generation before had.
    pub follows: bool,
}

/// The two roots of one generation, and its table where one opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Which generation they say they are.
    pub generation: Generation,
    /// `T`.
    pub tpm: Root,
    /// `P`.
    pub pcrs: Root,
    /// Nothing where `T` does not read.
    pub table: Option<TableFacts>,
}

impl Pair {
    /// `T` reads, the table opens, `P` is written.
    fn counts(&self) -> bool {
        self.opens() && self.pcrs.is_written()
    }

    /// `T` reads, and the table opens.
    fn opens(&self) -> bool {
        self.tpm == Root::Read && self.table.is_some()
    }

    /// `P` alone is gone: what hangs on `T` opens. A table that nothing lies in is one that was begun, and cut short before its `P`.
    fn lacks_pcrs(&self) -> bool {
        self.opens() && !self.pcrs.is_written() && !self.table.is_some_and(|table| table.barren)
    }

    /// Its table is gone from the disk: it is durable before `T` is written.
    fn lacks_table(&self) -> bool {
        self.tpm == Root::Read && self.table.is_none()
    }
}

/// What to make of NV and disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationState {
    /// A generation is in force.
    InForce {
        /// Which.
        generation: Generation,
        /// The roots of these are left of a change that was cut short, and go.
        left: Vec<Generation>,
    },
    /// Roots are written, or vaults are there, and no table opens.
    Lost(Lost),
    /// Nothing was ever made: undefine these, and begin.
    Begin(Vec<Generation>),
}

/// What there is to begin anew from, by order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// The newest generation whose `T` reads, and has or had a table: by `T` alone a bundle is believed. One with both roots comes first.
    pub complete: Option<Generation>,
    /// Cut short before anything hung on them: they may go.
    pub undefine: Vec<Generation>,
    /// Incomplete, and shares hang on what is left: they stay, and their places are taken.
    pub keep: Vec<Generation>,
}

impl Lost {
    fn of(pairs: &[Pair]) -> Self {
        let reads = |pair: &&Pair| pair.tpm == Root::Read && (pair.pcrs.is_written() || pair.lacks_table());
        let newest = |whole: bool| pairs.iter().filter(reads).find(|pair| pair.pcrs.is_written() == whole);
        let complete = newest(true).or_else(|| newest(false)).map(|pair| pair.generation);
        let mut lost = Self { complete, ..Self::default() };
        pairs.iter().filter(|pair| Some(pair.generation) != complete).for_each(|pair| lost.add(pair));
        lost
    }

    fn add(&mut self, pair: &Pair) {
        let barren = pair.table.is_some_and(|table| table.barren);
        match (pair.tpm, pair.pcrs.is_written()) {
            // Older than the one that counts.
            (Root::Read, true) => {}
            (Root::Read, false) if barren => self.undefine.push(pair.generation),
            (Root::Read, false) | (_, true) => self.keep.push(pair.generation),
            (Root::Shut | Root::Unwritten, false) => self.undefine.push(pair.generation),
        }
    }
}

/// Judges. `has_vaults`: any vault or metadata is on the disk.
///
/// In force is the highest generation whose `T` reads, whose table authenticates under it, and whose `P` is written; but the one before
/// it, where that one's `P` reads and its own does not: see [`steps_back`]. Where there is none, one whose `P` alone is gone.
///
/// # Errors
/// It hangs on `has_vaults`, and that is not known.
pub fn judge<E>(
    mut pairs: Vec<Pair>,
    has_vaults: impl FnOnce() -> Result<bool, E>,
) -> Result<GenerationState, E> {
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.generation));
    if let Some(at) = pairs.iter().position(Pair::counts) {
        let before = pairs.iter().position(|before| steps_back(&pairs[at], before));
        return Ok(in_force(&pairs, before.unwrap_or(at)));
    }
    if let Some(at) = without_pcrs(&pairs) {
        return Ok(in_force(&pairs, at));
    }
    let was_made = any_written(&pairs) || pairs.iter().any(Pair::lacks_table);
    if !was_made && !has_vaults()? {
        return Ok(GenerationState::Begin(pairs.iter().map(|pair| pair.generation).collect()));
    }
    Ok(GenerationState::Lost(Lost::of(&pairs)))
}

/// The highest whose `P` alone is gone. One that takes over from the one before it, which is as good, was cut short: its `P` was not
/// written yet.
fn without_pcrs(pairs: &[Pair]) -> Option<usize> {
    let at = pairs.iter().position(Pair::lacks_pcrs)?;
    let follows = pairs[at].table.is_some_and(|table| table.follows);
    let is_before = |pair: &Pair| pair.lacks_pcrs() && pair.generation.after() == Some(pairs[at].generation);
    let before = pairs.iter().position(is_before).filter(|_| follows);
    before.or(Some(at))
}

/// Whether both roots of any generation are written: then its share table was durable before them.
#[must_use]
pub fn any_written(pairs: &[Pair]) -> bool {
    pairs.iter().any(|pair| pair.tpm.is_written() && pair.pcrs.is_written())
}

/// Whether a change was cut short after its roots were written and before those of `before` went, and is to be begun anew: a PCR that was
/// extended just before bound the new `P` to a state that no boot reaches. Until the old roots are gone the new table is not changed, so
/// that nothing is lost by this, and what was dropped is told as dead by neither.
fn steps_back(newest: &Pair, before: &Pair) -> bool {
    let follows = newest.table.is_some_and(|table| table.follows);
    let reads = before.counts() && before.pcrs == Root::Read;
    follows && newest.pcrs != Root::Read && before.generation.after() == Some(newest.generation) && reads
}

fn in_force(pairs: &[Pair], at: usize) -> GenerationState {
    let Pair { generation, table, .. } = pairs[at];
    let left = pairs.iter().filter(|pair| table.is_some_and(|table| is_left(pair, generation, table)));
    GenerationState::InForce { generation, left: left.map(|pair| pair.generation).collect() }
}

/// Whether roots beside those in force are of a change of generation that was cut short. A table that was made by a change has all that
/// the one before had, and nothing but a next change puts roots beside its own. Beside a table that was begun others may be kept, which
/// were there before and shares may hang on: there what goes was written later, as its number says, or holds nothing.
fn is_left(pair: &Pair, in_force: Generation, table: TableFacts) -> bool {
    let later = pair.generation > in_force;
    pair.generation != in_force
        && match (pair.tpm, pair.pcrs) {
            _ if table.follows => true,
            (Root::Read, _) | (Root::Unwritten, Root::Read) => later,
            (Root::Unwritten, pcrs) => !pcrs.is_written(),
            (Root::Shut, _) => false,
        }
}

/// A generation above all that a file (`on_disk`) or a root is of, whose place in the TPM, one for odd and one for even ones, is not taken
/// by one of `keep`. So what is above the one in force later is of a change that was cut short. Nothing: both places are taken, or numbers
/// are at their end.
#[must_use]
pub fn unused(on_disk: impl IntoIterator<Item = Generation>, keep: &[Generation]) -> Option<Generation> {
    let place = |generation: &Generation| generation.0 % 2;
    let free = |generation: &Generation| !keep.iter().any(|kept| place(kept) == place(generation));
    let there = on_disk.into_iter().chain(keep.iter().copied()).max();
    let first = there.map_or(Some(Generation::FIRST), Generation::after);
    [first, first.and_then(Generation::after)].into_iter().flatten().find(free)
}
