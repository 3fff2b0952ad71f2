//! What is said of how a device is.

use crate::api::Condition;
use crate::store::UnixSeconds;

/// What is said of a device whose disk is not mounted, and of its vaults.
pub(crate) const DISK_AWAY: &str = "the disk of persist is not there";

/// What lists advise beside it.
pub(crate) const SEE: &str = "see `evc describe device`";

/// In words; `since` counts where it is of a time.
pub(crate) fn of_condition(condition: Condition, since: UnixSeconds) -> String {
    let words = match condition {
        Condition::Online => return "online".into(),
        Condition::Silent => return format!("silent since {}", crate::clock::text(since)),
        Condition::Replayed => {
            return format!("silent since {}, but for what may be replays", crate::clock::text(since));
        }
        Condition::Lost => return format!("lost since {}", crate::clock::text(since)),
        Condition::Unmeasured => {
            return format!("boot not measured: keys are withheld, {SEE}");
        }
        Condition::PcrsDiffer => return format!("PCRs differ: keys are withheld, {SEE}"),
        Condition::Unapproved => {
            return format!("no reference value approved: keys are withheld, {SEE}");
        }
        Condition::Ahead => "ahead of this database",
        Condition::PutBack => "held back, for the database was put back from a copy",
        Condition::Doubled => "may be two",
        Condition::HeldToAnother => "its node takes no list for this device",
        Condition::DiskAway => DISK_AWAY,
        Condition::EvidenceRefused => "evidence refused",
        Condition::EscrowFull => "escrow full",
        Condition::EscrowBehind => "no bundle in escrow of its TPM's present secrets",
        Condition::DrillFailed => "escrow drill failed",
        Condition::DrillOverdue => "escrow drill overdue",
        Condition::Other => "not known here",
    };
    format!("{words}: {SEE}")
}
