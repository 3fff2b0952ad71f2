//! Vaults that a device alone speaks of, as operators see them: its default ones, and those that no row is kept of.

use vault::ids::{Epoch, Name};
use vault::life::is_last_time;
use vault::report::{State, VaultReport};

use super::elsewhere::Elsewhere;
use crate::api::{Standing, StateNow, VaultView};
use crate::fleet::reported::{self, was_removed};
use crate::store::{DeviceReport, DeviceRow, Moment, UnixSeconds, VaultRow, VaultStanding};
use crate::words::key::OfKey;
use crate::words::notes::of_orphan;
use crate::words::unlisted::{of_default, of_elsewhere, of_kept_again, of_more, of_removed, of_unlisted};

/// One under a controller's key that is not here says so: whoever has the rows leaves those that have one out.
pub(super) fn default_vaults(row: &DeviceRow, now: UnixSeconds) -> Vec<VaultView> {
    let Some(Moment(at)) = row.report.get().map(DeviceReport::vaults_received) else { return Vec::new() };
    let shown = |vault: &VaultReport| {
        let known = as_reported(row, vault.clone(), at);
        let shown = if reported::lacks_key(row, vault) {
            let noted = VaultView { notes: vec![of_default(vault)], ..known };
            noted.keyed(Some(OfKey::NotHere))
        } else {
            known
        };
        shown.aged(row, Some(at), now)
    };
    reported::default_vaults(row).map(shown).collect()
}

/// So many unlisted vaults of a device are shown as rows where it is one of many, those that are open first: a node may report a thousand, and
/// the list of its own vaults has each.
pub(super) const EXPLAINED: usize = 20;

/// Those of which a row was made since are that row's: whoever has the rows leaves them out ([`is_known`]).
/// `most`: of the unlisted.
pub(super) fn orphans(
    row: &DeviceRow,
    elsewhere: &Elsewhere,
    most: usize,
    now: UnixSeconds,
) -> Vec<VaultView> {
    let Some(Moment(at)) = row.report.get().map(DeviceReport::vaults_received) else { return Vec::new() };
    let orphans: Vec<_> = reported::orphans(row).collect();
    let is_alone = |name: &Name| orphans.iter().filter(|vault| vault.name == *name).count() == 1;
    let (gone_astray, mut unlisted): (Vec<&VaultReport>, Vec<&VaultReport>) =
        orphans.iter().copied().partition(|vault| vault.state == State::Orphan);
    unlisted.sort_by_key(|vault| vault.state != State::Unlocked);
    let (more, are_few) = (unlisted.len().saturating_sub(most), unlisted.len() <= EXPLAINED);
    let shown = gone_astray.into_iter().chain(unlisted.into_iter().take(most));
    let shown = shown.map(|vault| {
        let called = if is_alone(&vault.name) { vault.name.to_string() } else { vault.id.to_string() };
        let (standing, note) = match vault.state {
            State::Orphan if was_removed(row, vault) => (Standing::Orphan, of_removed(&called, &row.name)),
            State::Orphan => {
                (Standing::Orphan, of_orphan(vault, &called, &row.name, elsewhere.owner(vault.id)))
            }
            _ => (Standing::Unlisted, of_its_list(row, vault, &called, elsewhere.owner(vault.id))),
        };
        let known = as_reported(row, vault.clone(), at);
        // Of many the words stand in the device's report alone.
        let report = known.report.filter(|_| are_few);
        let shown = VaultView { standing, notes: vec![note], report, ..known };
        shown.keyed(None).aged(row, Some(at), now)
    });
    let mut shown: Vec<_> = shown.collect();
    // An unlisted one is the last, where there are more.
    let last = shown.last_mut().filter(|_| more > 0);
    last.into_iter().for_each(|last| last.notes.push(of_more(more, &row.name)));
    shown
}

/// By whose list its node has it.
fn of_its_list(row: &DeviceRow, vault: &VaultReport, called: &str, owner: Option<&Name>) -> String {
    match reported::is_held_to(row) {
        Some(other) => of_elsewhere(vault, &row.name, other),
        None if was_removed(row, vault) => of_kept_again(vault, called, &row.name),
        None => of_unlisted(vault, called, &row.name, owner),
    }
}

/// Whether a vault is that of a row: of one that is gone here, what its node has is another thing.
pub(super) fn is_known(rows: &[VaultRow], vault: &VaultView) -> bool {
    rows.iter().any(|row| row.id == vault.id && row.standing != VaultStanding::Gone)
}

/// A vault without a row, by the node's word alone: a default vault is under its default policy.
fn as_reported(row: &DeviceRow, vault: VaultReport, at: UnixSeconds) -> VaultView {
    VaultView {
        device: row.id,
        device_name: Some(row.name.clone()),
        id: vault.id,
        name: vault.name.clone(),
        policy: None,
        standing: Standing::Active,
        delete_at: None,
        held: false,
        created: vault.created,
        recreate: false,
        current_epoch: Epoch(0),
        last_epoch: Epoch(0),
        reported_epoch: vault.epoch,
        state: Some(StateNow::Said(vault.state)),
        last_state: None,
        state_now: None,
        notes: Vec::new(),
        key: None,
        key_now: None,
        withheld: false,
        last_time: is_last_time(&vault),
        opened: vault.opened.clone(),
        storage: vault.storage,
        report: Some(vault),
        reported: Some(crate::clock::text(at)),
    }
    .keyed(Some(OfKey::UnderDefault))
}
