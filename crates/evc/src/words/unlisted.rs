//! Words on vaults that a node has by a list that this database does not have: they were made after the copy that it was put back from, or
//! under another controller. And on what `evc begin-anew` would close.

use vault::ids::{DeviceId, Epoch, Name, VaultId};
use vault::life::is_last_time;
use vault::report::{State, VaultReport};
use vault::text::Typed;

use super::at_stake::CLOSED_BY_THIS;
use crate::api::{Adoption, Done};
use crate::service::{LeftBehind, Whose};

/// In place of what is done about its key.
pub(crate) const NOT_HERE: &str =
    "not here: it is wrapped under a controller's key that this database does not have";

/// Whose a vault is that is on a list that is not here.
const UNLISTED: &str = "its node has it by a list that this database does not have: made after this copy, or under another controller or device";

/// The same, and what to do.
pub(crate) fn of_unlisted(vault: &VaultReport, called: &str, device: &Name, owner: Option<&Name>) -> String {
    let adopt = format!("`evc adopt vault {:#} --device {device:#} --policy POLICY`", Typed(called));
    let whose = match owner {
        None => UNLISTED.to_owned(),
        Some(other) => format!("it is device `{other}`'s here, and {UNLISTED}"),
    };
    match (vault.state, vault.epoch) {
        (State::Unlocked, Some(_)) if is_last_time(vault) => format!(
            "{whose}. Its key is not here, and {MAYBE_LAST}. Then take it in all the same ({adopt}): no list locks it then, and a boot still does"
        ),
        (State::Unlocked, Some(_)) => format!(
            "{whose}. Its key is not here. Take it in while it is open, before anything else: {adopt}; its node wraps it under a key of this database with the next list that it takes of it. Locked before that (a boot, `evc begin-anew`), it opens only once the newest database is back"
        ),
        (_, Some(_)) => format!(
            "{whose}. This device has no key of it here, and it is not open: it opens once the newest database is back, or by its recovery key (`eve vault recover` on its node){}",
            owner.map(|other| of_owner(called, other, device)).unwrap_or_default()
        ),
        (_, None) => format!(
            "{whose}: {adopt} takes it in; else its node locks it, and keeps it, once it takes a list of this database"
        ),
    }
}

/// Of a vault that another device here has: how it goes over.
fn of_owner(called: &str, other: &Name, device: &Name) -> String {
    format!("; or, if that device's disk is in this one now, {}", how_to_rehome(called, other, device))
}

/// What gives a vault to the device whose disk it is on now.
pub(crate) fn how_to_rehome(called: &str, from: &Name, to: &Name) -> String {
    let called = Typed(called);
    format!("`evc rehome vault {called:#} --device {from:#} --to {to:#} --confirm {called:#}`, with its keys")
}

/// Of one that a row is kept of as removed, and that is open.
pub(crate) fn of_kept_again(vault: &VaultReport, called: &str, device: &Name) -> String {
    format!(
        "it was removed in this database, and its node has it open: it may have been kept again after this copy was made. {}",
        of_unlisted(vault, called, device, None)
    )
}

/// Of an orphan that a row is kept of as removed: its node never erases it, for it knows of no list that named it.
pub(crate) fn of_removed(called: &str, device: &Name) -> String {
    let adopt = format!("`evc adopt vault {:#} --device {device:#} --policy POLICY", Typed(called));
    format!(
        "it was removed in this database, and its node knows of no list that named it: it is locked and kept, and no list erases it. {adopt} --remove` has it erased; {adopt}` takes it in, where it is under no key of a controller's"
    )
}

