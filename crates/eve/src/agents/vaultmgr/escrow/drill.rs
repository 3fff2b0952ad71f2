//! A drill on the node: the bundle that the controller holds is opened as it would be after the PCRs moved, held against what the TPM, the disk and
//! this life have, and dropped. Nothing of it is used, and nothing is changed by how it goes: a controller that hears of a failure asks for another.

use vault::escrow::Bundle;
use vault::escrow::VaultFiles;
use vault::escrow::drill::{DrillAnswer, Fit, Own, Proof, Unfit};
use vault::ids::{DeviceId, VaultId};
use wire::control::Drill;

use super::{EscrowMemory, RescueError};
use crate::agents::vaultmgr::generation::roots::RootKeys;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// Why a drill failed, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DrillError {
    /// It is not this node's bundle, or none.
    #[error(transparent)]
    NotOpened(#[from] RescueError),
    /// It opens, and would not help.
    #[error(
        "the bundle that the controller holds would not bring back what this node needs; another is sent by itself"
    )]
    Unfit(#[source] Unfit),
    /// It may be the good one.
    #[error(
        "which is damaged, the bundle that the controller holds or this node's disk, shows when the vault opens, and is mended by itself then; no other bundle is sent until then"
    )]
    Untold(#[source] Unfit),
}

impl From<Unfit> for DrillError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Untold(_) => Self::Untold(unfit),
            _ => Self::Unfit(unfit),
        }
    }
}

impl EscrowMemory {
    /// How the last one went, in this life.
    pub(in crate::agents::vaultmgr) fn drilled(&self) -> Option<DrillAnswer> {
        self.drilled.clone()
    }
}

impl<C: Crypt> Manager<C> {
    /// Makes one, and remembers its answer. One on a bundle that is not the one of now is left: that of now is on its way, and is asked about next.
    pub(super) fn drill(&mut self, device: DeviceId, drill: &Drill) {
        let is_known = |answer: &DrillAnswer| answer.nonce == drill.nonce;
        if self.escrow.drilled.as_ref().is_some_and(is_known) {
            return;
        }
        // By the files as they lie on the disk now, and not by what is remembered of them.
        self.escrow.changed.extend(self.slots.keys().copied());
        if let Err(words) = self.refresh_upload() {
            self.notes.log(words);
        }
        let bundle = drill.bundle.id;
        if self.escrow.holding.to_send().is_some_and(|id| id != bundle) {
            self.notes.log(format!("no drill is made on bundle {bundle}: another one goes into escrow"));
            return;
        }
        let outcome = self.drilled_bundle(device, drill).map(|opened| {
            let session = self.session_key().0;
            Proof::of(drill.nonce, &session, opened.generation(), &opened.encode())
        });
        match &outcome {
            Ok(_) => tracing::info!(%bundle, "the bundle in escrow opens: a drill passed"),
            Err(error) => tracing::warn!(
                %bundle, error = %crate::agents::vaultmgr::chain(error), "the bundle in escrow does not open: a drill failed"
            ),
        }
        let outcome = outcome.map_err(|error| crate::agents::vaultmgr::chain(&error));
        self.escrow.drilled = Some(DrillAnswer { nonce: drill.nonce, bundle, outcome });
    }

    fn drilled_bundle(&self, device: DeviceId, drill: &Drill) -> Result<Bundle, DrillError> {
        let bundle = self.opened_bundle(device, &drill.bundle)?;
        let shares = self.shares.as_ref().ok_or(RescueError::Another)?;
        let keys = shares.root_keys().ok_or(RescueError::Another)?;
        // What can't be put together now is not held against what is there.
        let vaults = if self.escrow.holding.own().is_some() { shares.vaults() } else { Vec::new() };
        bundle.drill(own(keys, &vaults), |id, files| self.fit(id, files))?;
        Ok(bundle)
    }

    fn fit(&self, id: VaultId, files: &VaultFiles) -> Fit {
        let others = |there: &Option<VaultFiles>| {
            !there.as_ref().is_some_and(|there| self.crypt.is_alike(there, files))
        };
        if !self.crypt.reads(id, files) {
            Fit::Bad
        } else if self.escrow.untold.get(&id).is_some_and(others) {
            Fit::Untold
        } else {
            Fit::Good
        }
    }
}

fn own<'a>(keys: &'a RootKeys, vaults: &'a [vault::ids::VaultId]) -> Own<'a> {
    Own {
        generation: keys.generation,
        escrow: &keys.escrow,
        table: &keys.table,
        pcrs: keys.pcrs.as_deref().ok(),
        vaults,
    }
}
