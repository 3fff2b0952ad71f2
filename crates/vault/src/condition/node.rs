//! The node's own facts, beside those of each vault: its TPM, what is to go of generations, what is in escrow, the time.

use super::seen::{TableSeen, TpmSeen};
use crate::lease::SinceBoot;
use crate::section::Seal;

/// What is left of generations of roots and share tables that is to go. A share that was dropped from the table opens as long as the roots are
/// there that it was sealed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Shares were dropped from the table in force, or may have been.
    pub dropped: bool,
    /// Roots or tables of a generation that ended, or that never came into force, are there.
    pub others: bool,
    /// The root that is bound to PCRs came back from escrow, and is to be bound to this boot.
    pub rescued: bool,
    /// Nothing hangs on the root that is bound to PCRs of another boot, and a fresh one, bound to this boot, is to take its place.
    pub anew: bool,
    /// The node's own step failed a short while ago.
    pub setback: bool,
    /// How far the next generation is.
    pub next: Upcoming,
}

impl Past {
    /// Nothing is to go.
    pub const NOTHING: Self = Self {
        dropped: false,
        others: false,
        rescued: false,
        anew: false,
        setback: false,
        next: Upcoming::Free,
    };

    /// Something is, or may be.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.dropped || self.others || self.rescued || self.anew
    }
}

/// The next generation, where a bundle of this node's may be in escrow: then the next one's is there before the roots of this one go. It is
/// made in memory first, so nothing waits for the controller but the end of the generation in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upcoming {
    /// Nothing is in escrow: it can begin without.
    #[default]
    Free,
    /// It is not made yet, or the table has changed since.
    Unmade,
    /// It is made, and the controller has not said that it holds its bundle.
    Made,
    /// The controller holds its bundle.
    Held,
}

/// What the controller holds of this node in escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escrow {
    /// Nothing, as far as this session heard.
    #[default]
    Nothing,
    /// A bundle of before the last change.
    Older,
    /// All that there is.
    Newest,
}

/// The node's own facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its TPM.
    pub tpm: TpmSeen,
    /// Whether firmware measured the boot: PCRs 0 and 4 do not stand at their reset value.
    pub measured: bool,
    /// What is to go of generations.
    pub past: Past,
    /// What is in escrow.
    pub escrow: Escrow,
    /// The time, by which leases end.
    pub since_boot: SinceBoot,
    /// Another filesystem than the one that is held lies at the path of persist.
    pub disk_went: bool,
    /// An errand is out that changes the share table.
    pub table_lent: bool,
}

impl Node {
    /// Whether a share can be sealed under `seal` now. Never to the PCRs of a boot that nothing measured: any software opens that.
    #[must_use]
    pub fn can_seal(&self, seal: Seal) -> bool {
        match self.tpm {
            TpmSeen::Present { table: TableSeen::Open, pcrs } => seal == Seal::Tpm || (pcrs && self.measured),
            _ => false,
        }
    }

    /// Whether the share table is lost.
    #[must_use]
    pub fn table_lost(&self) -> bool {
        matches!(self.tpm, TpmSeen::Present { table: TableSeen::Lost, .. })
    }
}
