//! The documents against the repository: a path that is named there is there, and so is what a link leads to. Paths are written from
//! the root of the repository, so that a reader can click and search them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};

/// What a path of ours begins with.
const ROOTS: [&str; 8] = ["crates/", "tests/", "xtask/", "docs/", "proto/", "vectors/", "findings/", ".ci/"];
/// Files with these endings are ours, wherever they lie: they are named from the root.
const ENDINGS: [&str; 3] = [".rs", ".proto", ".sql"];
/// The longest line of the map, but for a row of a table.
const MAP_WIDTH: usize = 100;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every document for people. Reports say what was so on their day.
fn documents() -> Vec<(String, String)> {
    let of = |folder: &str| {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect::<Vec<PathBuf>>()
    };
    let mut paths = [of("."), of("docs"), of("docs/decisions")].concat();
    paths.sort();
    assert!(paths.len() > 20, "{paths:?}");
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// What stands in backquotes, outside of blocks of code.
fn quoted(text: &str) -> Vec<&str> {
    let mut outside = true;
    let lines = text.lines().filter(|line| {
        outside ^= line.starts_with("```");
        outside
    });
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./{},".contains(c);
    let ours =
        ROOTS.iter().any(|root| word.starts_with(root)) || ENDINGS.iter().any(|end| word.ends_with(end));
    word.chars().all(plain) && ours
}

/// Dead paths of a text, and those that are not written from the root or not one by one.
fn dead(text: &str) -> Vec<&str> {
    let dead = |word: &&str| is_path(word) && (!root().join(word).exists() || word.contains('{'));
    quoted(text).into_iter().filter(dead).collect()
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let found = documents();
    let all: usize =
        found.iter().map(|(_, text)| quoted(text).iter().filter(|word| is_path(word)).count()).sum();
    assert!(all > 150, "paths are found: {all}");
    for (name, text) in found {
        assert_eq!(dead(&text), Vec::<&str>::new(), "{name}: written from the root, each by itself");
    }
}

/// The twin: what the test above refuses.
#[test]
fn a_dead_path_is_found() {
    let text = "`crates/vault/src/lib.rs` `crates/vault/src/gone.rs` and `plan.rs` beside it; `crates/{vault,wire}/src`\n\
                ```\n`crates/in/a/block.rs`\n```\n`config/server` `docs/GLOSSARY.md`";
    assert_eq!(dead(text), ["crates/vault/src/gone.rs", "plan.rs", "crates/{vault,wire}/src"]);
}

/// Links within the repository, with the headings that they jump to.
#[test]
fn every_link_leads_somewhere() {
    for (name, text) in documents() {
        let folder = root().join(&name).parent().unwrap().to_owned();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root().join(&name) } else { folder.join(file) };
            assert!(path.exists(), "{name}: {link}");
            let there = heading.is_empty()
                || headings(&fs::read_to_string(&path).unwrap()).iter().any(|h| h == heading);
            assert!(there, "{name}: {link}");
        }
    }
}

/// As forges name them in links.
fn headings(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let kept = line.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(name).collect()
}

/// A stranger reads the map in ten minutes, on any screen.
#[test]
fn the_map_stays_a_map() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let wide: Vec<&str> =
        map.lines().filter(|line| !line.starts_with('|') && line.chars().count() > MAP_WIDTH).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(map.lines().count() <= 200, "it is pressed together or has grown: move facts to their modules");
}

/// Rows of a table of two columns, whose questions and answers are not as many: semicolons part both.
fn unmatched(text: &str) -> Vec<&str> {
    let parts = |cell: &str| cell.split(';').count();
    let matched = |row: &&str| match row.trim_matches('|').rsplit_once(" | ") {
        Some((questions, answers)) => parts(questions) == parts(answers),
        None => false,
    };
    text.lines().filter(|line| line.starts_with("| ") && !matched(line)).collect()
}

/// Whoever asks the third question of a row opens its third answer.
#[test]
fn a_row_of_the_index_answers_each_question_in_its_place() {
    let index = fs::read_to_string(root().join("docs/where.md")).unwrap();
    assert_eq!(unmatched(&index), Vec::<&str>::new());
    let rows = "| a; b | `c`; `d` |\n| a, and b | `c`; `d` |\n| a | `c`, `d` |\nwords; and words";
    assert_eq!(unmatched(rows), ["| a, and b | `c`; `d` |"]);
}
