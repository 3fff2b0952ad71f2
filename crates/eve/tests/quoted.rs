//! Requirement IF-2: what the node tells of an error is read to its end, so a text from outside stands in it only by `vault::text::quoted`,
//! which is short. Here: whoever turns such a text into words does so by that, or stands in a table with why it need not.

use std::fs;
use std::path::{Path, PathBuf};

/// What makes a `String` of bytes that another program, a user or a peer wrote.
const MAKES_TEXT: [&str; 4] = ["to_string_lossy()", "from_utf8_lossy(", ".display()", "escape_debug()"];

/// Files where that is harmless, and why.
const HARMLESS: [(&str, &str); 20] = [
    ("agents/vaultmgr/belief/leases.rs", "parsed, and never shown"),
    ("agents/vaultmgr/belief/locks.rs", "parsed, and never shown"),
    ("agents/vaultmgr/generation/files.rs", "compared"),
    ("agents/vaultmgr/hands/mounts.rs", "the kernel's words, compared"),
    ("agents/vaultmgr/hands/swaps.rs", "compared"),
    ("agents/zedagent/post.rs", "base64"),
    ("bus/server.rs", "quoted"),
    ("check/disk.rs", "the root that the caller gave"),
    ("check/kernel.rs", "the kernel's release"),
    ("cli/controller.rs", "the file that the caller named"),
    ("cli/courier.rs", "files that the caller named, and a path of ours"),
    ("cli/mod.rs", "the folder that the caller named"),
    ("cli/recovery.rs", "files that the caller named, and a path of ours"),
    ("cli/table.rs", "a path of ours"),
    ("folders.rs", "a path of ours"),
    ("sandbox/mod.rs", "the TPM's device, as it is typed in a command"),
    ("http/place.rs", "an address, shown by the answer of its connection alone"),
    ("supervisor.rs", "paths of ours under the root"),
    ("agents/vaultmgr/hands/holders/process.rs", "quoted, or compared; and the number of a process"),
    ("agents/vaultmgr/hands/tree/mod.rs", "quoted"),
];

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

#[test]
fn every_text_from_outside_is_quoted() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let makes_text = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("reads");
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        MAKES_TEXT.iter().any(|words| shipped.contains(words))
    };
    let found = files.iter().filter(|file| makes_text(file));
    let found: Vec<_> = found.map(|file| file.strip_prefix(&src).expect("below").to_owned()).collect();
    for file in &found {
        let known = HARMLESS.iter().any(|(name, _)| Path::new(name) == file);
        assert!(known, "{}: show it by vault::text::quoted, or say here why not", file.display());
    }
    for (name, _) in HARMLESS {
        assert!(found.iter().any(|file| file == Path::new(name)), "{name} makes no text: leave it out here");
    }
}
