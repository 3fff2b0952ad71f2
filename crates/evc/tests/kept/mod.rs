//! What builds of before left in a controller's data folder (`vectors/README.md`).

use std::path::Path;
use std::process::Command;

/// Unpacks the data folder of the build of a commit.
pub(crate) fn unpack(commit: &str, into: &Path) {
    let packed = format!("{}/../../vectors/{commit}/kept.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let mut tar = Command::new("tar");
    let tar = tar.args(["--extract", "--gzip", "--file", &packed, "--strip-components=2", "--directory"]);
    let unpacked = tar.arg(into).arg("evc/data").status().expect("tar is there");
    assert!(unpacked.success(), "{packed}");
}

/// What was written beside it.
#[allow(dead_code)] // Not every test that unpacks one reads it.
pub(crate) fn read(commit: &str, file: &str) -> String {
    let packed = format!("{}/../../vectors/{commit}/kept.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let told =
        Command::new("tar").args(["--extract", "--gzip", "--to-stdout", "--file", &packed, file]).output();
    String::from_utf8(told.expect("tar is there").stdout).expect("text")
}
