//! What holds for the whole node, in words for people: one line for each thing it is about, from when it is known until it is settled; and
//! what is worth a line of the log alone.

use std::collections::BTreeMap;

use vault::belief::About;

/// The lines, and what was logged last.
#[derive(Debug, Default)]
pub(super) struct Notes {
    lines: BTreeMap<About, String>,
    logged: Option<String>,
}

impl Notes {
    /// In place of an earlier line about the same. Only what is new is logged.
    pub(super) fn tell(&mut self, about: About, words: String) {
        if self.lines.get(&about) != Some(&words) {
            tracing::warn!("{words}");
            self.lines.insert(about, words);
        }
    }

    /// Nothing is wrong, and it is no state of the node: into the log, once for as long as nothing else is.
    pub(super) fn log(&mut self, words: String) {
        if self.logged.as_ref() != Some(&words) {
            tracing::info!("{words}");
            self.logged = Some(words);
        }
    }

    pub(super) fn settle(&mut self, about: About) {
        self.lines.remove(&about);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("whole").write(line)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a reader of the log sees when the controller says the same at each poll.
    #[test]
    fn what_is_said_again_and_again_is_logged_once() {
        let (log, mut notes) = (Log::default(), Notes::default());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for words in ["no list yet", "no list yet", "a list", "no list yet"] {
                notes.log(words.to_owned());
            }
        });
        let told = String::from_utf8(log.0.lock().expect("whole").clone()).expect("text");
        assert_eq!((told.matches("no list yet").count(), told.matches("a list").count()), (2, 1), "{told}");
        assert!(notes.lines().is_empty(), "it is no state of the node");
    }
}
