//! A database that was put back from a copy. What operators said since the copy was made is not in it: a device that they marked as lost is in good
//! hands again, a token that they ended is good. Nobody but they can say it anew. So nothing is released, and nothing that was kept ends, until
//! who has the stopped controller's folder says that it was gone through. Not over the API: an ended token is good there.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use disk::Disk;

use super::start::{StartError, claimed};
use super::{Controller, Part, Refusal};
use crate::clock::now;
use crate::fleet::times::no_earlier_than_shown;
use crate::store::{Scope, Store, Stored, Tx, UnixSeconds};
use crate::words::damaged::of_unkept;

/// In the store: nobody said yet that it was gone through; empty: it is so.
const PUT_BACK: &str = "put back";
/// What stands there since nothing that was ending in the copy ends by it: what was begun since is an operator's word on this copy.
const KEPT: &[u8] = b"to be gone through; what was ending is kept";

/// Whether it is so, in the transaction that brings the controller up; and each device says so then.
///
/// What is being removed in it may have been kept since, and a deleted device let in again: erased, their keys would be gone for good. An order to make
/// a vault anew may have been taken back. Where it is noticed, also once more, and where a build of before noticed it, all of that is undone at once.
pub(super) async fn held(tx: &mut dyn Tx, noticed: bool, now: UnixSeconds) -> Stored<bool> {
    let noted = tx.meta(PUT_BACK).await?.filter(|noted| !noted.is_empty());
    let is_held = noticed || noted.is_some();
    if noticed || noted.is_some_and(|noted| noted != KEPT) {
        let at = no_earlier_than_shown(tx, now).await?;
        tx.keep_ending(at).await?;
        tx.put_meta(PUT_BACK, KEPT).await?;
    }
    if is_held {
        tx.hold_back(true).await?;
    }
    Ok(is_held)
}

impl Controller {
    /// An operator changed something, or an alarm was given: a copy from before is known as one from now on. Before anybody is told that it is done.
    pub(crate) async fn acted(&self) {
        if let Err(error) = self.store.count_act().await {
            // What was said stands all the same: a device that is lost is not to wait for room on a disk.
            let line = of_unkept(Part::Number, &error.into());
            tracing::error!(error = line, "tried again in the next round of housekeeping");
            self.unkept.add(line);
            self.owes_number.store(true, SeqCst);
        }
    }

    /// Makes up for it.
    pub(crate) async fn number_owed(&self) -> Result<(), Refusal> {
        if self.owes_number.swap(false, SeqCst)
            && let Err(error) = self.store.count_act().await
        {
            self.owes_number.store(true, SeqCst);
            return Err(error.into());
        }
        Ok(())
    }
}

/// The database of a data folder, on which no controller works, was gone through: keys go out again, as it says. False: it is the one that the last
/// controller left there, nothing held it back, and nothing was changed.
///
/// # Errors
/// [`StartError`]: it lets nothing go.
pub async fn checked(disk: &Disk, data: &Path) -> Result<bool, StartError> {
    let store = claimed(data).await?;
    let done = let_go(disk, &store).await;
    store.close().await;
    done
}

/// The note comes first, as no controller may have run over this folder, and goes last: with its number the database is known as the one that
/// was left here, and nothing but the note holds it back.
async fn let_go(disk: &Disk, store: &Store) -> Result<bool, StartError> {
    let (at, noticed) = (now(), store.was_put_back());
    let held: Stored<bool> = store.write(Scope::Fleet, |tx| Box::pin(held(tx, noticed, at))).await;
    if !held? {
        return Ok(false);
    }
    store.count_opening(disk).await?;
    let written: Stored<()> = store.write(Scope::Fleet, |tx| Box::pin(gone_through(tx, at))).await;
    written?;
    Ok(true)
}

async fn gone_through(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<()> {
    let at = no_earlier_than_shown(tx, now).await?;
    tx.keep_deleted_longer(at).await?;
    tx.put_meta(PUT_BACK, b"").await?;
    tx.hold_back(false).await
}
