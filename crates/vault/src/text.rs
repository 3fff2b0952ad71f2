//! Words from outside (names in files, what a peer says, paths) as a terminal, a log or a list may show them: nothing in them moves a cursor,
//! begins a line, or hides or reorders what stands beside it. What could is written as JSON writes it (`\n`, `\u001b`), so a line of JSON
//! still says the same.
//! Every edge passes its text through here: what is printed, logged or answered as an error. No word is trusted for where it comes from.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

/// A text on one line.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(acts) { Cow::Owned(escaped(text)) } else { Cow::Borrowed(text) }
}

/// A text whose line breaks are the program's own: each line is made plain. Where a part of it is from outside, that part goes through
/// [`plain`] first.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// A span of time in its greatest unit: `45s`, `3h`.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "m"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count}{unit}")
}

/// Whether a shell takes a text as one word that stands for itself: nothing in it is a blank, is expanded, or ends a command, and it is no option.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let stands = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '+' | '@');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(stands)
}

/// A text as it is typed into a shell: as it is where it is a word, else in quotes, so that a name with a blank, which a device may have given itself,
/// is no further option or argument.
#[must_use]
pub fn typed(text: &str) -> Cow<'_, str> {
    if is_word(text) { Cow::Borrowed(text) } else { Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))) }
}

/// A text that is no [`Name`](crate::ids::Name): shown as that is, as it stands, and by `{:#}` as it is typed.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a>(pub &'a str);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if f.alternate() { typed(self.0) } else { self.0.into() })
    }
}

/// Longest text from outside in a sentence of ours, in bytes.
pub const QUOTED: usize = 240;

/// A text from outside (a path, a name, what a peer says) as a sentence of ours quotes it: on one line, and so short that what is said
/// after it, and what is to be done, is read. A long one is shown without its middle.
#[must_use]
pub fn quoted(text: &str) -> String {
    without_middle(&plain(text), QUOTED).into_owned()
}

/// A path as a person gave it to a command, where `-` is what comes in.
#[must_use]
pub fn path_shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Several sentences of a peer's, or of ours with texts from outside in them, in at most so many bytes. Of a long one the middle goes:
/// what is the matter stands at its beginning, and what to do at its end.
#[must_use]
pub fn without_middle(text: &str, most: usize) -> Cow<'_, str> {
    let Some(kept) = most.checked_sub(CUT.len()).filter(|_| text.len() > most) else {
        return Cow::Borrowed(&text[..text.floor_char_boundary(most)]);
    };
    let begins = &text[..text.floor_char_boundary(kept.div_ceil(2))];
    let ends = &text[text.ceil_char_boundary(text.len() - kept / 2)..];
    Cow::Owned(format!("{begins}{CUT}{ends}"))
}

/// Stands for what was cut out.
const CUT: &str = "…";

/// Lines of a peer's in at most so many bytes together, each without its middle where it must be: none pushes another one out. How many
/// there may be is the reader's to bound.
pub fn fit_together(lines: &mut [String], most: usize) {
    if lines.iter().map(String::len).sum::<usize>() <= most {
        return;
    }
    let each = even_share(lines, most);
    for line in lines.iter_mut().filter(|line| line.len() > each) {
        *line = without_middle(line, each).into_owned();
    }
}

/// The most bytes of a line with which all fit: what short ones leave is for the longer ones.
fn even_share(lines: &[String], most: usize) -> usize {
    let mut lengths: Vec<_> = lines.iter().map(String::len).collect();
    lengths.sort_unstable();
    let mut left = most;
    for (at, length) in lengths.iter().enumerate() {
        let share = left / (lengths.len() - at);
        if *length > share {
            return share;
        }
        left -= length;
    }
    most
}

/// Passes events of a log on, a line each: whatever is quoted in one begins no other. Does no IO but what `W` does; gets each event whole.
#[derive(Debug)]
pub struct OneLine<W>(pub W);

