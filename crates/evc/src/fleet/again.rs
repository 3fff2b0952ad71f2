//! Numbers of sections that say nothing new, but to a device that went back in its chain. Its word for that is signed and not fresh: whoever has
//! polls of before can send them again, in turn, as often as he likes. So the same word is answered with the same number, and what a device
//! truly has is not pushed out of what is remembered of it. Kept in memory: after a restart each such word gets a number once more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use vault::ids::{DeviceId, SectionDigest};

use crate::store::SENT_BEFORE;

/// Most devices of which it is known. Few ever go back.
const MOST: usize = 64;

/// What was numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    /// What the device told that it has.
    pub(crate) head: SectionDigest,
    /// Of what the section says.
    pub(crate) content: [u8; 32],
}

/// By device, the latest last.
#[derive(Default)]
pub struct Again(Mutex<BTreeMap<DeviceId, VecDeque<(Word, u64)>>>);

impl Again {
    /// With which number this was answered.
    pub(crate) fn version(&self, device: DeviceId, word: Word) -> Option<u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&device)?.iter().rev().find(|(known, _)| *known == word).map(|(_, version)| *version)
    }

    /// Something else is said from now on: what was numbered before may be older than an order in its place.
    pub(crate) fn forget(&self, device: DeviceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
    }

    /// Once it is committed. What said something else is over.
    pub(crate) fn keep(&self, device: DeviceId, word: Word, version: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&device) {
            all.clear();
        }
        let of = all.entry(device).or_default();
        of.retain(|(known, _)| known.content == word.content && *known != word);
        of.push_back((word, version));
        if of.len() > SENT_BEFORE as usize {
            of.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));

    fn word(head: u8, content: u8) -> Word {
        Word { head: SectionDigest([head; 32]), content: [content; 32] }
    }

    /// Attack F2: what is asked again has its number, and what said something else has none.
    #[test]
    fn a_word_has_one_number() {
        let again = Again::default();
        assert_eq!(again.version(DEVICE, word(1, 7)), None);
        again.keep(DEVICE, word(1, 7), 3);
        again.keep(DEVICE, word(2, 7), 4);
        assert_eq!([1, 2].map(|head| again.version(DEVICE, word(head, 7))), [Some(3), Some(4)]);
        again.keep(DEVICE, word(1, 8), 5);
        assert_eq!([1, 2].map(|head| again.version(DEVICE, word(head, 7))), [None, None]);
        assert_eq!(again.version(DEVICE, word(1, 8)), Some(5));
        again.forget(DEVICE);
        assert_eq!(again.version(DEVICE, word(1, 8)), None);
    }

    #[test]
    fn it_is_bounded() {
        let again = Again::default();
        for device in 0..10 * MOST as u128 {
            again.keep(DeviceId(Uuid::from_u128(device)), word(1, 7), 3);
        }
        assert!(again.0.lock().expect("whole").len() <= MOST);
    }
}
