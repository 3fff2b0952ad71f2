//! A text from outside goes through `vault::text`, whatever form it is printed in.

use std::path::Path;

use form::texts_from_outside;

const HARMLESS: &[(&str, &str)] = &[
    ("pages.rs", "the folder that the caller named"),
    ("typed.rs", "the line that the caller typed, by plain"),
];

#[test]
fn texts_from_outside_are_quoted() {
    let src = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert_eq!(texts_from_outside(src, HARMLESS), [""; 0]);
}
