//! Files that came back with the escrow bundle, written where both copies were gone: the share table, and key files of vaults. What is to be
//! written back is judged in [`vault::escrow::restore`]; how the bundle was asked for and opened is not looked at here.

use std::collections::{BTreeMap, BTreeSet};

use vault::belief::Heard;
use vault::condition::Node;
use vault::escrow::hope::Hopes;
use vault::escrow::restore::{DirKey, key_files, lacking};
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
        self.hopes(&self.node()).asks_for_files(&self.hoped_for())
    }

    /// By what hopes are judged; `node` is what the node is seen to be now.
    pub(crate) fn hopes<'a>(&'a self, node: &'a Node) -> Hopes<'a> {
        Hopes {
            desired: self.belief.desired(),
            node,
            gives_root: self.gives_root(),
            hopeless: &self.hopeless,
            back: self.escrow.back(),
        }
    }

    /// Without the TPM's own root nothing of a bundle is believed.
    fn gives_root(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.keys.is_some())
    }

    /// Vaults that a bundle may still help. Asked at each word to the controller, so by what was seen last, and closely only where that shows no
    /// key files.
    fn hoped_for(&self) -> BTreeMap<VaultId, Known> {
        let node = self.node();
        let hopes = self.hopes(&node);
        let bare = self.slots.iter().filter(|(id, slot)| hopes.is_hoped_for(**id, slot.glance()));
        bare.map(|(id, _)| (*id, self.known(*id))).collect()
    }

    /// Whether a bundle may have better key files of a vault than what lies there.
    pub(crate) fn can_help(&self, id: VaultId) -> bool {
        self.hopes(&self.node()).can_help(id, &self.known(id))
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
        let lacking = self.lacking();
        self.hopeless.came(lacking, &failed);
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
                self.hopeless.set_table(matches!(error, SharesError::OtherTable(_)));
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
