//! A device that was deleted, and what is kept of it for a grace, so that nothing is lost by one command: given back when the same device is let in
//! again, in the transaction that adds it. It is the device that it was, for its node takes the lists of no other; where it was deleted more than once,
//! that one whose lists its node held to. What can't be given back keeps nobody from registering, and stays kept until its grace is over.

use std::collections::BTreeSet;

use vault::escrow::drill::Drills;
use vault::ids::{Project, VaultId};
use vault::life::{Life, NotBack, There, Was, fits_default, has_room, was};

use super::life::{life, new_row};
use super::times::no_earlier_than_shown;
use crate::custody::{CustodyError, GoesOver, IN_ALL, Kek, goes_over, restored_bundle};
use crate::service::Refusal;
use crate::store::{
    DamagedRow, DeletedRow, DeviceRow, EpochRow, KeptBundle, NodeWord, OfDeleted, OrDamaged, ReleaseRow,
    RowKind, StoreError, Tx, UnixSeconds, VaultRow, VaultStanding, WentOut,
};

/// What a device that came again got back.
#[derive(Debug, Default)]
pub(crate) struct GivenBack {
    pub(crate) vaults: u64,
    pub(crate) bundles: u64,
    /// What could not be given back, and why.
    pub(crate) left: Vec<String>,
}

/// What is kept of one device since one of its deletions.
pub(crate) struct Before {
    pub(crate) row: DeletedRow,
    of: OfDeleted,
}

impl Before {
    /// Whether its node had made this vault by a list of that device's. What a node says of the default vaults while it holds to the lists of another
    /// one is of keys that are not these.
    fn was_taken(&self, vault: &VaultRow) -> bool {
        let held_to_it = self.row.node_of.is_none_or(|of| of == self.row.device);
        held_to_it && (vault.created || vault.reported_epoch.is_some())
    }
}

/// What is kept of a device since all of its deletions.
#[derive(Default)]
pub(crate) struct Kept {
    /// The newest deletion first.
    pub(crate) all: Vec<Before>,
    /// Deletions whose own row does not read: nobody can tell which device that was, and all of it stays kept.
    unread: Vec<DamagedRow>,
}

/// What is kept of the device that a key and a project name.
pub(crate) async fn kept(tx: &mut dyn Tx, key: &[u8; 32], project: &Project) -> Result<Kept, Refusal> {
    let mut kept = Kept::default();
    for row in tx.deleted_by_key(key).await?.into_iter().rev() {
        match row {
            OrDamaged::Whole(row) if row.project == *project => {
                let of = tx.of_deleted(row.id).await?;
                kept.all.push(Before { row, of });
            }
            OrDamaged::Whole(_) => {}
            OrDamaged::Damaged(row) => kept.unread.push(row),
        }
    }
    Ok(kept)
}

/// As [`vault::life::not_erased`] says.
pub(crate) fn not_erased<'v>(vaults: impl Iterator<Item = &'v VaultRow>) -> BTreeSet<VaultId> {
    vault::life::not_erased(&vaults.map(|row| (row.id, is_gone(row))).collect::<Vec<_>>())
}

fn is_gone(row: &VaultRow) -> bool {
    row.standing == VaultStanding::Gone
}

/// Which of them it is again, as [`was`] says.
pub(crate) fn itself(kept: &[Before]) -> Option<&DeletedRow> {
    let of = |before: &Before| Was {
        device: before.row.device,
        held_to: before.row.node_of,
        made: before.of.vaults.iter().any(|vault| before.was_taken(vault)),
    };
    was(&kept.iter().map(of).collect::<Vec<_>>()).map(|nth| &kept[nth].row)
}

/// Gives a device that was just added all that is kept of it, the newest deletion first. What is given is kept for nobody any more.
pub(crate) async fn give_back(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    Kept { all: kept, unread }: Kept,
    now: UnixSeconds,
) -> Result<GivenBack, Refusal> {
    let now = no_earlier_than_shown(tx, now).await?;
    let mut given = GivenBack::default();
    given.left.extend(
        unread.iter().chain(kept.iter().flat_map(|before| &before.of.damaged)).map(DamagedRow::to_string),
    );
    vaults(tx, kek, (device, &kept), now, &mut given).await?;
    bundles(tx, kek, (device, &kept), &mut given).await?;
    for before in kept {
        if tx.of_deleted(before.row.id).await?.is_nothing() {
            tx.forget_deleted(before.row.id).await?;
        }
    }
    Ok(given)
}

