//! tpmmgr as vaultmgr asks it: bus types become ours.

use std::time::Duration;

use attest::SessionKey;
use vault::ids::Generation;
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;

use crate::agents::vaultmgr::generation::roots::{SlotContent, Slots, Tpmmgr, TpmmgrError};
use crate::bus::messages::{
    DefineRoots, ReadRoots, RoomForRoots, RootSet, RootSlot, TpmRefusal, TpmRoom, UndefineRoots,
};
use crate::bus::{Bus, BusError, BusRoot, Call, CallError};

/// A TPM command may take seconds, defining roots a dozen of them.
const TPM_PATIENCE: Duration = Duration::from_secs(60);
/// Roots are read by a few commands, and asked for again, and in between it is told that the TPM is silent. Each time that it was too short
/// it is doubled, up to [`TPM_PATIENCE`].
const ROOTS_PATIENCE: Duration = Duration::from_secs(15);
/// tpmmgr, over the bus.
pub(super) struct OverBus {
    bus: Bus,
    /// How long the reading of roots is waited for.
    patience: Duration,
}

impl OverBus {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus, patience: ROOTS_PATIENCE }
    }

    fn ask<C: Call<Error = TpmRefusal>>(&self, call: &C) -> Result<C::Answer, TpmmgrError> {
        Ok(self.bus.call_patiently(call, TPM_PATIENCE)?)
    }
}

impl Tpmmgr for OverBus {
    fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError> {
        let read = self.bus.call(&ReadRoots, self.patience);
        if matches!(read, Err(CallError::Bus(BusError::Late(_)))) {
            self.patience = TPM_PATIENCE.min(self.patience * 2);
        }
        let sets = read?.sets.into_iter();
        let slots =
            |set: RootSet| Slots { generation: set.generation, tpm: slot(set.tpm), pcrs: slot(set.pcrs) };
        Ok(sets.map(slots).collect())
    }

    fn room(&mut self, as_shown: Option<SessionKey>) -> Result<TpmRoom, TpmmgrError> {
        self.ask(&RoomForRoots { as_shown })
    }

    fn define_roots(
        &mut self,
        generation: Generation,
        tpm: &TpmRoot,
        pcrs: &PcrsRoot,
        as_shown: Option<SessionKey>,
    ) -> Result<(), TpmmgrError> {
        let copy = |root: &RootSecret| BusRoot(RootSecret::copied_from(root.expose_root_secret()));
        let (tpm, pcrs) = (copy(&tpm.0), copy(&pcrs.0));
        self.ask(&DefineRoots { generation, tpm, pcrs, selection: None, as_shown })
    }

    fn undefine_roots(&mut self, generation: Generation) -> Result<(), TpmmgrError> {
        self.ask(&UndefineRoots { generation })
    }
}

impl From<CallError<TpmRefusal>> for TpmmgrError {
    fn from(error: CallError<TpmRefusal>) -> Self {
        match error {
            CallError::Bus(error) => Self::Bus(error),
            CallError::Failed(refusal) => Self::Refused(refusal),
        }
    }
}

fn slot(slot: RootSlot) -> SlotContent {
    match slot {
        RootSlot::Root(BusRoot(root)) => SlotContent::Root(root),
        RootSlot::Absent => SlotContent::Absent,
        RootSlot::Unwritten => SlotContent::Unwritten,
        RootSlot::PcrsMoved { differ } => SlotContent::PcrsMoved(differ),
        RootSlot::Unsteady => SlotContent::Unsteady,
        RootSlot::Damaged => SlotContent::Damaged,
    }
}
