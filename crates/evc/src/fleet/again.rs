//! What of each device was numbered though it said nothing new: [`vault::ledger::Again`] decides. Kept in memory: after a restart each such word
//! gets a number once more.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vault::draft::DraftDigest;
use vault::ids::{DeviceId, SectionDigest};
use vault::ledger::{Again as Numbered, Number, Word};

/// Most devices of which it is known. Few ever go back.
const MOST: usize = 64;

/// By device.
#[derive(Default)]
pub struct Again(Mutex<BTreeMap<DeviceId, Numbered>>);

impl Again {
    /// As [`Numbered::number`] says.
    pub(crate) fn number(
        &self,
        device: DeviceId,
        content: DraftDigest,
        last: Option<DraftDigest>,
        place: (Option<SectionDigest>, u64),
    ) -> Number {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.get(&device).unwrap_or(&Numbered::default()).number(content, last, place);
        if number == Number::New {
            all.remove(&device);
        }
        number
    }

    /// Once it is committed.
    pub(crate) fn keep(&self, device: DeviceId, word: Word, version: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&device) {
            all.clear();
        }
        all.entry(device).or_default().keep(word, version);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_is_bounded() {
        let again = Again::default();
        for device in 0..10 * MOST as u128 {
            let word = Word { head: SectionDigest([1; 32]), content: [7; 32] };
            again.keep(DeviceId(Uuid::from_u128(device)), word, 3);
        }
        assert!(again.0.lock().expect("whole").len() <= MOST);
    }
}
