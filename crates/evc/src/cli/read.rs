//! Files that a command reads: within a bound, and never one that keeps it waiting.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

/// Reads a plain file that was found and not named: no link is followed, and no pipe is waited for.
///
/// # Errors
/// It can't be read, is something else, is no text, or has more than `most` bytes.
pub(super) fn found(path: &Path, most: u64) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no plain file"));
    }
    text(file, most)
}

/// Reads what somebody named, which may be a pipe.
///
/// # Errors
/// It can't be read, is no text, or has more than `most` bytes.
pub(super) fn named(path: &Path, most: u64) -> io::Result<String> {
    text(File::open(path)?, most)
}

/// Reads to the end.
///
/// # Errors
/// As [`named`].
pub(super) fn text(from: impl io::Read, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = from.take(most + 1).read_to_string(&mut text)?;
    if read as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in a folder that others may have filled: a pipe, a link, something endless.
    #[test]
    fn what_is_found_is_a_plain_file_within_its_bound() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("plain"), "12345").expect("written");
        std::os::unix::fs::symlink(at("plain"), at("link")).expect("linked");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(found(&at("plain"), 5).expect("read"), "12345");
        assert_eq!(named(&at("link"), 5).expect("somebody named it"), "12345");
        assert!(found(&at("plain"), 4).expect_err("too long").to_string().contains("more than 4 bytes"));
        for other in ["link", "pipe"] {
            assert!(found(&at(other), 5).is_err(), "{other}");
        }
        assert!(named(Path::new("/dev/zero"), 1 << 20).is_err(), "endless");
    }
}