/// Of one that its node has by the lists of another device, and takes none of this one's.
pub(crate) fn of_elsewhere(vault: &VaultReport, device: &Name, other: DeviceId) -> String {
    let whose = format!(
        "its node has it by a list of device {other}, as which it was known before, and takes none of this one's. Let it in as that one: see `evc describe device {device:#}`"
    );
    match (vault.state, vault.epoch) {
        (State::Unlocked, Some(_)) => format!("{whose}. Else its key is not here: {COPY_OUT}"),
        (_, Some(_)) => format!(
            "{whose}. Else its key is not here, and it is not open: it opens once the database that has its key is back, or by its recovery key"
        ),
        (_, None) => {
            format!("{whose}. Else it is kept, and can be taken in once its node takes lists of this one")
        }
    }
}

/// What helps where no key of this database ever opens what is open now.
pub(super) const COPY_OUT: &str = "copy its data out before its node boots, or anything locks it; closed, it opens only once the database that has its key is back, or by its recovery key";

/// Of one that its node may not be able to wrap anew.
const MAYBE_LAST: &str = "its node was started since it opened it, and may have it no more: then it can't be wrapped under another key. So copy its data out first; closed, it opens only once the database that has its key is back, or by its recovery key";

/// Of one that is open, and at an epoch that was never made here.
pub(crate) const CLOSES: &str = "open now, it goes on after `evc begin-anew`; a boot before that closes it until the newest database is back";

/// The same, locked.
pub(crate) const UNDER_ANOTHERS: &str = "locked, under a controller's key that is not here: it opens once the database that has that key is back, or by its recovery key";

/// Of those beside the ones that are shown.
pub(crate) fn of_more(more: usize, device: &Name) -> String {
    format!(
        "and {more} more such vaults of device {device}: `evc get vaults --device {device:#}` shows each, with what to do"
    )
}

/// Of a default vault that is under its default policy here, and under a controller's key there.
pub(crate) fn of_default(vault: &VaultReport) -> String {
    let VaultReport { name, state, .. } = vault;
    let under = "it is wrapped under a controller's key that this database does not have: it got a policy after this copy was made, or under another controller";
    match state {
        State::Unlocked if is_last_time(vault) => format!("{under}, and {MAYBE_LAST}"),
        State::Unlocked => format!(
            "{under}. Apply its documents anew while it is open (`evc apply`: its policy, and vault `{name}` under it): its node wraps it under a key of this database then. Locked before that (a boot), it opens only once the newest database is back"
        ),
        _ => format!(
            "{under}. It opens once the newest database is back; if it is given up: `eve vault recreate {name:#} --confirm {name:#} --despite-other-key` on its node makes it anew, empty"
        ),
    }
}

/// Of those that are open, and that a new life would close for good, or that nothing opens again once they are closed.
pub(crate) fn of_open(open: &[&LeftBehind]) -> String {
    let (shut, others): (Vec<&&LeftBehind>, Vec<&&LeftBehind>) =
        open.iter().partition(|left| left.whose == Whose::Shut);
    let (kept, last): (Vec<&&LeftBehind>, Vec<&&LeftBehind>) =
        others.into_iter().partition(|left| left.is_to_be_taken_in());
    let of_shut = "Begun anew, their nodes lock them, for what this copy says of them, and they open only once the newest database is back. Start `evc serve` over it first, and say anew that they are wanted open: their policy, that they are kept, that their device was found (`evc get vaults` says which for each)";
    let of_kept = "Begun anew, their nodes lock them, and they open only once the newest database is back. Start `evc serve` over it first, and take them in (`evc get vaults` says how for each)";
    let of_last = "No key of this copy's is taken for them: copy their data out first (`evc get vaults` says why for each)";
    let parts: Vec<_> =
        [(shut, of_shut), (kept, of_kept), (last, of_last)].into_iter().filter_map(of_these).collect();
    format!(
        "open on their nodes, by what these told last, under keys that this copy does not have: {}; or give them up with --despite-open",
        parts.join("; and ")
    )
}

fn of_these((these, what): (Vec<&&LeftBehind>, &str)) -> Option<String> {
    let names: Vec<_> = these.iter().map(|left| left.called()).collect();
    (!names.is_empty()).then(|| format!("{}. {what}", names.join(", ")))
}

