//! Escrow bundles: what a device sent to the controller's ECDH certificate is opened, and kept sealed under the key-encryption key; what it
//! asks back is opened only against a witness of `vault::decide`, and sealed to its session. A bundle is ciphertext of the node's by itself: the
//! seal here is so that a copy of the database and a stolen node together open nothing.

use std::collections::BTreeSet;

use vault::decide::EscrowGranted;
use vault::escrow::drill::{DrillNonce, Proof};
use vault::escrow::history::{Contents, InHistory, Keep, last_of, over};
use vault::escrow::{Bundle, BundleId};
use vault::ids::{DeviceId, Generation, VaultId};
use wire::control::Drill;
use wire::escrow::{SealedBundle, UploadPlace, open_up, seal_down};
use zeroize::Zeroizing;

use super::{CustodyError, Identity, Kek, random};
use crate::store::{
    BundleRow, DeviceRow, HeldBundle, ListedBundle, StoreError, Tx, UnixSeconds, VaultStanding, readable,
};

/// So many of a device's bundles stay, however old.
const NEWEST: usize = 3;
/// For so long others stay too.
const GRACE_S: u64 = 30 * 24 * 3600;
/// Of all of them.
const MOST: usize = 16;
/// With those that stay however many come, each the last that has something of a vault. A bundle has at most 2.25 MiB.
pub(crate) const IN_ALL: usize = 48;
/// The controller's ECDH key, by its name.
const ECDH: &str = "ecdh";

/// What became of a bundle that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKept {
    /// It is its device's newest.
    Yes,
    /// It does not open, and is not kept.
    NotOpened,
    /// It is of another session than its device's present one, or not newer than one that was taken: somebody sends it again.
    Old,
    /// As many are there as may be, each the last that has something of a vault.
    Full,
}

/// What is known of the device that sends a bundle.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    /// The session whose evidence stands.
    pub standing: Option<[u8; 32]>,
    /// Another session followed the one that sends it.
    pub is_past: bool,
    /// The database is older than the device, or was put back from a copy: what was said of its bundles and vaults since is not in it.
    pub held_back: bool,
}

/// Keeps a bundle that a device sent.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub async fn keep_bundle(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    sent: &SealedBundle,
    sender: Sender,
    now: UnixSeconds,
) -> Result<BundleKept, CustodyError> {
    let own = Identity::Key(ECDH);
    let key = tx.key(ECDH).await?.ok_or_else(|| CustodyError::Absent(own.into()))?;
    let Ok(plain) = open_up(&kek.open(own, &key.sealed)?, device.id, sent) else {
        return Ok(BundleKept::NotOpened);
    };
    let Some(place) = sent.place.filter(|place| is_news(device, *place, sent.id, sender)) else {
        return Ok(BundleKept::Old);
    };
    let held = HeldBundle { id: sent.id, received_at: now };
    let sealed = kek.seal(Identity::Bundle(&device.project, device.id, held.id), &plain)?;
    let has = Some(contents(&plain));
    let row = BundleRow { project: device.project.clone(), device: device.id, held, has, sealed };
    if !put(tx, kek, (device, &row), sender.held_back, now).await? {
        // Once: it is sent again and again.
        if device.no_room_at.is_none() {
            tx.set_no_room(device.id, Some(now)).await?;
        }
        return Ok(BundleKept::Full);
    }
    if device.no_room_at.is_some() {
        tx.set_no_room(device.id, None).await?;
    }
    tx.put_upload_place(device.id, &place.session.0, place.number).await?;
    let mut drills = device.drills.get().cloned().unwrap_or_default();
    if drills.sent(now) {
        tx.put_drills(device.id, &drills).await?;
    }
    Ok(BundleKept::Yes)
}

/// What a bundle says that it has. Of one that does not read, of a later build perhaps, that can't be told.
fn contents(plain: &[u8]) -> Contents {
    Bundle::decode(plain).map(|bundle| bundle.contents()).unwrap_or_default()
}

