//! A document that explains what programs say: the first cells of its tables, held against the sentences themselves.

/// The first cells of the tables that stand under a heading of a document, or under one below it.
///
/// # Panics
/// There is no such heading, or no table under it.
#[must_use]
pub fn first_cells(document: &str, heading: &str) -> Vec<String> {
    rows(document, heading).into_iter().map(|row| row[0].clone()).collect()
}

/// The rows of the tables under a heading, without their heads: the cells of each.
///
/// # Panics
/// As [`first_cells`].
#[must_use]
pub fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let depth = heading.chars().take_while(|c| *c == '#').count();
    let ends = |line: &&str| {
        let marks = line.chars().take_while(|c| *c == '#').count();
        !(1..=depth).contains(&marks)
    };
    let under = document.lines().skip_while(|line| *line != heading).skip(1).take_while(ends);
    let lines: Vec<&str> = under.collect();
    let is_ruler = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("| ---"));
    let is_row = |at: &usize| lines[*at].starts_with("| ") && !is_ruler(*at) && !is_ruler(at + 1);
    let of = |at: usize| lines[at].trim_matches('|').split(" |").map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = (0..lines.len()).filter(is_row).map(of).collect();
    assert!(!rows.is_empty(), "nothing under {heading:?}");
    rows
}

/// What stands in backticks in a cell.
#[must_use]
pub fn in_backticks(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The parts of a cell, which `; ` parts, each as pieces that come one after another: `..` and words in capitals that stand for something (N, M, TIME) part those.
fn parts(cell: &str) -> Vec<Vec<String>> {
    cell.split("; ").map(pieces).collect()
}

fn pieces(part: &str) -> Vec<String> {
    let stands_for = |word: &str| matches!(word.trim_matches([',', ':']), "N" | "M" | "TIME" | "0x..");
    let words: Vec<&str> = part.split(' ').map(|word| if stands_for(word) { ".." } else { word }).collect();
    let plain = words.join(" ").replace('`', "");
    plain
        .split("..")
        .map(|piece| piece.trim_matches([' ', ',', ':']).to_owned())
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// A cell speaks of a sentence: the pieces of one of its parts stand in it, in their order.
#[must_use]
pub fn speaks_of(cell: &str, sentence: &str) -> bool {
    let sentence = sentence.replace('`', "");
    let holds = |pieces: &Vec<String>| {
        let mut rest = sentence.as_str();
        !pieces.is_empty()
            && pieces.iter().all(|piece| {
                let Some(at) = rest.find(piece.as_str()) else { return false };
                rest = &rest[at + piece.len()..];
                true
            })
    };
    parts(cell).iter().any(holds)
}

/// The parts of a cell of which no text has a piece.
#[must_use]
pub fn said_nowhere(cell: &str, texts: &str) -> Vec<String> {
    let lacks =
        |pieces: &Vec<String>| pieces.iter().any(|piece| piece.len() > 3 && !texts.contains(piece.as_str()));
    parts(cell).into_iter().filter(lacks).map(|pieces| pieces.join(" .. ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "## One\n\n| words | what |\n| --- | --- |\n| `a` is .. of b; c | x |\n### Under\n\n| y | z |\n| --- | --- |\n| epoch N, and M | v |\n\n## Two\n| q | r |\n| --- | --- |\n| s | t |\n";

    #[test]
    fn cells_are_of_the_heading_and_of_those_below() {
        assert_eq!(first_cells(DOCUMENT, "## One"), ["`a` is .. of b; c", "epoch N, and M"]);
        assert_eq!(first_cells(DOCUMENT, "## Two"), ["s"]);
        assert_eq!(rows(DOCUMENT, "### Under"), [["epoch N, and M", "v"]]);
        assert_eq!(in_backticks("`a`, or `b c`"), ["a", "b c"]);
    }

    #[test]
    fn a_cell_speaks_of_what_has_its_pieces_in_their_order() {
        let [cell, epoch] = ["`a` is .. of b; c", "epoch N, and M"];
        assert!(
            speaks_of(cell, "a is one of b")
                && speaks_of(cell, "c: none")
                && speaks_of(epoch, "epoch 7, and 8")
        );
        assert!(!speaks_of(cell, "of b a is") && !speaks_of(epoch, "and epoch"));
        assert_eq!(said_nowhere("abcd is .. of b; efgh", "abcd is one of b"), ["efgh"]);
    }
}
