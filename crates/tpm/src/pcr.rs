//! PCRs of one bank: which, and what is in them.

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

/// A bank of PCRs that measures a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PcrBank {
    /// The usual one.
    Sha256,
    /// For a TPM where that is not allocated.
    Sha384,
}

impl PcrBank {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    /// Bytes of a PCR.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    fn algorithm(self) -> HashingAlgorithm {
        match self {
            Self::Sha256 => HashingAlgorithm::Sha256,
            Self::Sha384 => HashingAlgorithm::Sha384,
        }
    }

    /// TPM_ALG_ID.
    fn id(self) -> [u8; 2] {
        match self {
            Self::Sha256 => [0x00, 0x0b],
            Self::Sha384 => [0x00, 0x0c],
        }
    }
}

/// Some PCRs of one bank, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PcrSelection {
    bank: PcrBank,
    bitmap: [u8; 3],
}

/// Why a list of PCRs is no [`PcrSelection`], or their values no [`PcrValues`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSelection {
    /// An index above 23.
    #[error("there is no PCR {0}")]
    NoSuchPcr(u8),
    /// None at all.
    #[error("no PCR is selected")]
    Empty,
    /// A value that is not as long as its bank's hash.
    #[error("the value of PCR {0} is not as long as its bank's")]
    Length(u8),
}

impl PcrSelection {
    /// EVE's sealing set: 0 to 4 and 6 to 14, of the SHA-256 bank.
    pub const EVE: Self = Self { bank: PcrBank::Sha256, bitmap: [0xdf, 0x7f, 0x00] };
    /// What test nodes on a host measure a boot state into: 0 to 9, of the SHA-256 bank.
    pub const BOOT_STATE: Self = Self { bank: PcrBank::Sha256, bitmap: [0xff, 0x03, 0x00] };

    /// The PCRs at `indices`, in any order, of the SHA-256 bank.
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

    /// The PCRs of a TPMS_PCR_SELECTION's three bytes: bit 0 of byte 0 is PCR 0. Of the SHA-256 bank.
    ///
    /// # Errors
    /// [`BadSelection::Empty`].
    pub fn from_bitmap(bitmap: [u8; 3]) -> Result<Self, BadSelection> {
        if bitmap == [0; 3] { Err(BadSelection::Empty) } else { Ok(Self { bank: PcrBank::Sha256, bitmap }) }
    }

    /// The same PCRs of another bank.
    #[must_use]
    pub fn in_bank(self, bank: PcrBank) -> Self {
        Self { bank, ..self }
    }

    /// Whose PCRs they are.
    #[must_use]
    pub fn bank(self) -> PcrBank {
        self.bank
    }

    /// The three bytes.
    #[must_use]
    pub fn bitmap(self) -> [u8; 3] {
        self.bitmap
    }

    /// Whether PCR `index` is among them.
    #[must_use]
    pub fn contains(self, index: u8) -> bool {
        self.bitmap.get(usize::from(index / 8)).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// The indices, ascending: the order in which values are hashed.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..PCR_COUNT).filter(move |index| self.contains(*index))
    }

    /// TPML_PCR_SELECTION with this one selection: 10 bytes.
    #[must_use]
    pub fn marshal(self) -> [u8; 10] {
        let ([a, b, c], [high, low]) = (self.bitmap, self.bank.id());
        [0, 0, 0, 1, high, low, 3, a, b, c]
    }

    pub(crate) fn to_tss(self) -> tss_esapi::Result<PcrSelectionList> {
        list(self.bank, &self.iter().collect::<Vec<_>>())
    }
}

fn list(bank: PcrBank, indices: &[u8]) -> tss_esapi::Result<PcrSelectionList> {
    let slots: Vec<_> =
        indices.iter().map(|index| PcrSlot::try_from(1u32 << index)).collect::<Result<_, _>>()?;
    PcrSelectionList::builder()
        .with_size_of_select(PcrSelectSize::ThreeOctets)
        .with_selection(bank.algorithm(), &slots)
        .build()
}

impl fmt::Debug for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:", self.bank)?;
        f.debug_list().entries(self.iter()).finish()
    }
}

/// PCR values, one for each PCR of a selection, each as long as its bank's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PcrValues {
    bank: PcrBank,
    values: Vec<(u8, Vec<u8>)>,
}

impl PcrValues {
    /// Index and value, ascending by index.
    #[must_use]
    pub fn as_slice(&self) -> &[(u8, Vec<u8>)] {
        &self.values
    }

