//! A look at a vault, and what is remembered of it.

use vault::ids::VaultId;

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::{Crypt, CryptError};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::observe::{self, Sight};
use crate::agents::vaultmgr::vault::slot::VaultMemory;

impl<C: Crypt> Manager<C> {
    /// Observes: everything the first time, and after it failed; then what changes from outside.
    pub(crate) fn look(&mut self, id: VaultId) {
        let Some(slot) = self.slots.get(&id).filter(|slot| !slot.unseen) else { return self.look_again(id) };
        let sight = observe::glance(&self.crypt, &self.paths, id, slot.sight());
        self.seen(id, sight);
    }

    /// Observes everything anew, metadata too.
    pub(crate) fn look_again(&mut self, id: VaultId) {
        self.escrow.note_changed(id);
        let before = self.slots.get(&id).map(VaultMemory::sight);
        let sight = observe::observe(&self.crypt, &self.paths, id, before);
        self.seen(id, sight);
    }

    /// The same, also where its key files were put back under names that nothing was known of.
    pub(crate) fn look_closely(&mut self, id: VaultId) {
        self.crypt.look_for_names();
        self.look_again(id);
    }

    /// One that could not be looked at keeps what was seen before; of its key the kernel is asked all the same, so that it can be locked.
    fn seen(&mut self, id: VaultId, sight: Result<Sight, CryptError>) {
        let slot = self.slots.entry(id).or_default();
        if slot.unseen || sight.as_ref().ok() != Some(slot.sight()) {
            self.found_otherwise.insert(id);
        }
        slot.unseen = sight.is_err();
        match sight {
            Ok(sight) => slot.see(id, sight, &mut self.naming),
            Err(error) => {
                let sight = observe::unlooked(&self.crypt, id, slot.sight());
                slot.see(id, sight, &mut self.naming);
                slot.facts = vec![chain(&error)];
                tracing::warn!(vault = %id, error = %chain(&error), "can't be observed");
            }
        }
    }
}
