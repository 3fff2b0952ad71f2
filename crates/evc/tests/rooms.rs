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
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a room").map(|file| file.expect("readable").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push((path.display().to_string(), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found
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

/// Rooms, each of which is asked by nobody but `http`.
const ROOMS: [&str; 3] = ["device", "operator", "jobs"];
/// The file that calls another room's methods: a courier's files are brought by an operator, and go through a device's doors.
const BETWEEN: &str = "operator/courier.rs";

/// The methods that a room gives to others, in a text.
fn methods(text: &str) -> impl Iterator<Item = &str> {
    let given = text.lines().map(str::trim).filter(|line| line.starts_with("pub"));
    given.filter_map(|line| line.split_once(" fn ")?.1.split(['(', '<']).next())
}

/// All rooms are written as methods of one type, so no path shows who calls whom.
#[test]
fn no_room_calls_another_ones_methods() {
    let all = ROOMS.map(sources);
    let own = |at: usize| all[at].iter().flat_map(|(_, text)| methods(text)).collect::<Vec<_>>();
    let mut between = 0;
    for (at, other) in (0..ROOMS.len()).flat_map(|at| (0..ROOMS.len()).map(move |other| (at, other))) {
        let known = own(at);
        let theirs = own(other).into_iter().filter(|name| at != other && !known.contains(name));
        for (name, (file, text)) in theirs.flat_map(|name| all[at].iter().map(move |file| (name, file))) {
            // One that the file has itself is meant by it.
            let calls = text.contains(&format!("self.{name}(")) && !text.contains(&format!("fn {name}("));
            between += usize::from(calls && file.ends_with(BETWEEN));
            assert!(!calls || file.ends_with(BETWEEN), "{file} calls {name} of {}", ROOMS[other]);
        }
    }
    assert!(between >= 3, "calls are found: {between}");
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
