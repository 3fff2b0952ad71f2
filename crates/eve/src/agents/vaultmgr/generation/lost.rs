//! A share table that is lost: what is told of it, and another one begun in its place by order.

use vault::generations::unused;
use vault::ids::VaultId;
use vault::shares::Table;

use crate::agents::vaultmgr::generation::change;
use crate::agents::vaultmgr::generation::errands::Beginning;
use crate::agents::vaultmgr::generation::files::{has_whole, keep_aside, write};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::paths::Paths;

impl ShareStore {
    /// Begins a new table in place of the lost one, with `lost` entered as lost. The file of the lost one is kept aside, and where no
    /// root could be read a new generation is begun beside it, so that a drive put back where it came from still opens: that is an errand.
    pub(crate) fn begin_anew(
        &mut self,
        paths: &Paths,
        lost: &[VaultId],
    ) -> Result<Option<Beginning>, SharesError> {
        let of_keys = self.keys.as_ref().map(|keys| keys.generation);
        let generation = of_keys.or_else(|| unused(change::on_disk(paths), &self.keep));
        let generation = generation.ok_or(SharesError::NoPlace)?;
        let begun = if self.keys.is_some() { Table::in_place_of_lost } else { Table::new };
        let mut table = begun(generation);
        lost.iter().try_for_each(|id| table.add_lost(*id))?;
        let Some(keys) = &self.keys else {
            return Ok(Some(Beginning { undefine: self.undefine.clone(), table }));
        };
        table.follow(keep_aside(paths, generation)?);
        write(paths, &mut table, keys)?;
        self.table = Some(table);
        Ok(None)
    }

    /// Whether none of this TPM's roots opens a table, and a whole one lies on the disk: that may be another TPM's.
    pub(crate) fn may_be_anothers(&self, paths: &Paths) -> bool {
        self.table.is_none() && has_whole(paths)
    }

    /// What is told where one NV index is gone alone, and no table opens by the other.
    pub(crate) fn words_of_gone(&self) -> Option<String> {
        let index = self.gone.filter(|_| self.table.is_none())?;
        Some(format!(
            "the TPM's NV index {index:#010x} is gone, and with it the secret that opens the share table and any bundle in escrow; the other one of this node is there. No approval of a boot brings that back, and no other TPM was put in: see what undefined it (`tpm2_nvreadpublic` lists what is there). All is left as it is. A vault that has a recovery key opens by it (`eve vault recover`): copy what you need, or give the default vaults up (`eve vault recreate config`), by which that secret is made anew and each vault that is open so gets a share under it; what else the TPM had a part in opens no more, also with `seal: pcrs`, and is made anew or removed"
        ))
    }
}