/// Of those for which nothing is lost that was not before.
pub(crate) fn of_others(left: &LeftBehind) -> String {
    let what = match (left.is_open, left.has_key, left.whose) {
        (_, _, Whose::Removed) => {
            "was removed, and its node has not told that it erased it: no list of the new life erases it. If its node tells of it as an orphan, `evc adopt vault` with `--remove` has it erased"
        }
        (true, true, Whose::Unlisted | Whose::Shut) => {
            "is open, by what its node told last, under a key that this copy does not have: it is locked there, and opens only once the newest database is back"
        }
        (true, true, _) => {
            "is open, by what its node told last, under a key that this copy does not have: closed by whatever, it opens only once the database that has that key is back"
        }
        (false, true, _) => {
            "is under a key that this copy does not have: it opens only once the newest database is back, or by its recovery key"
        }
        (_, false, _) => {
            "is not in this copy: it is locked there, and kept, and `evc adopt vault` takes it in"
        }
    };
    format!("vault {} {what}", left.called())
}

/// What came of taking one in.
pub(crate) struct TakenIn {
    /// Another vault had its name, and is called by its identity from now on.
    pub(crate) renamed: Option<VaultId>,
    /// It may be open for the last time, whatever key it gets.
    pub(crate) last_time: bool,
    /// It is open under a key that is not here, of this epoch.
    pub(crate) above: Option<Epoch>,
    /// The epoch that its node is to wrap it under.
    pub(crate) epoch: Epoch,
}

/// Of an orphan that was taken in.
pub(crate) fn of_adopted(vault: &Name, how: &Adoption, taken: &TakenIn) -> Done {
    let policy = &how.policy;
    let (done, note) = match (how.remove, taken.last_time) {
        (true, _) if taken.above.is_some() => (
            format!(
                "vault `{vault}` is open, and is to be locked by its node at its next contact, which erases it as `on_removal` of policy `{policy}` says"
            ),
            CLOSED_BY_THIS.into(),
        ),
        (true, _) => (
            format!(
                "vault `{vault}` stays locked, and its node erases it as `on_removal` of policy `{policy}` says"
            ),
            "its node has to call before that is over; else it is an orphan again, and this is to be said again"
                .into(),
        ),
        (false, true) => (
            format!("vault `{vault}` is under policy `{policy}`, and may be open for the last time"),
            format!(
                "{MAYBE_LAST}. `evc wait vault … --for epoch={}` ends once it is wrapped anew",
                taken.epoch
            ),
        ),
        (false, false) if taken.above.is_some() => (
            format!("vault `{vault}` is under policy `{policy}`; its node wraps it anew with the next list that it takes"),
            format!(
                "until then a lock or a boot closes it, and nothing here opens it again: delete it not, and let its policy lock it not. `evc wait vault … --for epoch={}` ends once it is wrapped anew",
                taken.epoch
            ),
        ),
        (false, false) => (
            format!("vault `{vault}` is under policy `{policy}`; its node opens it at its next contact"),
            "if it is not wanted, `evc delete vault` removes it there, as its policy says".into(),
        ),
    };
    let renamed = taken.renamed.map(|id| {
        format!(
            "the vault that had the name `{vault}` here is called {id} now: if it is not wanted, `evc delete vault {id}`"
        )
    });
    Done { done, notes: [note].into_iter().chain(renamed).collect() }
}

/// Of a vault that was made though its node has an open one of its name that is not here.
pub(crate) fn of_namesake(vault: &VaultReport, device: &Name) -> String {
    let VaultReport { id, name, .. } = vault;
    format!(
        "this one is not the vault `{name}` that the node has by a list which this database does not have: that has an identity of its own, and is locked by the next list. Take it in before: `evc adopt vault {id} --device {device:#} --policy POLICY`; it gets the name, and this one is called by its identity then"
    )
}
