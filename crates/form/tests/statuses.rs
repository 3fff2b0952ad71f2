//! Issue 8, statuses: docs/statuses.md explains what programs say, and nothing that none says any more. (That each of their words is there is held
//! where the words are: by tests of `eve` and of `evc`.)

use std::fs;
use std::path::Path;

use form::{first_cells, rust_files, said_nowhere};

const STATUSES: &str = include_str!("../../../docs/statuses.md");

/// Headings whose first cells are words of the programs.
const HEADINGS: [&str; 6] = [
    "### A part is missing",
    "## What it waits for",
    "## Why a key is withheld",
    "## Notes",
    "## Columns of evc get vaults",
    "## Condition of a device",
];

/// Words that are put together of parts, where the whole stands in no source.
const ASSEMBLED: [&str; 9] = [
    "another protector opens this vault too",
    "vaultmgr's folder can't be made or read",
    "files or folders are not counted to it",
    "vaultmgr (or another agent) does not answer since",
    "the share table in persist/vaults/.shares is newer on the disk than",
    "a link that leads nowhere stands at config/",
    "erased after",
    "locked, retained",
    "to be locked, retained",
];

/// Without the marks of a text in quotes, and without those of a name in a sentence.
fn sources() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let all = rust_files(&crates).into_iter().filter(|file| !file.iter().any(|part| part == "tests"));
    let text: String = all.map(|file| fs::read_to_string(file).expect("reads")).collect();
    let lines: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
    lines.concat().replace('`', "").replace("\\\"", "\"")
}

#[test]
fn the_document_explains_nothing_that_no_program_says() {
    let sources = sources();
    let cells = HEADINGS.iter().flat_map(|heading| first_cells(STATUSES, heading));
    let nowhere: Vec<String> = cells.flat_map(|cell| said_nowhere(&cell, &sources)).collect();
    let strange: Vec<_> =
        nowhere.iter().filter(|part| !ASSEMBLED.iter().any(|known| part.contains(known))).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    let idle: Vec<_> =
        ASSEMBLED.iter().filter(|known| !nowhere.iter().any(|part| part.contains(**known))).collect();
    assert!(idle.is_empty(), "it stands in a source: {idle:#?}");
}
