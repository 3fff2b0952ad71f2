//! What people should know of what was done.

use vault::ids::Name;
use vault::ledger::Older;
use vault::life::{Deleted, Fit, NodeAt};
use vault::policy::Caution;

use super::OLDER;
use crate::api::{Adoption, Done};

/// Of a policy on a device.
pub(crate) fn of_fit(fit: Fit) -> Option<String> {
    match fit {
        Fit::Yes => None,
        Fit::NotKnownYet => Some("it is not known yet whether this device has a TPM".into()),
    }
}

/// Of a policy.
pub(crate) fn of_caution(caution: Caution) -> String {
    match caution {
        Caution::NotEscrowed => "not escrowed: after an update of firmware or system the vault will not open",
        Caution::NothingRequired => "any boot of the device gets the key: `attest.require` is empty",
    }
    .into()
}

/// Of a vault that was deleted; and that its end waits, where the database is older than its device.
pub(crate) fn of_deleted(name: &Name, became: &Deleted, older: Option<Older>) -> Done {
    let (done, note) = match became {
        Deleted::Default(_) => (
            format!("vault `{name}` returns to its default policy"),
            Some("a default vault is never deleted"),
        ),
        Deleted::Already { until } => {
            (format!("vault `{name}` is being removed already, until {}", crate::clock::text(*until)), None)
        }
        Deleted::Grace { until, .. } => (
            format!("vault `{name}` is locked and kept until {}", crate::clock::text(*until)),
            Some("`evc apply` of its document keeps it"),
        ),
        Deleted::Held { until, .. } => (
            format!("vault `{name}` is locked, and kept until {} at least", crate::clock::text(*until)),
            Some("`evc apply` of its document keeps it"),
        ),
        Deleted::AtOnce { .. } => (
            format!(
                "vault `{name}` is removed; the node erases it as soon as it gets the next list, which takes evidence that is accepted"
            ),
            Some("removed, not crypto-erased on the node; its controller keys are deleted here"),
        ),
    };
    let waits = older.filter(|_| !matches!(became, Deleted::Default(_)));
    let waits = waits
        .map(|older| format!("nothing of it ends while this database is an older copy: {older}; {OLDER}"));
    Done { done, notes: note.map(Into::into).into_iter().chain(waits).collect() }
}

/// Of a reference value that an operator approved or rejected: which vaults that is for.
pub(crate) fn of_judged(vaults: &[Name], approved: bool) -> String {
    let names: Vec<String> = vaults.iter().map(|name| format!("`{name}`")).collect();
    match (names.as_slice(), approved) {
        ([], _) => {
            "no vault of this device requires measured PCRs yet: until one does, no key depends on this"
                .into()
        }
        (names, true) => {
            format!(
                "a boot with these values gets the keys of {}, from its next contact on",
                names.join(", ")
            )
        }
        (names, false) => format!(
            "a boot with these values gets no key of {}; what is open there stays open until it is locked or restarts",
            names.join(", ")
        ),
    }
}

/// Of a policy that was changed and may have vaults.
pub(crate) fn of_changed(policy: &Name) -> String {
    format!("its vaults follow at their nodes' next contact: `evc describe policy {policy}` lists them")
}

/// What becomes of a key whose device is ahead of this database.
pub(crate) fn withheld_from_who_is_ahead(older: Older) -> String {
    format!("withheld: {older}; {OLDER}")
}

/// Of an orphan that was taken in.
pub(crate) fn of_adopted(vault: &Name, how: &Adoption) -> Done {
    let policy = &how.policy;
    let (done, note) = match how.remove {
        true => (
            format!(
                "vault `{vault}` stays locked, and its node erases it after the grace of policy `{policy}`"
            ),
            "its node has to call before that is over; else it is an orphan again, and this is to be said again",
        ),
        false => (
            format!("vault `{vault}` is under policy `{policy}`; its node opens it at its next contact"),
            "if it is not wanted, `evc delete vault` removes it there, after the grace of its policy",
        ),
    };
    Done { done, notes: vec![note.into()] }
}

/// Of a rotation that was forced: what the node holds opens the vault no more once it restarts.
pub(crate) fn at_stake(node: NodeAt) -> String {
    format!("{}: if it restarts before it takes a newer key, this vault stays locked", stands_at(node))
}

/// Where a node stands.
pub(crate) fn stands_at(node: NodeAt) -> String {
    match node {
        NodeAt::Epoch(epoch) => format!("the node is still at epoch {epoch}"),
        NodeAt::Silent { newest } => format!("the node has not reported that it took epoch {newest}"),
    }
}
