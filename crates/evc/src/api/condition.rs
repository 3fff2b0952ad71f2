//! What an operator looks at first of a device, as programs tell it apart. The words beside it are for people.

use serde::{Deserialize, Serialize};

/// Of which kind it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It is there, and nothing is to be said of it.
    Online,
    /// It is not heard.
    Silent,
    /// What is heard of it may be what somebody sends again.
    Replayed,
    /// An operator said so.
    Lost,
    /// It showed that the database is older than it.
    Ahead,
    /// The database was put back from a copy, and nobody said yet that it was gone through.
    PutBack,
    /// It did what one device does not do.
    Doubled,
    /// Its node takes no list for it: it holds to those of the device that it was before.
    HeldToAnother,
    /// Its disk is not mounted.
    DiskAway,
    /// Its last evidence was refused.
    EvidenceRefused,
    /// Its keys are withheld: nothing measured its boot.
    Unmeasured,
    /// Its keys are withheld: its PCRs are not those of its reference values.
    PcrsDiffer,
    /// Its keys are withheld: no reference value of it is approved.
    Unapproved,
    /// There is no room in escrow for its next bundle.
    EscrowFull,
    /// Its bundle is of a generation of its TPM's secrets that is over.
    EscrowBehind,
    /// The last drill on its bundle failed.
    DrillFailed,
    /// It made no drill for too long.
    DrillOverdue,
    /// One of another version: somebody should look.
    #[default]
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IF-2: a kind of tomorrow is not taken for a device that is well.
    #[test]
    fn a_kind_of_another_version_is_no_known_one() {
        let read = |word: &str| serde_json::from_str::<Condition>(&format!("\"{word}\"")).expect("read");
        assert_eq!(
            (read("online"), read("may-be-two"), read("disk-away")),
            (Condition::Online, Condition::Other, Condition::DiskAway)
        );
        assert_eq!(Condition::default(), Condition::Other);
    }
}
