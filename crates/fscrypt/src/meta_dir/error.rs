//! Why a key file could not be read, written or removed.

use nix::errno::Errno;

use crate::ParseError;

/// Why a key file could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// Nothing is there.
    #[error("{name} is absent")]
    Absent {
        /// The file or folder.
        name: String,
    },
    /// A link, not a regular file or folder, or writable by others: not followed, not read. Or a file that has another name too, and
    /// so is not overwritten: whoever made that name has to take it away.
    #[error("{name} is not a file or folder of ours alone")]
    Unsafe {
        /// The file or folder.
        name: String,
    },
    /// Too long, or not a key file.
    #[error("the key file {name} is damaged")]
    Damaged {
        /// The file.
        name: String,
        /// What does not fit.
        source: ParseError,
    },
    /// A key file, but of another key than its name says.
    #[error("the key file {name} is that of another key")]
    Misnamed {
        /// The file.
        name: String,
    },
    /// The disk or the kernel.
    #[error("{doing} failed")]
    Io {
        /// What was done.
        doing: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

/// Names what was done when the kernel refused.
pub(super) fn io<E: Into<std::io::Error>>(doing: &'static str) -> impl FnOnce(E) -> MetaError {
    move |source| MetaError::Io { doing, source: source.into() }
}

/// Tells what an errno means when a file or folder is opened with `O_NOFOLLOW`.
pub(super) fn of_open(name: &str) -> impl FnOnce(Errno) -> MetaError {
    move |errno| match errno {
        Errno::ENOENT => MetaError::Absent { name: name.into() },
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::ENXIO => {
            MetaError::Unsafe { name: name.into() }
        }
        errno => MetaError::Io { doing: "opening a key file", source: errno.into() },
    }
}

/// Names the file that is damaged.
pub(super) fn damaged(name: &str) -> impl FnOnce(ParseError) -> MetaError {
    move |source| MetaError::Damaged { name: name.into(), source }
}
