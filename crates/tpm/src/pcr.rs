//! PCRs of the SHA-256 bank: which, and what is in them.

use std::fmt;

use aws_lc_rs::digest::{Context as Hash, SHA256};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{Digest, PcrSelectSize, PcrSelectionList, PcrSlot};

use crate::shell::Shell;
use crate::{CommandError, Digest32, TpmError};

/// PCRs of a PC client TPM.
pub const PCR_COUNT: u8 = 24;

/// TPM2_PCR_Read gives at most this many values at once.
const VALUES_A_READ: usize = 8;
/// How often a set of values is read anew because a PCR was extended between two reads.
const STEADY_ATTEMPTS: u32 = 5;

/// Some PCRs of the SHA-256 bank, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PcrSelection([u8; 3]);

/// Why a list of PCRs is no [`PcrSelection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSelection {
    /// An index above 23.
    #[error("there is no PCR {0}")]
    NoSuchPcr(u8),
    /// None at all.
    #[error("no PCR is selected")]
    Empty,
}

impl PcrSelection {
    /// EVE's sealing set: 0 to 4 and 6 to 14.
    pub const EVE: Self = Self([0xdf, 0x7f, 0x00]);
    /// What test nodes on a host measure a boot state into: 0 to 9.
    pub const BOOT_STATE: Self = Self([0xff, 0x03, 0x00]);

    /// The PCRs at `indices`, in any order.
    ///
    /// # Errors
    /// [`BadSelection`]: an index above 23, or none at all.
    pub fn new(indices: impl IntoIterator<Item = u8>) -> Result<Self, BadSelection> {
        let mut bitmap = [0; 3];
        for index in indices {
            let byte = bitmap.get_mut(usize::from(index / 8)).ok_or(BadSelection::NoSuchPcr(index))?;
            *byte |= 1 << (index % 8);
        }
        Self::from_bitmap(bitmap)
    }

    /// The PCRs of a TPMS_PCR_SELECTION's three bytes: bit 0 of byte 0 is PCR 0.
    ///
    /// # Errors
    /// [`BadSelection::Empty`].
    pub fn from_bitmap(bitmap: [u8; 3]) -> Result<Self, BadSelection> {
        if bitmap == [0; 3] { Err(BadSelection::Empty) } else { Ok(Self(bitmap)) }
    }

    /// The three bytes.
    #[must_use]
    pub fn bitmap(self) -> [u8; 3] {
        self.0
    }

    /// Whether PCR `index` is among them.
    #[must_use]
    pub fn contains(self, index: u8) -> bool {
        self.0.get(usize::from(index / 8)).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// The indices, ascending: the order in which values are hashed.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..PCR_COUNT).filter(move |index| self.contains(*index))
    }

    /// TPML_PCR_SELECTION with this one selection: 10 bytes.
    #[must_use]
    pub fn marshal(self) -> [u8; 10] {
        let [a, b, c] = self.0;
        [0, 0, 0, 1, 0x00, 0x0b, 3, a, b, c]
    }

    pub(crate) fn to_tss(self) -> tss_esapi::Result<PcrSelectionList> {
        list(&self.iter().collect::<Vec<_>>())
    }
}

fn list(indices: &[u8]) -> tss_esapi::Result<PcrSelectionList> {
    let slots: Vec<_> =
        indices.iter().map(|index| PcrSlot::try_from(1u32 << index)).collect::<Result<_, _>>()?;
    PcrSelectionList::builder()
        .with_size_of_select(PcrSelectSize::ThreeOctets)
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
}

impl fmt::Debug for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.debug_list().entries(self.iter()).finish()
    }
}

/// PCR values, one for each PCR of a selection.
#[derive(Clone, PartialEq, Eq)]
pub struct PcrValues(Vec<(u8, [u8; 32])>);

impl PcrValues {
    /// Index and value, ascending by index.
    #[must_use]
    pub fn as_slice(&self) -> &[(u8, [u8; 32])] {
        &self.0
    }

    /// The value of one PCR, if it is among them.
    #[must_use]
    pub fn get(&self, index: u8) -> Option<&[u8; 32]> {
        self.0.iter().find(|(i, _)| *i == index).map(|(_, value)| value)
    }