    /// The value of one PCR, if it is among them.
    #[must_use]
    pub fn get(&self, index: u8) -> Option<&[u8]> {
        self.values.iter().find(|(i, _)| *i == index).map(|(_, value)| value.as_slice())
    }

    /// Sorts values of `bank` by index; a PCR given twice, or above 23, or of another length, or none at all is refused.
    ///
    /// # Errors
    /// [`BadSelection`]: as for [`PcrSelection::new`]; a PCR given twice counts as no such PCR.
    pub fn new(bank: PcrBank, mut values: Vec<(u8, Vec<u8>)>) -> Result<Self, BadSelection> {
        values.sort_by_key(|(index, _)| *index);
        PcrSelection::new(values.iter().map(|(index, _)| *index))?;
        if let Some((index, _)) = values.iter().find(|(_, value)| value.len() != bank.size()) {
            return Err(BadSelection::Length(*index));
        }
        match values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(BadSelection::NoSuchPcr(pair[0].0)),
            None => Ok(Self { bank, values }),
        }
    }

    /// Which PCRs these are.
    #[must_use]
    pub fn selection(&self) -> PcrSelection {
        PcrSelection::new(self.values.iter().map(|(index, _)| *index))
            .expect("checked when these values were made")
            .in_bank(self.bank)
    }

    /// The hash over all values in ascending order: `pcrDigest` of a quote and of TPM2_PolicyPCR. SHA-256 over values of either bank:
    /// it is the hash of the AK's scheme and of the policy session.
    #[must_use]
    pub fn composite(&self) -> Digest32 {
        let mut hash = Hash::new(&SHA256);
        self.values.iter().for_each(|(_, value)| hash.update(value));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.finish().as_ref());
        Digest32(bytes)
    }
}

impl fmt::Debug for PcrValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:", self.bank)?;
        let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        f.debug_map().entries(self.values.iter().map(|(index, value)| (index, hex(value)))).finish()
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
            let (counter, _, digests) =
                self.run("PCR_Read", |context| context.pcr_read(list(selection.bank, indices)?))?;
            values.extend(pair_up(indices, digests.value())?);
            counters.push(counter);
        }
        let steady = counters.windows(2).all(|pair| pair[0] == pair[1]);
        let values =
            PcrValues::new(selection.bank, values).map_err(|_| CommandError::malformed("PCR_Read"))?;
        Ok((values, steady))
    }
}

/// Each asked PCR with its answer. No answer means that the TPM has no such bank, fewer that it lacks a PCR.
fn pair_up(indices: &[u8], digests: &[Digest]) -> Result<Vec<(u8, Vec<u8>)>, CommandError> {
    if digests.is_empty() {
        return Err(CommandError { command: "PCR_Read", meaning: crate::Meaning::NoBank, rc: 0 });
    }
    if indices.len() != digests.len() {
        return Err(CommandError::malformed("PCR_Read"));
    }
    Ok(indices.iter().zip(digests).map(|(index, digest)| (*index, digest.value().to_vec())).collect())
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
        let twice = vec![(1, vec![0; 32]), (1, vec![1; 32])];
        assert_eq!(PcrValues::new(PcrBank::Sha256, twice), Err(BadSelection::NoSuchPcr(1)));
    }

    /// Issue 7: a value is as long as its bank's hash, and a selection of one bank is none of the other.
    #[test]
    fn banks_are_kept_apart() {
        for (bank, other) in [(PcrBank::Sha256, PcrBank::Sha384), (PcrBank::Sha384, PcrBank::Sha256)] {
            let values = || vec![(0, vec![7; bank.size()]), (4, vec![8; bank.size()])];
            assert_eq!(PcrValues::new(bank, values()).unwrap().selection().bank(), bank);
            assert_eq!(PcrValues::new(other, values()), Err(BadSelection::Length(0)));
            assert_ne!(PcrSelection::EVE.in_bank(bank), PcrSelection::EVE.in_bank(other));
        }
        let marshalled = PcrSelection::EVE.in_bank(PcrBank::Sha384).marshal();
        assert_eq!(marshalled, [0, 0, 0, 1, 0x00, 0x0c, 3, 0xdf, 0x7f, 0x00], "TPM_ALG_SHA384");
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
            let values = vec![(7, c.to_vec()), (0, a.to_vec()), (4, b.to_vec())];
            let shuffled = PcrValues::new(PcrBank::Sha256, values).unwrap();
            prop_assert_eq!(shuffled.composite(), Digest32::of(&[a, b, c].concat()));
        }
    }
}
