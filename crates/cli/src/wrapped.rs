//! Lines that are longer than the terminal is wide: a terminal cuts them anywhere, and what it cuts off stands below other columns. On one they are cut
//! between words, and go on below the column that is cut. Whoever reads a pipe or a file gets each row on one line.

use std::io::{self, IsTerminal as _};

use terminal_size::{Width, terminal_size_of};

use crate::say;

/// Between two columns.
const APART: &str = "  ";
/// A terminal that is narrower is not one for tables: there nothing is cut.
const NARROWEST: usize = 40;

/// Prints what a person reads.
///
/// # Errors
/// As [`say`].
pub fn show(text: &str) -> anyhow::Result<()> {
    let out = io::stdout();
    let width = out.is_terminal().then(|| terminal_size_of(&out)).flatten();
    match width {
        Some((Width(width), _)) => say(&wrapped(text, width.into())),
        None => say(text),
    }
}

/// No line is longer than this, but one with a word that is.
fn wrapped(text: &str, width: usize) -> String {
    if width < NARROWEST {
        return text.to_owned();
    }
    text.split_inclusive('\n')
        .map(|line| if length(line) > width { cut(line, width) } else { line.to_owned() })
        .collect()
}

fn length(line: &str) -> usize {
    line.trim_end_matches('\n').chars().count()
}

fn cut(line: &str, width: usize) -> String {
    let hang = hang(line, width);
    let (mut cut, mut at) = (String::new(), 0);
    // Runs of spaces are columns: they stay as they are, but where a line is cut.
    for word in line.trim_end_matches('\n').split_inclusive(' ') {
        let long = word.trim_end().chars().count();
        if at > hang && at + long > width {
            cut.truncate(cut.trim_end().len());
            cut.push('\n');
            cut.extend(std::iter::repeat_n(' ', hang));
            at = hang;
        }
        if at != hang || !word.trim().is_empty() {
            cut.push_str(word);
            at += word.chars().count();
        }
    }
    cut.truncate(cut.trim_end().len());
    cut + "\n"
}

/// Where a line goes on: below its last column that begins in its first two thirds; else a little to the right of where it began.
fn hang(line: &str, width: usize) -> usize {
    let letters: Vec<char> = line.chars().collect();
    let begins = |at: &usize| letters[..*at].ends_with(&[' ', ' ']) && letters[*at] != ' ';
    let column = (APART.len()..letters.len().min(width * 2 / 3)).rfind(begins);
    let indent = letters.iter().take_while(|letter| **letter == ' ').count();
    column.filter(|column| *column > indent).unwrap_or(indent + APART.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen by a new user: a reason in the last column of a table stood below the others, cut within a word.
    #[test]
    fn a_long_cell_goes_on_below_its_column() {
        let rows =
            "VAULT     STATE   DETAIL\npayments  locked  its key is withheld: this boot was not approved\n";
        let shown = "VAULT     STATE   DETAIL\npayments  locked  its key is withheld:\n                  this boot was not\n                  approved\n";
        assert_eq!(wrapped(rows, 40), shown);
        assert_eq!(wrapped(rows, 80), rows, "there is room");
        assert_eq!(wrapped(rows, 39), rows, "too narrow for tables");
    }

    #[test]
    fn a_sentence_goes_on_a_little_to_the_right_and_a_word_is_never_cut() {
        let text = format!("  note: all of it is kept until somebody says {} else\n\nlast", "x".repeat(50));
        let shown = wrapped(&text, 40);
        assert!(shown.lines().skip(1).take(2).all(|line| line.starts_with("    ")), "{shown}");
        assert!(shown.contains(&"x".repeat(50)) && shown.ends_with("\n\nlast"), "{shown}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&text), "nothing is lost");
    }
}
