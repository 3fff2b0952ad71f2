//! Requirement IF-2, at the controller: what it tells of an error is read to its end, so a text from outside (of a device, an operator, a
//! damaged file) stands in it only by `vault::text::quoted`, which is short. Whoever turns such bytes into words does so by that, or stands in a
//! table with why it need not.

use std::path::Path;

use form::texts_from_outside;

/// Files where that is harmless, and why.
const HARMLESS: [(&str, &str); 19] = [
    ("cli/anew.rs", "the folder that the caller named"),
    ("cli/ask.rs", "a file that the caller named"),
    ("cli/client.rs", "files of the folder that the caller named"),
    ("cli/courier.rs", "a file that the caller named"),
    ("cli/files.rs", "files and folders that the caller named"),
    ("cli/pcrs.rs", "a file that the caller named"),
    ("cli/put_back.rs", "the folder that the caller named"),
    ("cli/serve.rs", "files of the folder that the caller named"),
    ("cli/token.rs", "files of the folder that the caller named"),
    ("custody/kek_file.rs", "a path of ours"),
    ("custody/mod.rs", "a path of ours"),
    ("http/answer.rs", "what the framework says, bounded"),
    ("operator/tokens.rs", "a path of ours"),
    ("service/first.rs", "the folder that the caller named"),
    ("service/folder.rs", "paths of ours in the folder that the caller named"),
    ("service/start.rs", "paths of ours in the folder that the caller named"),
    ("store/sqlite/moorings.rs", "a path of ours"),
    ("store/sqlite/paired.rs", "parsed, and never shown"),
    ("store/sqlite/read.rs", "quoted"),
];

#[test]
fn every_text_from_outside_is_quoted() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(texts_from_outside(&src, &HARMLESS), [""; 0]);
}
