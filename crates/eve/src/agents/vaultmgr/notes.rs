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
    /// Something is wrong. In place of an earlier line about the same; only what is new is logged.
    pub(super) fn tell(&mut self, about: About, words: String) {
        if self.is_new(about, &words) {
            tracing::warn!("{words}");
        }
    }

    /// Something goes on, and ends by itself.
    pub(super) fn mention(&mut self, about: About, words: String) {
        if self.is_new(about, &words) {
            tracing::info!("{words}");
        }
    }

    fn is_new(&mut self, about: About, words: &str) -> bool {
        self.lines.insert(about, words.to_owned()).is_none_or(|earlier| earlier != words)
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

    /// What a reader of the log sees while `notes` are told things.
    fn logged(notes: &mut Notes, tell: impl FnOnce(&mut Notes)) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || tell(notes));
        String::from_utf8(log.0.lock().expect("whole").clone()).expect("text")
    }

    /// The controller says the same at each poll.
    #[test]
    fn what_is_said_again_and_again_is_logged_once() {
        let mut notes = Notes::default();
        let told = logged(&mut notes, |notes| {
            let all = ["no list yet", "no list yet", "a list", "no list yet"];
            all.into_iter().for_each(|words| notes.log(words.to_owned()));
        });
        assert_eq!((told.matches("no list yet").count(), told.matches("a list").count()), (2, 1), "{told}");
        assert!(notes.lines().is_empty(), "it is no state of the node");
    }

    /// IF-2: who looks for warnings finds what is wrong, and not what every erase goes through.
    #[test]
    fn what_ends_by_itself_is_no_warning() {
        let mut notes = Notes::default();
        let goes_on =
            logged(&mut notes, |notes| (0..2).for_each(|_| notes.mention(About::Erasing, "waits".into())));
        let is_wrong =
            logged(&mut notes, |notes| (0..2).for_each(|_| notes.tell(About::Erasing, "damaged".into())));
        assert_eq!((goes_on.matches("INFO").count(), is_wrong.matches("WARN").count()), (1, 1));
        assert!(!goes_on.contains("WARN"), "{goes_on}");
        assert_eq!(notes.lines(), ["damaged"]);
    }
}
