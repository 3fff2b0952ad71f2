//! What holds for the whole node, in words for people: one line for each thing it is about, from when it is known until it is settled.

use std::collections::BTreeMap;

use vault::belief::About;

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<About, String>);

impl Notes {
    /// In place of an earlier line about the same. Only what is new is logged.
    pub(super) fn tell(&mut self, about: About, words: String) {
        if self.0.get(&about) != Some(&words) {
            tracing::warn!("{words}");
            self.0.insert(about, words);
        }
    }

    pub(super) fn settle(&mut self, about: About) {
        self.0.remove(&about);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.values().cloned().collect()
    }
}
