//! Where the roots are: two slot sets in TPM NV, used in turn, so that a generation can be made whole beside the one
//! in force.
//!
//! NV indices, in the owner's range of the TCG registry (0x01800000 to 0x01bfffff) and clear of EVE's own 0x01800000
//! and 0x01900000:
//!
//! | | generation root T | PCR root P | PCR states of P |
//! |---|---|---|---|
//! | even generations | 0x01805640 | 0x01805641 | 0x01805642 |
//! | odd generations  | 0x01805644 | 0x01805645 | 0x01805646 |

use std::fmt;

use crate::PcrPolicy;

const BASE: u32 = 0x0180_5640;

/// Number of a pair of roots; counts up from 1, one more at each generation change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    /// Where its roots are kept.
    #[must_use]
    pub fn slot_set(self) -> SlotSet {
        if self.0.is_multiple_of(2) { SlotSet::Even } else { SlotSet::Odd }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}", self.0)
    }
}

/// One of the two places for a generation's roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotSet {
    /// That of even generations.
    Even,
    /// That of odd generations.
    Odd,
}

impl SlotSet {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Even, Self::Odd];

    /// The NV index of one of its roots.
    #[must_use]
    pub fn index(self, kind: RootKind) -> u32 {
        NvSlot::Root(self, kind).index()
    }
}

/// Which root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// T: this TPM alone, in any state.
    Tpm,
    /// P: this TPM, in a measured state.
    Pcrs,
}

impl RootKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tpm, Self::Pcrs];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Tpm => b'T',
            Self::Pcrs => b'P',
        }
    }
}

/// Who may read a root.
#[derive(Debug, Clone, Copy)]
pub enum RootPolicy<'a> {
    /// This TPM alone, in any state.
    Tpm,
    /// This TPM, in one of these states.
    Pcrs(&'a PcrPolicy),
}

impl RootPolicy<'_> {
    /// Which root has such a policy.
    #[must_use]
    pub fn kind(self) -> RootKind {
        match self {
            Self::Tpm => RootKind::Tpm,
            Self::Pcrs(_) => RootKind::Pcrs,
        }
    }
}

/// What an NV slot is, as its public area tells in any PCR state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// No such index.
    Absent,
    /// Defined and never written: a change that was cut short. Counts as absent.
    Unwritten,
    /// Written.
    Written,
    /// An index that is not ours lies there: other attributes, policy or size.
    Foreign,
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "free",
            Self::Unwritten => "begun",
            Self::Written => "written",
            Self::Foreign => "another's",
        })
    }
}

/// One of our NV indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NvSlot {
    Root(SlotSet, RootKind),
    Branches(SlotSet),
}

impl NvSlot {
    pub(crate) fn index(self) -> u32 {
        let (set, offset) = match self {
            Self::Root(set, RootKind::Tpm) => (set, 0),
            Self::Root(set, RootKind::Pcrs) => (set, 1),
            Self::Branches(set) => (set, 2),
        };
        BASE + offset + if set == SlotSet::Odd { 4 } else { 0 }
    }
}

/// First and last index of a slot set.
pub(crate) fn indices(set: SlotSet) -> [u32; 2] {
    [NvSlot::Root(set, RootKind::Tpm), NvSlot::Branches(set)].map(NvSlot::index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_an_index_of_its_own_in_the_owners_range() {
        let mut indices: Vec<u32> = SlotSet::ALL
            .into_iter()
            .flat_map(|set| {
                [NvSlot::Root(set, RootKind::Tpm), NvSlot::Root(set, RootKind::Pcrs), NvSlot::Branches(set)]
            })
            .map(NvSlot::index)
            .collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 6);
        assert!(indices.iter().all(|i| (0x0180_0001..0x0190_0000).contains(i)), "{indices:x?}");
    }

    #[test]
    fn neighbouring_generations_never_share_a_slot_set() {
        for g in [0, 1, 2, u32::MAX - 1] {
            assert_ne!(Generation(g).slot_set(), Generation(g + 1).slot_set(), "{g}");
        }
    }
}
