//! Words on vaults that a node has by a list that this database does not have: they were made after the copy that it was put back from, or
//! under another controller. And on what `evc begin-anew` would close.

use vault::ids::Name;
use vault::report::{State, VaultReport};

use crate::service::LeftBehind;

/// In place of what is done about its key.
pub(crate) const NOT_HERE: &str =
    "not here: it is wrapped under a controller's key that this database does not have";

/// Whose a vault is that is on a list that is not here.
const UNLISTED: &str = "its node has it by a list that this database does not have: it was made after this copy, or under another controller";

/// The same, and what to do.
pub(crate) fn of_unlisted(vault: &VaultReport, called: &str, device: &Name) -> String {
    let adopt = format!("`evc adopt vault {called} --device {device} --policy POLICY`");
    let whose = UNLISTED;
    match (vault.state, vault.epoch) {
        (State::Unlocked, Some(_)) => format!(
            "{whose}. Its key is not here. Take it in while it is open: {adopt}; its node wraps it under a key of this database with the next list that it takes of it. Locked before that (a boot, `evc begin-anew`), it opens only once the newest database is back"
        ),
        (_, Some(_)) => format!(
            "{whose}. Its key is not here, and it is not open: it opens once the newest database is back, or by its recovery key (`eve vault recover` on its node)"
        ),
        (_, None) => format!(
            "{whose}: {adopt} takes it in; else its node locks it, and keeps it, once it takes a list of this database"
        ),
    }
}

/// Of those beside the ones that are shown.
pub(crate) fn of_more(more: usize, device: &Name) -> String {
    format!(
        "and {more} more such vaults of device {device}: `evc get vaults --device {device}` shows each, with what to do"
    )
}

/// Of a default vault that is under its default policy here, and under a controller's key there.
pub(crate) fn of_default(vault: &VaultReport) -> String {
    let VaultReport { name, state, .. } = vault;
    let under = "it is wrapped under a controller's key that this database does not have: it got a policy after this copy was made, or under another controller";
    match state {
        State::Unlocked => format!(
            "{under}. Apply its documents anew while it is open (`evc apply`: its policy, and vault `{name}` under it): its node wraps it under a key of this database then. Locked before that (a boot), it opens only once the newest database is back"
        ),
        _ => format!(
            "{under}. It opens once the newest database is back; if it is given up: `eve vault recreate {name} --confirm {name} --despite-other-key` on its node makes it anew, empty"
        ),
    }
}

/// Of those that are open, and that a new life would close for good.
pub(crate) fn of_open(open: &[&LeftBehind]) -> String {
    let names: Vec<_> = open.iter().map(|left| left.called()).collect();
    format!(
        "open on their nodes, by what these told last, under keys that this copy does not have: {}. Begun anew, their nodes lock them, and they open only once the newest database is back. Start `evc serve` over it first, and take them in (`evc get vaults` says how for each); or give them up with --despite-open",
        names.join(", ")
    )
}

/// Of those for which nothing is lost that was not before.
pub(crate) fn of_others(left: &LeftBehind) -> String {
    let what = if !left.has_key {
        "is not in this copy: it is locked there, and kept, and `evc adopt vault` takes it in"
    } else if left.is_open {
        "is open, by what its node told last, under a key that this copy does not have: it is locked there, and opens only once the newest database is back"
    } else {
        "is under a key that this copy does not have: it opens only once the newest database is back, or by its recovery key"
    };
    format!("vault {} {what}", left.called())
}
