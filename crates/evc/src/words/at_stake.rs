//! Words on a vault that its node has open under a key that is not here: what closes it, and what to do before that. All of them are made here.

use vault::ids::{Epoch, Name};
use vault::life::{AtStake, Closes};

use super::Words;
use super::unlisted::{CLOSES, COPY_OUT};

/// Whose it is, for the commands that are named.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) vault: &'a Name,
    pub(crate) device: &'a Name,
}

/// What closes it, after what it is.
pub(crate) fn of_closes(closes: Closes, of: Whose<'_>) -> String {
    match closes {
        Closes::Boot => CLOSES.into(),
        Closes::Lease(lease) => format!(
            "open now, and leased: no lease is renewed while this database is held back, and {} s after the newest database's last answer it locks itself, as a boot does; then it opens only once that database is back. So bring that one back, or go on (`evc begin-anew`), before that",
            lease.seconds()
        ),
        Closes::Lost | Closes::Removed | Closes::Policy => format!(
            "open now, and the next list that its node takes (after `evc begin-anew` too) closes it, as a boot does, until the newest database is back: {}",
            locks(closes, of)
        ),
    }
}

/// Why a list locks it, and how not.
fn locks(closes: Closes, Whose { device, .. }: Whose<'_>) -> String {
    match closes {
        Closes::Lost => format!(
            "device `{device}` is marked as lost here. If it was found: `evc device found {device:#}` before that"
        ),
        Closes::Removed => {
            "it is being removed here. If it is wanted: `evc apply` of its document before that".into()
        }
        Closes::Policy => {
            "its policy says `operation: lock` here. If it is wanted: `evc apply` of that with `operation: unlock` before that".into()
        }
        Closes::Lease(_) | Closes::Boot => unreachable!("no list locks it"),
    }
}

/// Of one that can't be wrapped anew.
pub(crate) fn of_last_time(closes: Closes, of: Whose<'_>) -> String {
    let soon = if closes == Closes::Boot { String::new() } else { format!("; {}", of_closes(closes, of)) };
    format!("open under a key that is not here, and not to be wrapped anew: {COPY_OUT}{soon}")
}

/// Of one that was taken in, before its node has told that it wrapped it anew.
pub(crate) fn of_not_wrapped(stake: &AtStake, current: Epoch, of: Whose<'_>) -> String {
    let begin = format!("its node has not wrapped it anew yet, under epoch {current}");
    match stake.closes {
        Closes::Boot => format!(
            "{begin}: a lock or a boot before that closes it, and then it opens only once the newest database is back"
        ),
        closes => format!("{begin}: {}", of_closes(closes, of)),
    }
}

/// Why one is not taken in as it is asked.
pub(crate) fn of_not_taken_in(closes: Closes, of: Whose<'_>) -> Words {
    let why = match closes {
        Closes::Lost => format!("device `{}` is marked as lost", of.device),
        _ => "the policy says `operation: lock`".to_owned(),
    };
    let advice = match closes {
        Closes::Lost => format!(
            "if the device was found: `evc device found {:#}` first; else nothing here keeps it open, and copying its data out does",
            of.device
        ),
        _ => "take it in under a policy that leaves it open, wait until its node wrapped it anew (`evc get vaults` says it), and lock it then".into(),
    };
    Words::new(
        format!(
            "vault `{}` is open under a key that is not here, and the first list that has it would close it for good: {why}",
            of.vault
        ),
        advice,
    )
}

/// Of an act by which its node locks it at its next contact.
pub(crate) const CLOSED_BY_THIS: &str = "it is open there under a key that is not here: once its node locks it, it opens only when the newest database is back, or by its recovery key, and no `evc apply` opens it. Until its node calls, `evc apply` of its document keeps it; copy its data out first";

/// Of a vault that is to be there, and is closed under a key that is not here.
pub(crate) const NO_KEY_OPENS: &str = "no key here opens it: it is closed under a controller's key that this database does not have, and opens only once the database that has it is back, or by its recovery key";

/// Of one that goes to another device.
pub(crate) fn of_rehomed(from: &Name) -> String {
    format!(
        "device `{from}` told of it as open under a key that is not here: none of the keys that went over opens it. Copy its data out there, while it is open"
    )
}

/// Of a rotation that its node can't take.
pub(crate) const NOT_TO_BE_TAKEN: &str = "; its node may not take it: it has the vault open under a key that is not here, and may not be able to wrap it anew. Copy its data out, while it is open";

/// Of vaults that are closed for good as their device is lost.
pub(crate) fn of_lost(vaults: &[Name]) -> Option<String> {
    let names: Vec<_> = vaults.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "open there by its last report, under keys that are not here: {}. Locked, they open only once the newest database is back",
            names.join(", ")
        )
    })
}

/// Of a device that this database has as lost, and that may have been found since.
pub(crate) fn of_held_lock(device: &Name) -> String {
    format!(
        "lost by this database, which is older than the device: it may have been found since, so no key goes out to it, and it is not ordered to lock. If it is lost: `evc device lost {device:#}` once more; if it was found: `evc device found {device:#}`"
    )
}
