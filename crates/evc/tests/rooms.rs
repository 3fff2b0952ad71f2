//! Who may call whom among the rooms of `evc`, read from the sources: what a device asks and what an operator asks meet only in the
//! database and in how a device is read.

use std::fs;
use std::path::Path;

/// A room, and those that it may not name.
const WALLS: [(&str, &[&str]); 7] = [
    ("fleet", &["device", "operator", "jobs", "http", "cli"]),
    ("device", &["operator", "jobs", "http", "cli"]),
    ("operator", &["device", "jobs", "http", "cli"]),
    ("jobs", &["device", "operator", "http", "cli"]),
    ("words", &["device", "operator", "jobs", "http", "cli"]),
    ("api", &["device", "operator", "jobs", "fleet", "http", "cli", "service", "words"]),
    ("store", &["device", "operator", "jobs", "fleet", "http", "cli", "service"]),
];

fn sources(room: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
    let files = fs::read_dir(folder).expect("a room").map(|file| file.expect("readable").path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    files.map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("text"))).collect()
}

/// Docs may name what code may not.
fn names<'a>(text: &'a str, room: &str) -> Option<&'a str> {
    let path = format!("crate::{room}::");
    text.lines().find(|line| !line.trim_start().starts_with("//") && line.contains(&path))
}

#[test]
fn no_room_calls_one_that_it_is_walled_off_from() {
    for (room, walled) in WALLS {
        let files = sources(room);
        assert!(!files.is_empty(), "{room} is empty");
        for (file, text) in &files {
            for other in walled {
                assert_eq!(names(text, other), None, "{file} names {other}");
            }
        }
    }
}

/// Rooms in which what is kept as JSON is a type, and the files that read it.
const TYPED: [&str; 9] =
    ["custody", "device", "fleet", "jobs", "operator", "service", "store", "store/sqlite", "words"];
const READERS: [&str; 2] = ["store/sqlite/read.rs", "store/told.rs"];

/// A column that is picked apart where it is used is read in as many ways as it has readers.
#[test]
fn json_is_read_where_rows_are_and_nowhere_else() {
    let parses = ["serde_json::from_", "serde_json::Value", "json!("];
    for (file, text) in TYPED.iter().flat_map(|room| sources(room)) {
        let found = text.lines().find(|line| parses.iter().any(|word| line.contains(word)));
        let reads = READERS.iter().any(|reader| file.ends_with(reader));
        assert_eq!(found.is_some(), reads, "{file}: {found:?}");
    }
}
