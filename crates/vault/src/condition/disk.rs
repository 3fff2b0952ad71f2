//! Whether the disk of persist is there, before anything of it is believed: an empty folder stands where it should be mounted when it is not. Taken for
//! the disk, that folder would tell that every vault is lost, and a vault made anew on it would lie on another disk.
//!
//! That a folder looks like one proves nothing: a node may keep its vaults in a folder of another filesystem. The TPM tells them apart, for its roots
//! are written after the share table is durable. A folder of the system's own filesystem, or of one in memory, is none that anybody mounted for a node: on a first boot too
//! nothing is made there. Not covered: in a folder of any other filesystem a node without a TPM, or whose TPM was cleared, is taken for new; and where
//! another filesystem is mounted, all vaults are told as missing, as on a new disk.

/// What is seen at the path of persist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceSeen {
    /// A filesystem is mounted there.
    pub is_mounted: bool,
    /// Share tables or key files lie there; none: it can't be looked at, and that is not nothing.
    pub holds: Option<bool>,
    /// It lies on the filesystem that the system itself lies on, or on one in memory.
    pub is_systems: bool,
}

impl PlaceSeen {
    /// Whether it may be the empty folder.
    #[must_use]
    pub fn looks_away(self) -> bool {
        !self.is_mounted && self.holds == Some(false)
    }
}

/// What the node's own TPM tells of vaults that were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootsTold {
    /// The node has no TPM.
    NoTpm,
    /// Roots of some generation are written whole, or none are.
    Written(bool),
    /// It has not told yet; or it is another node's.
    NotYet,
}

/// Whether the disk is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskThere {
    /// It is, or this node is new.
    Yes,
    /// It is not known yet: nothing is made.
    NotKnown,
    /// It is not.
    No,
    /// This node is new, as far as is known, and nothing was mounted for it yet.
    NotYet,
}

impl DiskThere {
    /// Of a place that [looks away](PlaceSeen::looks_away), by what the TPM tells; of any other it is.
    #[must_use]
    pub fn of(place: PlaceSeen, told: RootsTold) -> Self {
        match told {
            _ if !place.looks_away() => Self::Yes,
            RootsTold::NoTpm | RootsTold::Written(false) if place.is_systems => Self::NotYet,
            RootsTold::NoTpm | RootsTold::Written(false) => Self::Yes,
            RootsTold::Written(true) => Self::No,
            RootsTold::NotYet => Self::NotKnown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 4: an empty folder is a disk that is away by the word of the TPM alone, a cut first boot is none, and what is not told is waited for.
    #[test]
    fn an_empty_folder_is_told_from_a_new_node_by_the_tpm() {
        let empty = PlaceSeen { is_mounted: false, holds: Some(false), is_systems: false };
        for (told, there, of_systems) in [
            (RootsTold::NoTpm, DiskThere::Yes, DiskThere::NotYet),
            (RootsTold::Written(false), DiskThere::Yes, DiskThere::NotYet),
            (RootsTold::Written(true), DiskThere::No, DiskThere::No),
            (RootsTold::NotYet, DiskThere::NotKnown, DiskThere::NotKnown),
        ] {
            assert_eq!(DiskThere::of(empty, told), there, "{told:?}");
            let systems = PlaceSeen { is_systems: true, ..empty };
            assert_eq!(DiskThere::of(systems, told), of_systems, "the system's own: {told:?}");
            for place in [
                PlaceSeen { is_mounted: true, ..empty },
                PlaceSeen { holds: Some(true), is_systems: true, ..empty },
                PlaceSeen { holds: Some(true), ..empty },
                PlaceSeen { holds: None, ..empty },
            ] {
                assert_eq!(DiskThere::of(place, told), DiskThere::Yes, "{place:?} {told:?}");
            }
        }
    }
}