    /// Sorts values by index; a PCR given twice, or above 23, or none at all is refused.
    ///
    /// # Errors
    /// [`BadSelection`]: as for [`PcrSelection::new`]; a PCR given twice counts as no such PCR.
    pub fn new(mut values: Vec<(u8, [u8; 32])>) -> Result<Self, BadSelection> {
        values.sort_by_key(|(index, _)| *index);
        PcrSelection::new(values.iter().map(|(index, _)| *index))?;
        match values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(BadSelection::NoSuchPcr(pair[0].0)),
            None => Ok(Self(values)),
        }
    }

    /// Which PCRs these are.
    #[must_use]
    pub fn selection(&self) -> PcrSelection {
        PcrSelection::new(self.0.iter().map(|(index, _)| *index))
            .expect("checked when these values were made")
    }

    /// The hash over all values in ascending order: `pcrDigest` of a quote and of TPM2_PolicyPCR.
    #[must_use]
    pub fn composite(&self) -> Digest32 {
        let mut hash = Hash::new(&SHA256);
        self.0.iter().for_each(|(_, value)| hash.update(value));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.finish().as_ref());
        Digest32(bytes)
    }
}

impl fmt::Debug for PcrValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(index, value)| (index, Digest32(*value)))).finish()
    }
}

impl Shell {
    /// Reads PCRs as they were at one moment: again if one was extended between two reads, until nothing was or they are as before.
    /// (What is equal to what was read before has not moved in between, whichever other PCR did.)
    pub(crate) fn read_pcrs(&mut self, selection: PcrSelection) -> Result<PcrValues, TpmError> {
        let mut before = None;
        for _ in 0..STEADY_ATTEMPTS {
            let (values, steady) = self.read_pcrs_once(selection)?;
            if steady || before.as_ref() == Some(&values) {
                return Ok(values);
            }
            before = Some(values);
        }
        Err(CommandError { command: "PCR_Read", meaning: crate::Meaning::Busy, rc: 0 }.into())
    }

    /// The values, and whether the update counter stood still meanwhile.
    pub(crate) fn read_pcrs_once(&mut self, selection: PcrSelection) -> Result<(PcrValues, bool), TpmError> {
        let (mut values, mut counters) = (Vec::new(), Vec::new());
        for indices in selection.iter().collect::<Vec<_>>().chunks(VALUES_A_READ) {
            let (counter, _, digests) = self.run("PCR_Read", |context| context.pcr_read(list(indices)?))?;
            values.extend(pair_up(indices, digests.value())?);
            counters.push(counter);
        }
        let steady = counters.windows(2).all(|pair| pair[0] == pair[1]);
        let values = PcrValues::new(values).map_err(|_| CommandError::malformed("PCR_Read"))?;
        Ok((values, steady))
    }
}

/// Each asked PCR with its answer. No answer means that the TPM has no SHA-256 bank, fewer that it lacks a PCR.
fn pair_up(indices: &[u8], digests: &[Digest]) -> Result<Vec<(u8, [u8; 32])>, CommandError> {
    let malformed = || CommandError::malformed("PCR_Read");
    if digests.is_empty() {
        return Err(CommandError { command: "PCR_Read", meaning: crate::Meaning::NoBank, rc: 0 });
    }
    if indices.len() != digests.len() {
        return Err(malformed());
    }
    indices
        .iter()
        .zip(digests)
        .map(|(i, d)| Ok((*i, d.value().try_into().map_err(|_| malformed())?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn named_sets_are_what_they_say() {
        assert!(PcrSelection::EVE.iter().eq((0..=4).chain(6..=14)));
        assert!(PcrSelection::BOOT_STATE.iter().eq(0..=9));
        assert_eq!(PcrSelection::new([24]), Err(BadSelection::NoSuchPcr(24)));
        assert_eq!(PcrSelection::new([255]), Err(BadSelection::NoSuchPcr(255)));
        assert_eq!(PcrSelection::new([]), Err(BadSelection::Empty));
        assert!(PcrValues::new(vec![(1, [0; 32]), (1, [1; 32])]).is_err(), "twice");
    }

    proptest! {
        #[test]
        fn a_selection_is_its_bitmap(bitmap in any::<[u8; 3]>().prop_filter("empty", |b| *b != [0; 3])) {
            let selection = PcrSelection::from_bitmap(bitmap).unwrap();
            prop_assert_eq!(PcrSelection::new(selection.iter()), Ok(selection));
            prop_assert_eq!(selection.bitmap(), bitmap);
            prop_assert_eq!((0..=255).filter(|i| selection.contains(*i)).count(), selection.iter().count());
        }

        #[test]
        fn the_composite_is_over_ascending_indices(values: [[u8; 32]; 3]) {
            let [a, b, c] = values;
            let shuffled = PcrValues::new(vec![(7, c), (0, a), (4, b)]).unwrap();
            prop_assert_eq!(shuffled.composite(), Digest32::of(&[a, b, c].concat()));
        }
    }
}
