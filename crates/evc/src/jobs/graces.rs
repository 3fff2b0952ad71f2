//! Graces that are over end, each in a transaction of its own.

use vault::ids::{DeviceId, VaultId};
use vault::life::Life;

use crate::fleet::life::{life, write_gone};
use crate::service::{Controller, Fault, Refusal};
use crate::store::{Scope, Tx, UnixSeconds, VaultRow};

/// Most graces that are ended in one round.
const BATCH: u32 = 200;

impl Controller {
    /// Ends the graces that are over: the keys go, the node erases at its next contact. Each for itself, so that no device waits for
    /// another's. Safe to repeat. How many it were.
    pub(crate) async fn end_graces(&self, now: UnixSeconds) -> Result<usize, Refusal> {
        let due = self.store.read(|tx| tx.vaults_to_end(now, BATCH)).await?;
        let mut ended = 0;
        for VaultRow { device, id: vault, .. } in due {
            let end =
                self.store.write(Scope::Device(device), |tx| Box::pin(end_if_over(tx, device, vault, now)));
            if end.await? {
                tracing::info!(%device, %vault, "grace over, keys deleted");
                ended += 1;
            }
        }
        Ok(ended)
    }
}

/// Whether it still had to end: an operator may have kept the vault since the list was read.
async fn end_if_over(
    tx: &mut dyn Tx,
    device: DeviceId,
    vault: VaultId,
    now: UnixSeconds,
) -> Result<bool, Refusal> {
    let Some(row) = tx.vault(device, vault).await? else { return Ok(false) };
    let Life::Listed(listed) = life(&row)? else { return Ok(false) };
    let of = tx.device(device).await?.ok_or(Fault::VaultWithoutDevice)?;
    // The grace may have been undone in the newer copy.
    if of.older.is_some() {
        return Ok(false);
    }
    let Ok(gone) = listed.end_grace(now, of.section_version + 1) else { return Ok(false) };
    write_gone(tx, device, vault, gone).await?;
    Ok(true)
}
