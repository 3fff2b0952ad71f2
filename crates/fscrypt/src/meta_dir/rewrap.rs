//! Putting a re-wrapped protector in force in every copy of a vault's key files (VC-2).
//!
//! All copies are written anew before the first old one is overwritten: until then each copy, old or new, opens under the
//! key that it was wrapped with.

use super::{
    MetaDir, MetaError,
    folder::{Hook, Step},
};
use crate::ProtectorFile;

/// Replaces the protector's file in all `copies`, then overwrites the old bytes in place. When it returns, no copy of the
/// old wrap is left in these filesystems' files or freed blocks, as far as they overwrite in place: ext4 does; f2fs writes
/// elsewhere, and there the old bytes stay until their place is used again. (Flash translation layers and images taken
/// earlier are beyond it everywhere.) Safe to repeat: after an error, or after a power cut and [`MetaDir::sweep`], call it again.
///
/// # Errors
/// [`MetaError::Io`], and [`MetaError::Unsafe`] for an old file with a name elsewhere: each copy is whole, the old or the new; the new key must not be reported as in force yet.
pub fn rewrap_both(copies: &[&MetaDir], file: &ProtectorFile) -> Result<(), MetaError> {
    rewrap_both_with(copies, file, &mut |_| Ok(()))
}

/// [`rewrap_both`], calling `hook` after each step; an error of it stops there, as a power cut would. For tests.
///
/// # Errors
/// As [`rewrap_both`], and what `hook` returns.
pub fn rewrap_both_with(
    copies: &[&MetaDir],
    file: &ProtectorFile,
    hook: &mut dyn FnMut(Step) -> std::io::Result<()>,
) -> Result<(), MetaError> {
    let hook: Hook<'_> = hook;
    let (name, bytes) = (file.descriptor().to_string(), file.to_bytes());
    let replaced = copies
        .iter()
        .map(|copy| copy.protectors.replace(&name, &bytes, hook))
        .collect::<Result<Vec<_>, _>>()?;
    replaced.into_iter().try_for_each(|old| old.scrub(hook))
}
