//! What a device's section says, of its rows: [`vault::draft`] decides it.

use std::collections::BTreeSet;

use ::attest::SessionKey;
use vault::decide::{BundleNeeded, Subject};
use vault::draft::{Asked, Draft, Facts, ToList};
use vault::ids::VaultId;
use vault::lease::LeaseNonce;
use vault::section::Presence;

use super::reported::told;
use super::view::{ListedVault, View};
use crate::store::{UnixSeconds, VaultStanding};

/// Decides for every listed vault of a device. `asked`: what leases are to be renewed by, and when the session needs its bundle in escrow.
pub(crate) fn draft(
    view: &View,
    session: SessionKey,
    asked: (Option<LeaseNonce>, BundleNeeded),
    now: UnixSeconds,
) -> Draft {
    draft_without(view, session, asked, &BTreeSet::new(), now)
}

/// The same where the controller's keys of some vaults do not open.
pub(crate) fn draft_without(
    view: &View,
    session: SessionKey,
    (lease, bundle): (Option<LeaseNonce>, BundleNeeded),
    unopened: &BTreeSet<VaultId>,
    now: UnixSeconds,
) -> Draft {
    let unopened: BTreeSet<VaultId> = unopened.iter().chain(view.damaged.keys()).copied().collect();
    Draft::of(&facts(view, session, &unopened), Asked { lease, bundle }, now)
}

/// What a lost device is to lock where it gets no section, since this database is older than it.
pub(crate) fn orders_of_lost(view: &View, session: SessionKey) -> Vec<VaultId> {
    vault::draft::orders_of_lost(&facts(view, session, &BTreeSet::new()))
}

fn facts<'a>(view: &'a View, session: SessionKey, unopened: &'a BTreeSet<VaultId>) -> Facts<'a> {
    Facts {
        listed: view.vaults.iter().map(to_list).collect(),
        gone: &view.removed,
        unread: view.unlisted(),
        told: told(&view.device),
        evidence: view.evidence(),
        asking: view.asking(session),
        unopened,
    }
}

fn to_list(held: &ListedVault) -> ToList<'_> {
    let row = &held.row;
    ToList { subject: subject(held), name: &row.name, made: row.created, recreate: row.recreate }
}

/// A vault as decisions take it.
pub(crate) fn subject(held: &ListedVault) -> Subject<'_> {
    Subject {
        vault: held.row.id,
        policy: &held.policy,
        epochs: held.epochs,
        reported: held.row.reported_epoch,
        standing: standing(held),
    }
}

fn standing(held: &ListedVault) -> Presence {
    match held.row.standing {
        VaultStanding::Active => Presence::Active,
        VaultStanding::Retained => Presence::Retained,
        VaultStanding::Removing | VaultStanding::Gone => Presence::Removing,
    }
}