/// Of two of one name the one that its node has wins, whichever was deleted last: keys that it never took open nothing there.
async fn vaults(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, kept): (&DeviceRow, &[Before]),
    now: UnixSeconds,
    given: &mut GivenBack,
) -> Result<(), Refusal> {
    let mut all: Vec<(&Before, &VaultRow)> = Vec::new();
    for before in kept {
        all.extend(before.of.vaults.iter().map(|row| (before, row)));
    }
    // What is to be erased last: by then it is known what is wanted of the same identity.
    all.sort_by_key(|(before, row)| (is_gone(row), before.row.device != device.id, !before.was_taken(row)));
    let not_erased = not_erased(all.iter().map(|(_, row)| *row));
    for (before, row) in all {
        let left = if is_gone(row) && not_erased.contains(&row.id) {
            Err(NotBack::Wanted)
        } else {
            one(tx, kek, (device, before), row, now).await?
        };
        match left {
            Ok(()) => {
                tx.forget_deleted_vault(before.row.id, row.id).await?;
                given.vaults += u64::from(!is_gone(row));
            }
            Err(why) => given.left.push(format!("vault `{}`: {why}", row.name)),
        }
    }
    Ok(())
}

/// In the order in which they came, with the one that an operator chose last, and how its drills stood: one that failed is not called good for having
/// been deleted. There is room for the newest.
async fn bundles(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, kept): (&DeviceRow, &[Before]),
    given: &mut GivenBack,
) -> Result<(), Refusal> {
    let mut all: Vec<(&Before, &KeptBundle)> = Vec::new();
    for before in kept.iter().rev() {
        all.extend(before.of.bundles.iter().map(|one| (before, one)));
    }
    let (before, mut chosen, mut drills) = (given.bundles, None, None);
    let over = all.len().saturating_sub(IN_ALL);
    given
        .left
        .extend((over > 0).then(|| format!("its {over} oldest bundles: a device has at most {IN_ALL}")));
    for (of, KeptBundle { row, offered }) in all.split_off(over) {
        let digest = row.held.id.digest;
        match unopened(restored_bundle(kek, row.clone(), device))? {
            Ok(bundle) => {
                tx.put_bundle(&bundle).await?;
                tx.forget_deleted_bundle(of.row.id, &digest).await?;
                chosen = offered.then_some(digest).or(chosen);
                drills = Some(&of.of.drills);
                given.bundles += 1;
            }
            Err(row) => given.left.push(NotBack::Unopened(row).to_string()),
        }
    }
    if given.bundles > before {
        tx.offer_bundle(device.id, chosen.as_ref()).await?;
        // A question that is out was to a session of before.
        let drills =
            drills.and_then(|told| told.get()).map(|drills| Drills { asked: None, ..drills.clone() });
        tx.put_drills(device.id, &drills.unwrap_or_default()).await?;
    }
    Ok(())
}

/// Gives one vault back with all of its keys, or nothing of it: why.
async fn one(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, before): (&DeviceRow, &Before),
    vault: &VaultRow,
    now: UnixSeconds,
) -> Result<Result<(), NotBack>, Refusal> {
    let listed = match life(vault) {
        Ok(Life::Listed(listed)) => listed,
        Ok(Life::Gone(_)) => return gone(tx, device, vault).await.map(Ok),
        // What it says of itself leads nowhere.
        Err(StoreError::Damaged(why)) => return Ok(Err(NotBack::Row(why))),
        Err(failed) => return Err(failed.into()),
    };
    if lacks_a_key(&before.of, vault) {
        return Ok(Err(NotBack::Keys));
    }
    if let Err(why) = in_the_way(tx, device, vault).await? {
        return Ok(Err(why));
    }
    let mut own = Vec::new();
    for epoch in before.of.epochs.iter().filter(|epoch| epoch.vault == vault.id) {
        match unopened(goes_over(tx, kek, (vault, epoch.clone()), (&device.project, device)).await)? {
            Ok(GoesOver { row, .. }) => own.push(row),
            Err(row) => return Ok(Err(NotBack::Unopened(row))),
        }
    }
    let listed = listed.given_back(before.row.deleted_at, now);
    tx.add_vault(&new_row(device, (vault.id, vault.name.clone()), listed, vault.added_at)).await?;
    let went_out: Vec<_> = before.of.went_out.iter().filter(|out| out.vault == vault.id).collect();
    add_keys(tx, device, own, went_out).await?;
    Ok(Ok(()))
}

