//! Room for our NV indices, tried before anything is begun: no capability of a TPM tells whether two more fit, so those that are absent are
//! defined, not written, and taken away again. What a cut leaves of that counts as absent, like any slot that was never written.

use crate::record::{BRANCHES_SIZE, ROOT_SIZE};
use crate::shell::Shell;
use crate::slots::{NvSlot, SlotSet, SlotState};
use crate::{Meaning, PcrPolicy, PcrSelection, RootKind, TpmError};

/// Of the six indices that two generations take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NvRoom {
    /// Ours, and there.
    pub there: u32,
    /// Absent, and would fit together.
    pub fit: u32,
    /// Somebody else's, at our place.
    pub foreign: u32,
}

impl NvRoom {
    /// Indices at rest: one generation's.
    pub const AT_REST: u32 = 3;
    /// While a generation ends: both generations'.
    pub const IN_A_CHANGE: u32 = 6;
    /// Bytes of data in those at rest: two roots, and the PCR states of one. What a TPM keeps beside them of each index is its own.
    pub const BYTES_AT_REST: usize = 2 * ROOT_SIZE + BRANCHES_SIZE;
    /// The same while a generation ends.
    pub const BYTES_IN_A_CHANGE: usize = 2 * Self::BYTES_AT_REST;

    /// How many there can be, of all six.
    #[must_use]
    pub fn all(self) -> u32 {
        self.there + self.fit
    }
}

fn slots() -> impl Iterator<Item = NvSlot> {
    SlotSet::ALL.into_iter().flat_map(|set| {
        [NvSlot::Root(set, RootKind::Tpm), NvSlot::Root(set, RootKind::Pcrs), NvSlot::Branches(set)]
    })
}

impl Shell {
    pub(crate) fn nv_room(&mut self) -> Result<NvRoom, TpmError> {
        let (mut room, mut tried) = (NvRoom::default(), Vec::new());
        let looked = slots().try_for_each(|slot| self.try_slot(slot, &mut room, &mut tried));
        let undone: Vec<_> = tried.into_iter().map(|slot| self.nv_undefine(slot)).collect();
        looked?;
        undone.into_iter().collect::<Result<(), _>>().map(|()| room)
    }

    fn try_slot(&mut self, slot: NvSlot, room: &mut NvRoom, tried: &mut Vec<NvSlot>) -> Result<(), TpmError> {
        match self.slot_state(slot)? {
            SlotState::Written | SlotState::Unwritten => room.there += 1,
            SlotState::Foreign => room.foreign += 1,
            SlotState::Absent => match self.nv_define_alone(slot) {
                Ok(()) => {
                    tried.push(slot);
                    room.fit += 1;
                }
                Err(error) if error.meaning() == Some(Meaning::NvFull) => {}
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    /// Nobody reads what lies there, were it ever written.
    fn nv_define_alone(&mut self, slot: NvSlot) -> Result<(), TpmError> {
        let selection =
            PcrSelection::new([0]).map_err(|_| crate::CommandError::malformed("NV_DefineSpace"))?;
        let nobody = PcrPolicy::nobody(selection);
        self.nv_define(slot, matches!(slot, NvSlot::Root(_, RootKind::Pcrs)).then_some(&nobody))
    }
}