impl<W: io::Write> io::Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = format!("{}\n", plain(text.strip_suffix('\n').unwrap_or(&text)));
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a terminal does something with it, or shows nothing where something stands.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => plain.push_str("\\n"),
            '\r' => plain.push_str("\\r"),
            '\t' => plain.push_str("\\t"),
            c if acts(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(plain, "\\u{unit:04x}").expect("a String takes all");
                }
            }
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement IF-2: the error that is told is read to its end, whatever it quotes.
    #[test]
    fn what_is_quoted_is_short_and_keeps_its_beginning_and_end() {
        for hostile in ["x", "\u{1b}", "é", "\u{10ffff}", "日本"] {
            let text = format!("/persist/img/{}/end", hostile.repeat(100_000));
            let shown = quoted(&text);
            assert!(shown.len() <= QUOTED && shown.len() > QUOTED - 12, "{hostile}: {}", shown.len());
            assert!(shown.starts_with("/persist/img/") && shown.ends_with("/end"), "{shown}");
        }
        assert_eq!(quoted("/persist/img/a\nb"), "/persist/img/a\\nb");
        for most in 0..12 {
            assert!(without_middle("日本日本日本", most).len() <= most, "{most}");
        }
        assert_eq!(without_middle("日本", 6), "日本");
    }

    /// Threats, Added since: a text of a stranger in an operator's shell. What of any text a shell would take for more than itself is no word.
    #[test]
    fn a_word_of_a_shell_stands_for_itself() {
        for word in ["edge-1", "SN:7/2", "a.b_c+d@e", "7"] {
            assert!(is_word(word), "{word}");
        }
        for c in (0..=0x24f).filter_map(char::from_u32).filter(|c| !c.is_ascii_alphanumeric()) {
            let stands = ".-_:/+@".contains(c);
            assert_eq!((is_word(&format!("a{c}b")), is_word(&format!("{c}a"))), (stands, false), "{c:?}");
        }
        assert!(!is_word("") && !is_word("\u{202e}a"));
        for (text, quoted) in [
            ("edge-1", "edge-1"),
            ("edge-1 -o name", "'edge-1 -o name'"),
            ("a'b $(c)", r"'a'\''b $(c)'"),
            ("-f", "'-f'"),
        ] {
            assert_eq!(typed(text), quoted);
        }
    }

    /// Requirement IF-2: no line that a node tells is lost for another one's length.
    #[test]
    fn lines_share_the_room() {
        let long = |c: &str| format!("begins {} ends", c.repeat(9000));
        let mut lines = vec![long("a"), "short".to_owned(), long("é"), String::new(), "last".to_owned()];
        fit_together(&mut lines, 1000);
        assert!(lines.iter().map(String::len).sum::<usize>() <= 1000);
        assert!([0, 2].iter().all(|at| lines[*at].starts_with("begins ") && lines[*at].ends_with(" ends")));
        assert!(lines[0].len() > 490, "as much as there is room for: {}", lines[0].len());
        assert_eq!((&*lines[1], &*lines[3], &*lines[4]), ("short", "", "last"));
        let mut few = vec!["a".to_owned(), "b".to_owned()];
        fit_together(&mut few, 2);
        assert_eq!(few, ["a", "b"]);
    }

    /// Threats, Added since: escapes and forged lines in what is printed.
    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        for (hostile, shown) in [
            ("\u{1b}]0;title\u{7}\u{1b}[2J", "\\u001b]0;title\\u0007\\u001b[2J"),
            ("a\r\nWARN forged\u{2028}b\u{85}c", "a\\r\\nWARN forged\\u2028b\\u0085c"),
            ("\u{9b}31m\u{7f}\0", "\\u009b31m\\u007f\\u0000"),
            ("edge\u{202e}1-\u{2066}x\u{200b}\u{feff}", "edge\\u202e1-\\u2066x\\u200b\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("tab\there", "tab\\there"),
        ] {
            assert_eq!(plain(hostile), shown);
            assert_eq!(plain(shown), shown, "once is enough");
        }
        for harmless in ["", "payments", "Zählpunkt 7", "données", "倉庫-1", "a\\b \"c\""] {
            assert!(matches!(plain(harmless), Cow::Borrowed(same) if same == harmless), "{harmless}");
        }
        assert_eq!(plain_lines("what is\n  what to do\u{1b}[2J\r\n"), "what is\n  what to do\\u001b[2J\\r\n");
    }
}