/// Whether a row that does not read is of one of its keys, or may be.
fn lacks_a_key(of: &OfDeleted, vault: &VaultRow) -> bool {
    let has = |epoch| of.epochs.iter().any(|row| (row.vault, row.epoch) == (vault.id, epoch));
    let has_all = has(vault.current_epoch)
        && has(vault.last_epoch)
        && of.went_out.iter().any(|out| out.vault == vault.id);
    let may_be = |row: &DamagedRow| match row.id.as_deref().map(str::parse) {
        Some(Ok(id)) => vault.id == id,
        _ => !has_all,
    };
    of.damaged.iter().filter(|row| row.kind == RowKind::Key).any(may_be)
}

/// One that was removed and not erased yet, as far as its node said: the next list names it as removed once more.
async fn gone(tx: &mut dyn Tx, device: &DeviceRow, vault: &VaultRow) -> Result<(), Refusal> {
    let is_there = tx.vault(device.id, vault.id).await?.is_some();
    if !is_there {
        let left_version = Some(device.section_version + 1);
        let (device, report) = (device.id, NodeWord::nothing());
        tx.add_vault(&VaultRow { device, left_version, report, ..vault.clone() }).await?;
        tx.end_section(device).await?;
    }
    Ok(())
}

/// Its keys, and that they went out: to a session that is over, so that none of what was sealed for it goes out again.
async fn add_keys(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    own: Vec<EpochRow>,
    went_out: Vec<&WentOut>,
) -> Result<(), Refusal> {
    for epoch in own {
        tx.add_epoch(&epoch).await?;
    }
    for WentOut { vault, epoch, custody } in went_out {
        tx.put_release(&ReleaseRow {
            project: device.project.clone(),
            device: device.id,
            vault: *vault,
            epoch: *epoch,
            custody: custody.clone(),
            session: [0; 32],
            enc: Vec::new(),
            number: 0,
            ciphertext: Vec::new(),
        })
        .await?;
    }
    Ok(())
}

/// Whether a vault can be this device's: by what it has, and by what the vault's policy is now.
async fn in_the_way(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    vault: &VaultRow,
) -> Result<Result<(), NotBack>, Refusal> {
    let rows = tx.vaults(device.id).await?;
    let room = has_room(there(vault), &rows.iter().map(there).collect::<Vec<_>>());
    let Some(name) = vault.policy.as_ref().filter(|_| room.is_ok()) else { return Ok(room) };
    let row = match tx.policy(&device.project, name.as_str()).await {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(Err(NotBack::NoPolicy(name.clone()))),
        Err(StoreError::Damaged(why)) => return Ok(Err(NotBack::Policy(why))),
        Err(failed) => return Err(failed.into()),
    };
    let is_default = vault.id.is_default();
    let unfit = is_default.then(|| fits_default(&row.policy, vault.id).err()).flatten();
    Ok(unfit.map_or(Ok(()), |why| Err(NotBack::Unfit(why))))
}

fn there(row: &VaultRow) -> There<'_> {
    There { id: row.id, name: &row.name, gone: is_gone(row) }
}

/// A row that does not open is no error of the registration's: which one.
fn unopened<T>(restored: Result<T, CustodyError>) -> Result<Result<T, String>, CustodyError> {
    match restored {
        Ok(restored) => Ok(Ok(restored)),
        Err(CustodyError::Unsealed(row) | CustodyError::Absent(row)) => Ok(Err(row.to_string())),
        Err(other) => Err(other),
    }
}
