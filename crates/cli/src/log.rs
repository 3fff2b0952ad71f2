//! The log of our programs: a line that can't be written is lost, and nothing else is. A disk that is full, a reader that went away
//! or stands still (Ctrl-S, a logger that is stopped) ends no program and makes none wait. What was lost is counted, and told with the next line
//! that is taken. Why it is done so: docs/decisions/0113-a-log-that-nobody-reads.md.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::SigSet;
use nix::unistd::dup2_stderr;

/// How long an end waits for who reads the last lines.
const FAREWELL: Duration = Duration::from_secs(1);
/// A line that is longer is passed on in parts.
const LONGEST: u64 = 64 << 10;

/// The error stream of this process, and of those that it starts, as a pipe of our own. Whoever writes into it never waits: what does
/// not fit is refused at once. One thread takes what comes out to where the error stream led before, and it alone waits there.
pub struct Drain {
    outside: File,
    /// Ends when all was passed on.
    passed: Receiver<()>,
}

impl Drain {
    /// Until it is dropped. To be called before other threads are there: the thread has all signals blocked, for they are the others'.
    ///
    /// # Errors
    /// The system's: the error stream stays as it was.
    pub fn begin(as_json: bool) -> io::Result<Self> {
        let outside = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let ours = outside.try_clone()?;
        let (from, into) = io::pipe()?;
        fcntl(&into, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (passing, passed) = channel();
        let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
        let begun = thread::Builder::new().name("log".to_owned()).spawn(move || {
            pass_on(from, ours, as_json);
            drop(passing);
        });
        before.thread_set_mask()?;
        begun?;
        dup2_stderr(&into)?;
        Ok(Self { outside, passed })
    }
}

/// The last lines come out, if somebody takes them. The error stream is as it was before; nowhere, if nobody does, so that the end of the
/// program waits for nobody either.
impl Drop for Drain {
    fn drop(&mut self) {
        // The last one here that could write into the pipe.
        let _ = dup2_stderr(&self.outside);
        if self.passed.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout)
            && let Ok(nowhere) = File::open("/dev/null")
        {
            let _ = dup2_stderr(&nowhere);
        }
    }
}

/// Line by line, until nobody is left who could write one.
fn pass_on(from: PipeReader, mut outside: impl Write, as_json: bool) {
    let (mut from, mut lines, mut line) = (BufReader::new(from), Lines::new(), Vec::new());
    while from.by_ref().take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        lines.put(&mut outside, &line, as_json);
        line.clear();
    }
}

/// What this process writes into its log, a line at a time: for `tracing_subscriber`. It never fails.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// What was lost is told as an object.
    pub as_json: bool,
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        static LINES: Mutex<Lines> = Mutex::new(Lines::new());
        LINES.lock().unwrap_or_else(PoisonError::into_inner).put(&mut io::stderr(), line, self.as_json);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was lost on the way to one writer since the last line that it took.
struct Lines {
    lost: u64,
    /// It took a part of the last one.
    torn: bool,
}

impl Lines {
    const fn new() -> Self {
        Self { lost: 0, torn: false }
    }

    /// Together with what was lost before it, so that a pipe takes both or none.
    fn put(&mut self, out: &mut impl Write, line: &[u8], as_json: bool) {
        let told = if self.lost > 0 { self.told(as_json) } else { String::new() };
        let begin = if self.torn { "\n" } else { "" };
        match all(out, &[begin.as_bytes(), told.as_bytes(), line].concat()) {
            Ok(()) => *self = Self::new(),
            Err(taken) => {
                self.lost += 1;
                self.torn |= taken > 0;
            }
        }
    }

    fn told(&self, as_json: bool) -> String {
        let (at, lost) = (humantime::format_rfc3339_micros(SystemTime::now()), self.lost);
        let lines = if lost == 1 { "line" } else { "lines" };
        let words = format!("{lost} {lines} of the log were lost before this one: nobody took them");
        let words = if lost == 1 { words.replace("were", "was").replace("them", "it") } else { words };
        if as_json {
            let fields = serde_json::json!({ "message": words, "lost": lost });
            let event = serde_json::json!({ "timestamp": at.to_string(), "level": "WARN", "fields": fields, "target": "log" });
            return format!("{event}\n");
        }
        format!("{at}  WARN log: {words} lost={lost}\n")
    }
}

/// Writes all of it, or says how much was taken.
fn all(out: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match out.write(&bytes[taken..]) {
            Ok(more @ 1..) => taken += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return Err(taken),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes more, then refuses.
    struct Room(usize, Vec<u8>);

    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.0);
            self.0 -= fits;
            self.1.extend(&bytes[..fits]);
            if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What came out after `puts`, each with the room that there was more; without the time of what was told.
    fn came(puts: &[(usize, &str)], as_json: bool) -> String {
        let (mut lines, mut out) = (Lines::new(), Room(0, Vec::new()));
        for (room, line) in puts {
            out.0 += room;
            lines.put(&mut out, line.as_bytes(), as_json);
        }
        String::from_utf8(out.1).expect("text")
    }

    #[test]
    fn what_was_lost_is_told_with_the_next_line_that_is_taken() {
        assert_eq!(came(&[(99, "a\n"), (99, "b\n")], false), "a\nb\n");
        let text = came(&[(2, "a\n"), (0, "b\n"), (0, "c\n"), (999, "d\n"), (0, "e\n")], false);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1]
                .ends_with("WARN log: 2 lines of the log were lost before this one: nobody took them lost=2"),
            "{text}"
        );
        assert_eq!((lines[0], lines[2], lines[3], lines.len()), ("a", "d", "e", 4));
        let one = came(&[(0, "a\n"), (999, "b\n")], false);
        assert!(one.contains("1 line of the log was lost before this one: nobody took it"), "{one}");
    }

    #[test]
    fn a_line_that_was_torn_has_no_other_behind_it() {
        let text = came(&[(3, "abcdef\n"), (999, "next\n")], false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[2], lines.len()), ("abc", "next", 3), "{text}");
    }

    #[test]
    fn a_log_of_objects_stays_one() {
        let text = came(&[(0, "{}\n"), (999, "{}\n")], true);
        let told: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!((&told["level"], &told["fields"]["lost"]), (&"WARN".into(), &1.into()));
        assert_eq!(text.lines().nth(1), Some("{}"));
    }
}