/// Adds one as the newest, and forgets those whose time is over; none by what a database says that is held back. No: there is no room, and all is
/// as it was.
async fn put(
    tx: &mut dyn Tx,
    kek: &Kek,
    (of, row): (&DeviceRow, &BundleRow),
    held_back: bool,
    now: UnixSeconds,
) -> Result<bool, CustodyError> {
    let (device, new) = (row.device, row.held.id);
    note_contents(tx, kek, device).await?;
    let mut all = vec![in_history(row.held, row.has.clone())];
    all.extend(in_order(tx, kek, of).await?.into_iter().filter(|one| one.id != new));
    let erased = erased(tx, device).await?;
    let newest = if held_back { all.len() } else { NEWEST };
    let keep = Keep { newest, since: now.saturating_sub(GRACE_S), most: MOST, in_all: IN_ALL };
    let Ok(over) = over(&all, &erased, keep) else { return Ok(false) };
    tx.put_bundle(row).await?;
    for id in over {
        tx.drop_bundle(device, &id.digest).await?;
    }
    // What was chosen for what newer ones lack is not given back for ever.
    let last = last_of(&all, &erased);
    if !held_back && all.iter().zip(last).any(|(one, last)| one.offered && last.is_empty()) {
        tx.offer_bundle(device, None).await?;
    }
    Ok(true)
}

fn in_history(HeldBundle { id, received_at: at }: HeldBundle, has: Option<Contents>) -> InHistory {
    InHistory { id, at, has: has.unwrap_or_default(), offered: false, failed: false }
}

/// Vaults that are erased, as far as their device knows: nothing of them is to come back.
async fn erased(tx: &mut dyn Tx, device: DeviceId) -> Result<BTreeSet<VaultId>, CustodyError> {
    // What does not read is none that is known to be erased.
    let rows = readable(tx.vaults_listed(device).await?).into_iter();
    Ok(rows.filter(|row| row.standing == VaultStanding::Gone).map(|row| row.id).collect())
}

/// A vault was erased, and its row goes: from here on no bundle stays for it.
///
/// # Errors
/// The store's.
pub(crate) async fn forget_vault(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: DeviceId,
    vault: VaultId,
) -> Result<(), CustodyError> {
    for ListedBundle { held, has, .. } in tx.bundles(device).await? {
        let has = has_of(tx, kek, device, held, has).await?;
        if let Some(rest) = has.and_then(|has| has.without(vault)) {
            tx.note_contents(device, &held.id.digest, &rest).await?;
        }
    }
    Ok(())
}

