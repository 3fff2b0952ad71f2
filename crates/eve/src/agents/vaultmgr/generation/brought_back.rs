//! Files that came back with the escrow bundle, written where both copies were gone: the share table, and key files of vaults. What is to be
//! written back is judged in [`vault::escrow::restore`]; how the bundle was asked for and opened is not looked at here.

use std::collections::{BTreeMap, BTreeSet};

use vault::belief::Heard;
use vault::escrow::restore::{DirKey, asks_for_files, can_help, key_files, lacking};
use vault::escrow::{Bundle, VaultFiles};
use vault::ids::VaultId;
use vault::plan::Known;

use crate::agents::vaultmgr::generation::errands::Errand;
use crate::agents::vaultmgr::generation::files::{keep_aside, write};
use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::{Crypt, Found};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::vault::execute::StepError;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// What a bundle was seen not to bring back, in this life: it is not asked for again, and nothing waits for it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hopeless {
    vaults: BTreeSet<VaultId>,
    table: bool,
}

impl Hopeless {
    pub(crate) fn table(&self) -> bool {
        self.table
    }

    /// Root gives up what the vault lacks, and with it the table where that is lost.
    pub(crate) fn give_up(&mut self, id: VaultId, table: bool) {
        self.vaults.insert(id);
        self.table |= table;
    }

    /// The vault opened by its key files: what it loses later is asked for again.
    pub(crate) fn is_back(&mut self, id: VaultId) {
        self.vaults.remove(&id);
    }
}

impl ShareStore {
    /// Puts the bundle's share table in place of the lost one, whose files are kept aside. After an error it is still lost. What it stands
    /// beside in the TPM is to be read next, and until then it is not changed.
    pub(crate) fn bring_back(&mut self, paths: &Paths, bundle: &Bundle) -> Result<(), SharesError> {
        let keys = self.keys.as_ref().filter(|_| self.table.is_none()).ok_or(SharesError::NoRoot)?;
        let mut table = bundle.table_for(keys.generation, &keys.table)?;
        let aside = keep_aside(paths, keys.generation)?;
        table.follow(table.edition().max(aside));
        write(paths, &mut table, keys)?;
        (self.table, self.lent) = (Some(table), true);
        Ok(())
    }
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Whether the bundle is to be asked back for files.
    pub(crate) fn asks_for_files(&self) -> bool {
        let node = self.node();
        if node.table_lost() {
            self.gives_root() && !self.hopeless.table
        } else {
            asks_for_files(self.belief.desired(), &self.hoped_for(), &node)
        }
    }

    /// Without the TPM's own root nothing of a bundle is believed.
    pub(crate) fn gives_root(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.keys.is_some())
    }

    /// Vaults that a bundle may still help. Asked at each word to the controller, so by what was seen last, and closely only where that shows no
    /// key files.
    fn hoped_for(&self) -> BTreeMap<VaultId, Known> {
        let bare = self.slots.keys().filter(|id| self.is_hoped_for(**id));
        bare.map(|id| (*id, self.known(*id))).collect()
    }

    /// Whether a vault may be one of them.
    pub(crate) fn is_hoped_for(&self, id: VaultId) -> bool {
        let bare = |slot: &VaultMemory<C::Protector>| {
            (!slot.sight().seen.has_metadata() || slot.none_fits) && !slot.is_discarded()
        };
        self.slots.get(&id).is_some_and(bare) && !self.hopeless.vaults.contains(&id)
    }

    /// Whether a bundle may have better key files of a vault than what lies there.
    pub(crate) fn can_help(&self, id: VaultId) -> bool {
        can_help(&self.known(id)) && !self.hopeless.vaults.contains(&id)
    }

    /// Vaults without key files that a bundle may still have: one that is made now would lack them.
    pub(crate) fn lacking(&self) -> Vec<VaultId> {
        lacking(self.belief.desired(), &self.hoped_for(), &self.node())
    }

    /// Writes back what the bundle has of files that are gone. What it does not have it is not asked for again.
    pub(crate) fn bring_back(&mut self, bundle: &Bundle) {
        if self.node().table_lost() {
            if self.desk.is_out() {
                // It is asked for again, when it is known what the TPM says.
                return;
            }
            self.bring_back_table(bundle);
        }
        let (due, failed) = self.bring_back_key_files(bundle);
        due.into_iter().for_each(|id| self.look_again(id));
        // What could not be written, for want of room perhaps, the bundle has still: it is asked for again, and nothing takes its place until then.
        let gone = self.lacking().into_iter().filter(|id| !failed.contains(id));
        self.hopeless.vaults.extend(gone.collect::<Vec<_>>());
        self.start_afresh();
    }

    fn bring_back_table(&mut self, bundle: &Bundle) {
        let Some(shares) = &mut self.shares else { return };
        match shares.bring_back(&self.paths, bundle) {
            Ok(()) => {
                tracing::info!("the share table came back from escrow");
                self.send(Errand::Roots);
            }
            Err(error) => {
                self.hopeless.table = matches!(error, SharesError::OtherTable(_));
                let words = crate::agents::vaultmgr::chain(&error);
                self.notes.tell(vault::belief::About::Roots, words);
            }
        }
        self.hear(Heard::Tpm(self.roots(), None));
        self.everything().into_iter().for_each(|id| self.look(id));
    }

    /// Says of which vaults the bundle has them, and of which of these they could not be written now.
    fn bring_back_key_files(&mut self, bundle: &Bundle) -> (Vec<VaultId>, BTreeSet<VaultId>) {
        let dir_key = |id| self.dir_key(id);
        let due = key_files(bundle, &self.lacking(), dir_key);
        let mut failed = BTreeSet::new();
        for (id, files) in &due {
            match self.bring_back_one(*id, files) {
                Ok(true) => tracing::info!(vault = %id, "its key files came back from escrow"),
                Ok(false) => {
                    tracing::warn!(vault = %id, "its key files did not come back from escrow: no key at hand opens those in the bundle either");
                }
                Err(error) => {
                    failed.insert(*id);
                    self.not_brought_back(*id, &error);
                }
            }
        }
        (due.into_iter().map(|(id, _)| id).collect(), failed)
    }

    fn not_brought_back(&mut self, id: VaultId, error: &StepError) {
        let (name, why) = (self.belief.desired().name(id), crate::agents::vaultmgr::chain(error));
        let words = format!(
            "the key files of vault {name} did not come back from escrow; it is tried again by itself: {why}"
        );
        self.notes.tell(vault::belief::About::Escrow, words);
    }

    /// Over copies that read, and are damaged in what a key opens, nothing is written but what a key at hand opens. Whether one did.
    fn bring_back_one(&mut self, id: VaultId, files: &VaultFiles) -> Result<bool, StepError> {
        let known = self.known(id);
        if !known.seen.has_metadata() {
            self.crypt.bring_back(id, files)?;
            return Ok(true);
        }
        for wrapping in known.keys.candidates() {
            let secret = self.secret(id, wrapping)?;
            if self.crypt.put_back(id, files, &secret)? {
                self.slots.entry(id).or_default().none_fits = false;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn dir_key(&self, id: VaultId) -> Option<DirKey> {
        match self.crypt.find(&self.paths.vault(id)) {
            Ok(Found::Policy { key, .. }) => Some(key.0),
            _ => None,
        }
    }
}
