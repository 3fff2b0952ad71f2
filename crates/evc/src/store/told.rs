//! What a node said of itself, as its column keeps it: most answers do not depend on it, so it is read when somebody asks what it was.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;

/// What a node said, if it said anything. It may be of a version with other words: then it is as if it was not said.
#[derive(Debug, Clone)]
pub struct NodeWord<T> {
    column: Option<String>,
    read: OnceLock<Option<T>>,
}

impl<T: DeserializeOwned> NodeWord<T> {
    /// As JSON.
    pub(super) fn kept(column: Option<String>) -> Self {
        Self { column, read: OnceLock::new() }
    }

    /// What it was.
    pub fn get(&self) -> Option<&T> {
        self.read.get_or_init(|| serde_json::from_str(self.column.as_deref()?).ok()).as_ref()
    }

    /// The same, to be kept.
    pub fn take(self) -> Option<T> {
        self.get();
        self.read.into_inner().flatten()
    }
}

impl<T> NodeWord<T> {
    /// Bytes of its column, where it was read from one.
    pub(crate) fn bytes(&self) -> usize {
        self.column.as_ref().map_or(0, String::len)
    }

    /// Nothing yet.
    #[must_use]
    pub fn nothing() -> Self {
        Self { column: None, read: OnceLock::from(None) }
    }
}

impl<T> From<T> for NodeWord<T> {
    fn from(said: T) -> Self {
        Self { column: None, read: OnceLock::from(Some(said)) }
    }
}

impl<T: DeserializeOwned + PartialEq> PartialEq for NodeWord<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: DeserializeOwned + Eq> Eq for NodeWord<T> {}

#[cfg(test)]
mod tests {
    use super::NodeWord;
    use crate::store::{Appraised, BadEvidence, Fared, OfEvidence};

    /// A column in words of another version, or damaged, hinders no answer that does not depend on it, and is nothing where it is shown.
    #[test]
    fn what_does_not_read_back_is_as_if_it_was_not_said() {
        for column in [None, Some("\"seven\""), Some("7, and more"), Some("")] {
            let told = NodeWord::<u64>::kept(column.map(str::to_owned));
            assert_eq!((told.get(), &told), (None, &NodeWord::nothing()), "{column:?}");
            assert_eq!(told.take(), None, "{column:?}");
        }
        let told = NodeWord::<u64>::kept(Some("7".into()));
        assert_eq!((told.get(), &told), (Some(&7), &7.into()));
        assert_eq!(told.take(), Some(7));
    }

    /// How evidence fared reads in the words of an earlier build, which had sentences, and in those of now, which are causes: an operator sees the
    /// last evidence of each device also right after an update.
    #[test]
    fn how_evidence_fared_reads_as_an_earlier_build_kept_it() {
        let read = |column: &str| NodeWord::<Fared>::kept(Some(column.to_owned())).take().expect("reads");
        let before = read(r#"{"at":7,"outcome":"quoted","words":["reference values: passed"]}"#);
        assert_eq!((before.outcome, before.found), (Appraised::Quoted, None));
        assert_eq!(before.words, ["reference values: passed"]);
        let now =
            read(r#"{"at":7,"outcome":"refused","found":{"bad":"nonce"},"unmet":false,"went_back":true}"#);
        assert_eq!((now.found, now.words.len()), (Some(OfEvidence::Bad(BadEvidence::Nonce)), 0));
    }
}
