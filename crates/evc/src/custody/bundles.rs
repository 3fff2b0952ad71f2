//! Escrow bundles: what a device sent to the controller's ECDH certificate is opened, and kept sealed under the key-encryption key; what it
//! asks back is opened only against a witness of `vault::decide`, and sealed to its session. A bundle is ciphertext of the node's by itself: the
//! seal here is so that a copy of the database and a stolen node together open nothing.

use vault::decide::EscrowGranted;
use vault::escrow::BundleId;
use vault::escrow::drill::{DrillNonce, Proof};
use vault::ids::Generation;
use wire::control::Drill;
use wire::escrow::{SealedBundle, UploadPlace, open_up, seal_down};
use zeroize::Zeroizing;

use super::{CustodyError, Identity, Kek, random};
use crate::store::{BundleRow, DeviceRow, HeldBundle, Keep, Tx, UnixSeconds};

/// So many of a device's bundles stay, however old.
const NEWEST: u32 = 3;
/// For so long others stay too.
const GRACE_S: u64 = 30 * 24 * 3600;
/// Of all of them.
const MOST: u32 = 16;
/// The controller's ECDH key, by its name.
const ECDH: &str = "ecdh";

/// What became of a bundle that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is its device's newest.
    Yes,
    /// It does not open, and is not kept.
    NotOpened,
    /// It is of another session than its device's present one, or not newer than one that was taken: somebody sends it again.
    Old,
}

/// Keeps a bundle that a device sent. `standing`: the session whose evidence stands.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub async fn keep_bundle(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    sent: &SealedBundle,
    standing: Option<[u8; 32]>,
    now: UnixSeconds,
) -> Result<Kept, CustodyError> {
    let own = Identity::Key(ECDH);
    let key = tx.key(ECDH).await?.ok_or_else(|| CustodyError::Absent(own.into()))?;
    let Ok(plain) = open_up(&kek.open(own, &key.sealed)?, device.id, sent) else {
        return Ok(Kept::NotOpened);
    };
    let Some(place) = sent.place.filter(|place| is_news(device, *place, sent.id, standing)) else {
        return Ok(Kept::Old);
    };
    let held = HeldBundle { id: sent.id, received_at: now };
    let sealed = kek.seal(Identity::Bundle(&device.project, device.id, held.id), &plain)?;
    let row = BundleRow { project: device.project.clone(), device: device.id, held, sealed };
    let keep = Keep { newest: NEWEST, since: now.saturating_sub(GRACE_S), most: MOST };
    tx.put_bundle(&row, keep).await?;
    tx.put_upload_place(device.id, &place.session.0, place.number).await?;
    let mut drills = device.drills.get().cloned().unwrap_or_default();
    if drills.sent(now) {
        tx.put_drills(device.id, &drills).await?;
    }
    Ok(Kept::Yes)
}

/// One whose acknowledgement was lost comes again as it was, and is the newest still.
fn is_news(device: &DeviceRow, place: UploadPlace, id: BundleId, standing: Option<[u8; 32]>) -> bool {
    let is_present = standing.is_none_or(|session| session == place.session.0);
    let is_held = device.held.is_some_and(|held| held.id == id);
    let is_later = match device.uploaded {
        Some((session, taken)) if session == place.session.0 => {
            place.number > taken || (place.number == taken && is_held)
        }
        _ => true,
    };
    is_present && is_later
}

/// The newest bundle of a generation, for whom it was granted to; none where none is held.
///
/// # Errors
/// [`CustodyError`]: nothing goes out.
pub async fn give_back(
    tx: &mut dyn Tx,
    kek: &Kek,
    granted: &EscrowGranted,
    generation: Generation,
) -> Result<Option<SealedBundle>, CustodyError> {
    let Some((held, plain)) = opened(tx, kek, granted, generation).await? else { return Ok(None) };
    Ok(Some(seal_down(&granted.session(), granted.device(), held.id, &plain)?))
}

/// The same bundle as it is tried, and what the answer has to say; none where none is held.
///
/// # Errors
/// [`CustodyError`]: nothing goes out. [`CustodyError::Unsealed`]: what is kept of it is worth nothing.
pub async fn give_to_try(
    tx: &mut dyn Tx,
    kek: &Kek,
    granted: &EscrowGranted,
    generation: Generation,
) -> Result<Option<(Drill, Proof)>, CustodyError> {
    let Some((held, plain)) = opened(tx, kek, granted, generation).await? else { return Ok(None) };
    let mut nonce = DrillNonce([0; 32]);
    random(&mut nonce.0)?;
    let proof = Proof::of(nonce, &granted.session().0, generation, &plain);
    let bundle = seal_down(&granted.session(), granted.device(), held.id, &plain)?;
    Ok(Some((Drill { nonce, bundle }, proof)))
}

async fn opened(
    tx: &mut dyn Tx,
    kek: &Kek,
    granted: &EscrowGranted,
    generation: Generation,
) -> Result<Option<(HeldBundle, Zeroizing<Vec<u8>>)>, CustodyError> {
    let Some(row) = tx.bundle_of(granted.device(), generation).await? else { return Ok(None) };
    let identity = Identity::Bundle(&row.project, row.device, row.held.id);
    let plain = kek.open(identity, &row.sealed)?;
    Ok(Some((row.held, plain)))
}
