//! Linux fscrypt v2: the kernel's keys and policies, and the key files that Google's `fscrypt` tool reads and writes.
//!
//! Kernel words (policy, identifier, key status) are those of Documentation/filesystems/fscrypt.rst; words of the files
//! (protector, policy, wrap) are the `fscrypt` tool's.
//!
//! Three layers, each usable alone:
//! * [`key_files`], over [`metadata`]: bytes of key files to keys and back. Pure: randomness is an argument.
//! * [`MetaDir`]: those files in their folders, written so that a power cut leaves the old or the new, and replaced so
//!   that the old bytes are gone from the disk.
//! * [`kernel`] and [`directory`]: policies on directories and keys in the kernel; beside them [`quota`], what a directory may take.
//!
//! Every write goes through a [`disk::Disk`]. It knows nothing of vaults, epochs or TPMs, starts no thread, and logs nothing.

#![warn(missing_docs)]

pub mod directory;
mod ids;
mod kdf;
pub mod kernel;
pub mod key_files;
pub mod meta_dir;
pub mod metadata;
mod place;
mod policy;
pub mod quota;
pub mod scrub;
mod secret;
pub mod sharing;
mod sys;

pub use directory::{PathKind, ProbeError, look, probe_modes};
pub use ids::{KeyIdentifier, NotADescriptor, ProtectorDescriptor};
pub use kernel::{Claims, KeyStatus, Removal, add_key, get_policy, key_status, remove_key, set_policy};
pub use key_files::{KeyFiles, UnwrapError};
pub use meta_dir::{MetaDir, MetaError, rewrap_both};
pub use metadata::{Iv, ParseError, PolicyFile, ProtectorFile, Source};
pub use policy::{Modes, Policy};
pub use scrub::Residue;
pub use secret::{ContentKey, ProtectorKey, WrappingKey};
