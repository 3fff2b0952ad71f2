//! Requirement IF-2, of the crates below the two programs: what they tell of an error reaches a person whole, so a text from outside stands in it
//! only where it is made harmless, or it is said here why it need not be. (The programs and what both share have the same test of their own.)

use std::path::Path;

use form::texts_from_outside;

/// Files where that is harmless, and why.
const HARMLESS: [(&str, &[(&str, &str)]); 6] = [
    ("attest", &[]),
    ("disk", &[("folder.rs", "a path of ours")]),
    ("fscrypt", &[]),
    ("tpm", &[("tcti.rs", "a path below /dev of ASCII signs alone, as it is parsed")]),
    ("vault", &[("text.rs", "this is what makes them harmless")]),
    ("wire", &[]),
];

#[test]
fn no_text_from_outside_is_shown_as_it_is() {
    for (name, harmless) in HARMLESS {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        assert_eq!(texts_from_outside(&src, harmless), [""; 0], "{name}");
    }
}
