//! Numbers of sections that say nothing new, but to a device that went back in its chain. Its word for that is signed and not fresh: whoever has
//! polls of before can send them again, in turn, as often as he likes. So the same word is answered with the same number, and what a device
//! truly has is not pushed out of what is remembered of it. Who keeps it, and for how long, is its caller's.

use std::collections::VecDeque;

use crate::draft::DraftDigest;
use crate::ids::SectionDigest;

/// Most words of a device that are remembered: as many as a controller remembers sections.
const MOST: usize = 4096;

/// What was numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// What the device told that it has.
    pub head: SectionDigest,
    /// Of what the section says.
    pub content: DraftDigest,
}

/// What was numbered of one device, the latest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again(VecDeque<(Word, u64)>);

/// Which number a section takes that is to be numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The next one: it says something new, and what was numbered before may be older than an order in its place. That is to be forgotten.
    New,
    /// The next one: it says the same to a device that went back. To be [kept](Again::keep) once it is durable.
    Next(Word),
    /// The one that this word was answered with.
    Same(Word, u64),
}

impl Again {
    /// The number of a section that says `content`, where the one before it said `last`, to a device that told `head`. `newest`: what its database
    /// does not know of was not committed in it.
    #[must_use]
    pub fn number(
        &self,
        content: DraftDigest,
        last: Option<DraftDigest>,
        (head, newest): (Option<SectionDigest>, u64),
    ) -> Number {
        let Some(head) = head.filter(|_| last == Some(content)) else { return Number::New };
        let word = Word { head, content };
        match self.version(word).filter(|version| *version <= newest) {
            Some(version) => Number::Same(word, version),
            None => Number::Next(word),
        }
    }

    fn version(&self, word: Word) -> Option<u64> {
        self.0.iter().rev().find(|(known, _)| *known == word).map(|(_, version)| *version)
    }

    /// With which number this is answered from now on. What said something else is over.
    pub fn keep(&mut self, word: Word, version: u64) {
        self.0.retain(|(known, _)| known.content == word.content && *known != word);
        self.0.push_back((word, version));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(head: u8, content: u8) -> Word {
        Word { head: SectionDigest([head; 32]), content: [content; 32] }
    }

    /// Of a word whose content was said before, in a database whose newest number is 9.
    fn number(again: &Again, Word { head, content }: Word) -> Number {
        again.number(content, Some(content), (Some(head), 9))
    }

    /// Attack F2: what is asked again has its number, and what said something else has none.
    #[test]
    fn a_word_has_one_number() {
        let mut again = Again::default();
        assert_eq!(number(&again, word(1, 7)), Number::Next(word(1, 7)));
        again.keep(word(1, 7), 3);
        again.keep(word(2, 7), 4);
        for (head, version) in [(1, 3), (2, 4)] {
            assert_eq!(number(&again, word(head, 7)), Number::Same(word(head, 7), version));
        }
        again.keep(word(1, 8), 5);
        for head in [1, 2] {
            assert_eq!(number(&again, word(head, 7)), Number::Next(word(head, 7)));
        }
        assert_eq!(number(&again, word(1, 8)), Number::Same(word(1, 8), 5));
    }

    /// What says something new takes a new number, whatever was asked; so does what goes to a device that told nothing, and what a database
    /// that was put back under it does not know of.
    #[test]
    fn what_is_new_has_a_new_number() {
        let mut again = Again::default();
        again.keep(word(1, 7), 3);
        let Word { head, content } = word(1, 7);
        for (last, head, newest, expected) in [
            (Some([8; 32]), Some(head), 9, Number::New),
            (None, Some(head), 9, Number::New),
            (Some(content), None, 9, Number::New),
            (Some(content), Some(head), 2, Number::Next(word(1, 7))),
            (Some(content), Some(head), 3, Number::Same(word(1, 7), 3)),
        ] {
            assert_eq!(again.number(content, last, (head, newest)), expected, "{last:?} {newest}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut again = Again::default();
        for nth in 0..MOST as u64 + 10 {
            let mut head = [0; 32];
            head[..8].copy_from_slice(&nth.to_be_bytes());
            again.keep(Word { head: SectionDigest(head), content: [7; 32] }, nth);
        }
        assert_eq!(again.0.len(), MOST);
    }
}
