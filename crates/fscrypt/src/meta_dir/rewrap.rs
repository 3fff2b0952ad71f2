//! Putting a re-wrapped protector in force in every copy of a vault's key files (VC-2).
//!
//! All copies are written anew before the first old one is overwritten: until then each copy, old or new, opens under the
//! key that it was wrapped with.

use super::{MetaDir, MetaError};
use crate::{
    ProtectorFile,
    scrub::{Residue, scrub},
};

/// Replaces the protector's file in all `copies`, then overwrites the old bytes in place. When it returns nothing, no copy of the
/// old wrap is left in these filesystems' files, freed blocks or journals. (Flash translation layers and images taken
/// earlier are beyond it everywhere.) Safe to repeat: after an error, or after a power cut and [`MetaDir::sweep`], call it again.
///
/// # Errors
/// [`MetaError::Io`], and [`MetaError::Unsafe`] for an old file with a name elsewhere: each copy is whole, the old or the new; the new key must not be reported as in force yet.
pub fn rewrap_both(copies: &[&MetaDir], file: &ProtectorFile) -> Result<Option<Residue>, MetaError> {
    let (name, bytes) = (file.descriptor().to_string(), file.to_bytes());
    let replaced = copies.iter().map(|copy| copy.protectors.replace(&name, &bytes));
    Ok(scrub(replaced.collect::<Result<Vec<_>, _>>()?)?)
}