/// What is noted; of one of before, what it says once it is opened. One that does not read or open has nothing.
async fn has_of(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: DeviceId,
    held: HeldBundle,
    has: Option<Contents>,
) -> Result<Option<Contents>, CustodyError> {
    if has.is_some() {
        return Ok(has);
    }
    let row = match tx.bundle(device, &held.id.digest).await {
        Err(StoreError::Damaged(_)) => None,
        found => found?,
    };
    let Some(row) = row else { return Ok(None) };
    match kek.open(Identity::Bundle(&row.project, device, held.id), &row.sealed) {
        Ok(plain) => Ok(Some(contents(&plain))),
        Err(CustodyError::Unsealed(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Notes what those of before have.
async fn note_contents(tx: &mut dyn Tx, kek: &Kek, device: DeviceId) -> Result<(), CustodyError> {
    let unnoted = tx.bundles(device).await?.into_iter().filter(|listed| listed.has.is_none());
    for ListedBundle { held, .. } in unnoted {
        if let Some(has) = has_of(tx, kek, device, held, None).await? {
            tx.note_contents(device, &held.id.digest, &has).await?;
        }
    }
    Ok(())
}

/// A device's bundles, the newest first.
async fn in_order(tx: &mut dyn Tx, kek: &Kek, device: &DeviceRow) -> Result<Vec<InHistory>, CustodyError> {
    let last = device.drills.get().and_then(|drills| drills.last.as_ref());
    let failed = last.filter(|last| last.failed.is_some()).map(|last| last.bundle);
    let mut all = Vec::new();
    for ListedBundle { held, has, offered } in tx.bundles(device.id).await? {
        let one = in_history(held, has_of(tx, kek, device.id, held, has).await?);
        all.push(InHistory { offered, failed: failed == Some(held.id), ..one });
    }
    Ok(all)
}

/// A device's bundles, the newest first, each with the vaults of which it has something that no newer one has.
///
/// # Errors
/// [`CustodyError`].
pub async fn history(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
) -> Result<Vec<(InHistory, BTreeSet<VaultId>)>, CustodyError> {
    let all = in_order(tx, kek, device).await?;
    let last = last_of(&all, &erased(tx, device.id).await?);
    Ok(all.into_iter().zip(last).collect())
}

/// One whose acknowledgement was lost comes again as it was, and is the newest still. Where no evidence stands (it was taken off, or does not read) none
/// is taken of a session that another one followed. Of a device that was deleted and given back it is not known which sent the last: it gives evidence
/// first, and sends its own again.
fn is_news(device: &DeviceRow, place: UploadPlace, id: BundleId, sender: Sender) -> bool {
    let session = place.session.0;
    let is_present = match (sender.standing, device.uploaded) {
        _ if sender.is_past => false,
        (Some(standing), _) => standing == session,
        (None, Some(_)) => true,
        (None, None) => device.held.is_none(),
    };
    let is_held = device.held.is_some_and(|held| held.id == id);
    let is_later = match device.uploaded {
        Some((session, taken)) if session == place.session.0 => {
            place.number > taken || (place.number == taken && is_held)
        }
        _ => true,
    };
    is_present && is_later
}

/// The bundle of a generation that an operator chose, else its newest, for whom it was granted to; none where none is held.
///
/// # Errors
/// [`CustodyError`]: nothing goes out.
pub async fn give_back(
    tx: &mut dyn Tx,
    kek: &Kek,
    granted: &EscrowGranted,
    generation: Generation,
) -> Result<Option<SealedBundle>, CustodyError> {
    let Some(row) = tx.bundle_of(granted.device(), generation).await? else { return Ok(None) };
    let plain = opened(kek, &row)?;
    Ok(Some(seal_down(&granted.session(), granted.device(), row.held.id, &plain)?))
}

/// What the bundle has, by its own word, that would be given back of a generation; none where it does not open.
///
/// # Errors
/// The store's, and those of the key-encryption key.
pub async fn would_give_back(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: DeviceId,
    generation: Generation,
) -> Result<Option<Contents>, CustodyError> {
    let row = match tx.bundle_of(device, generation).await {
        Ok(Some(row)) => row,
        Ok(None) | Err(StoreError::Damaged(_)) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    match opened(kek, &row) {
        Ok(plain) => Ok(Some(contents(&plain))),
        Err(CustodyError::Unsealed(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// A device's newest bundle as it is tried, and what the answer has to say; none where it is not there.
///
/// # Errors
/// [`CustodyError`]: nothing goes out. [`CustodyError::Unsealed`]: what is kept of it is worth nothing.
pub async fn give_to_try(
    tx: &mut dyn Tx,
    kek: &Kek,
    granted: &EscrowGranted,
    id: BundleId,
) -> Result<Option<(Drill, Proof)>, CustodyError> {
    let Some(row) = tx.bundle(granted.device(), &id.digest).await? else { return Ok(None) };
    let plain = opened(kek, &row)?;
    let mut nonce = DrillNonce([0; 32]);
    random(&mut nonce.0)?;
    let proof = Proof::of(nonce, &granted.session().0, id.generation, &plain);
    let bundle = seal_down(&granted.session(), granted.device(), row.held.id, &plain)?;
    Ok(Some((Drill { nonce, bundle }, proof)))
}

fn opened(kek: &Kek, row: &BundleRow) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    kek.open(Identity::Bundle(&row.project, row.device, row.held.id), &row.sealed)
}
