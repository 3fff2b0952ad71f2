//! Words from outside (names in files, what a peer says, paths) as a terminal, a log or a list may show them: nothing in them moves a cursor,
//! begins a line, or hides or reorders what stands beside it. What could is written as JSON writes it (`\n`, `\u001b`), so a line of JSON
//! still says the same.
//! Every edge passes its text through here: what is printed, logged or answered as an error. No word is trusted for where it comes from.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

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

    /// seen-by-users 0b.13.
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
