//! Why a key file could not be read, written or removed.

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
    /// A mount hides it: nothing is known of what is beneath.
    #[error("something is mounted over {name}: unmount it")]
    Covered {
        /// The folder.
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

impl From<disk::Error> for MetaError {
    fn from(error: disk::Error) -> Self {
        match error {
            disk::Error::Absent { name } => Self::Absent { name },
            disk::Error::Unsafe { name } => Self::Unsafe { name },
            disk::Error::Covered { name } => Self::Covered { name },
            disk::Error::Io { doing, source } => Self::Io { doing, source },
        }
    }
}

/// Names the file that is damaged.
pub(super) fn damaged(name: &str) -> impl FnOnce(ParseError) -> MetaError {
    move |source| MetaError::Damaged { name: name.into(), source }
}
