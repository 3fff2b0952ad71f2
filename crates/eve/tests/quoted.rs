//! Requirement IF-2: what the node tells of an error is read to its end, so a text from outside stands in it only by `vault::text::quoted`,
//! which is short. Here: whoever turns such a text into words does so by that, or stands in a table with why it need not.

use std::path::Path;

use form::texts_from_outside;

/// Files where that is harmless, and why.
const HARMLESS: [(&str, &str); 23] = [
    ("agents/keep.rs", "a path of ours"),
    ("agents/vaultmgr/belief/leases.rs", "parsed, and never shown"),
    ("agents/vaultmgr/belief/locks.rs", "parsed, and never shown"),
    ("agents/vaultmgr/generation/files.rs", "compared"),
    ("agents/vaultmgr/hands/mounts.rs", "the kernel's words, compared"),
    ("agents/vaultmgr/hands/swaps.rs", "compared"),
    ("agents/zedagent/post.rs", "base64"),
    ("bus/server.rs", "quoted"),
    ("check/disk.rs", "the root that the caller gave"),
    ("check/kernel.rs", "the kernel's release"),
    ("cli/args.rs", "the root that the caller named"),
    ("cli/check.rs", "the root that the caller named"),
    ("cli/controller.rs", "the file that the caller named"),
    ("cli/courier.rs", "files that the caller named, and a path of ours"),
    ("cli/mod.rs", "the root that the caller named"),
    ("cli/recovery.rs", "files that the caller named, and a path of ours"),
    ("cli/table.rs", "a path of ours"),
    ("folders.rs", "a path of ours"),
    ("sandbox/mod.rs", "the TPM's device, as it is typed in a command"),
    ("http/place.rs", "an address, shown by the answer of its connection alone"),
    ("supervisor.rs", "paths of ours under the root"),
    ("agents/vaultmgr/hands/holders/process.rs", "quoted, or compared; and the number of a process"),
    ("agents/vaultmgr/hands/tree/mod.rs", "quoted"),
];

#[test]
fn every_text_from_outside_is_quoted() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(texts_from_outside(&src, &HARMLESS), [""; 0]);
}
