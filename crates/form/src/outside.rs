//! Sources that make a text of bytes which another program, a user or a peer wrote. What is told of an error is read to its end, so such a
//! text stands in it only by `vault::text::quoted`, which is short.

use std::fs;
use std::path::{Path, PathBuf};

/// What makes a `String` of them.
const MAKES_TEXT: [&str; 4] = ["to_string_lossy()", "from_utf8_lossy(", ".display()", "escape_debug()"];

/// What is wrong with the sources under a folder, one line each: a file that makes such a text stands in `harmless`, with why that need not
/// be quoted, or that it is; and every file there makes one.
///
/// # Panics
/// They can't be read.
#[must_use]
pub fn texts_from_outside(src: &Path, harmless: &[(&str, &str)]) -> Vec<String> {
    let mut files = Vec::new();
    sources(src, &mut files);
    let found = files.iter().filter(|file| makes_text(file));
    let found: Vec<_> = found.map(|file| file.strip_prefix(src).expect("below")).collect();
    let is_known = |file: &Path| harmless.iter().any(|(name, _)| Path::new(name) == file);
    let new = found.iter().filter(|file| !is_known(file));
    let new = new.map(|file| format!("{}: show it by vault::text::quoted, or say why not", file.display()));
    let gone = harmless.iter().filter(|(name, _)| !found.contains(&Path::new(name)));
    new.chain(gone.map(|(name, _)| format!("{name} makes no text: leave it out"))).collect()
}

/// Files of Rust under a folder, those of tests too; what was built is left out.
///
/// # Panics
/// They can't be read.
#[must_use]
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let of = |path: PathBuf| if path.is_dir() { rust_files(&path) } else { vec![path] };
    let all = entries.filter(|path| !path.ends_with("target")).flat_map(of);
    all.filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect()
}

fn makes_text(file: &Path) -> bool {
    let text = fs::read_to_string(file).expect("reads");
    let shipped = text.split("\nmod tests {").next().unwrap_or_default();
    MAKES_TEXT.iter().any(|words| shipped.contains(words))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let is_tests = entry.file_stem().is_some_and(|name| name == "tests");
        match entry.extension() {
            None if !is_tests => sources(&entry, into),
            Some(kind) if kind == "rs" && !is_tests => into.push(entry),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: (&str, &str) = ("sentences.rs", "a path of ours");

    #[test]
    fn a_file_that_shows_bytes_of_others_and_one_that_does_not_any_more_are_named() {
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        assert_eq!(texts_from_outside(here, &[OTHER, ("outside.rs", "this one")]), [""; 0]);
        let wrong = texts_from_outside(here, &[OTHER, ("lib.rs", "not there")]);
        assert!(wrong.len() == 2 && wrong[0].starts_with("outside.rs: show"), "{wrong:?}");
        assert!(wrong[1].starts_with("lib.rs makes no text"), "{wrong:?}");
    }
}
